"""What the regression says where there is nothing to find, and which coefficients say more than that.

A p-value asks whether a coefficient is an accident. Whether it has to do with training is another question: a model that learned nothing
may show as much.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd
import scipy.stats

from analysis_lib import activations
from analysis_lib.models import LoadedModel, untrained_like
from analysis_lib.norms.design import FULL, Specification
from analysis_lib.norms.measure import described, norms_of, sequences_of
from analysis_lib.norms.regression import lagged_regression, neighbours
from analysis_lib.norms.simulation import SIMULATED, simulate
from analysis_lib.statistics import holm
from analysis_lib.sweeps import sweep

NULLS = ("untrained", "shuffled", *SIMULATED)
Draw = tuple[np.ndarray, pd.DataFrame]  # norms [layer, token] and tokens [token]


def regress_draws(draws: Iterable[Draw], specification: Specification = FULL) -> pd.DataFrame:
    """The regression of every draw of a null.

    Parameters
    ----------
    draws : iterable of (array [layer, token], DataFrame [token])
        Norms and tokens, as `lagged_regression` takes them.
    specification : Specification

    Returns
    -------
    DataFrame
        Rows of `lagged_regression`, without the simultaneous intervals, after a column `draw`; `p_holm` is over the tests of a draw.
    """
    tables = [lagged_regression(norms, tokens, specification) for norms, tokens in draws]
    table = pd.concat([t.assign(draw=i) for i, t in enumerate(tables)], ignore_index=True)
    return table[["draw", *table.columns.drop(["draw", "low_all", "high_all"])]]


def against_null(table: pd.DataFrame, null: pd.DataFrame) -> pd.DataFrame:
    r"""Coefficients of lags and leads beside those of a null: does the model differ from a draw of it, and is it farther from zero?

    If the model were a draw like the S others, $(\beta - \bar\beta) / (s \sqrt{1 + 1/S})$ would follow t with S - 1 degrees of freedom.

    Parameters
    ----------
    table, null : DataFrame
        Of `lagged_regression` and `null_distribution` (two draws or more), with the same specification.

    Returns
    -------
    DataFrame
        Lags and leads of `table`, with `null_mean`, `null_low`, `null_high` (where 95% of draws are expected), `p_differs`
        (two-sided), `p_beyond` (how often a draw would be as far from zero, on either side), and both corrected by Holm over all rows:
        `p_differs_holm`, `p_beyond_holm`.

    Raises
    ------
    ValueError
        Fewer than two draws, or coefficients that the null does not have.
    """
    keys = ["term", "layer", "lag"]
    drawn = neighbours(null).groupby(keys)["estimate"].agg(["mean", "std", "size"])
    held = neighbours(table).join(drawn, on=keys).reset_index(drop=True)
    if held["mean"].isna().any() or held["size"].min() < 2:
        raise ValueError("null: expected two draws or more of every lag and lead of the table")
    estimate, mean = held["estimate"].to_numpy(), held.pop("mean").to_numpy()
    size = held.pop("size").to_numpy()
    spread = held.pop("std").to_numpy() * np.sqrt(1 + 1 / size)
    chance = scipy.stats.t(size - 1)
    differs = 2 * chance.sf(np.abs(estimate - mean) / spread)
    beyond = chance.sf((np.abs(estimate) - mean) / spread) + chance.cdf((-np.abs(estimate) - mean) / spread)
    reach = chance.ppf(0.975) * spread
    held = held.assign(null_mean=mean, null_low=mean - reach, null_high=mean + reach, p_differs=differs, p_beyond=beyond)
    return held.assign(p_differs_holm=holm(differs), p_beyond_holm=holm(beyond))


def shuffled_norms(loaded: LoadedModel, texts: Sequence, n_permutations: int = 8, seed: int = 0) -> list[Draw]:
    """Norms of the attention updates when the tokens of each text change places; special tokens stay where they are.

    Parameters
    ----------
    loaded : LoadedModel
    texts : sequence of str, or of sequences of token ids
        As in `update_norms`.
    n_permutations, seed : int
        Orders drawn, at least 1.

    Returns
    -------
    list of (array [layer, token], DataFrame [token])
        For each order the norms, and the tokens as in `update_norms`: what a token is goes with it, `position` is that of its new place,
        and `occurrence` is its row in the texts as they are.

    Raises
    ------
    ValueError
        No permutations; and as `update_norms`.
    """
    if n_permutations < 1:
        raise ValueError(f"n_permutations: expected at least 1, got {n_permutations}")
    tokens = described(loaded, activations.tokens_of(loaded, texts))
    free = np.flatnonzero(~tokens["special"].to_numpy())
    rng, moved = np.random.default_rng(seed), []
    for _ in range(n_permutations):
        order = np.arange(len(tokens))
        for rows in tokens.iloc[free].groupby("text", sort=False).indices.values():
            order[free[rows]] = rng.permutation(free[rows])
        moved.append(tokens.iloc[order].reset_index(drop=True).assign(position=tokens["position"], occurrence=order))
    found = sweep(_attention_norms, map(sequences_of, moved), loaded, revision=loaded.key, title=f"{loaded.name}, shuffled tokens")
    return list(zip(found, moved, strict=True))


def expected_sizes(draws: Sequence[Draw]) -> pd.DataFrame:
    """How large a token's update is in its text in any order: a covariate that says what the token is, exactly and for every token.

    The mean of its position is subtracted from each log norm; what is left is averaged over all draws, and over the occurrences of a
    token in its text.

    Parameters
    ----------
    draws : sequence of (array [layer, token], DataFrame [token])
        Of `shuffled_norms`.

    Returns
    -------
    DataFrame [token]
        In the order of the texts as they are; `expected_0`, `expected_1`, ... for the layers: the covariate `expected` of
        `Specification`. 0 for special tokens. Positions that one text alone reaches say nothing of a token and are left out.

    Raises
    ------
    ValueError
        No draws, or a single text.
    """
    if not draws:
        raise ValueError("draws: expected one or more, got none")
    if draws[0][1]["text"].nunique() < 2:
        raise ValueError("draws: expected those of two texts or more, whose tokens can be compared at a position, got one text")
    measured = []
    for norms, moved in draws:
        kept = moved[~moved["special"]]
        values = pd.DataFrame(np.log(norms[:, kept.index]).T, index=kept["occurrence"])
        position = kept["position"].to_numpy()
        values -= values.groupby(position).transform("mean")
        values[kept.groupby("position")["text"].transform("nunique").to_numpy() < 2] = np.nan
        measured.append(values.assign(text=kept["text"].to_numpy(), token_id=kept["token_id"].to_numpy()))
    pooled = pd.concat(measured)
    means = pooled.groupby(["text", "token_id"]).transform("mean")
    return means[~means.index.duplicated()].reindex(range(len(draws[0][1]))).fillna(0.0).add_prefix("expected_")


def null_distribution(
    kind: str,
    loaded: LoadedModel | None = None,
    texts: Sequence | None = None,
    specification: Specification = FULL,
    n_draws: int = 8,
    n_texts: int = 45,
    n_tokens: int = 95,
    n_layers: int = 1,
    seed: int = 0,
) -> pd.DataFrame:
    """The regression where there is nothing to find, again and again.

    Parameters
    ----------
    kind : str
        `untrained`: fresh weights in each draw, the same texts. `shuffled`: the same model and tokens, the order drawn within each text
        (special tokens stay; what a token is goes with it). Or one of `simulation.SIMULATED`: no model, the truth is known.
    loaded, texts
        For the first two.
    specification : Specification
    n_draws : int
        At least 1.
    n_texts, n_tokens, n_layers : int
        Size of simulated texts, and layers in a draw, which Holm's correction takes together.
    seed : int
        Draw i of `untrained` has seed `seed + i`.

    Returns
    -------
    DataFrame
        As of `regress_draws`.

    Raises
    ------
    ValueError
        Unknown kind, a model or texts missing, no draws; and as `lagged_regression`.
    """
    if kind not in NULLS:
        raise ValueError(f"kind: expected one of {', '.join(NULLS)}, got {kind!r}")
    if n_draws < 1:
        raise ValueError(f"n_draws: expected at least 1, got {n_draws}")
    if kind in SIMULATED and specification.layers_up:  # the earlier layer of an outcome must be of its own draw
        norms, tokens = simulate(kind, n_draws * n_layers, n_texts, n_tokens, seed=seed)
        return regress_draws([(own, tokens) for own in np.split(norms, n_draws)], specification)
    if kind in SIMULATED:  # all draws share their tokens, so that one regression of many layers serves them all
        table = lagged_regression(*simulate(kind, n_draws * n_layers, n_texts, n_tokens, seed=seed), specification)
        table.insert(0, "draw", table["layer"] // n_layers)
        table["layer"] %= n_layers
        tested = neighbours(table)
        table.loc[tested.index, "p_holm"] = tested.groupby("draw")["p"].transform(holm)
        return table.drop(columns=["low_all", "high_all"])
    if loaded is None or texts is None:
        raise ValueError(f"loaded, texts: expected a model and texts for {kind!r}, got {loaded!r} and {texts!r}")
    draw = _untrained if kind == "untrained" else shuffled_norms
    return regress_draws(draw(loaded, texts, n_draws, seed), specification)


def _untrained(loaded: LoadedModel, texts: Sequence, n_draws: int, seed: int) -> Iterator[Draw]:
    """Norms and tokens of models with fresh weights; what tokens are does not depend on weights."""
    tokens = described(loaded, activations.tokens_of(loaded, texts))
    seeds = range(seed, seed + n_draws)
    draws = sweep(
        partial(_untrained_norms, sequences=sequences_of(tokens)),
        seeds,
        loaded,
        revision=loaded.key,
        title=f"{loaded.name}, untrained models",
    )
    yield from ((norms, tokens) for norms in draws)


def _untrained_norms(loaded: LoadedModel, seed: int, sequences: list[list[int]]) -> np.ndarray:
    """Norms of the attention updates of a model with fresh weights."""
    return _attention_norms(untrained_like(loaded, seed), sequences)


def _attention_norms(loaded: LoadedModel, sequences: list[list[int]]) -> np.ndarray:
    """Norms of the attention updates [layer, token], sequence by sequence."""
    return norms_of(loaded, sequences, ("attention",))[0]
