"""The sweep itself: where the calls run, and how a worker gets what they share."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import joblib
from joblib.parallel import get_active_backend

from analysis_lib.sweeps.progress import shown
from analysis_lib.sweeps.store import module_digest, with_store

HELD: dict[str, Any] = {}
"""In a worker: what the calls of a sweep share, under a name of that sweep."""


def sweep(
    function: Callable,
    items: Iterable[Any],
    shared: Any = None,
    *,
    n_jobs: int | None = None,
    revision: str | None = None,
    title: str | None = None,
) -> list[Any]:
    """Call a function for every item, and give the results in the order of the items.

    Where the calls run is joblib's affair. `n_jobs=2` takes two threads, which suits products of matrices. A configuration in force goes
    first: `with joblib.parallel_config("loky", n_jobs=2)` takes two processes, and `with joblib.parallel_config("dask")` the workers of the
    `dask.distributed` client, on as many machines as it has. The backend `multiprocessing` gives its results all together at the end, so
    that none is kept of a sweep that was killed.

    Parameters
    ----------
    function : callable
        `function(item)`, or `function(shared, item)` where something is shared. Processes and clusters have to be able to pickle it.
    items : iterable
        Small things, such as numbers of heads: each is sent with its call.
    shared : object, optional
        What is large and the same in each call, such as weights. It goes to a worker once, whatever the number of items.
    n_jobs : int, optional
        As joblib has it; by default that of the configuration in force, else 1.
    revision : str, optional
        Which version of `shared` this is, such as the revision of a model. With it, results are kept on disk where the environment variable
        `ANALYSIS_SWEEPS` names a folder, and read from there instead of being computed again. The function's name, the arguments that a
        `functools.partial` gives it, the item, the revision, and the source of the library and of the file that holds the function say
        which result is which. What else such a file imports does not count.
    title : str, optional
        What a line on progress calls the sweep; the function's name by default.

    Returns
    -------
    list
        One result for each item.

    Raises
    ------
    ValueError
        With a revision, a function that is not a module's own: its name would not say what it does.

    Examples
    --------
    >>> sweep(abs, [-1, 2, -3])
    [1, 2, 3]
    """
    items = list(items)
    plain = _plain(function)
    name = str(getattr(plain, "__name__", type(plain).__name__))  # an object that can be called has none
    compute = partial(_compute, function, shared, n_jobs, title or name)
    if revision is None:
        return list(compute(items))
    return with_store((_identity(function), revision), items, compute)


def _compute(function: Callable, shared: Any, n_jobs: int | None, title: str, items: Sequence[Any]) -> Iterator[Any]:
    """Results of the items in order, as they come."""
    if not items:
        return iter(())
    return shown(_running(function, shared, n_jobs, items), len(items), title)


def _running(function: Callable, shared: Any, n_jobs: int | None, items: Sequence[Any]) -> Iterator[Any]:
    """The calls, on the backend in force."""
    backend, _ = get_active_backend(prefer="threads")
    if shared is None:
        yield from _parallel(n_jobs, [joblib.delayed(function)(item) for item in items])
    elif hasattr(backend, "client"):  # a dask cluster
        from analysis_lib.sweeps.cluster import held_by_workers

        with held_by_workers(backend.client, shared) as name:
            yield from _parallel(None, [joblib.delayed(_call_with_held)(function, name, item) for item in items])
    elif getattr(backend, "supports_sharedmem", False):
        yield from _parallel(n_jobs, [joblib.delayed(function)(shared, item) for item in items])
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = _written(shared, Path(folder))
            yield from _parallel(n_jobs, [joblib.delayed(_call_with_file)(function, path, item) for item in items])


def _parallel(n_jobs: int | None, calls: list) -> Iterator[Any]:
    """Results in the order of the calls, one after another where the backend can give them so."""
    running = partial(joblib.Parallel, n_jobs=n_jobs, prefer="threads")
    try:
        parallel = running(return_as="generator")
    except ValueError:  # `multiprocessing` cannot
        parallel = running(return_as="list")
    return iter(parallel(calls))


def _written(shared: Any, folder: Path) -> str:
    """A file that worker processes of this machine map into memory, so that all of them have one copy of its tensors."""
    import torch

    path = folder / uuid4().hex
    torch.save(shared, path)
    return os.fspath(path)


def _call_with_file(function: Callable, path: str, item: Any) -> Any:
    """A call in a worker process, which reads the file the first time that it sees it."""
    if path not in HELD:
        import torch

        HELD.clear()
        HELD[path] = torch.load(path, mmap=True, weights_only=False)  # written by `_written`, just now
    return function(HELD[path], item)


def _call_with_held(function: Callable, name: str, item: Any) -> Any:
    """A call in a worker of a cluster."""
    return function(HELD[name], item)


def _plain(function: Callable) -> Callable:
    """The function inside a `functools.partial`."""
    return _plain(function.func) if isinstance(function, partial) else function


def _identity(function: Callable) -> tuple:
    """What a call does besides its item: the module's function, with the module's source, and the arguments that are given already."""
    if isinstance(function, partial):
        return (*_identity(function.func), function.args, sorted(function.keywords.items()))
    module, name = getattr(function, "__module__", None) or "", getattr(function, "__qualname__", "")
    if module == "__main__" or getattr(sys.modules.get(module), name, None) is not function:
        raise ValueError(
            f"function: expected one that a module defines at its top level, or a functools.partial of one, since its results are kept"
            f" under its name; found {function!r}"
        )
    return module, name, module_digest(sys.modules[module])
