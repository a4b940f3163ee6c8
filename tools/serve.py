"""Serve the built book at http://localhost:8000 and build it again whenever a source of a page changes.

Usage: ``python tools/serve.py [port]``, in the folder of ``_config.yml``, after `make book`.
"""

from __future__ import annotations

import functools
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from watchfiles import watch

SOURCES = {".py", ".md", ".yml", ".bib", ".css", ".js"}
NAMES = ("book", "_config.yml", "_toc.yml", "references.bib")


def is_source(change, path: str) -> bool:
    """Whether a changed file is one that somebody edits: notebooks are generated and would set off another build."""
    return Path(path).suffix in SOURCES


def rebuild(root: Path) -> int:
    """Write the notebooks and build. A failed build is reported, and the next change tries again."""
    for program in (["tools/pairs.py", "write"], ["tools/build_book.py"]):
        status = subprocess.run([sys.executable, *program], cwd=root, check=False).returncode
        if status:
            return status
    return 0


def main(arguments: list[str]) -> None:
    root, port = Path.cwd(), int(arguments[0]) if arguments else 8000
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(root / "_build" / "html"))
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        sys.exit(f"port {port} cannot be used ({error.strerror}); try python tools/serve.py {port + 1}")
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"http://localhost:{server.server_port}  (Ctrl+C ends it)", flush=True)
        for _ in watch(*(root / name for name in NAMES), watch_filter=is_source, raise_interrupt=False):
            print("built again" if rebuild(root) == 0 else "the build failed; see above", flush=True)
        server.shutdown()


if __name__ == "__main__":
    main(sys.argv[1:])
