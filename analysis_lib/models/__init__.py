"""The models that the book studies: where they come from, what is on record about them, and the two architectures of its own.

`load` gives a model by its study name, from a folder or from the hub, `wrap` takes one that is in memory already, and `untrained_like`
gives the same architecture with fresh weights. `register` adds an architecture (`architectures` says how). Everything else is reached by
its module: `minigpt` and `regressor` (the book's own architectures), `cards` (what is on record), `training_history` (seeds and
snapshots), `generation` (what a language model writes), `choice` (what `ANALYSIS_MODELS` says), `hub`, `pickles` and `checkpoint_files`.
"""

from analysis_lib.models.architectures import Architecture, is_causal, register
from analysis_lib.models.checkpoint_files import CheckpointError
from analysis_lib.models.hub_cache import HubError
from analysis_lib.models.loading import EMBEDDED_FOLDER, STUDIES, LoadedModel, Study, available, load, prepare, untrained_like
from analysis_lib.models.wrapping import wrap

__all__ = [
    "Architecture",
    "CheckpointError",
    "EMBEDDED_FOLDER",
    "HubError",
    "LoadedModel",
    "STUDIES",
    "Study",
    "available",
    "is_causal",
    "load",
    "prepare",
    "register",
    "untrained_like",
    "wrap",
]
