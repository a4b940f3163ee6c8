"""Every neuron of a model as lists of tokens: which lists are alike, where in depth, and tables that show them.

Neurons are numbered through the model, layer after layer. A list belongs to a key (K) or a value (V) of a neuron; lists of keys come first
where both stand in one array.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from statsmodels.stats.proportion import confint_proportions_2indep
from torch import Tensor

from analysis_lib.projections.factors import feed_forward_keys_values
from analysis_lib.projections.token_search import top_tokens
from analysis_lib.statistics import Interval
from analysis_lib.vocabulary import Vocabulary
from analysis_lib.weights import TransformerWeights


def all_keys_values(weights: TransformerWeights, reading: str = "raw") -> tuple[Tensor, Tensor]:
    """Keys and values of all layers, [n_layers * d_mlp, d_model] each; `reading` as in `feed_forward_keys_values`."""
    layers = [feed_forward_keys_values(weights, layer, reading) for layer in range(weights.n_layers)]
    keys, values = zip(*layers, strict=True)
    return torch.cat(keys), torch.cat(values)


def random_vectors(n: int, width: int, seed: int = 0) -> Tensor:
    """Vectors drawn from a normal distribution, [n, width]: what any direction of an embedding space would show."""
    return torch.randn(n, width, dtype=torch.float32, generator=torch.Generator().manual_seed(seed))


def similar_vectors(vectors: Tensor, n_layers: int, seed: int = 0, rows: np.ndarray | None = None) -> Tensor:
    """Random vectors with the mean and the covariance of each layer's vectors: what a layer's directions show without single neurons.

    Parameters
    ----------
    vectors : Tensor [n_layers * n, d_model]
        Keys, or values, layer after layer.
    n_layers : int
    seed : int
    rows : int array, optional
        Numbers of the vectors that random ones replace, ascending; all by default.

    Returns
    -------
    Tensor [n_layers * n, d_model], or as many rows as were asked for
        Normal draws, layer after layer.
    """
    layers = vectors.reshape(n_layers, -1, vectors.shape[-1])
    size, generator = layers.shape[1], torch.Generator().manual_seed(seed)
    rows = np.arange(len(vectors)) if rows is None else rows
    drawn = []
    for place, layer in enumerate(layers):
        mean = layer.mean(dim=0)
        # Mixtures of the centred vectors with normal weights have their covariance.
        weights = torch.randn(int((rows // size == place).sum()), size, dtype=torch.float32, generator=generator).to(layer.dtype)
        drawn.append(mean + weights @ (layer - mean) / max(1, size - 1) ** 0.5)
    return torch.cat(drawn)


def sample_neurons(n_layers: int, d_mlp: int, n: int, seed: int = 0) -> np.ndarray:
    """Numbers of `n` neurons of each layer drawn by lot, or of all where a layer has no more: int [n_layers * n], ascending."""
    drawn = np.random.default_rng(seed).permuted(np.tile(np.arange(d_mlp), (n_layers, 1)), axis=1)[:, :n]
    return (np.sort(drawn, axis=1) + d_mlp * np.arange(n_layers)[:, None]).ravel()


def passing_gain(passed: ArrayLike, control: ArrayLike) -> Interval:
    """By how much the share of lists that pass exceeds that of other lists, with a 95% interval.

    Newcombe's interval (1998, "Interval estimation for the difference between independent proportions"), so that a share of none or of
    all is not taken for certain.

    Parameters
    ----------
    passed, control : bool array [n], [m]
        Each list a unit of its own.

    Returns
    -------
    Interval
    """
    for name, lists in (("passed", passed), ("control", control)):
        if not len(np.asarray(lists)):
            raise ValueError(f"{name}: expected one list or more, found none")
    (own, n_own), (other, n_other) = ((int(np.sum(lists)), len(np.asarray(lists))) for lists in (passed, control))
    low, high = confint_proportions_2indep(own, n_own, other, n_other, compare="diff", method="newcomb")
    return Interval(own / n_own - other / n_other, float(low), float(high))


def key_value_cosines(weights: TransformerWeights) -> np.ndarray:
    """Cosine of every neuron's key and value, float64 [n_layers * d_mlp]. Below zero, a neuron takes away some of what it matches."""
    layers = (feed_forward_keys_values(weights, layer) for layer in range(weights.n_layers))
    cosines = [torch.nn.functional.cosine_similarity(keys.contiguous(), values.contiguous()) for keys, values in layers]
    return torch.cat(cosines).double().numpy()


