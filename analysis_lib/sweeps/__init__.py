"""One function for everything that is done to many heads, neurons or texts.

`sweep(function, items)` calls a function for each item and gives the results in order: in this process, in threads, in processes, or on a
`dask.distributed` cluster. It shows how far it is, and what it has found can be kept on disk, so that a sweep that was killed goes on.
"""

from analysis_lib.sweeps.sweeping import sweep

__all__ = ["sweep"]
