"""How the workers of a `dask.distributed` cluster get what the calls of a sweep share."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4


@contextmanager
def held_by_workers(client: Any, shared: Any) -> Iterator[str]:
    """While this is open, every worker of a cluster holds what is shared, those that come later too; gives the name it is held under.

    Data that dask scatters would not do: of several copies its scheduler drops all but one after two seconds, and they are sent again.
    """
    from distributed import WorkerPlugin

    name = uuid4().hex

    class Holder(WorkerPlugin):
        def setup(self, worker: Any) -> None:
            from analysis_lib.sweeps.sweeping import HELD  # the worker's own module, not a copy that came with this class

            HELD[name] = shared

        def teardown(self, worker: Any) -> None:
            from analysis_lib.sweeps.sweeping import HELD

            HELD.pop(name, None)

    client.register_plugin(Holder(), name=name)
    try:
        yield name
    finally:
        client.unregister_worker_plugin(name)
