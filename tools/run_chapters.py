"""Execute the chapters that Jupyter Book's cache lacks, several at a time.

Jupyter Book executes one chapter after another, and a chapter keeps one core busy most of the time. Here each has a kernel of its own
and its share of the cores, and goes into the cache when it is done, where Jupyter Book finds it. A chapter that raises, or whose kernel the
system ends for want of memory, is left to Jupyter Book, which executes it again, alone, and says what went wrong.

Usage: ``python tools/run_chapters.py [--jobs N] [--config FILE]``, in the folder of ``_toc.yml``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import NamedTuple

import nbformat
import yaml
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from sphinx_external_toc.parsing import parse_toc_yaml

MOST = 4  # chapters at a time: each needs one to three gigabytes
QUIET = ["--log-level=ERROR"]  # each kernel would warn that what it says over the loopback interface is not encrypted


def chapters(root: Path) -> list[Path]:
    """The notebooks of the table of contents, the longest first, so that no long one is left for the end."""
    notebooks = [(root / f"{name}.ipynb").resolve() for name in parse_toc_yaml(root / "_toc.yml")]
    return sorted((path for path in notebooks if path.exists()), key=lambda path: (-path.stat().st_size, path))


def peak_memory(pid: int | None) -> float:
    """The most memory that a process has had, in GiB; NaN where the system does not say."""
    status = Path(f"/proc/{pid}/status")
    found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8"), re.MULTILINE) if status.exists() else None
    return int(found[1]) / 2**20 if found else math.nan


def end_when_told(whole: asyncio.Task) -> None:
    """Have SIGINT and SIGTERM end the whole run and its kernels; nbclient would have them end one chapter's kernel."""
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError):  # Windows, or not the main thread
            # Once: a second cancellation would end the ending of the kernels.
            asyncio.get_running_loop().add_signal_handler(number, lambda: whole.cancelling() or whole.cancel())


class Done(NamedTuple):
    """A chapter that was executed: its seconds, the most memory of its kernel in GiB, and the name of what it raised."""

    path: Path
    seconds: float
    memory: float
    raised: str

    def __str__(self) -> str:
        memory = "" if math.isnan(self.memory) else f", {self.memory:.1f} GiB at most"
        return f"{self.path.stem}: {f'raised {self.raised}' if self.raised else 'executed'} after {self.seconds:.0f} s{memory}"


async def execute(notebook: nbformat.NotebookNode, path: Path, timeout: int, gate: asyncio.Semaphore, whole: asyncio.Task) -> Done:
    """Execute a notebook in place, in its own folder, as Jupyter Book does.

    A kernel that dies before it answers, as happens now and then where several start at once, is tried once more.
    """
    memory = math.nan

    async def once() -> None:
        resources = {"metadata": {"path": str(path.parent)}}
        client = NotebookClient(notebook, timeout=timeout, record_timing=False, resources=resources, extra_arguments=QUIET)

        def look(**_: object) -> None:
            nonlocal memory
            memory = peak_memory(getattr(getattr(client.km, "provisioner", None), "pid", None))

        client.on_cell_executed = look
        client.on_notebook_start = lambda **_: end_when_told(whole)
        try:
            await client.async_execute()
        finally:
            end_when_told(whole)  # a client that is done drops the handlers

    async with gate:
        begun, raised = time.monotonic(), ""
        try:
            try:
                await once()
            except DeadKernelError:
                raise
            except RuntimeError:
                await once()
        except (CellExecutionError, CellTimeoutError, RuntimeError) as error:
            raised = type(error).__name__
        return Done(path, time.monotonic() - begun, memory, raised)


async def run(root: Path, jobs: int, timeout: int) -> None:
    """Execute what the cache lacks, and put each chapter into the cache as soon as it is done."""
    cache = get_cache(root / "_build" / ".jupyter_cache")
    lacking = {}
    for path in chapters(root):
        notebook = nbformat.read(path, as_version=4)
        try:
            cache.get_cache_bundle(cache.match_cache_notebook(notebook).pk)
        except (KeyError, ValueError):  # not there, or not whole: the cache knows a notebook before it has its file
            lacking[path] = notebook
    if lacking:
        print(f"executing {len(lacking)} chapters, {jobs} at a time", flush=True)
    gate = asyncio.Semaphore(jobs)
    # Tasks wait at the gate in the order in which they are made; `as_completed` would make them in any.
    whole = asyncio.current_task()
    assert whole is not None  # this is a coroutine
    running = [asyncio.create_task(execute(notebook, path, timeout, gate, whole)) for path, notebook in lacking.items()]
    for count, done in enumerate(asyncio.as_completed(running), start=1):
        chapter = await done
        if not chapter.raised:
            kept = CacheBundleIn(lacking[chapter.path], str(chapter.path), data={"execution_seconds": chapter.seconds})
            _, key = cache.create_hashed_notebook(kept.nb)
            # A run that was killed may have left the folder without its file.
            shutil.rmtree(Path(cache.path) / "executed" / key, ignore_errors=True)
            cache.cache_notebook_bundle(kept, check_validity=False, overwrite=True)
        print(f"{chapter}, {count} of {len(lacking)}", flush=True)


def main(arguments: list[str]) -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=min(cores, MOST), help="chapters at a time")
    parser.add_argument("--config", type=Path, default=Path("_config.yml"), help="where the seconds that a cell may take stand")
    chosen = parser.parse_args(arguments)
    if chosen.jobs < 1:
        parser.error(f"--jobs: expected 1 or more, got {chosen.jobs}")
    settings = yaml.safe_load(chosen.config.read_text(encoding="utf-8"))
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // chosen.jobs)))  # kernels inherit it
    try:
        asyncio.run(run(Path.cwd(), chosen.jobs, settings["execute"]["timeout"]))
    except asyncio.CancelledError:
        sys.exit("stopped: chapters that were done are kept")


if __name__ == "__main__":
    main(sys.argv[1:])
