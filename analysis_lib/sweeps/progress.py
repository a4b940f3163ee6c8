"""How far a long sweep is: a bar for a reader, lines in a file for a build, whose pages should not show it."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LOG = "ANALYSIS_PROGRESS"
"""The environment variable that names the file."""

EVERY = 5.0
"""Seconds before something is said, and between two lines."""


def shown(results: Iterator[Any], total: int, title: str) -> Iterator[Any]:
    """Pass results on, and say how many of them there are already."""
    log = os.environ.get(LOG)
    if log:
        return _with_lines(results, total, title, Path(log))
    from tqdm import tqdm

    return iter(tqdm(results, total=total, desc=title, delay=EVERY, leave=False))


def _with_lines(results: Iterator[Any], total: int, title: str, log: Path) -> Iterator[Any]:
    start = said = time.monotonic()
    for count, result in enumerate(results, start=1):
        now = time.monotonic()
        if now - said >= EVERY:
            said, spent = now, now - start
            with contextlib.suppress(OSError), log.open("a", encoding="utf-8") as file:  # a full disk, which results need not feel
                file.write(f"{title}: {count} of {total} after {spent:.0f} s, about {spent / count * (total - count):.0f} s to go\n")
        yield result
