"""Where there is nothing to find: nulls of a lagged regression, and which of its coefficients says more than they do.

A star wants both: a test that its errors make right (`lagged_regression`), and a model that learned nothing to be exceeded. Where an
untrained model shows as much, a small p-value says that the coefficient is no accident, and nothing about training.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import scipy.stats

from analysis_lib import activations
from analysis_lib.models import LoadedModel, untrained_like
from analysis_lib.norms.design import FULL, Specification
from analysis_lib.norms.measure import described
from analysis_lib.norms.regression import lagged_regression
from analysis_lib.norms.simulation import SIMULATED, simulate
from analysis_lib.statistics import holm

NULLS = ("untrained", "shuffled", *SIMULATED)


def regress_draws(draws: Iterable[tuple[np.ndarray, pd.DataFrame]], specification: Specification = FULL) -> pd.DataFrame:
    """The regression of every draw of a null.

    Parameters
    ----------
    draws : iterable of (array [layer, token], DataFrame [token])
        Norms and tokens, as `lagged_regression` takes them.
    specification : Specification

    Returns
    -------
    DataFrame
        Rows as of `lagged_regression`, without the intervals over all tests, after a column `draw`; `p_holm` is over the tests of a draw.
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
        Rows of lags and leads of `table`, with `null_mean`, `null_low`, `null_high` (where 95 % of draws are expected), `p_differs`
        (two-sided), `p_beyond` (how often a draw would be as far from zero, on either side), and both corrected by Holm over all rows:
        `p_differs_holm`, `p_beyond_holm`.

    Raises
    ------
    ValueError
        Fewer than two draws, or coefficients that the null does not have.
    """
    keys = ["term", "layer", "lag"]
    drawn = null[null["term"].isin(("lag", "lead"))].groupby(keys)["estimate"].agg(["mean", "std", "size"])
    found = table[table["term"].isin(("lag", "lead"))].join(drawn, on=keys).reset_index(drop=True)
    if found["mean"].isna().any() or found["size"].min() < 2:
        raise ValueError("null: expected two draws or more of every lag and lead of the table")
    estimate, mean = found["estimate"].to_numpy(), found.pop("mean").to_numpy()
    size = found.pop("size").to_numpy()
    spread = found.pop("std").to_numpy() * np.sqrt(1 + 1 / size)
    chance = scipy.stats.t(size - 1)
    differs = 2 * chance.sf(np.abs(estimate - mean) / spread)
    beyond = chance.sf((np.abs(estimate) - mean) / spread) + chance.cdf((-np.abs(estimate) - mean) / spread)
    reach = chance.ppf(0.975) * spread
    found = found.assign(null_mean=mean, null_low=mean - reach, null_high=mean + reach, p_differs=differs, p_beyond=beyond)
    return found.assign(p_differs_holm=holm(differs), p_beyond_holm=holm(beyond))


def survivors(hac: pd.DataFrame, untrained: pd.DataFrame, shuffled: pd.DataFrame, level: float = 0.05) -> pd.DataFrame:
    """Which lags and leads pass which control; each column is within the one it names.

    Parameters
    ----------
    hac : DataFrame
        Of `lagged_regression` with `errors="hac"`.
    untrained, shuffled : DataFrame
        Of `against_null`: the same specification with clustered errors, held against either null.
    level : float
        Of all tests, each family corrected by Holm.

    Returns
    -------
    DataFrame
        `untrained` with `significant` (clustered and HAC errors), `differs` (significant, and unlike an untrained model),
        `starred` (significant, and farther from zero than an untrained model) and `ordered` (starred, and farther from zero than the
        same model on shuffled tokens).

    Raises
    ------
    ValueError
        Tables of different lags, leads or layers.
    """
    keys = ["term", "layer", "lag"]
    hac = hac[hac["term"].isin(("lag", "lead"))].reset_index(drop=True)
    for name, table in (("hac", hac), ("shuffled", shuffled)):
        if not table[keys].equals(untrained[keys]):
            raise ValueError(f"{name}: expected the lags, leads and layers of untrained ({len(untrained)} rows), found {len(table)} rows")
    significant = (untrained["p_holm"] < level) & (hac["p_holm"] < level)
    starred = significant & (untrained["p_beyond_holm"] < level)
    return untrained.assign(
        significant=significant,
        differs=significant & (untrained["p_differs_holm"] < level),
        starred=starred,
        ordered=starred & (shuffled["p_beyond_holm"] < level),
    )


def shuffled_norms(loaded: LoadedModel, texts: Sequence[str], n_draws: int = 8, seed: int = 0) -> list[tuple[np.ndarray, pd.DataFrame]]:
    """Norms of the attention updates when the tokens of each text change places; special tokens stay where they are.

    Parameters
    ----------
    loaded : LoadedModel
    texts : sequence of str, or of sequences of token ids
        As in `update_norms`.
    n_draws, seed : int
        Orders drawn, at least 1.

    Returns
    -------
    list of (array [layer, token], DataFrame [token])
        Of each order the norms and the tokens as of `update_norms`: what a token is goes with it, `position` is that of its new place, and
        `occurrence` is its row in the texts as they are.

    Raises
    ------
    ValueError
        No draws; and as `update_norms`.
    """
    if n_draws < 1:
        raise ValueError(f"n_draws: expected at least 1, found {n_draws}")
    tokens = described(loaded, activations.tokens_of(loaded, texts))
    free = np.flatnonzero(~tokens["special"].to_numpy())
    rng, draws = np.random.default_rng(seed), []
    for _ in range(n_draws):
        order = np.arange(len(tokens))
        for rows in tokens.iloc[free].groupby("text", sort=False).indices.values():
            order[free[rows]] = rng.permutation(free[rows])
        moved = tokens.iloc[order].reset_index(drop=True).assign(position=tokens["position"], occurrence=order)
        draws.append((_attention_norms(loaded, moved), moved))
    return draws


def expected_sizes(draws: Sequence[tuple[np.ndarray, pd.DataFrame]]) -> pd.DataFrame:
    """What a token's update measures in its text in whatever order: a covariate that holds what the token is, exactly and for every token.

    From the log norms of a draw the mean of their position is taken out; the rest is averaged over all draws, and over the occurrences
    of a token in its text.

    Parameters
    ----------
    draws : sequence of (array [layer, token], DataFrame [token])
        Of `shuffled_norms`.

    Returns
    -------
    DataFrame [token]
        In the order of the texts as they are; `expected_0`, `expected_1`, ... for the layers: the covariate `expected` of
        `Specification`. 0 for special tokens.

    Raises
    ------
    ValueError
        No draws.
    """
    if not draws:
        raise ValueError("draws: expected one or more, found none")
    measured = []
    for norms, moved in draws:
        kept = moved[~moved["special"]]
        values = pd.DataFrame(np.log(norms[:, kept.index]).T, index=kept["occurrence"])
        values -= values.groupby(kept["position"].to_numpy()).transform("mean")
        measured.append(values.assign(text=kept["text"].to_numpy(), token_id=kept["token_id"].to_numpy()))
    pooled = pd.concat(measured)
    means = pooled.groupby(["text", "token_id"]).transform("mean")
    return means[~means.index.duplicated()].reindex(range(len(draws[0][1])), fill_value=0.0).add_prefix("expected_")


def null_distribution(
    kind: str,
    loaded: LoadedModel | None = None,
    texts: Sequence[str] | None = None,
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
        Rows as of `lagged_regression`, without the intervals over all tests, after a column `draw`; `p_holm` is over the tests of a draw.

    Raises
    ------
    ValueError
        Unknown kind, a model or texts missing, no draws; and as `lagged_regression`.
    """
    if kind not in NULLS:
        raise ValueError(f"kind: expected one of {', '.join(NULLS)}, found {kind!r}")
    if n_draws < 1:
        raise ValueError(f"n_draws: expected at least 1, found {n_draws}")
    if kind in SIMULATED:
        table = lagged_regression(*simulate(kind, n_draws * n_layers, n_texts, n_tokens, seed=seed), specification)
        table.insert(0, "draw", table["layer"] // n_layers)
        table["layer"] %= n_layers
        tested = table["term"].isin(("lag", "lead"))
        table.loc[tested, "p_holm"] = table[tested].groupby("draw")["p"].transform(holm)
        return table.drop(columns=["low_all", "high_all"])
    if loaded is None or texts is None:
        raise ValueError(f"loaded, texts: expected a model and texts for {kind!r}, found {loaded!r} and {texts!r}")
    draw = _untrained if kind == "untrained" else shuffled_norms
    return regress_draws(draw(loaded, texts, n_draws, seed), specification)


def _untrained(loaded: LoadedModel, texts: Sequence[str], n_draws: int, seed: int):
    """Norms and tokens of models with fresh weights; what tokens are does not depend on weights."""
    tokens = described(loaded, activations.tokens_of(loaded, texts))
    for draw in range(n_draws):
        yield _attention_norms(untrained_like(loaded, seed + draw), tokens), tokens


def _attention_norms(loaded: LoadedModel, tokens: pd.DataFrame) -> np.ndarray:
    """Norms of the attention updates [layer, token] of a table of tokens, text by text."""
    sequences = [ids.tolist() for _, ids in tokens.groupby("text", sort=False)["token_id"]]
    ran = activations.run_ids(loaded, sequences, batch_size=16, outputs=("attention",), states=False)
    return np.linalg.norm(ran.attention, axis=-1).astype(float)
