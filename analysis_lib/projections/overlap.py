"""How alike two lists of tokens, or of pairs of tokens, are: measures of sets of ids."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import ArrayLike

from analysis_lib.projections.exact import count_argument
from analysis_lib.statistics import bootstrap_interval


def top_overlap(ids_a: ArrayLike, ids_b: ArrayLike) -> Float[np.ndarray, " n"]:
    """Jaccard index of two sets of tokens, row by row.

    Parameters
    ----------
    ids_a, ids_b : int array [n, k_a], [n, k_b]
        Distinct ids in each row, as `top_tokens` gives them.

    Returns
    -------
    numpy.ndarray [n]
        Share of the union that both have, from 0 to 1.
    """
    ids_a, ids_b = np.asarray(ids_a), np.asarray(ids_b)
    if ids_a.ndim != 2 or ids_b.ndim != 2 or len(ids_a) != len(ids_b) or 0 in (ids_a.shape[1], ids_b.shape[1]):
        raise ValueError(f"sets of ids: expected two arrays [n, k] with as many rows, got shapes {ids_a.shape} and {ids_b.shape}")
    for ids in (ids_a, ids_b):
        ordered = np.sort(ids, axis=1)
        if (ordered[:, 1:] == ordered[:, :-1]).any():
            raise ValueError("sets of ids: expected distinct ids in each row, got one twice")
    both = np.sort(np.concatenate([ids_a, ids_b], axis=1), axis=1)
    shared = (both[:, 1:] == both[:, :-1]).sum(axis=1)
    return shared / (ids_a.shape[1] + ids_b.shape[1] - shared)


@dataclass(frozen=True, eq=False)
class PairedOverlap:
    """How alike the top tokens of each neuron's key and value are, beside those of shuffled pairs.

    Attributes
    ----------
    real : numpy.ndarray [neuron]
        Jaccard index of a neuron's two lists.
    shuffled : numpy.ndarray [shuffle, neuron]
        The same for each key with the value of another neuron of its layer.
    """

    real: np.ndarray
    shuffled: np.ndarray

    @property
    def excess(self) -> np.ndarray:
        """Real less the mean over shuffles, [neuron]."""
        return self.real - self.shuffled.mean(axis=0)

    def beyond(self, quantile: float = 0.999) -> float:
        """Share of neurons whose overlap exceeds this quantile of all shuffled pairs."""
        return float((self.real > np.quantile(self.shuffled, quantile)).mean())

    def by_layer(self, n_layers: int, n_resamples: int = 1000) -> pd.DataFrame:
        """Means over the neurons of each layer.

        Parameters
        ----------
        n_layers : int
            Neurons are numbered layer after layer, equally many in each.
        n_resamples : int
            Resamples of the bootstrap over a layer's neurons.

        Returns
        -------
        DataFrame
            `layer estimate low high shuffled`: the mean Jaccard index with its 95% interval, and the mean over shuffled pairs.
        """
        rows = [
            (layer, *bootstrap_interval(real, n_resamples=n_resamples), shuffled.mean())
            for layer, (real, shuffled) in enumerate(
                zip(np.split(self.real, n_layers), np.split(self.shuffled, n_layers, axis=1), strict=True)
            )
        ]
        return pd.DataFrame(rows, columns=["layer", "estimate", "low", "high", "shuffled"])


def shuffled_overlap(key_ids: ArrayLike, value_ids: ArrayLike, n_layers: int = 1, seed: int = 0, n_shuffles: int = 10) -> PairedOverlap:
    """Do paired parameters point at the same tokens? Dar et al. 2022, section 4, with shuffled pairs as the null.

    Parameters
    ----------
    key_ids, value_ids : int array [neuron, k]
        Top tokens of keys and values, or of whatever else is paired row by row; layer after layer.
    n_layers : int
        Keys get the value of another neuron of their own layer; each layer has two neurons or more.
    seed : int
        Seed of the shuffles of layer 0; layer i has `seed + i`.
    n_shuffles : int
        Each gives every key the value of another neuron, every value once.

    Returns
    -------
    PairedOverlap

    Raises
    ------
    ValueError
        Lists that do not pair up, or neurons that do not fill the layers.
    """
    key_ids, value_ids = np.asarray(key_ids), np.asarray(value_ids)
    n_layers, n_shuffles = count_argument("n_layers", n_layers), count_argument("n_shuffles", n_shuffles)
    if len(key_ids) != len(value_ids) or len(key_ids) % n_layers or len(key_ids) < 2 * n_layers:
        raise ValueError(
            f"key_ids and value_ids: expected {n_layers} layers of equally many neurons, two at least,"
            f" found {len(key_ids)} and {len(value_ids)} lists"
        )
    shuffled = []
    for layer, (keys, values) in enumerate(zip(np.split(key_ids, n_layers), np.split(value_ids, n_layers), strict=True)):
        rng = np.random.default_rng(seed + layer)
        shuffled.append([top_overlap(keys, values[_others(len(keys), rng)]) for _ in range(n_shuffles)])
    return PairedOverlap(top_overlap(key_ids, value_ids), np.concatenate(shuffled, axis=1))


def _others(n: int, rng: np.random.Generator) -> np.ndarray:
    """A permutation of n that leaves nothing in its place: each goes to its neighbour on a random circle."""
    circle = rng.permutation(n)
    partner = np.empty_like(circle)
    partner[circle] = np.roll(circle, 1)
    return partner
