"""A Hugging Face Hub of a few lines, for tests: it serves repositories that lie in memory."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Hub:
    """What is served, and what was asked for."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.gated: set[str] = set()
        self.asked: list[str] = []
        self.url = ""

    def commit(self, name: str) -> str:
        """Changes with every file."""
        content = b"".join(self.repositories[name].values())
        return hashlib.sha1(content).hexdigest()

    def answer(self, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        self.asked.append(f"{method} {path}")
        words = path.lstrip("/").split("/")
        if len(words) < 4:  # the client asks other things, too
            return 404, {}, b""
        if words[:2] == ["api", "models"]:
            name, revision = "/".join(words[2:4]), words[5]
        else:
            name, revision = "/".join(words[:2]), words[3]
        if name not in self.repositories:
            return 404, {"X-Error-Code": "RepoNotFound"}, b""
        commit = self.commit(name)
        if revision not in ("main", commit):
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        files = self.repositories[name]
        if words[0] == "api":
            siblings = [{"rfilename": file} for file in files]
            info: dict[str, Any] = {"id": name, "sha": commit, "siblings": siblings}
            return 200, {"Content-Type": "application/json"}, json.dumps(info).encode()
        if name in self.gated:
            return 403, {"X-Error-Code": "GatedRepo"}, b""
        file = "/".join(words[4:])
        if file not in files:
            return 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit}, b""
        etag = f'"{hashlib.sha256(files[file]).hexdigest()}"'
        return 200, {"ETag": etag, "X-Repo-Commit": commit}, files[file]


@contextmanager
def serving() -> Iterator[Hub]:
    """Serve on a free port of this machine."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers, body = hub.answer(self.command, self.path.partition("?")[0])
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
