"""Work in a child process, so that a test can kill it."""

import os
from collections.abc import Callable

import torch


def forked(work: Callable[[], object]) -> int:
    """A child that does something on one thread; a fork has none of the threads that its parent had."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        torch.set_num_threads(1)
        work()
        status = 0
    finally:
        os._exit(status)


def ended(child: int) -> int:
    """The exit code of a child, when it has ended."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
