// Writes glassnet/web/glassnet.js and glassnet.css; the same input gives the same bytes.
import { build } from "esbuild";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

await build({
  entryPoints: { glassnet: here("src/document.ts") },
  outdir: here("../glassnet/web"),
  absWorkingDir: here("."),
  bundle: true,
  format: "iife",
  globalName: "glassnet",
  minify: true,
  charset: "ascii",
  target: ["es2022", "chrome111", "firefox113", "safari16.4"],
  legalComments: "none",
  logLevel: "info",
});
