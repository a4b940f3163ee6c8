"""Tables of norms and coefficients for tests of the study of norms."""

import numpy as np
import pandas as pd

from analysis_lib.models import LoadedModel
from analysis_lib.norms import Specification, simulation

EFFECTS = Specification()  # text and position levels, clustered errors, no covariates


def loaded_with(model, tokenizer) -> LoadedModel:
    """A model and its tokenizer, as `models.load` returns them."""
    return LoadedModel(model=model, tokenizer=tokenizer, name="tiny", source="folder", identifier="tiny", revision="0")


def panel(n_texts: int = 6, n_tokens: int = 40, n_layers: int = 1, seed: int = 0) -> tuple[np.ndarray, pd.DataFrame]:
    """Norms and tokens of an autoregression with a trend."""
    return simulation.simulate("autoregressive", n_layers, n_texts, n_tokens, seed=seed)


def uneven_panel(n_texts: int = 12, shortest: int = 20, seed: int = 0) -> tuple[np.ndarray, pd.DataFrame]:
    """The same with texts of different lengths, so that the last position is in one text only."""
    values, tokens = panel(n_texts, shortest + n_texts, seed=seed)
    keep = (tokens["position"] < shortest + tokens["text"]).to_numpy()
    return values[:, keep], tokens[keep].reset_index(drop=True)


def coefficients(estimates, p_holm) -> pd.DataFrame:
    """A table of coefficients one token back, a layer each."""
    return pd.DataFrame({"term": "lag", "layer": range(len(estimates)), "lag": 1, "estimate": estimates, "p_holm": p_holm})


def random_ids(n: int, length: int, vocab: int = 400, seed: int = 0) -> list[list[int]]:
    """Sequences of token ids, none of them 0."""
    return np.random.default_rng(seed).integers(1, vocab, size=(n, length)).tolist()