def neuron_name(neuron: int, d_mlp: int) -> str:
    """`L2N17` for a neuron numbered through the model; both numbers count from 0."""
    layer, index = divmod(int(neuron), d_mlp)
    return f"L{layer}N{index}"


def token_columns(vectors: Mapping[str, ArrayLike], W_U: Tensor, vocabulary: Vocabulary, keep: np.ndarray, rows: int = 10) -> pd.DataFrame:
    """The top tokens of a few vectors with their scores, a column for each vector.

    Parameters
    ----------
    vectors : mapping of str to array or tensor [d_model]
        By the column's title.
    W_U : Tensor [d_model, vocab]
    vocabulary : Vocabulary
    keep : bool array [vocab]
        Tokens that may appear.
    rows : int
        Tokens in a column.

    Returns
    -------
    DataFrame [rows, vector]
        `token score` in each cell, the score to two decimals.
    """
    found = top_tokens(torch.stack([torch.as_tensor(vector) for vector in vectors.values()]), W_U, rows, keep)
    cells = [
        [f"{vocabulary.text[i]} {score:.2f}".replace(" -", " \N{MINUS SIGN}") for i, score in zip(ids, scores, strict=True)]
        for ids, scores in zip(found.ids, found.scores, strict=True)
    ]
    return pd.DataFrame(dict(zip(vectors, cells, strict=True)))


def hubs(ids: np.ndarray, most: int = 100) -> dict[str, float]:
    """Do a few tokens own all lists?

    Parameters
    ----------
    ids : int array [n, k]
        Lists of tokens.
    most : int
        How many of the most frequent tokens to count.

    Returns
    -------
    dict
        `lists`, `different tokens`, and `filled by the top {most}`: the share of all places that the most frequent tokens fill.
    """
    counts = np.sort(np.bincount(np.ravel(ids)))[::-1]
    filled = float(counts[:most].sum() / counts.sum())
    return {"lists": len(ids), "different tokens": int((counts > 0).sum()), f"filled by the top {most}": filled}


def gains_by_layer(passed: ArrayLike, control: ArrayLike, n_layers: int) -> pd.DataFrame:
    """By how much the lists of each layer pass more often than those of the layer's control.

    Parameters
    ----------
    passed : bool array [n_layers * n]
        Lists of keys or of values, layer after layer.
    control : bool array [draw, n_layers * m]
        For example the lists of random vectors like each layer's own, layer after layer in each draw.
    n_layers : int

    Returns
    -------
    DataFrame
        `layer estimate low high`: differences of shares with their 95% intervals, as in `passing_gain`.
    """
    draws = np.atleast_2d(np.asarray(control))
    controls = draws.reshape(len(draws), n_layers, -1)
    gains = [passing_gain(own, controls[:, layer].ravel()) for layer, own in enumerate(np.split(np.asarray(passed), n_layers))]
    return pd.DataFrame([(layer, *gain) for layer, gain in enumerate(gains)], columns=["layer", "estimate", "low", "high"])


