"""Transformer weights and activations in terms that a reader can check.

The names below are what a notebook needs first; each is imported when it is first used:

- `load`, `wrap`, `untrained_like`: a model by name, one in memory, and the same architecture with fresh weights, as a `LoadedModel`;
- `extract`: its weights in one notation, `TransformerWeights`; `run`: what it computes on texts, `Activations`;
- `top_pairs`, `top_tokens`: the exact best pairs of a head's matrix, the exact best tokens of vectors; `Vocabulary`: tokens as words;
- `head_scores`: what each head attends to, on the probe that this book uses.

Five studies stand side by side: `projections`, `geometry`, `circuits`, `incontext`, `norms`. Each is a package that says in its first
lines what it asks. Below them are the foundations: `models`, `weights`, `activations`, `vocabulary`, `statistics`, `sweeps`, and the
data `texts` and `recorded`. `plots` draws and `report` words numbers. Chapters use these, a study uses the foundations, and no
study uses another.
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis_lib.activations import Activations, run
    from analysis_lib.circuits.standard_probe import model_head_scores as head_scores
    from analysis_lib.models import LoadedModel, load, untrained_like, wrap
    from analysis_lib.projections import top_pairs, top_tokens
    from analysis_lib.vocabulary import Vocabulary
    from analysis_lib.weights import TransformerWeights, extract

__version__ = "0.1.0"

# Where each name is defined. Imports wait until a name is used, since torch and transformers take seconds to import.
_FACE = {
    "Activations": "activations:Activations",
    "LoadedModel": "models:LoadedModel",
    "TransformerWeights": "weights:TransformerWeights",
    "Vocabulary": "vocabulary:Vocabulary",
    "extract": "weights:extract",
    "head_scores": "circuits.standard_probe:model_head_scores",
    "load": "models:load",
    "run": "activations:run",
    "top_pairs": "projections:top_pairs",
    "top_tokens": "projections:top_tokens",
    "untrained_like": "models:untrained_like",
    "wrap": "models:wrap",
}
_ROOMS = (
    *("activations", "circuits", "geometry", "incontext", "models", "norms", "plots", "projections"),
    *("recorded", "report", "statistics", "sweeps", "texts", "vocabulary", "weights"),
)

__all__ = [
    "Activations",
    "LoadedModel",
    "TransformerWeights",
    "Vocabulary",
    "__version__",
    "extract",
    "head_scores",
    "load",
    "run",
    "top_pairs",
    "top_tokens",
    "untrained_like",
    "wrap",
]


def __getattr__(name: str) -> Any:
    """The names of the face and the packages, imported when they are first asked for."""
    if name in _FACE:
        return pkgutil.resolve_name(f"analysis_lib.{_FACE[name]}")
    if name in _ROOMS:
        return importlib.import_module(f"analysis_lib.{name}")
    raise AttributeError(f"module 'analysis_lib' has no attribute {name!r}; it has {', '.join([*_FACE, *_ROOMS])}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_ROOMS])
