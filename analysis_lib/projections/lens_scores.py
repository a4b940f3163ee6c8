"""How far the predictions of a lens are from the model's own, and what fixed predictions would do."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from analysis_lib.statistics import Profile
from analysis_lib.statistics.profiles import Units
from analysis_lib.sweeps.progress import shown
from analysis_lib.weights import TransformerWeights


@dataclass(frozen=True, eq=False)
class LensScores:
    """How far the predictions of a lens are from the model's own.

    Attributes
    ----------
    kl : float64 [layer, place]
        Kullback-Leibler divergence of the lens's prediction from the final one, in nats.
    agrees : bool [layer, place]
        Whether both have the same most probable token.
    top : int [layer, place]
        The lens's most probable token.
    loss : float64 [layer, place]
        -ln of what the lens gives to the token that stands in the text, in nats; nan where none was given.
    """

    kl: np.ndarray
    agrees: np.ndarray
    top: np.ndarray
    loss: np.ndarray


@torch.no_grad()
def compare(
    weights: TransformerWeights, last: ArrayLike, transported: ArrayLike, targets: ArrayLike | None = None, batch_size: int = 256
) -> LensScores:
    """Predictions of a lens beside the final ones.

    Parameters
    ----------
    weights : TransformerWeights
        Whose read-out turns states into logits.
    last : float [place, d_model]
        The last layer's own states.
    transported : float [layer, place, d_model]
        What a lens made of the states of each layer.
    targets : int [place], optional
        The tokens to be predicted, -1 for none.
    batch_size : int
        Places at a time.

    Returns
    -------
    LensScores

    Raises
    ------
    ValueError
        States that do not fit each other or the weights, or are not finite; targets of another number or outside the vocabulary.
    """
    final, seen = (torch.tensor(np.ascontiguousarray(part, dtype=np.float32)) for part in (last, transported))
    if seen.ndim != 3 or not seen.numel() or seen.shape[1:] != final.shape or final.shape[-1] != weights.d_model:
        raise ValueError(
            f"transported: expected [layer, place, d_model] for last states {tuple(final.shape)} and width {weights.d_model},"
            f" found {tuple(seen.shape)}"
        )
    if not bool(torch.isfinite(final).all() and torch.isfinite(seen).all()):
        raise ValueError("last and transported: expected finite states, found others")
    wanted = torch.as_tensor(np.full(len(final), -1) if targets is None else np.array(targets, dtype=np.int64))
    if wanted.shape != final.shape[:1] or (len(wanted) and not -1 <= int(wanted.min()) <= int(wanted.max()) < weights.d_vocab):
        raise ValueError(f"targets: expected {len(final)} tokens from 0 to {weights.d_vocab - 1}, or -1, found {targets!r}")
    batches = [slice(at, at + batch_size) for at in range(0, len(final), batch_size)]
    compared = (_compared(weights, final[batch], seen[:, batch], wanted[batch]) for batch in batches)
    parts = shown(compared, len(batches), "predictions of a lens, batches of places")
    return LensScores(*(torch.cat(part, dim=1).numpy() for part in zip(*parts, strict=True)))


@torch.no_grad()
def mean_prediction(weights: TransformerWeights, last: ArrayLike, batch_size: int = 256) -> np.ndarray:
    """The mean of the final predictions, float64 [vocab]: of all fixed distributions the one that is nearest to them.

    Parameters
    ----------
    weights, last, batch_size
        As in `compare`.
    """
    final = torch.as_tensor(np.asarray(last, dtype=np.float32))
    total = sum(weights.logits(batch).softmax(dim=-1).sum(dim=0).double() for batch in final.split(batch_size))
    return (total / total.sum()).numpy()


@torch.no_grad()
def divergence_from(weights: TransformerWeights, last: ArrayLike, probabilities: ArrayLike, batch_size: int = 256) -> np.ndarray:
    """KL divergence of one fixed distribution, such as that of token frequencies, from the final predictions, float64 [place] in nats.

    Parameters
    ----------
    weights, last, batch_size
        As in `compare`.
    probabilities : float [vocab]
        Positive, with sum 1.

    Raises
    ------
    ValueError
        Something that is no distribution over the vocabulary.
    """
    fixed = np.asarray(probabilities, dtype=np.float64)
    if fixed.shape != (weights.d_vocab,) or not (fixed > 0).all() or abs(fixed.sum() - 1) > 1e-6:
        raise ValueError(
            f"probabilities: expected {weights.d_vocab} positive numbers with sum 1, found shape {fixed.shape}, sum {fixed.sum()}"
        )
    log_fixed, final = torch.as_tensor(np.log(fixed)).float(), torch.as_tensor(np.asarray(last, dtype=np.float32))
    found = []
    for batch in final.split(batch_size):
        log_p = weights.logits(batch).log_softmax(dim=-1)
        found.append((log_p.exp() * (log_p - log_fixed)).sum(dim=-1))
    return torch.cat(found).double().clamp_min(0).numpy()


def by_layer(values: ArrayLike, groups: ArrayLike, n_resamples: int = 1000, seed: int = 0) -> Profile:
    """Mean over places for each layer, resampling whole documents.

    Parameters
    ----------
    values : float [layer, place]
        Finite: places without a value, such as a loss where no token follows, are left out by the caller.
    groups : array [place]
        The document of each place; two at least.
    n_resamples, seed : int

    Raises
    ------
    ValueError
        Arrays that do not fit, values that are not finite, or a single document.
    """
    values, labels = np.asarray(values, dtype=float), np.asarray(groups)
    if not np.isfinite(values).all():
        raise ValueError(f"values: expected finite numbers, found {int((~np.isfinite(values)).sum())} that are not")
    if values.ndim != 2 or labels.shape != values.shape[1:]:
        raise ValueError(f"groups: expected one label for each of the places, values {values.shape}, found {labels.shape}")
    names, which = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise ValueError("groups: expected two documents at least, found one")
    member = np.eye(len(names))[which]  # [place, document]
    units = Units("document", names, seed)
    counts = units.counts(n_resamples)
    draws = (counts @ (values @ member).T) / (counts @ member.sum(axis=0))[:, None]
    return Profile(values.mean(axis=1), draws, units)


def told(kl: ArrayLike, fixed: ArrayLike, groups: ArrayLike, n_resamples: int = 1000, seed: int = 0) -> Profile:
    """Share of the prediction that a lens tells: 1 less its mean divergence over that of a fixed prediction.

    It is 1 where a lens is exact, 0 where it is as far off as a prediction that is the same at every place, and below 0 where it is
    further off. Models whose predictions vary little can so be put beside others.

    Parameters
    ----------
    kl : float [layer, place]
        Of a lens.
    fixed : float [place]
        Of `divergence_from`, at the same places.
    groups, n_resamples, seed
        As in `by_layer`.

    Raises
    ------
    ValueError
        As `by_layer`.
    """
    both = by_layer(np.vstack([kl, np.asarray(fixed)]), groups, n_resamples, seed)
    share, draws = (1 - found[..., :-1] / found[..., -1:] for found in (both.estimate, both.draws))
    return Profile(share, draws, both.units)


def _compared(weights: TransformerWeights, final: Tensor, seen: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`LensScores` of a batch of places: kl, agrees, top, loss [layer, place]."""
    logits = weights.logits(final)
    p = logits.softmax(dim=-1)
    entropy, best = logits.logsumexp(dim=-1) - (p * logits).sum(dim=-1), logits.argmax(dim=-1)
    columns = []
    for layer in seen:
        lens = weights.logits(layer)
        whole = lens.logsumexp(dim=-1)
        kl = (whole - (p * lens).sum(dim=-1) - entropy).double().clamp_min(0)
        top = lens.argmax(dim=-1)
        loss = whole - lens.gather(-1, targets.clamp_min(0)[:, None])[:, 0]
        columns.append((kl, top == best, top, loss.double().masked_fill(targets < 0, torch.nan)))
    kl, agrees, top, loss = (torch.stack(part) for part in zip(*columns, strict=True))
    return kl, agrees, top, loss
