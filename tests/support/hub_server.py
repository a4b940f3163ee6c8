"""A hub on the loopback interface: serves folders as repositories the way huggingface.co serves files."""

import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def commit_of(folder: Path) -> str:
    """Forty hexadecimal digits that stand for a folder's commit."""
    return hashlib.sha1(folder.name.encode(), usedforsecurity=False).hexdigest()


@contextmanager
def serve(root: Path):
    """Serve every `root/owner/name` folder; yields the endpoint and the list of requests."""
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self):
            self.answer(body=False)

        def do_GET(self):
            self.answer(body=True)

        def answer(self, body: bool):
            requests.append(f"{self.command} {self.path}")
            found = re.fullmatch(r"/([\w.-]+/[\w.-]+)/resolve/([\w%.-]+)/([\w.-]+)", self.path)
            if not found:
                return self.refuse("EntryNotFound")
            repository, revision, name = found.groups()
            folder = root / repository
            if not folder.is_dir():
                return self.refuse("RepoNotFound")
            if revision not in ("main", commit_of(folder)):
                return self.refuse("RevisionNotFound", folder)
            if not (folder / name).is_file():
                return self.refuse("EntryNotFound", folder)
            content = (folder / name).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", commit_of(folder))
            self.end_headers()
            if body:
                self.wfile.write(content)

        def refuse(self, code: str, folder: Path | None = None):
            message = json.dumps({"error": code}).encode()
            self.send_response(404)
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", code)
            if folder:
                self.send_header("X-Repo-Commit", commit_of(folder))
            self.send_header("Content-Length", str(len(message)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(message)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
