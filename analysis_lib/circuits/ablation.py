r"""What removing an attention head does to a causal model's loss.

A head's values, weighted by its pattern, reach the output matrix as a slice of d_head numbers at every position. An ablation replaces
that slice at all positions, either by zeros or by the head's mean over positions and sequences. The mean keeps the head's constant part
for the layers above and removes what varies. The layers above then read another residual stream. Their patterns are either computed anew,
as the model would, or frozen to those of the whole model, so that only their values change. A head that works through the patterns of
other heads, as the previous-token head of an induction circuit does, matters in the first case and not in the second.

Sources: Elhage et al. 2021 and Olsson et al. 2022 for ablations with patterns frozen and not.
"""

from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from analysis_lib import activations
from analysis_lib.activations.interventions import Change, edited, frozen_patterns, head_means, put, zero
from analysis_lib.models import LoadedModel, is_causal

Heads = Sequence[tuple[int, int]]

KINDS = ("zero", "mean")


def token_losses(loaded: LoadedModel, ids: np.ndarray | Tensor, batch_size: int = 16) -> Float[np.ndarray, "sequence token"]:
    """Loss of each next token in a causal model without ablation.

    Parameters
    ----------
    loaded : LoadedModel, or any object with `model` (GPT-2 or MiniGPT, in eval mode)
    ids : integer array [sequence, token]
        Two tokens or more.
    batch_size : int

    Returns
    -------
    numpy.ndarray of float64 [sequence, token - 1]
        -ln p of token 1, 2 ... given those before it, in nats.

    Raises
    ------
    ValueError
        Ids of a wrong shape or out of range, a model that is not causal or in training mode.
    """
    return ablated_losses(loaded, ids, (), batch_size=batch_size)


def ablated_losses(
    loaded: LoadedModel,
    ids: np.ndarray | Tensor,
    heads: Heads,
    kind: str = "zero",
    frozen: bool = False,
    means: Tensor | None = None,
    batch_size: int = 16,
) -> Float[np.ndarray, "sequence token"]:
    """Loss of each next token with some heads ablated, all of them at once.

    Parameters
    ----------
    loaded, ids, batch_size
        As in `token_losses`.
    heads : sequence of (layer, head)
    kind : {"zero", "mean"}
        What replaces a head's slice.
    frozen : bool
        Keep all patterns as they are in the whole model.
    means : Tensor [layer, head, d_head], optional
        For "mean"; by default `activations.interventions.head_means` of these same ids.

    Returns
    -------
    numpy.ndarray of float64 [sequence, token - 1], nats

    Raises
    ------
    ValueError
        As in `token_losses`; also a head that does not exist, another kind, means of another shape.
    """
    model, ids = checked_model(loaded), checked_ids(loaded, ids)
    by_layer = _by_layer(model, heads)
    _check_kind(kind)
    if kind == "mean" and by_layer:
        means = head_means(model, ids.split(batch_size)) if means is None else means
        expected = (model.config.num_hidden_layers, *_head_shape(model))
        if tuple(means.shape) != expected:
            raise ValueError(f"means: expected [layer, head, d_head] {expected}, found {tuple(means.shape)}")

    def change(layer: int, chosen: list[int]) -> Change:
        return zero(chosen) if kind == "zero" or means is None else put(means[layer, chosen], heads=chosen)

    changes = {("heads", layer): change(layer, chosen) for layer, chosen in by_layer.items()}
    losses = []
    with torch.no_grad():
        for batch in ids.split(batch_size):
            freezing = frozen_patterns(model, _patterns(model, batch)) if frozen and by_layer else nullcontext()
            with freezing, edited(model, changes):
                losses.append(losses_of_next(model(input_ids=batch).logits, batch))
    return torch.cat(losses).cpu().numpy()


