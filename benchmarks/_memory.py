"""Peak memory of one piece of work, in a process of its own."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path


def peak_mib() -> float:
    """Largest resident size of this process so far, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the parent's peak before exec
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS: bytes


def peak_of(work: Callable[[], object]) -> float:
    """MiB by which a piece of work raises the peak of this process."""
    import torch

    torch.randn(8, 8) @ torch.randn(8, 8)  # the libraries behind the product are loaded
    before = peak_mib()
    work()
    return peak_mib() - before


def elsewhere(script: str, *arguments: object) -> float:
    """What a script prints that is called so: a number of MiB."""
    answer = subprocess.run([sys.executable, script, *map(str, arguments)], check=True, capture_output=True, text=True)
    return float(answer.stdout)
