"""The lists of all heads: their best pairs in several readings, what they relate, and tables that show them.

Three readings stand side by side. `raw` takes the weights as they are, as the literature does. `layer-normed` puts embeddings through
the norm that the layer reads through. `unit` (VO only) also divides each unembedding by its length, so that a token of large norm cannot
own a list.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch

from analysis_lib.projections.best_pairs import TopPairs
from analysis_lib.projections.factors import qk_factors, vo_factors
from analysis_lib.projections.pair_search import top_pairs
from analysis_lib.projections.readers import Reader
from analysis_lib.projections.relations import head_relations
from analysis_lib.sweeps import sweep
from analysis_lib.vocabulary import Vocabulary
from analysis_lib.weights import TransformerWeights

MATRICES = {"VO": vo_factors, "QK": qk_factors}
READINGS = {
    "raw": {},
    "layer-normed": {"embedding": "layer_norm"},
    "unit": {"embedding": "layer_norm", "unembedding": "unit"},
}

HeadPairs = dict[tuple[int, int], TopPairs]
Kept = tuple[TransformerWeights, np.ndarray, np.ndarray]
"""What a search needs: weights over the kept tokens alone, the groups of these tokens, and their ids."""


def head_pairs(
    reader: Reader,
    matrix: str,
    reading: str,
    weights: TransformerWeights | None = None,
    k: int = 200,
    heads: Sequence[tuple[int, int]] | None = None,
    n_jobs: int | None = None,
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
        Other weights over the same vocabulary, such as those of `random_heads`; the reader's own by default.
    k : int
        Pairs in a list.
    heads : sequence of (layer, head), optional
        All by default.
    n_jobs : int, optional
        Threads, as joblib counts them; by default those of joblib's configuration in force, else one.

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
    kept = kept_tokens(reader, weights)
    chosen = [(layer, head) for layer in range(kept[0].n_layers) for head in range(kept[0].n_heads)] if heads is None else list(heads)
    search = partial(pairs_of_head, matrix=matrix, reading=reading, k=k)
    revision = reader.revision if weights is None else None
    found = sweep(search, chosen, kept, n_jobs=n_jobs, revision=revision, title=f"{reader.loaded.name}, lists of {matrix}")
    return dict(zip(chosen, found, strict=True))


def kept_tokens(reader: Reader, weights: TransformerWeights | None = None) -> Kept:
    """A reader's weights, or others over its vocabulary, cut down to the kept tokens."""
    weights = reader.weights if weights is None else weights
    ids = np.flatnonzero(reader.keep)
    rows = torch.from_numpy(ids)
    return replace(weights, W_E=weights.W_E[rows], W_U=weights.W_U[:, rows]), reader.vocabulary.form_groups[ids], ids


def pairs_of_head(kept: Kept, head: tuple[int, int], matrix: str, reading: str, k: int) -> TopPairs:
    """Top pairs of one head; pairs of one form (`Dom`, `dom`) are left out."""
    (weights, groups, ids), (layer, number) = kept, head
    found = top_pairs(*MATRICES[matrix](weights, layer, number, **READINGS[reading]), k, groups=groups)
    return TopPairs(ids[found.left_ids], ids[found.right_ids], found.scores)


def embedding_pairs(reader: Reader, k: int = 200) -> TopPairs:
    """The kept tokens whose embeddings have the highest cosines, their mean taken away: the list of no head at all, each pair once."""
    weights, groups, ids = kept_tokens(reader)
    units = torch.nn.functional.normalize(weights.W_E - weights.W_E.mean(dim=0), dim=1)
    found = top_pairs(units, units, 2 * k, groups=groups)  # a cosine is that of (a, b) and of (b, a)
    once = np.flatnonzero(found.left_ids < found.right_ids)[:k]
    return TopPairs(ids[found.left_ids[once]], ids[found.right_ids[once]], found.scores[once])


def describe_lists(reader: Reader, lists: Mapping[str, HeadPairs], **options: Any) -> pd.DataFrame:
    """What the lists of several matrices relate.

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
    groups = reader.vocabulary.form_groups
    options = {"revision": reader.revision} | options
    tables = [head_relations(found, reader.lexicon, groups, **options).assign(matrix=matrix) for matrix, found in lists.items()]
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
    family: pd.DataFrame, readers: Mapping[str, Reader], lists: Mapping[str, Mapping[str, HeadPairs]], rows: int = 5
) -> pd.DataFrame:
    """The lists that pass, with their first pairs.

    Parameters
    ----------
    family : DataFrame
        `model matrix layer head relation share null_mean p_holm passes`, as `relations.correct_together` gives it.
    readers : mapping of str to Reader
        By model.
    lists : mapping of str to mapping of str to {(layer, head): TopPairs}
        By model and matrix: the lists that were tested.
    rows : int
        Pairs shown.

    Returns
    -------
    DataFrame
        `model`, `list` (`VO L0H3`), `relation`, `share`, `permuted` (mean share of permuted lists), `p` (corrected), `pairs`; ordered by p,
        then by share.
    """
    found = []
    for row in family[family["passes"]].sort_values(["p_holm", "share"], ascending=[True, False], kind="stable").to_dict("records"):
        model, matrix, layer, head = (row[column] for column in ("model", "matrix", "layer", "head"))
        shown = ", ".join(shown_pairs(lists[model][matrix][layer, head], readers[model].vocabulary, rows))
        found.append((model, f"{matrix} L{layer}H{head}", row["relation"], row["share"], row["null_mean"], row["p_holm"], shown))
    return pd.DataFrame(found, columns=["model", "list", "relation", "share", "permuted", "p", "pairs"])