def ablation_effects(
    loaded: LoadedModel,
    ids: np.ndarray | Tensor,
    kind: str = "zero",
    frozen: bool = False,
    batch_size: int = 16,
) -> Float[np.ndarray, "layer head sequence token"]:
    """What ablating each head by itself adds to the loss of each next token.

    Parameters
    ----------
    loaded, ids, kind, frozen, batch_size
        As in `ablated_losses`.

    Returns
    -------
    numpy.ndarray of float64 [layer, head, sequence, token - 1], nats
        Above zero where the head helps.

    Raises
    ------
    ValueError
        As in `ablated_losses`.
    """
    model, ids = checked_model(loaded), checked_ids(loaded, ids)
    _check_kind(kind)
    whole = token_losses(loaded, ids, batch_size)
    means = head_means(model, ids.split(batch_size)) if kind == "mean" else None
    grid = (model.config.num_hidden_layers, _head_shape(model)[0])
    effects = [ablated_losses(loaded, ids, [head], kind, frozen, means, batch_size) - whole for head in np.ndindex(grid)]
    return np.stack(effects).reshape(*grid, *whole.shape)


def checked_model(loaded: LoadedModel) -> nn.Module:
    """The model, if it is a causal language model in evaluation mode; else a ValueError."""
    model = loaded.model
    if not is_causal(model) or getattr(model, "get_output_embeddings", lambda: None)() is None:
        raise ValueError(
            f"loaded: expected a causal language model, found {type(model).__name__}; the loss of a next token has no meaning for it"
        )
    if model.training:
        raise ValueError("loaded.model is in training mode, where dropout changes losses; expected model.eval()")
    return model


def checked_ids(loaded: LoadedModel, ids: np.ndarray | Tensor) -> Int64[Tensor, "sequence token"]:
    """Ids as an int64 tensor [sequence, token] on the model's device; else a ValueError."""
    config = loaded.model.config
    ids = torch.as_tensor(np.asarray(ids)) if not isinstance(ids, Tensor) else ids
    longest = config.max_position_embeddings
    if ids.ndim != 2 or not 2 <= ids.shape[1] <= longest or len(ids) == 0 or ids.is_floating_point():
        raise ValueError(f"ids: expected integers [sequence, 2 to {longest} tokens], found {ids.dtype} {tuple(ids.shape)}")
    ids = ids.to(torch.int64)  # small types compare wrongly with numbers that they do not hold
    if ids.min() < 0 or ids.max() >= config.vocab_size:
        raise ValueError(f"ids: expected 0 to {config.vocab_size - 1}, found {int(ids.min())} to {int(ids.max())}")
    return ids.to(next(loaded.model.parameters()).device)


def _head_shape(model: nn.Module) -> tuple[int, int]:
    """(n_heads, d_head)."""
    return model.config.num_attention_heads, model.config.hidden_size // model.config.num_attention_heads


def _by_layer(model: nn.Module, heads: Heads) -> dict[int, list[int]]:
    n_layers, n_heads = model.config.num_hidden_layers, _head_shape(model)[0]
    found: dict[int, list[int]] = {}
    for layer, head in heads:
        if not (0 <= layer < n_layers and 0 <= head < n_heads):
            raise ValueError(f"heads: expected heads of {n_layers} layers x {n_heads}, found {(layer, head)}")
        found.setdefault(layer, []).append(head)
    return found


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"kind: expected one of {', '.join(map(repr, KINDS))}, found {kind!r}")


def _patterns(model: nn.Module, batch: Tensor) -> list[Tensor]:
    with activations.recording(model, ["patterns"], states=False) as record:
        model.base_model(input_ids=batch)
    return list(record.values())


def losses_of_next(logits: Tensor, ids: Tensor) -> Tensor:
    """-ln p of each next token, float64 [sequence, token - 1], in nats."""
    logits = logits[:, :-1] if logits.dtype in (torch.float32, torch.float64) else logits[:, :-1].float()
    taken = logits.gather(-1, ids[:, 1:, None]).squeeze(-1)
    return logits.logsumexp(dim=-1).double() - taken.double()
