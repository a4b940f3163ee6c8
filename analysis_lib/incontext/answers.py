"""Where in a regressor the answer is: the read-out at every layer, linear probes, and heads taken out.

These are three questions about one residual stream. *Lens*: what would the model answer if it stopped at this layer? *Probe*: can a linear
map that was fitted on other prompts read the answer? *Ablation*: what does the answer lose without this head? A probe shows what can be
decoded, not what is used, and it decodes something from an untrained model too, so a claim needs that control.

Sources: nostalgebraist 2020 for the lens; Alain and Bengio 2017, *Understanding intermediate layers using linear classifier probes*
(arXiv 1610.01644); Akyürek et al. 2023 (arXiv 2211.15661) for probes of the weight vector in an in-context regressor.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from analysis_lib import activations
from analysis_lib.activations.interventions import edited, mean, zero
from analysis_lib.models import LoadedModel
from analysis_lib.statistics import bootstrap_interval, interval_table

PENALTIES = np.geomspace(1e-4, 1e4, 9)
ABLATIONS = ("zero", "mean")


def token_states(
    loaded: LoadedModel, xs: Tensor, ys: Tensor
) -> tuple[Float[Tensor, "layer batch point d_model"], Float[Tensor, "layer batch point d_model"]]:
    """The residual stream at the tokens that ask, which predict, and at the tokens that answer.

    Parameters
    ----------
    loaded : LoadedModel
        A regressor.
    xs, ys : Tensor [batch, point, d], [batch, point]

    Returns
    -------
    questions, answers : Tensor [layer, batch, point, d_model]
        What the first block reads, then what each block gives: the labels are "embed", "1" ... "L". The final layer norm is left to
        `lens`.
    """
    model = loaded.model
    like = next(model.parameters())
    with activations.recording(model) as record, torch.no_grad():
        model(xs=xs.to(like), ys=ys.to(like))
    states = activations.stacked(record)["states"][: activations.sites_of(model).n_layers + 1]
    return states[:, :, ::2], states[:, :, 1::2]


def lens(loaded: LoadedModel, states: Tensor) -> Tensor:
    """The model's own final norm and read-out on states of any layer.

    Parameters
    ----------
    loaded : LoadedModel
        A regressor.
    states : Tensor [..., d_model]

    Returns
    -------
    Tensor [...]
        On the last layer's states these are the model's predictions.
    """
    with torch.no_grad():
        return loaded.model.read_answer(states.to(next(loaded.model.parameters())))


def probe(states: np.ndarray | Tensor, targets: np.ndarray, folds: int = 5, seed: int = 0) -> np.ndarray:
    """Out-of-fold predictions of a ridge regression from states to targets.

    Parameters
    ----------
    states : array [prompt, d_model]
        At one layer and one point: rows are independent prompts, so that no fold can leak into another.
    targets : array [prompt] or [prompt, output]
        Each output has its own penalty, chosen from 1e-4 to 1e4. The penalty is chosen, and states are standardised, on the training
        folds alone.
    folds, seed : int
        Of the shuffled split.

    Returns
    -------
    float64, the shape of targets

    Raises
    ------
    ValueError
        Shapes that do not fit, or a number of folds that the prompts do not allow.
    """
    states, targets = np.asarray(states, dtype=float), np.asarray(targets, dtype=float)
    if states.ndim != 2 or len(states) != len(targets):
        raise ValueError(f"states: expected [prompt, d_model] with {len(targets)} prompts as targets has, found {states.shape}")
    if not 2 <= folds <= len(states):
        raise ValueError(f"folds: expected 2 to {len(states)}, found {folds}")
    fit = make_pipeline(StandardScaler(), RidgeCV(alphas=PENALTIES, alpha_per_target=targets.ndim == 2))
    return cross_val_predict(fit, states, targets, cv=KFold(folds, shuffle=True, random_state=seed)).reshape(targets.shape)


def explained(predictions: np.ndarray, targets: np.ndarray) -> Float[np.ndarray, " prompt"]:
    r"""Skill of each prompt's prediction, whose mean is $R^2$: 1 - squared error / mean squared deviation of the targets.

    Parameters
    ----------
    predictions, targets : array [prompt] or [prompt, output]
        Outputs are summed, so that a weight vector counts as one.

    Returns
    -------
    float64 [prompt]
        Its mean over prompts is what a bootstrap resamples.

    Raises
    ------
    ValueError
        Shapes that differ, or targets that are all the same.
    """
    predictions, targets = (np.asarray(v, dtype=float).reshape(len(v), -1) for v in (predictions, targets))
    if predictions.shape != targets.shape:
        raise ValueError(f"predictions: expected the shape of targets, {targets.shape}, found {predictions.shape}")
    if not np.ptp(targets, axis=0).any():  # the deviations from a mean would be rounding errors
        raise ValueError("targets: expected values that differ, found one value throughout")
    spread = ((targets - targets.mean(axis=0)) ** 2).sum(axis=1).mean()
    return 1 - ((predictions - targets) ** 2).sum(axis=1) / spread


def depth(readings: Mapping[str, Sequence[np.ndarray]], targets: np.ndarray, n_resamples: int = 1000) -> pd.DataFrame:
    """How much of the targets each reader explains at every layer.

    Parameters
    ----------
    readings : mapping of str to sequence of array
        A reader's predictions, each of the shape of targets: those at "embed" first, then at layers 1 to L.
    targets : array [prompt] or [prompt, output]
    n_resamples : int
        Of the bootstrap over prompts.

    Returns
    -------
    DataFrame
        `reader`, `layer` ("embed", "1" ... "L"), `estimate` (R squared), `low`, `high`.
    """
    samples = {
        (reader, str(layer or "embed")): explained(predictions, targets)
        for reader, by_layer in readings.items()
        for layer, predictions in enumerate(by_layer)
    }
    return interval_table(samples, ["reader", "layer"], lambda values: bootstrap_interval(values, n_resamples=n_resamples))


@contextmanager
def without_head(loaded: LoadedModel, layer: int, head: int, how: str = "mean") -> Iterator[None]:
    """Take a head out of every pass made inside the block.

    Parameters
    ----------
    loaded : LoadedModel
    layer, head : int
        Counted from 0.
    how : {"mean", "zero"}
        Put the head's mean output over the prompts of the pass, at each token, in the place of its output; or nothing. The mean keeps
        what the head adds whatever the prompt is.

    Raises
    ------
    ValueError
        No such layer or head, or an unknown `how`.
    """
    n_layers, n_heads = loaded.model.config.num_hidden_layers, loaded.model.config.num_attention_heads
    if not 0 <= layer < n_layers:
        raise ValueError(f"layer: expected 0 to {n_layers - 1}, found {layer}")
    if not 0 <= head < n_heads:
        raise ValueError(f"head: expected 0 to {n_heads - 1}, found {head}")
    if how not in ABLATIONS:
        raise ValueError(f"how: expected one of {', '.join(ABLATIONS)}, found {how!r}")
    change = mean(over=0, heads=[head]) if how == "mean" else zero([head])
    with edited(loaded.model, {("heads", layer): change}):
        yield
