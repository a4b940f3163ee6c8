"""What single heads do: what is lost without one, whether it binds answers to their questions, and what its attention follows.

All measures give one value for each prompt and head, [prompt, layer, head], so that a head can be chosen on some prompts and measured on
others (`statistics.choose_and_measure`), and `by_head` makes a table of them. Prompts have two tokens a point, a question that knows x and
an answer that knows y, as `Regressor` has them.
"""

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike

from analysis_lib import activations
from analysis_lib.incontext.answers import without_head
from analysis_lib.incontext.arrays import as_array
from analysis_lib.incontext.behaviour import predict, query_errors
from analysis_lib.incontext.prompts import Prompts
from analysis_lib.models import LoadedModel
from analysis_lib.statistics import t_interval


def attention_patterns(loaded: LoadedModel, prompts: Prompts) -> Float[np.ndarray, "layer prompt head query key"]:
    """Attention of every head on prompts.

    Parameters
    ----------
    loaded : LoadedModel
        A regressor.
    prompts : Prompts

    Returns
    -------
    float32 [layer, prompt, head, query, key]
        Token 2i is question i, token 2i + 1 answer i.
    """
    model = loaded.model
    like = next(model.parameters())
    with activations.recording(model, ["patterns"]) as record, torch.no_grad():
        model(xs=prompts.xs.to(like), ys=prompts.ys.to(like))
    return activations.stacked(record)["patterns"].cpu().numpy()


def ablation_errors(loaded: LoadedModel, prompts: Prompts, points: slice, how: str = "mean") -> Float[np.ndarray, "prompt layer head"]:
    """Errors without each head in turn.

    Parameters
    ----------
    loaded : LoadedModel
        A regressor.
    prompts : Prompts
    points : slice
        The points whose errors are averaged.
    how : {"mean", "zero"}
        What takes the place of the head's output; see `answers.without_head`.

    Returns
    -------
    float64 [prompt, layer, head]
        Squared error / d.
    """
    n_layers, n_heads = loaded.model.config.num_hidden_layers, loaded.model.config.num_attention_heads
    errors = np.empty((len(prompts.xs), n_layers, n_heads))
    for layer, head in np.ndindex(n_layers, n_heads):
        with without_head(loaded, layer, head, how):
            # All prompts in one pass, since a head's mean is that over the pass.
            errors[:, layer, head] = query_errors(lambda xs, ys: predict(loaded, xs, ys, len(prompts.xs)), prompts)[:, points].mean(axis=1)
    return errors


def binding(patterns: ArrayLike) -> Float[np.ndarray, "prompt layer head point"]:
    """How much of its attention an answer pays to its own question.

    Parameters
    ----------
    patterns : array [layer, prompt, head, 2 * point, 2 * point]

    Returns
    -------
    float64 [prompt, layer, head, point]
    """
    answers_to_questions = _checked_patterns(patterns)[..., 1::2, ::2]
    return np.moveaxis(np.diagonal(answers_to_questions, axis1=-2, axis2=-1), 0, 1)


def key_slopes(rows: ArrayLike, scores: ArrayLike) -> Float[np.ndarray, " prompt"]:
    """How much more a query attends to a key for each unit of the key's score, in units of even attention.

    Parameters
    ----------
    rows : array [prompt, key]
        Attention of one query per prompt, all at the same position, to two keys or more.
    scores : array [prompt, key]
        Of the same keys, for instance x of the key times x of the query.

    Returns
    -------
    float64 [prompt]
        Least-squares slope over a prompt's keys of attention / (mean attention of all rows) in scores. Both are taken without their mean
        at each key over prompts, so that position explains nothing. NaN where that leaves all scores of a prompt equal, but for rounding.
        A correlation would not do: where attention is nearly even, as in an untrained model, it can be large and of no consequence.

    Raises
    ------
    ValueError
        Shapes that do not fit.
    """
    rows, scores = np.asarray(rows, dtype=float), np.asarray(scores, dtype=float)
    if rows.ndim != 2 or rows.shape[1] < 2 or scores.shape != rows.shape:
        raise ValueError(f"scores: expected [prompt, key] as rows has them, {rows.shape}, found {scores.shape}")
    centred = [values - values.mean(axis=0) for values in (rows / rows.mean(), scores)]
    a, b = (values - values.mean(axis=1, keepdims=True) for values in centred)
    spread, rounding = (b**2).sum(axis=1), (1e-12 * np.abs(scores).max()) ** 2
    return np.divide((a * b).sum(axis=1), spread, out=np.full(len(a), np.nan), where=spread > rounding)


def product_slopes(patterns: ArrayLike, xs: ArrayLike) -> Float[np.ndarray, "prompt layer head"]:
    """Whether the last question looks at a point according to the product of both x, as regression by attention would: `key_slopes`.

    Parameters
    ----------
    patterns : array [layer, prompt, head, 2 * point, 2 * point]
    xs : array [prompt, point, d]
        Three points or more.

    Returns
    -------
    float64 [prompt, layer, head]
        Slope of the attention to a point (its two tokens together) in the product of its x with the x asked about.
    """
    patterns, xs = _checked_patterns(patterns), as_array(xs)
    if xs.ndim != 3 or xs.shape[1] < 3 or (patterns.shape[1], patterns.shape[-1]) != (len(xs), 2 * xs.shape[1]):
        raise ValueError(f"xs: expected [prompt, point, d] of three points or more as patterns {patterns.shape} has, found {xs.shape}")
    products = np.einsum("bpd,bd->bp", xs[:, :-1], xs[:, -1])
    last = patterns[..., -2, :-2]
    to_point = last[..., ::2] + last[..., 1::2]  # [layer, prompt, head, point]
    return np.stack([np.stack([key_slopes(rows, products) for rows in heads.swapaxes(0, 1)], axis=1) for heads in to_point], axis=1)


def by_head(values: ArrayLike, level: float = 0.95) -> pd.DataFrame:
    """Means over prompts with Student's intervals, one row for each head.

    Parameters
    ----------
    values : array [prompt, layer, head]
    level : float
        Of the intervals. Where many heads are tested, 1 - 0.05 / their number corrects for it (Bonferroni).

    Returns
    -------
    DataFrame
        `name` ("L0H1"), `layer`, `head`, `estimate`, `low`, `high`.
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 3:
        raise ValueError(f"values: expected [prompt, layer, head], found shape {values.shape}")
    rows = [(f"L{layer}H{head}", layer, head, *t_interval(values[:, layer, head], level)) for layer, head in np.ndindex(*values.shape[1:])]
    return pd.DataFrame(rows, columns=["name", "layer", "head", "estimate", "low", "high"])


def _checked_patterns(patterns: ArrayLike) -> np.ndarray:
    patterns = np.asarray(patterns, dtype=float)
    if patterns.ndim != 5 or patterns.shape[-1] != patterns.shape[-2] or patterns.shape[-1] % 2:
        raise ValueError(f"patterns: expected [layer, prompt, head, 2 * point, 2 * point], found shape {patterns.shape}")
    return patterns
