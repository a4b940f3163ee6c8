"""How coefficients depend on choices that could have been made otherwise: on the text, the specification, the kind of update."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from analysis_lib.models import LoadedModel
from analysis_lib.norms.design import IDENTITY, ORIGINAL, Specification
from analysis_lib.norms.inputs import random_tokens
from analysis_lib.norms.measure import UpdateNorms, update_norms
from analysis_lib.norms.regression import lagged_regression, marked, neighbours

_WITHOUT_WORDS: dict[str, Any] = {"lagged_covariates": IDENTITY, "word_starts": False}
CHOICES: dict[str, dict[str, Any]] = {
    "all controls": {},
    "one lag": {"lags": 1},
    "four lags": {"lags": 4},
    "from position 16": {"first": 16},
    "all tokens, not word starts": _WITHOUT_WORDS,
    "position by covariates": {"position_effects": False, "covariates": (*IDENTITY, "log_position", "position_mean")},
}


def other_choices(loaded: LoadedModel, measured: UpdateNorms, specification: Specification, seed: int = 0) -> pd.DataFrame:
    """The coefficient one token back under each of `CHOICES`, of the feed-forward updates, and on random tokens.

    Parameters
    ----------
    loaded : LoadedModel
    measured : UpdateNorms
        Of this model.
    specification : Specification
        What the choices change.
    seed : int
        Of the random tokens, which have no words; so `all tokens, not word starts` is what to compare them with.

    Returns
    -------
    DataFrame
        `choice layer estimate low high` with the intervals of `lagged_regression`, not corrected for several choices.
    """
    noise = update_norms(loaded, random_tokens(loaded, measured.tokens, seed))
    runs: dict[str, tuple[np.ndarray, pd.DataFrame, dict[str, Any]]] = {
        choice: (measured.attention, measured.tokens, changes) for choice, changes in CHOICES.items()
    }
    runs["feed-forward updates"] = (measured.mlp, measured.tokens, {})
    runs["random tokens"] = (noise.attention, noise.tokens, _WITHOUT_WORDS)
    tables = []
    for choice, (norms, tokens, changes) in runs.items():
        table = lagged_regression(norms, tokens, replace(specification, **changes))
        tables.append(neighbours(table, 1)[["layer", "estimate", "low", "high"]].assign(choice=choice))
    return pd.concat(tables, ignore_index=True)


def each_text(measured: UpdateNorms, specification: Specification = ORIGINAL) -> pd.DataFrame:
    """The regression of each text by itself, as the original notebook made it of one.

    Parameters
    ----------
    measured : UpdateNorms
    specification : Specification
        Without anything that needs several texts.

    Returns
    -------
    DataFrame
        Lags and leads as of `lagged_regression`, with `text`, and `filled` where the uncorrected p is below 0.05.
    """
    tables = []
    for text, rows in measured.tokens.groupby("text", sort=False).indices.items():
        table = lagged_regression(measured.attention[:, rows], measured.tokens.iloc[rows], specification)
        tables.append(marked(table, corrected=False).assign(text=text))
    return pd.concat(tables, ignore_index=True)
