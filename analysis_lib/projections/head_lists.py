"""The lists of all heads: their best pairs in several readings, what they relate, and tables that show them.

Three readings stand side by side. `raw` takes the weights as they are, as the literature does. `layer-normed` puts embeddings through
the norm that the layer reads through. `unit` (VO only) also divides each unembedding by its length, so that a token of large norm cannot
own a list.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import joblib
import numpy as np
import pandas as pd
from jaxtyping import Int

from analysis_lib.projections.best_pairs import TopPairs
from analysis_lib.projections.factors import map_heads, qk_factors, vo_factors
from analysis_lib.projections.overlap import distinct_tokens
from analysis_lib.projections.pair_search import top_pairs
from analysis_lib.projections.readers import Reader
from analysis_lib.projections.relations import head_relations
from analysis_lib.statistics import t_interval
from analysis_lib.vocabulary import Vocabulary
from analysis_lib.weights import TransformerWeights

MATRICES = {"VO": vo_factors, "QK": qk_factors}
READINGS = {
    "raw": {},
    "layer-normed": {"embedding": "layer_norm"},
    "unit": {"embedding": "layer_norm", "unembedding": "unit"},
}

HeadPairs = dict[tuple[int, int], TopPairs]


def head_pairs(
    reader: Reader, matrix: str, reading: str, weights: TransformerWeights | None = None, k: int = 200, n_jobs: int = 1
) -> HeadPairs:
    """Top pairs of every head of a model.

    Parameters
    ----------
    reader : Reader
        Its kept tokens stand on both sides.
    matrix : {"VO", "QK"}
    reading : {"raw", "layer-normed", "unit"}
        `unit` is for VO alone.
    weights : TransformerWeights, optional
        Other weights over the same vocabulary, such as `Reader.random_heads`; the reader's own by default.
    k : int
        Pairs in a list.
    n_jobs : int
        Threads, as joblib counts them.

    Returns
    -------
    dict {(layer, head): TopPairs}

    Raises
    ------
    ValueError
        An unknown matrix, or a reading that it does not have.
    """
    if matrix not in MATRICES:
        raise ValueError(f"matrix: expected one of {', '.join(MATRICES)}, found {matrix!r}")
    if reading not in READINGS or (matrix == "QK" and reading == "unit"):
        raise ValueError(f"reading: expected 'raw', 'layer-normed' or, for VO, 'unit', found {reading!r} for {matrix}")
    weights = reader.weights if weights is None else weights
    groups = reader.vocabulary.form_groups  # pairs of one form (`Dom`, `dom`) are left out

    def search(layer: int, head: int) -> TopPairs:
        left, right = MATRICES[matrix](weights, layer, head, **READINGS[reading])
        return top_pairs(left, right, k, reader.keep, reader.keep, groups)

    with joblib.parallel_config(backend="threading"):  # the products leave Python's lock alone
        found = map_heads(search, weights.n_layers, weights.n_heads, n_jobs)
    return {(layer, head): pairs for layer, row in enumerate(found) for head, pairs in enumerate(row)}


def describe_lists(reader: Reader, lists: Mapping[str, HeadPairs], **options: Any) -> pd.DataFrame:
    """What the lists of several matrices relate, similarities of their columns included.

    Parameters
    ----------
    reader : Reader
    lists : mapping of str to {(layer, head): TopPairs}
        By the name of the matrix.
    **options
        For `relations.head_relations`.

    Returns
    -------
    DataFrame
        The rows of `head_relations` for each matrix, under a column `matrix`.
    """
    embedding, groups = reader.weights.W_E.numpy(), reader.vocabulary.form_groups
    tables = [
        head_relations(found, reader.lexicon, groups, embedding=embedding, keep=reader.keep, **options).assign(matrix=matrix)
        for matrix, found in lists.items()
    ]
    return pd.concat(tables, ignore_index=True)


def passing_lists(table: pd.DataFrame, relations: Mapping[str, str]) -> pd.DataFrame:
    """How many lists pass, relation by relation and in any.

    Parameters
    ----------
    table : DataFrame
        `model matrix layer head relation passes`, as `relations.correct_together` gives it.
    relations : mapping of str to str
        Relations to count, with their titles.

    Returns
    -------
    DataFrame, index: titles and then `any of these`, a column a model
        Numbers of lists. A list that passes in several relations counts once in the last row.
    """
    hits = table[table["passes"] & table["relation"].isin(list(relations))]
    models = list(dict.fromkeys(table["model"]))
    counts = pd.crosstab(hits["relation"], hits["model"]).reindex(index=list(relations), columns=models, fill_value=0)
    once = hits.drop_duplicates(["model", "matrix", "layer", "head"]).groupby("model").size().reindex(models, fill_value=0)
    return pd.concat([counts.rename(index=dict(relations)), once.to_frame("any of these").T]).rename_axis(index=None, columns=None)


def shown_pairs(pairs: TopPairs, vocabulary: Vocabulary, rows: int = 6, arrow: str = " → ") -> list[str]:
    """The first pairs of a list as `a → b`."""
    text = vocabulary.text
    return [f"{text[a]}{arrow}{text[b]}" for a, b in zip(pairs.left_ids[:rows], pairs.right_ids[:rows], strict=True)]


def passing_table(
    family: pd.DataFrame,
    readers: Mapping[str, Reader],
    lists: Mapping[str, Mapping[str, HeadPairs]],
    other: Mapping[str, Mapping[str, HeadPairs]],
    names: Sequence[str],
    rows: int = 5,
) -> pd.DataFrame:
    """The lists that pass, with their first pairs and what the same head shows in another reading.

    Parameters
    ----------
    family : DataFrame
        From `relations.correct_together` of tables of `describe_lists`, by model.
    readers : mapping of str to Reader
        By model.
    lists, other : mapping of str to mapping of str to {(layer, head): TopPairs}
        By model and matrix: the lists that were tested, and those of another reading, which were not.
    names : sequence of str
        Relations that count.
    rows : int
        Pairs shown.

    Returns
    -------
    DataFrame
        `model`, `list` (`VO L0H3`), `relation`, `share`, `null` (mean share of permuted lists), `p` (corrected), `other excess` (share
        less null in the other reading), `pairs`; ordered by p.
    """
    hits = family[family["passes"] & family["relation"].isin(names)].sort_values("p_holm", kind="stable")
    found = []
    for row in hits.to_dict("records"):
        model, matrix, layer, head, relation = (row[column] for column in ("model", "matrix", "layer", "head", "relation"))
        reader, pairs = readers[model], lists[model][matrix][layer, head]
        again = {(layer, head): other[model][matrix][layer, head]}
        table = head_relations(again, reader.lexicon, reader.vocabulary.form_groups, names=[relation], max_draws=1000)
        shown = ", ".join(shown_pairs(pairs, reader.vocabulary, rows))
        place = (model, f"{matrix} L{layer}H{head}", relation)
        found.append((*place, row["share"], row["null_mean"], row["p_holm"], table["excess"].iloc[0], shown))
    return pd.DataFrame(found, columns=["model", "list", "relation", "share", "null", "p", "other excess", "pairs"])


def distinct_left(found: HeadPairs) -> Int[np.ndarray, " head"]:
    """Distinct left tokens of each head's list, int [head]. Few of them mean that the list belongs to hubs."""
    return np.array([distinct_tokens(pairs)[0] for pairs in found.values()])


def hidden_share(found: HeadPairs, visible: np.ndarray) -> float:
    """Mean over heads of the share of pairs that a filter would hide, since one of the two tokens is not `visible` (bool [vocab])."""
    return float(np.mean([1 - (visible[pairs.left_ids] & visible[pairs.right_ids]).mean() for pairs in found.values()]))


def layer_means(table: pd.DataFrame, value: str = "excess") -> pd.DataFrame:
    """Means over the heads of each layer with Student's t intervals, since a layer has few heads.

    Parameters
    ----------
    table : DataFrame
        `matrix relation layer head` and `value`.
    value : str

    Returns
    -------
    DataFrame
        `matrix relation layer depth mean low high n`; depth is 0 for the first layer and 1 for the last. Layers with fewer than two defined
        values are left out.
    """
    rows = []
    for place, part in table.groupby(["matrix", "relation", "layer"], sort=False):
        values = part[value].dropna()
        if len(values) > 1:
            rows.append((*place, *t_interval(values), len(values)))
    means = pd.DataFrame(rows, columns=["matrix", "relation", "layer", "mean", "low", "high", "n"])
    means.insert(3, "depth", means["layer"] / max(1, int(table["layer"].max())))
    return means
