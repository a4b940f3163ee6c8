"""The registry of architectures: what the library must know about each, in one entry, and how to add another.

To add an architecture, from this package or from outside it:

1. Write a function that says where the model computes what is read and changed: it takes the model and gives `activations.Sites`.
2. Write a function that reads the weights into the notation of this book: it takes the model and gives `weights.TransformerWeights`.
   What the notation cannot say is left out and named in the function's docstring.
3. Call `models.register("its_model_type", Architecture(...))` with both, the model's class and three facts. The name is the
   `model_type` of the model's configuration.
4. Check it: `weights.attention_errors_on_ids(model, ids)` rebuilds every head from the extracted weights and compares the sum with the
   attention output of the model itself. An error of rounding (1e-6 of the output) is a proof; a matrix that is transposed or split
   along the wrong axis is off by its own size.

Everything else (recording, interventions, projections, circuits, norms) then works, because it asks `sites_of` and `weights_of`.
`tests/unit/weights/test_registry.py` adds a small LLaMA in this way.
"""

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Architecture:
    """What the library knows about models of one `model_type`.

    A class or function may be given as the text `module:name`, which is imported when it is first needed; this is how the table below
    names functions of the rooms above this one.

    Attributes
    ----------
    model_class : type or str
        Reads a checkpoint of this type.
    sites : callable or str
        Takes a model and gives its `activations.Sites`.
    extract : callable or str
        Takes a model and gives its `weights.TransformerWeights`.
    norm : {"pre", "post"} or None
        Whether layer norms stand before attention and the feed-forward layer, on what they read, or after each, on the residual
        stream; None for a model without layer norms.
    causal : bool
        Whether a token attends to earlier tokens and itself only.
    tokenized : bool
        Whether a checkpoint must hold a tokenizer. One that need not gets the tokenizer that lies in its folder, if there is one.
    bare_class : type or str, optional
        Reads a checkpoint that has no language-model head.
    head : str
        How the names of the head's weights begin, by which a checkpoint without a head is known.
    parts : mapping of str to tuple of str
        "token embedding", "position embedding", "attention" and "feed-forward" to what names of their parameters hold, for counting
        them. A name belongs to the first part that it fits; what fits none is the rest.
    """

    model_class: type | str
    sites: Callable | str
    extract: Callable | str
    norm: str | None
    causal: bool
    tokenized: bool = True
    bare_class: type | str | None = None
    head: str = ""
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.norm not in ("pre", "post", None):
            raise ValueError(f"norm: expected 'pre', 'post' or None, found {self.norm!r}")

    def resolve(self, part: str) -> Any:
        """`model_class`, `bare_class`, `sites` or `extract` itself, imported if it was given as text."""
        found = getattr(self, part)
        return pkgutil.resolve_name(found) if isinstance(found, str) else found


_SITES, _EXTRACT = "analysis_lib.activations.sites", "analysis_lib.weights.extraction"

ARCHITECTURES = {
    "gpt2": Architecture(
        "transformers:GPT2LMHeadModel",
        f"{_SITES}:gpt2",
        f"{_EXTRACT}:gpt2",
        norm="pre",
        causal=True,
        parts={
            "token embedding": ("wte.",),
            "position embedding": ("wpe.",),
            "attention": (".attn.",),
            "feed-forward": (".mlp.",),
        },
    ),
    "bert": Architecture(
        "transformers:BertForMaskedLM",
        f"{_SITES}:bert",
        f"{_EXTRACT}:bert",
        norm="post",
        causal=False,
        bare_class="analysis_lib.models.encoder:Encoder",
        head="cls.predictions.",
        parts={
            "token embedding": ("word_embeddings.",),
            "position embedding": ("position_embeddings.",),
            "attention": ("attention.self.", "attention.output.dense."),
            "feed-forward": ("intermediate.dense.", "output.dense."),
        },
    ),
    "minigpt": Architecture(
        "analysis_lib.models.minigpt:MiniGPT", f"{_SITES}:minigpt", f"{_EXTRACT}:minigpt", norm=None, causal=True, tokenized=False
    ),
    "regressor": Architecture(
        "analysis_lib.models.regressor:Regressor", f"{_SITES}:gpt2", f"{_EXTRACT}:regressor", norm="pre", causal=True, tokenized=False
    ),
}


def register(model_type: str, architecture: Architecture, exist_ok: bool = False) -> None:
    """Add an architecture.

    Parameters
    ----------
    model_type : str
        As it stands in the model's configuration.
    architecture : Architecture
    exist_ok : bool
        Replace an entry of the same name instead of refusing to.

    Raises
    ------
    ValueError
        There is such an entry already, and `exist_ok` is False.
    """
    if model_type in ARCHITECTURES and not exist_ok:
        raise ValueError(f"model_type: {model_type!r} is registered already; expected a new name, or exist_ok=True to replace it")
    ARCHITECTURES[model_type] = architecture


def architecture_of(model: nn.Module) -> Architecture:
    """The entry of a model's architecture.

    Parameters
    ----------
    model : PreTrainedModel, or any module whose `config` has a `model_type`

    Returns
    -------
    Architecture

    Raises
    ------
    TypeError
        Something that has no `config.model_type`.
    ValueError
        An architecture that is not registered; the message lists those that are.
    """
    model_type = getattr(getattr(model, "config", None), "model_type", None)
    if model_type is None:
        raise TypeError(f"model: expected a model with a config that has a model_type, found {type(model).__name__}")
    if model_type not in ARCHITECTURES:
        raise ValueError(
            f"model: unknown architecture {model_type!r} ({type(model).__name__}); expected one of {', '.join(sorted(ARCHITECTURES))},"
            " or one added with models.register"
        )
    return ARCHITECTURES[model_type]


def is_causal(model: nn.Module) -> bool:
    """Whether the model's tokens attend to earlier tokens and themselves only; true of a BERT that is configured as a decoder, too."""
    return architecture_of(model).causal or bool(getattr(model.config, "is_decoder", False))
