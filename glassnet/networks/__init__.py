"""One architecture per file, in plain torch; the catalogue lists this folder."""