def shares_by_layer(passed: Mapping[str, pd.DataFrame], n_layers: int) -> pd.DataFrame:
    """Shares of lists that pass, kind by kind, for each layer of keys and of values.

    Parameters
    ----------
    passed : mapping of str to bool DataFrame [list, kind]
        By the side's letter, `K` and `V`; lists layer after layer, as `shared_features.passing` gives them.
    n_layers : int

    Returns
    -------
    DataFrame [kind, column]
        Columns `K0`, `K1` … `V0`, `V1` …; the first row, `any kind`, counts each list once.
    """
    columns: dict[str, pd.Series] = {}
    for side, lists in passed.items():
        d_mlp = len(lists) // n_layers
        columns |= {f"{side}{layer}": kind_shares(lists.iloc[layer * d_mlp : (layer + 1) * d_mlp]) for layer in range(n_layers)}
    return pd.DataFrame(columns)


def kind_shares(lists: pd.DataFrame) -> pd.Series:
    """Share of lists that pass in any kind and in each, from a bool DataFrame [list, kind]."""
    return pd.concat([pd.Series({"any kind": lists.any(axis=1).mean()}), lists.mean()])


def most_alike(
    table: pd.DataFrame,
    ids: np.ndarray,
    d_mlp: int,
    vocabulary: Vocabulary,
    rows: int = 2,
    words: int = 8,
    level: float = 0.05,
    numbers: np.ndarray | None = None,
) -> pd.DataFrame:
    """The most alike lists of each kind, among those that pass.

    Parameters
    ----------
    table : DataFrame
        From `shared_features.alike_lists` of the lists of all keys and then of all values.
    ids : int array [2 * neurons, k]
        Those lists.
    d_mlp : int
        Neurons of a layer.
    vocabulary : Vocabulary
    rows : int
        Lists of each kind, those of the smallest p.
    words : int
        Tokens shown.
    level : float
        Bound of `p_holm` for a list to pass.
    numbers : int array [neurons], optional
        Which neurons the lists belong to, where they are not all of the model's.

    Returns
    -------
    DataFrame
        `vector` (`K L2N17`), `shared` (what the tokens have in common), `count` of `size` different forms that have it, `expected` by
        chance, `tokens` (the first few).
    """
    best = table[table["p_holm"] < level].sort_values(["p", "list"]).groupby("kind", sort=False).head(rows)
    half = len(ids) // 2
    numbers = np.arange(half) if numbers is None else numbers
    frame = pd.DataFrame(
        {
            "vector": [f"{'KV'[i // half]} {neuron_name(numbers[i % half], d_mlp)}" for i in best["list"]],
            "shared": [_shared(kind, feature) for kind, feature in zip(best["kind"], best["feature"], strict=True)],
            "tokens": [" ".join(vocabulary.text[ids[i, :words]]) for i in best["list"]],
        },
        dtype=object,  # words, also where no list passes
    )
    for place, column in enumerate(("count", "size", "expected"), start=2):
        frame.insert(place, column, best[column].to_numpy())
    return frame


def _shared(kind: str, feature: str) -> str:
    return kind if kind in ("number", "name", "capital") else f"{kind}: {feature}"


def choose_neurons(overlaps: Mapping[str, np.ndarray], seed: int = 0) -> dict[str, int]:
    """The neurons that a page shows, by rules that leave nothing to taste.

    Parameters
    ----------
    overlaps : mapping of str to float array [neuron]
        For each rule what it wants most of.
    seed : int
        Seed of the neuron drawn by lot, which shows what most neurons look like.

    Returns
    -------
    dict of str to int
        The neuron of each rule, and the one `drawn at random`.
    """
    n_neurons = len(next(iter(overlaps.values())))
    chosen = {rule: int(np.argmax(values)) for rule, values in overlaps.items()}
    return chosen | {"drawn at random": int(np.random.default_rng(seed).integers(n_neurons))}


def by_side(table: pd.DataFrame, names: Sequence[str] = ("K", "V")) -> dict:
    """A table whose rows are the keys' lists and then the values', cut into its parts."""
    size = len(table) // len(names)
    return {name: table[place * size : (place + 1) * size] for place, name in enumerate(names)}
