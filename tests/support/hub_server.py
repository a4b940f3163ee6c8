"""A hub on the loopback interface: serves folders as repositories the way huggingface.co does, and fails in the ways that it can fail.

`root/owner/name` is the main branch of a repository, and `root/owner/name@refs/pr/3` its third pull request. A folder may hold
`.hub.json`, which is not served: `gated` (files need a login), `discussions` (what the hub's API lists), and faults by file name: `stall`
(the answer stops in the middle), `truncate` (the connection ends in the middle), `damage` (other bytes of the same number), `once` (the
fault happens to the first request alone, and the connection is cut).
"""

import hashlib
import json
import re
import threading
from contextlib import contextmanager
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".bin", ".h5")  # what the real hub keeps in large-file storage, named by sha256
NAME = r"[\w.-]+(?:/[\w.-]+)?"
BLOCK = 1 << 20


def commit_of(folder: Path) -> str:
    """Forty hexadecimal digits that stand for a folder's commit: its files' names, sizes and times, and its own name."""
    files = sorted((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files_of(folder))
    return hashlib.sha1(f"{folder.name} {files}".encode(), usedforsecurity=False).hexdigest()


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name != ".hub.json")


@lru_cache
def checksum(path: Path, size: int, modified: int) -> str:
    """What the hub names a file's content by: sha256 for large files, git's sha1 for the others."""
    if path.name.endswith(LARGE):
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    return hashlib.sha1(b"blob %d\0" % size + path.read_bytes(), usedforsecurity=False).hexdigest()


def checksum_of(path: Path) -> str:
    return checksum(path, path.stat().st_size, path.stat().st_mtime_ns)


def described(path: Path) -> dict:
    """A file in the hub's listings."""
    size, name = path.stat().st_size, checksum_of(path)
    found = {"type": "file", "path": path.name, "rfilename": path.name, "size": size, "oid": name[:40], "blobId": name[:40]}
    if path.name.endswith(LARGE):
        found["lfs"] = {"oid": name, "sha256": name, "size": size, "pointerSize": 134}
    return found


class Repository:
    """One folder under the root, looked up by name and revision."""

    def __init__(self, root: Path, name: str, revision: str):
        self.main = root / name
        branches = {"main": self.main} | {f"refs/pr/{path.name}": path for path in pull_requests(self.main)}
        found = branches.get(revision) or next((path for path in branches.values() if commit_of(path) == revision), None)
        self.folder = found if self.main.is_dir() else None
        settings = self.main / ".hub.json"
        self.settings = json.loads(settings.read_text()) if settings.is_file() else {}


def pull_requests(main: Path) -> list[Path]:
    """Folders `name@refs/pr/N` beside the main branch."""
    beside = main.parent / f"{main.name}@refs" / "pr"
    return list(beside.iterdir()) if beside.is_dir() else []


@contextmanager
def serve(root: Path, port: int = 0):
    """Serve every `root/owner/name` folder; yields the endpoint and the list of requests."""
    requests: list[str] = []
    served: set[str] = set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self):
            self.answer()

        def do_GET(self):
            self.answer()

        def answer(self):
            asked = unquote(urlsplit(self.path).path)
            requests.append(f"{self.command} {asked} {self.headers.get('Range', '')}".strip())
            if found := re.fullmatch(rf"/({NAME})/resolve/(.+)/([\w.-]+)", asked):
                return self.send_file(*found.groups())
            if found := re.fullmatch(rf"/api/models/({NAME})/discussions", asked):
                discussions = Repository(root, found[1], "main").settings.get("discussions", [])
                return self.send_json({"discussions": discussions, "count": len(discussions), "start": 0})
            if found := re.fullmatch(rf"/api/models/({NAME})/(revision|tree)/(.+)", asked):
                return self.send_listing(*found.groups())
            return self.refuse(404, "EntryNotFound")

        def send_listing(self, name: str, kind: str, revision: str):
            repository = Repository(root, name, revision)
            if repository.folder is None:
                return self.refuse(404, "RevisionNotFound" if repository.main.is_dir() else "RepoNotFound")
            files = [described(path) for path in files_of(repository.folder)]
            commit = commit_of(repository.folder)
            return self.send_json(files if kind == "tree" else {"id": name, "modelId": name, "sha": commit, "siblings": files})

        def send_file(self, name: str, revision: str, file: str):
            repository = Repository(root, name, revision)
            if repository.folder is None:
                return self.refuse(404, "RevisionNotFound" if repository.main.is_dir() else "RepoNotFound")
            if repository.settings.get("gated"):
                return self.refuse(401, "GatedRepo")
            path = repository.folder / file
            if not path.is_file():
                return self.refuse(404, "EntryNotFound", commit_of(repository.folder))
            fault = repository.settings.get("faults", {}).get(file) if self.command == "GET" else None
            if fault == "once":
                fault = None if str(path) in served else "truncate"
                served.add(str(path))
            return self.send_content(path, commit_of(repository.folder), fault)

        def send_content(self, path: Path, commit: str, fault: str | None):
            size = path.stat().st_size
            begun = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            start = int(begun[1]) if begun else 0
            self.send_response(206 if begun else 200)
            self.send_header("Content-Length", str(size - start))
            if begun:
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            self.send_header("ETag", f'"{checksum_of(path)}"')
            self.send_header("X-Repo-Commit", commit)
            self.end_headers()
            if self.command == "HEAD":
                return
            end = start + (size - start) // 2 if fault in ("stall", "truncate") else size
            with path.open("rb") as handle:
                handle.seek(start)
                while start < end and (part := handle.read(min(BLOCK, end - start))):
                    self.wfile.write(bytes(byte ^ 1 for byte in part) if fault == "damage" else part)
                    start += len(part)
            self.wfile.flush()
            if fault == "stall":
                stopping.wait()
            self.close_connection = fault is not None or self.close_connection

        def send_json(self, value):
            content = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def refuse(self, status: int, code: str, commit: str | None = None):
            message = json.dumps({"error": code}).encode()
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", code)
            if commit:
                self.send_header("X-Repo-Commit", commit)
            self.send_header("Content-Length", str(len(message)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(message)

        def log_message(self, *args):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request, client_address):
            """A client that went away is not worth a traceback."""

    stopping = threading.Event()
    server = Server(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requests
    finally:
        stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()
