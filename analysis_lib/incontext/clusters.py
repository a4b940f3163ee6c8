"""Do attention rows fall into kinds, and do the inputs explain the kinds?

A row is what one query attends to. k-means clusters the rows, with the number of clusters chosen by silhouette (Rousseeuw 1987), and a
linear support vector machine guesses from the inputs which cluster a row is in, on prompts that it was not fitted to. A causal row ends at
its own position, so clusters recover positions even where attention is random: two clusters of random causal rows are nearly always a
cut between early and late queries. A claim about inputs therefore has to hold beyond position, and beyond what random rows and an
untrained model give. `describe` says how well position explains the clusters and how much the inputs add to it. Attention may also
follow the inputs by degrees without falling into kinds: `content_share` measures how much of it does, `heads.key_slopes` what it follows.

Prompts have two tokens a point, a question that knows x and an answer that knows y, as `Regressor` has them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike
from scipy.spatial.distance import pdist, squareform
from scipy.special import softmax
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score, silhouette_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from analysis_lib.incontext.arrays import as_prompts
from analysis_lib.statistics import Interval, t_interval

COUNTS = tuple(range(2, 10))  # as the original notebook 003 tried
FOLDS = 5


@dataclass(frozen=True)
class Clusters:
    """Clusters of rows.

    Attributes
    ----------
    labels : int64 [row]
        Clusters are numbered by their mean position in the given order of rows, so that the same partition has the same labels.
    silhouettes : dict of int to float
        By number of clusters tried; the largest decided. Between -1 and 1; near 0 where there are no clusters to find.
    """

    labels: np.ndarray
    silhouettes: dict[int, float]

    @property
    def count(self) -> int:
        """The number of clusters chosen."""
        return max(self.silhouettes, key=self.silhouettes.__getitem__)


@dataclass(frozen=True)
class Description:
    """How far position, inputs and both explain the clusters of one head's rows.

    Attributes
    ----------
    count : int
        Clusters.
    silhouette : float
    position_agreement : float
        Adjusted mutual information of clusters and positions: 0 by chance, 1 where each says the other.
    majority, position, inputs, both : float
        Share of rows whose cluster is guessed correctly: by always naming the largest cluster, and by the support vector machine from
        position, from inputs, from both.
    gain : Interval
        both - position, with Student's interval over prompts: what inputs say beyond position.
    content : float
        `content_share` of the rows.
    """

    count: int
    silhouette: float
    position_agreement: float
    majority: float
    position: float
    inputs: float
    both: float
    gain: Interval
    content: float


def split_rows(patterns: ArrayLike) -> tuple[Float[np.ndarray, "*head point token"], Float[np.ndarray, "*head point token"]]:
    """Rows of questions (x queries) and of answers (y queries).

    Parameters
    ----------
    patterns : array [..., 2 * point, 2 * point]

    Returns
    -------
    x_rows, y_rows : float64 [..., point, 2 * point]
    """
    patterns = np.asarray(patterns, dtype=float)
    if patterns.ndim < 2 or patterns.shape[-1] != patterns.shape[-2] or patterns.shape[-1] % 2:
        raise ValueError(f"patterns: expected [..., 2 * point, 2 * point], found shape {patterns.shape}")
    return patterns[..., ::2, :], patterns[..., 1::2, :]


def random_attention(patterns: ArrayLike, seed: int) -> Float[np.ndarray, "... query key"]:
    """Rows of random attention: softmax of standard normal scores over the keys that the given patterns may see.

    Parameters
    ----------
    patterns : array [..., query, key]
        A key has weight 0 in all of them where it is hidden from the query; each query sees one at least.
    seed : int

    Returns
    -------
    float64, the shape of patterns
    """
    patterns = np.asarray(patterns, dtype=float)
    visible = (patterns > 0).reshape(-1, *patterns.shape[-2:]).any(axis=0)
    if not visible.any(axis=-1).all():
        raise ValueError(f"patterns: expected a key for every query, found none for query {np.flatnonzero(~visible.any(axis=-1))[0]}")
    scores = np.random.default_rng(seed).standard_normal(patterns.shape)
    return softmax(np.where(visible, scores, -np.inf), axis=-1)


def cluster_rows(rows: ArrayLike, counts: Sequence[int] = COUNTS, seed: int = 0) -> Clusters:
    """k-means on rows, with the number of clusters of the largest silhouette.

    Parameters
    ----------
    rows : array [row, key]
    counts : sequence of int
        Numbers of clusters tried, 2 or more and below the number of distinct rows; the others are left out.
    seed : int
        Of k-means, which begins three times and keeps the best.

    Returns
    -------
    Clusters

    Raises
    ------
    ValueError
        Rows that are not finite or of no such shape, or no count that fits.
    """
    rows = np.asarray(rows, dtype=float)
    if rows.ndim != 2 or not np.isfinite(rows).all():
        raise ValueError(f"rows: expected finite numbers [row, key], found shape {rows.shape}")
    distinct = len(np.unique(rows.round(9), axis=0))
    fitting = [count for count in counts if 2 <= count < distinct]
    if not fitting:
        raise ValueError(f"counts: expected one of 2 or more and below {distinct} (the distinct rows), found {list(counts)}")
    found = {count: KMeans(count, n_init=3, random_state=seed).fit(rows).labels_ for count in fitting}
    distances = squareform(pdist(rows))
    silhouettes = {count: float(silhouette_score(distances, labels, metric="precomputed")) for count, labels in found.items()}
    return Clusters(_in_order(found[max(silhouettes, key=silhouettes.__getitem__)]), silhouettes)


def cut_accuracy(labels: ArrayLike, positions: ArrayLike) -> float:
    """Share of rows that the best cut between early and late positions puts into the right one of two clusters.

    Parameters
    ----------
    labels : int [row]
        0 and 1.
    positions : array [row]

    Returns
    -------
    float from 0.5 to 1
    """
    labels, positions = np.asarray(labels), np.asarray(positions)
    if set(np.unique(labels)) != {0, 1}:
        raise ValueError(f"labels: expected two clusters, 0 and 1, found {np.unique(labels).tolist()}")
    late = positions[None, :] >= np.unique(positions)[:, None]  # [cut, row]
    agreement = (late == labels).mean(axis=1)
    return float(np.maximum(agreement, 1 - agreement).max())


def guessed_by_svm(
    labels: ArrayLike, features: ArrayLike, groups: ArrayLike, folds: int = FOLDS, seed: int = 0
) -> Bool[np.ndarray, " row"]:
    """Whether a linear support vector machine that was fitted on other groups names each row's cluster correctly.

    Parameters
    ----------
    labels : int [row]
    features : array [row, feature]
        Standardised inside.
    groups : array [row]
        The prompt of each row: all rows of a prompt are held out together.
    folds, seed : int

    Returns
    -------
    bool [row]
    """
    labels, features, groups = np.asarray(labels), np.asarray(features, dtype=float), np.asarray(groups)
    if features.ndim != 2 or not len(labels) == len(features) == len(groups):
        raise ValueError(f"features: expected [row, feature] with {len(labels)} rows as labels has, found shape {features.shape}")
    if not 2 <= folds <= len(np.unique(groups)):
        raise ValueError(f"folds: expected 2 to {len(np.unique(groups))}, the groups, found {folds}")
    guessed = np.empty_like(labels)
    for fitted, held_out in GroupKFold(folds, shuffle=True, random_state=seed).split(features, labels, groups):
        if len(np.unique(labels[fitted])) == 1:
            guessed[held_out] = labels[fitted[0]]
            continue
        machine = make_pipeline(StandardScaler(), LinearSVC(dual=False, random_state=seed))
        guessed[held_out] = machine.fit(features[fitted], labels[fitted]).predict(features[held_out])
    return guessed == labels


def describe(rows: ArrayLike, inputs: ArrayLike, counts: Sequence[int] = COUNTS, seed: int = 0, level: float = 0.95) -> Description:
    """Cluster one head's rows over many prompts, and compare the clusters with positions and inputs.

    Parameters
    ----------
    rows : array [prompt, point, key]
    inputs : array [prompt, point, feature]
        What the query knows.
    counts, seed
        As for `cluster_rows`.
    level : float
        Of the interval of `gain`; where many heads are described, 1 - 0.05 / their number corrects for it (Bonferroni).

    Returns
    -------
    Description
        Each position enters as an indicator of its own, so that position may explain whatever it can.

    Raises
    ------
    ValueError
        Inputs that do not fit the rows, fewer than five prompts, and whatever `cluster_rows` and `guessed_by_svm` refuse.
    """
    rows, inputs = _checked_rows(rows), np.asarray(inputs, dtype=float)
    if inputs.ndim != 3 or inputs.shape[:2] != rows.shape[:2]:
        raise ValueError(f"inputs: expected [prompt, point, feature] as rows has prompts and points, {rows.shape}, found {inputs.shape}")
    prompts, points = rows.shape[:2]
    if prompts < FOLDS:
        raise ValueError(f"rows: expected {FOLDS} prompts or more, found {prompts}")
    groups, positions = np.repeat(np.arange(prompts), points), np.tile(np.arange(points), prompts)
    clusters = cluster_rows(rows.reshape(prompts * points, -1), counts, seed)
    place, content = np.eye(points)[positions], inputs.reshape(prompts * points, -1)
    features = {"position": place, "inputs": content, "both": np.concatenate((place, content), axis=1)}
    found = {name: guessed_by_svm(clusters.labels, values, groups, seed=seed) for name, values in features.items()}
    gains = (found["both"].astype(float) - found["position"]).reshape(prompts, points).mean(axis=1)
    return Description(
        count=clusters.count,
        silhouette=clusters.silhouettes[clusters.count],
        position_agreement=float(adjusted_mutual_info_score(positions, clusters.labels)),
        majority=float(np.bincount(clusters.labels).max() / len(clusters.labels)),
        **{name: float(hits.mean()) for name, hits in found.items()},
        gain=t_interval(gains, level),
        content=content_share(rows),
    )


def describe_heads(patterns: ArrayLike, xs: ArrayLike, ys: ArrayLike, level: float = 0.95) -> pd.DataFrame:
    """`describe` the rows of every head, questions and answers apart.

    Parameters
    ----------
    patterns : array [layer, prompt, head, 2 * point, 2 * point]
    xs, ys : array [prompt, point, d], [prompt, point]
        A question knows its x and the squares of it, an answer also its y and the square of that.
    level : float
        Of the intervals of `gain`.

    Returns
    -------
    DataFrame
        `head` ("L0H1"), `rows` ("questions" or "answers"), and what `Description` has.
    """
    patterns = np.asarray(patterns, dtype=float)
    if patterns.ndim != 5:
        raise ValueError(f"patterns: expected [layer, prompt, head, query, key], found shape {patterns.shape}")
    x, y = as_prompts(xs, ys)
    y = y[..., None]
    inputs = {"questions": np.concatenate((x, x**2), axis=-1), "answers": np.concatenate((x, x**2, y, y**2), axis=-1)}
    table = []
    for layer, head in np.ndindex(patterns.shape[0], patterns.shape[2]):
        for (kind, known), rows in zip(inputs.items(), split_rows(patterns[layer, :, head]), strict=True):
            table.append({"head": f"L{layer}H{head}", "rows": kind} | vars(describe(rows, known, level=level)))
    return pd.DataFrame(table)


def prompt_cuts(rows: ArrayLike) -> Float[np.ndarray, " prompt"]:
    """How well a cut between early and late positions accounts for two clusters of one prompt's rows: `cut_accuracy` of each prompt.

    Parameters
    ----------
    rows : array [prompt, point, key]

    Returns
    -------
    float64 [prompt]
    """
    rows = _checked_rows(rows)
    labels = [cluster_rows(of_prompt, counts=(2,)).labels for of_prompt in rows]
    return np.array([cut_accuracy(found, np.arange(rows.shape[1])) for found in labels])


def content_share(rows: ArrayLike) -> float:
    """Share of the variance of rows that their position does not explain: 0 where all prompts have the same rows.

    It is the ratio of the variance within positions to that over all, each with its degrees of freedom, so that rows that do not depend on
    their position give about 1 however few the prompts are.

    Parameters
    ----------
    rows : array [prompt, point, key]

    Returns
    -------
    float from 0 to 1

    Raises
    ------
    ValueError
        Fewer than two prompts, rows that are all the same or not finite.
    """
    rows = _checked_rows(rows)
    prompts, points, _ = rows.shape
    if prompts < 2:
        raise ValueError(f"rows: expected two prompts or more, found {prompts}")
    if not np.ptp(rows, axis=(0, 1)).any():  # the deviations from a mean would be rounding errors
        raise ValueError("rows: expected rows that differ, found one row throughout")
    total = ((rows - rows.mean(axis=(0, 1))) ** 2).sum() / (prompts * points - 1)
    within = ((rows - rows.mean(axis=0)) ** 2).sum() / (points * (prompts - 1))
    return min(1.0, float(within / total))


def _checked_rows(rows: ArrayLike) -> np.ndarray:
    rows = np.asarray(rows, dtype=float)
    if rows.ndim != 3 or not np.isfinite(rows).all():
        raise ValueError(f"rows: expected finite numbers [prompt, point, key], found shape {rows.shape}")
    return rows


def _in_order(labels: np.ndarray) -> np.ndarray:
    """The same partition with clusters numbered by the mean place of their rows."""
    places = np.bincount(labels, weights=np.arange(len(labels))) / np.bincount(labels)
    return np.argsort(np.argsort(places))[labels]
