"""The proof that weights are extracted correctly: attention rebuilt from them equals the model's own.

Patterns and the output of every head are computed from `TransformerWeights` alone and compared with what the model's attention modules
computed for the same inputs. They agree to rounding, about 1e-6 of their size in float32. A matrix that is read transposed, or split
into heads along the wrong axis, is off by its own size.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from analysis_lib import activations
from analysis_lib.models import LoadedModel
from analysis_lib.weights.extraction import weights_of
from analysis_lib.weights.transformer_weights import TransformerWeights


@dataclass(frozen=True)
class RebuiltAttention:
    """One layer's attention, computed from its weights head by head.

    Attributes
    ----------
    patterns : Tensor [batch, head, query, key]
        Rows sum to one.
    head_outputs : Tensor [batch, head, token, d_model]
        What each head adds; their sum and b_O are the attention module's output.
    output : Tensor [batch, token, d_model]
        That sum.
    """

    patterns: Tensor
    head_outputs: Tensor
    output: Tensor


@dataclass(frozen=True)
class AttentionErrors:
    """Largest absolute differences between rebuilt attention and the model's own, over all texts.

    Attributes
    ----------
    pattern : array [layer, head]
        Of attention weights, which lie between 0 and 1; NaN for a model with rotary positions, whose patterns do not follow from
        W_Q and W_K alone. Its outputs are rebuilt with its own patterns.
    output : array [layer]
        Of the attention module's output, summed over heads.
    output_scale : array [layer]
        Largest absolute value of that output, to hold the errors against.
    n_tokens : int
        Tokens compared.
    """

    pattern: np.ndarray
    output: np.ndarray
    output_scale: np.ndarray
    n_tokens: int


def rebuild_attention(
    weights: TransformerWeights, layer: int, states: Tensor, mask: Tensor | None = None, patterns: Tensor | None = None
) -> RebuiltAttention:
    r"""Compute one layer's attention from its per-head weights.

    $$A_h = \mathrm{softmax}\bigl(s\,(x W_Q^h + b_Q^h)(x W_K^h + b_K^h)^\top\bigr), \qquad
    o_h = A_h (x W_V^h + b_V^h) W_O^h$$

    Parameters
    ----------
    weights : TransformerWeights
    layer : int
        From 0.
    states : Tensor [batch, token, d_model]
        What the layer's attention reads, `weights.read(layer, stream)`. Positions that a model adds to queries and keys alone are added
        here.
    mask : Tensor [batch, token], optional
        True, or 1, where there is a token and not padding.
    patterns : Tensor [batch, head, query, key], optional
        Taken as they are in the place of those computed from W_Q and W_K.

    Returns
    -------
    RebuiltAttention

    Raises
    ------
    ValueError
        A layer or a shape that does not fit the weights; rotary positions and no patterns.

    Notes
    -----
    Elhage et al. 2021, "Attention heads are independent and additive".
    """
    if not 0 <= layer < weights.n_layers:
        raise ValueError(f"layer: expected 0 to {weights.n_layers - 1}, found {layer}")
    if states.ndim != 3 or states.shape[-1] != weights.d_model:
        raise ValueError(f"states: expected [batch, token, {weights.d_model}], found {tuple(states.shape)}")
    if mask is not None and mask.shape != states.shape[:2]:
        raise ValueError(f"mask: expected {tuple(states.shape[:2])}, found {tuple(mask.shape)}")
    patterns = _patterns(weights, layer, states, mask) if patterns is None else patterns
    values = states[:, None] @ weights.W_V[layer] + weights.b_V[layer][:, None]  # (batch, head, token, d_head)
    head_outputs = patterns @ values @ weights.W_O[layer]
    return RebuiltAttention(patterns, head_outputs, head_outputs.sum(dim=1) + weights.b_O[layer])


def attention_errors(loaded: LoadedModel, texts: Sequence[str], weights: TransformerWeights | None = None) -> AttentionErrors:
    """Compare rebuilt attention with a model's own on texts, for every layer and head.

    Parameters
    ----------
    loaded : LoadedModel
        With eager attention. No hook is left on it, whatever happens.
    texts : sequence of str
        They go through the model one by one.
    weights : TransformerWeights, optional
        Raw weights to compare in the place of the model's own, to see that a wrong reading fails.

    Returns
    -------
    AttentionErrors

    Raises
    ------
    TypeError
        Something other than a LoadedModel with a tokenizer.
    ValueError
        No texts; an empty or over-long text (with its index); a model that gives no attention patterns.
    """
    if not isinstance(loaded, LoadedModel) or loaded.tokenizer is None:
        raise TypeError(f"loaded: expected a LoadedModel with a tokenizer, found {type(loaded).__name__}")
    if isinstance(texts, str) or not texts:
        raise ValueError(f"texts: expected a sequence of strings, found {texts!r}")
    longest, batches = loaded.model.config.max_position_embeddings, []
    for index, text in enumerate(texts):
        ids = loaded.tokenizer(text, return_tensors="pt", verbose=False)["input_ids"]
        if not text.strip() or not 0 < ids.shape[1] <= longest:
            raise ValueError(f"texts[{index}]: expected 1 to {longest} tokens, found {ids.shape[1]}: {text[:40]!r}")
        batches.append((ids, torch.ones_like(ids)))
    return _compared(loaded.model, batches, weights)


def attention_errors_on_ids(
    model: PreTrainedModel, ids: Tensor, mask: Tensor | None = None, weights: TransformerWeights | None = None
) -> AttentionErrors:
    """Compare rebuilt attention with a bare model's own on token ids, for every layer and head.

    Parameters
    ----------
    model : PreTrainedModel
        Of a registered architecture, with eager attention. No hook is left on it, whatever happens.
    ids : int Tensor [batch, token]
    mask : Tensor [batch, token], optional
        1 where there is a token and not padding.
    weights : TransformerWeights, optional
        As in `attention_errors`.

    Returns
    -------
    AttentionErrors

    Raises
    ------
    ValueError
        No ids, or more of them than the model's context; a model that gives no attention patterns.
    """
    longest = model.config.max_position_embeddings
    if ids.ndim != 2 or ids.numel() == 0 or ids.shape[1] > longest:
        raise ValueError(f"ids: expected token ids [batch, 1 to {longest}], found {tuple(ids.shape)}")
    return _compared(model, [(ids, torch.ones_like(ids) if mask is None else mask)], weights)


def _compared(model: PreTrainedModel, batches: Iterable[tuple[Tensor, Tensor]], weights: TransformerWeights | None) -> AttentionErrors:
    """Errors over batches of ids and masks [batch, token]."""
    if model.training:
        raise ValueError("model: expected evaluation mode, found training mode, where dropout changes attention")
    weights = weights_of(model) if weights is None else weights
    pattern = np.zeros((weights.n_layers, weights.n_heads))
    output = np.zeros(weights.n_layers)
    scale = np.zeros(weights.n_layers)
    tokens = 0
    for ids, kept in ((part.to(model.device) for part in batch) for batch in batches):
        tokens += int(kept.sum())
        with activations.recording(model, ["read", "patterns", "attention"], states=False) as record, torch.no_grad():
            model(input_ids=ids, attention_mask=kept)
        kept = kept.cpu()
        for layer in range(weights.n_layers):
            read, patterns, attended = (record[name, layer].float().cpu() for name in ("read", "patterns", "attention"))
            rebuilt = rebuild_attention(weights, layer, read, kept, patterns if weights.positions == "rotary" else None)
            wrong = (rebuilt.patterns - patterns).abs().amax(dim=-1)  # (batch, head, query)
            wrong = wrong.masked_fill(~kept.bool()[:, None], 0).amax(dim=(0, 2))
            real = kept.bool()[..., None]
            pattern[layer] = np.maximum(pattern[layer], wrong.cpu().numpy())
            output[layer] = max(output[layer], float(((rebuilt.output - attended) * real).abs().max()))
            scale[layer] = max(scale[layer], float((attended * real).abs().max()))
    if weights.positions == "rotary":
        pattern[:] = np.nan
    return AttentionErrors(pattern, output, scale, tokens)


def split_outputs_wrongly(weights: TransformerWeights) -> TransformerWeights:
    r"""The same weights with W_O split into heads along its *output* axis, which is how notebook 000 split HerBERT's.

    The heads lie one after the other on the *input* axis of the output matrix, because attention concatenates their results. When the
    matrix is split along the other axis, every slice has the right shape and mixes all heads.

    Parameters
    ----------
    weights : TransformerWeights
        Split correctly; left as they are.

    Returns
    -------
    TransformerWeights
        With another W_O [layer, head, d_head, d_model].
    """
    joined = weights.W_O.flatten(1, 2)  # [layer, d_model, d_model]: BERT's output.dense.weight.T
    wrong = joined.unflatten(2, (weights.n_heads, weights.d_head)).permute(0, 2, 3, 1)
    return replace(weights, W_O=wrong)


def _patterns(weights: TransformerWeights, layer: int, states: Tensor, mask: Tensor | None) -> Tensor:
    """Patterns [batch, head, query, key] from W_Q and W_K."""
    if weights.positions == "rotary":
        raise ValueError(
            "patterns: expected the model's own, since its rotary positions turn queries and keys by an angle that depends on where they"
            " stand, so that W_Q and W_K alone do not give scores; found None"
        )
    read = (states + weights.part("W_pos")[: states.shape[1]] if weights.positions == "queries_keys" else states)[:, None]
    queries, keys = (
        read @ getattr(weights, f"W_{name}")[layer] + getattr(weights, f"b_{name}")[layer][:, None] for name in "QK"
    )  # (batch, head, token, d_head)
    scores = queries @ keys.transpose(-1, -2) * weights.attention_scale[layer]
    return scores.masked_fill(~_allowed(weights, states, mask), float("-inf")).softmax(dim=-1)


def _allowed(weights: TransformerWeights, states: Tensor, mask: Tensor | None) -> Tensor:
    """Which keys a query may attend to, [batch or 1, 1, query, key]; a padded query may see its own key."""
    length = states.shape[1]
    allowed = torch.ones(length, length, dtype=torch.bool, device=states.device)
    allowed = (allowed.tril() if weights.causal else allowed)[None, None]
    if mask is None:
        return allowed
    own = torch.eye(length, dtype=torch.bool, device=states.device)
    return allowed & (mask.bool().to(states.device)[:, None, None, :] | own)
