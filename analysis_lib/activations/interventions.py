"""What to put in the place of what a model computes: zeros, a mean, a tensor, a multiple, the same value of another run.

`edited` makes passes with changes at named sites (`Sites`); the changes are `zero`, `mean`, `put`, `scale` and `patch`.
`frozen_patterns` makes passes with attention patterns that are given beforehand. `head_means` gives what heads write on average, to be put
in the place of what they write.

>>> import torch
>>> from analysis_lib import activations, models
>>> from analysis_lib.activations.interventions import edited, scale, zero
>>> model, ids = models.load("minigpt").model, torch.tensor([[1, 2, 3]])
>>> with edited(model, {("heads", 0): zero(heads=[2, 3]), ("attention", 1): scale(0.5)}):
...     logits = model(input_ids=ids).logits
>>> with edited(model, {("heads", 0): zero()}), activations.recording(model) as record:
...     _ = model(input_ids=ids)
>>> bool((record["states", 1] == record["states", 0]).all())  # no head of layer 0 wrote anything
True

Blocks nest: the inner change works on what the outer one left. A recording made inside sees the changed values. When a block ends,
however it ends, the model is as it was.

Sources: Elhage et al. 2021 for patterns frozen and not; Wang et al. 2023 (arXiv 2211.00593) for mean ablation and patching.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock, get_ident
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from analysis_lib.activations.hooks import attached, recording
from analysis_lib.activations.sites import into, sites_of

Change = Callable[[Tensor], Tensor]


@contextmanager
def edited(model: nn.Module, changes: Mapping[tuple[str, int], Change]) -> Iterator[None]:
    """Change what a model computes in the passes made inside the block.

    Parameters
    ----------
    model : PreTrainedModel, or any module of a registered architecture
    changes : mapping of (name, layer) to a change
        The name is one of `Sites`, such as "heads", "values", "attention", "mlp" or "states"; layers count from 0, and so do states,
        of which 0 is what the first block reads. A change takes the value and gives another of the same shape; the functions of this
        module make such changes.

    Raises
    ------
    ValueError
        A site or a layer that the model does not have; patterns, which are read only. In the pass: a change whose heads, tokens or
        values do not fit.
    """
    places = sites_of(model)
    if any(name == "patterns" for name, _ in changes):
        raise ValueError("changes: expected sites that can be changed, found 'patterns', which can only be read; use frozen_patterns")
    functions = [(places.at(*key), change) for key, change in changes.items()]
    with attached(functions):
        yield


@contextmanager
def frozen_patterns(model: nn.Module, patterns: Sequence[Tensor]) -> Iterator[None]:
    """Make attention use given patterns, in every layer, in the passes made inside the block; values are the pass's own.

    Parameters
    ----------
    model : PreTrainedModel, or any module of a registered architecture
    patterns : sequence of Tensor [batch, head, query, key], one a layer
        Of another run, as `recording` gives them. Patterns that are recorded inside the block are still those that the model computes,
        although nothing reads them.

    Raises
    ------
    ValueError
        Another number of layers; in the pass, patterns of another shape.
    """
    places = sites_of(model)
    if len(patterns) != places.n_layers:
        raise ValueError(f"patterns: expected one tensor for each of {places.n_layers} layers, found {len(patterns)}")
    values: dict[int, Tensor] = {}

    def keep(layer: int) -> Callable[[Tensor], None]:
        def function(value: Tensor) -> None:
            values[layer] = value

        return function

    def attend(layer: int) -> Callable[[Tensor], Tensor]:
        def function(result: Tensor) -> Tensor:
            pattern, expected = patterns[layer], (len(result), result.shape[2], result.shape[1], result.shape[1])
            if tuple(pattern.shape) != expected:
                raise ValueError(f"patterns[{layer}]: expected {expected}, found {tuple(pattern.shape)}")
            return torch.einsum("bhqk,bkhd->bqhd", pattern, values[layer])

        return function

    functions = [(site, keep(layer)) for layer, site in enumerate(places.of("values"))]
    functions += [(site, attend(layer)) for layer, site in enumerate(places.of("heads"))]
    with attached(functions):
        yield


@torch.no_grad()
def head_means(model: nn.Module, batches: Iterable[Tensor]) -> Float[Tensor, "layer head d_head"]:
    """Mean of what each head writes before the output matrix, over all tokens of some sequences: what `put` sets in its place.

    Parameters
    ----------
    model : PreTrainedModel
        Of a registered architecture that reads tokens.
    batches : iterable of int Tensor [batch, token]
        Token ids without padding. Each batch goes through the model at once.

    Returns
    -------
    float32 [layer, head, d_head]
        On the processor; summed in float64.
    """
    total, n_tokens = torch.zeros((), dtype=torch.float64), 0
    for ids in batches:
        with recording(model, ["heads"], states=False) as record:
            model.base_model(input_ids=ids)
        total = total + torch.stack([value.double().sum(dim=(0, 1)).cpu() for _, value in sorted(record.items())])
        n_tokens += ids.numel()
    return (total / n_tokens).float()


@contextmanager
def resumed(model: nn.Module, layer: int, states: Tensor) -> Iterator[None]:
    """Begin the passes made inside the block at a layer, since what its block reads is known.

    Passes give what they would without this, and take the time of the layers that are left: many changes of late layers need one pass
    through the early ones. In an architecture whose blocks give more than their state (`Sites.plain_blocks`), passes are made in full.

    Parameters
    ----------
    model : PreTrainedModel, or any module of a registered architecture
    layer : int
        The first block that is computed; those before it hand on what they are given.
    states : Tensor [batch, token, d_model]
        What it reads: `record["states", layer]` of a recording of the same sequences, with no change in earlier layers.

    Raises
    ------
    ValueError
        A layer that is not there.
    """
    places = sites_of(model)
    places.at("patterns", layer)
    skipped = [site.module for site in places.states[1 : layer + 1]] if places.plain_blocks else []
    try:
        for block in skipped:
            _leave_out(block)
        with attached([(into(places.states[layer + 1].module), lambda _: states)] if places.plain_blocks else []):
            yield
    finally:
        for block in skipped:
            _take_in(block)


_LEFT_OUT: dict[nn.Module, list[int]] = {}
"""Blocks that are left out, with the threads that do so: others may be running the same model."""
_LOCK = Lock()


def _leave_out(block: nn.Module) -> None:
    """Let a block hand on what it is given, in passes of this thread."""

    def forward(hidden: Tensor, *args: Any, **options: Any) -> Any:
        return hidden if get_ident() in _LEFT_OUT.get(block, ()) else type(block).forward(block, hidden, *args, **options)

    with _LOCK:
        _LEFT_OUT.setdefault(block, []).append(get_ident())
        block.forward = forward


def _take_in(block: nn.Module) -> None:
    """End what `_leave_out` began; nothing where it did not."""
    with _LOCK:
        owners = _LEFT_OUT.get(block, [])
        if get_ident() in owners:
            owners.remove(get_ident())
        if not owners:
            _LEFT_OUT.pop(block, None)
            vars(block).pop("forward", None)  # the class has its own


def zero(heads: Sequence[int] | None = None, tokens: Sequence[int] | None = None) -> Change:
    """Zeros.

    Parameters
    ----------
    heads : sequence of int, optional
        Only these, at a site that is split into heads.
    tokens : sequence of int, one a sequence of the batch, optional
        Only these places.
    """
    return _changing(torch.zeros_like, heads, tokens)


def mean(over: int | tuple[int, ...] = (0, 1), heads: Sequence[int] | None = None, tokens: Sequence[int] | None = None) -> Change:
    """The mean over the pass itself.

    Parameters
    ----------
    over : int or tuple of int
        Axes: 0 keeps what each token has whatever its sequence is, (0, 1) only what all tokens have in common.
    heads, tokens
        As for `zero`. The mean is taken over all tokens in any case.
    """

    def change(value: Tensor) -> Tensor:
        where = _where(value, heads, tokens)
        return _with(value, where, value.mean(dim=over, keepdim=True).expand_as(value)[where])

    return change


def put(new: Tensor, heads: Sequence[int] | None = None, tokens: Sequence[int] | None = None) -> Change:
    """A given tensor.

    Parameters
    ----------
    new : Tensor
        Broadcasts against what it replaces: [batch, token, ...]; with heads [batch, token, len(heads), d_head]; with tokens
        [batch, ...], one row a sequence.
    heads, tokens
        As for `zero`.
    """

    def replacement(value: Tensor) -> Tensor:
        try:
            return new.to(value).expand_as(value)
        except RuntimeError:
            raise ValueError(f"new: expected a shape that broadcasts to {tuple(value.shape)}, found {tuple(new.shape)}") from None

    return _changing(replacement, heads, tokens)


def scale(factor: float, heads: Sequence[int] | None = None, tokens: Sequence[int] | None = None) -> Change:
    """A multiple of the value; `heads` and `tokens` as for `zero`."""
    return _changing(lambda value: value * factor, heads, tokens)


def patch(other: Tensor, heads: Sequence[int] | None = None, tokens: Sequence[int] | None = None) -> Change:
    """The same value of another run.

    Parameters
    ----------
    other : Tensor
        The whole value, as `recording` gives it, of a run with as many sequences and tokens.
    heads, tokens
        As for `zero`.
    """

    def change(value: Tensor) -> Tensor:
        if other.shape != value.shape:
            raise ValueError(f"other: expected {tuple(value.shape)} as this run has, found {tuple(other.shape)}")
        where = _where(value, heads, tokens)
        return _with(value, where, other[where].to(value))

    return change


def _changing(function: Callable[[Tensor], Tensor], heads: Sequence[int] | None, tokens: Sequence[int] | None) -> Change:
    """A change that applies a function to the chosen part of a value."""

    def change(value: Tensor) -> Tensor:
        where = _where(value, heads, tokens)
        return _with(value, where, function(value[where]))

    return change


def _with(value: Tensor, where: tuple, new: Tensor) -> Tensor:
    """A copy of the value with something new in one part."""
    changed = value.clone()
    changed[where] = new
    return changed


def _where(value: Tensor, heads: Sequence[int] | None, tokens: Sequence[int] | None) -> tuple:
    """The index of the chosen heads and tokens in a value."""
    if heads is not None and (value.ndim != 4 or not all(0 <= head < value.shape[2] for head in heads)):
        found = f"heads {list(heads)} of a value of shape {tuple(value.shape)}"
        raise ValueError(f"heads: expected heads that exist, at a site [batch, token, head, d_head], found {found}")
    if tokens is None:
        return (slice(None),) if heads is None else (slice(None), slice(None), list(heads))
    if len(tokens) != len(value) or not all(0 <= token < value.shape[1] for token in tokens):
        found = f"{list(tokens)} for a value of shape {tuple(value.shape)}"
        raise ValueError(f"tokens: expected one place below {value.shape[1]} for each of {len(value)} sequences, found {found}")
    rows, places = torch.arange(len(value)), torch.as_tensor(tokens)
    return (rows, places) if heads is None else (rows[:, None], places[:, None], torch.as_tensor(heads))
