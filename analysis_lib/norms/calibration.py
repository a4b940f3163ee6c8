"""How often a specification errs where the truth is known: false positives, and what is left of the bias of text levels.

The texts are simulated (`simulation`), so the right answer to every test is known.
"""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from analysis_lib.norms.design import FULL, ORIGINAL, Specification
from analysis_lib.norms.nulls import null_distribution
from analysis_lib.norms.regression import neighbours
from analysis_lib.statistics import bootstrap_interval, wilson_interval

WITHOUT_PAST = ("independent", "trend", "words", "volatile")
TRUTH = (0.3, 0.1)  # what `simulate` gives two lags by default


def false_positives(
    kinds: Sequence[str] = WITHOUT_PAST, n_models: int = 30, n_draws: int = 100, level: float = 0.05, seed: int = 0
) -> pd.DataFrame:
    """Share of tests that report a past in simulated texts that have none, by the original and by the full specification.

    Parameters
    ----------
    kinds : sequence of str
        Of `simulation.SIMULATED`.
    n_models : int
        The original specification gets one text and 12 layers in each of these, as in the notebook it comes from.
    n_draws : int
        The full specification gets 45 texts and one layer in each of these.
    level : float
        Of the tests.
    seed : int

    Returns
    -------
    DataFrame [kind]
        Shares with Wilson's interval over independent draws. `original`: the coefficient one token back. `any of 24`: at least one of the
        original's 24 in a model; `any, Holm`: the same after correction. `full`: the coefficient one token back.
    """
    rows = {}
    for kind in kinds:
        plain = null_distribution(kind, specification=ORIGINAL, n_draws=n_models, n_texts=1, n_layers=12, seed=seed)
        full = null_distribution(kind, specification=FULL, n_draws=n_draws, seed=seed)
        smallest = plain.groupby("draw")[["p", "p_holm"]].min()
        pvalues = {
            "original": neighbours(plain, 1)["p"], "any of 24": smallest["p"], "any, Holm": smallest["p_holm"],
            "full": neighbours(full, 1)["p"],
        }  # fmt: skip
        rows[kind] = {test: wilson_interval(int((p < level).sum()), len(p)) for test, p in pvalues.items()}
    return pd.DataFrame.from_dict(rows, orient="index")


def remaining_bias(n_draws: int = 40, n_tokens: int = 95, seed: int = 0) -> pd.DataFrame:
    """Mean estimate minus the truth in simulated texts with coefficients of 0.3 and 0.1, with and without the correction.

    Parameters
    ----------
    n_draws : int
        Of 45 texts each; one text alone is drawn five times as often.
    n_tokens : int
        In a text.
    seed : int

    Returns
    -------
    DataFrame [design]
        `1 back`, `2 back`: 95% bootstrap intervals over draws.
    """
    designs = {
        "one text": (replace(ORIGINAL, covariates=("log_position",)), 1, 5 * n_draws),
        "45 texts, uncorrected": (Specification(correct_bias=False), 45, n_draws),
        "45 texts": (Specification(), 45, n_draws),
    }
    rows = {}
    for title, (specification, n_texts, draws) in designs.items():
        table = null_distribution(
            "autoregressive", specification=specification, n_draws=draws, n_texts=n_texts, n_tokens=n_tokens, seed=seed
        )  # fmt: skip
        errors = {lag: neighbours(table, lag)["estimate"] - truth for lag, truth in enumerate(TRUTH, 1)}
        rows[title] = {f"{lag} back": bootstrap_interval(error) for lag, error in errors.items()}
    return pd.DataFrame.from_dict(rows, orient="index")
