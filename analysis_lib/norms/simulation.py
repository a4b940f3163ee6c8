"""Simulated log norms: without dependence on the past, but with what resembles it; or with a dependence that is known.

The right answer of `lagged_regression` is known for them, so false positives and coverage can be counted (`calibration`).
"""

import numpy as np
import pandas as pd
import scipy.signal
from jaxtyping import Float

SIMULATED = ("independent", "trend", "words", "volatile", "autoregressive")


def simulate(
    kind: str, n_layers: int = 1, n_texts: int = 45, n_tokens: int = 95, rho: tuple[float, ...] = (0.3, 0.1), seed: int = 0
) -> tuple[Float[np.ndarray, "layer token"], pd.DataFrame]:
    """Norms whose dependence on the past is known; layers are independent draws over the same tokens.

    Parameters
    ----------
    kind : {"independent", "trend", "words", "volatile", "autoregressive"}
        All have a level for each text and normal errors of standard deviation 0.2. `independent` has nothing else. `trend` falls by 0.3
        times the log of 1 + position, as in a model that averages over what it has read. In `words` a third of the tokens continue
        a word, and the pieces of a word share a level of standard deviation 0.2. In `volatile` the size of the errors drifts along the
        text (its log is an autoregression with coefficient 0.9). `autoregressive` has the coefficients `rho`, and the trend.
    n_layers, n_texts, n_tokens : int
    rho : tuple of float
    seed : int

    Returns
    -------
    norms : array [layer, token]
    tokens : DataFrame [token]
        `text position word_internal` and, drawn at random, the covariates of `design.FULL`.

    Raises
    ------
    ValueError
        Unknown kind, counts below 1.
    """
    if kind not in SIMULATED:
        raise ValueError(f"kind: expected one of {', '.join(SIMULATED)}, got {kind!r}")
    if min(n_layers, n_texts, n_tokens) < 1:
        raise ValueError(f"n_layers, n_texts, n_tokens: expected at least 1, got {n_layers}, {n_texts}, {n_tokens}")
    rng = np.random.default_rng(seed)
    before = 100  # steps of the autoregression before the text begins
    internal = rng.random((n_texts, n_tokens)) < 1 / 3
    internal[:, 0] = False
    values = 0.2 * rng.standard_normal((n_layers, n_texts, before + n_tokens))
    if kind == "volatile":
        drift = scipy.signal.lfilter([0.3], [1, -0.9], rng.standard_normal(values.shape), axis=-1)
        values *= np.exp(drift)
    if kind == "autoregressive":
        values = scipy.signal.lfilter([1.0], [1.0, *(-r for r in rho)], values, axis=-1)
    values = values[..., before:]
    if kind == "words":
        level = 0.2 * rng.standard_normal(values.shape)
        values = values + np.take_along_axis(level, np.broadcast_to(_word_beginning(internal), values.shape), axis=-1)
    if kind in ("trend", "autoregressive"):
        values = values - 0.3 * np.log1p(np.arange(n_tokens))
    values = values + 0.1 * rng.standard_normal((n_layers, n_texts, 1))
    tokens = pd.DataFrame({"text": np.repeat(np.arange(n_texts), n_tokens), "position": np.tile(np.arange(n_tokens), n_texts)})
    tokens["word_internal"] = internal.ravel()
    for name in ("log_frequency", "log_rank"):
        tokens[name] = rng.standard_normal(len(tokens))
    tokens["no_word"] = rng.random(len(tokens)) < 0.15
    return np.exp(values.reshape(n_layers, -1)), tokens


def _word_beginning(internal: np.ndarray) -> np.ndarray:
    """Position at which the word of each token begins, [text, position]."""
    places = np.broadcast_to(np.arange(internal.shape[-1]), internal.shape)
    return np.maximum.accumulate(np.where(internal, 0, places), axis=-1)
