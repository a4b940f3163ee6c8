r"""What attention heads attend to, as scores computed from their patterns.

A score is the attention that a kind of key gets, averaged over the rows (queries) that have such a key at all. A head that always
attends to it therefore scores exactly 1, whatever the text. TransformerLens's `head_detector` divides by all rows instead, which
gives a perfect induction head about one half.

The keys of query $i$, for tokens $x$:

- previous token: $i - 1$; fixed offset: any other distance; first position: 0, for $i > 0$;
- duplicate token: every $k < i$ with $x_k = x_i$;
- induction: every $k + 1$ with $k < i$ and $x_k = x_i$, which is what came after an earlier occurrence.

Sources: Elhage et al. 2021, *A Mathematical Framework for Transformer Circuits*; Olsson et al. 2022, *In-context
Learning and Induction Heads* (arXiv 2209.11895), whose prefix-matching score is the induction score here.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

Patterns = Sequence[np.ndarray] | np.ndarray
Ids = Sequence[Sequence[int]] | np.ndarray
Rows = Sequence[np.ndarray] | np.ndarray


def previous_token_scores(
    patterns: Patterns, ids: Ids | None = None, per_sequence: bool = False, rows: Rows | None = None
) -> Float[np.ndarray, "*sequence layer head"]:
    """Mean attention to the token before; parameters, result and errors as for `attention_to`, `ids` not needed."""
    return offset_scores(patterns, 1, per_sequence, rows)


def offset_scores(
    patterns: Patterns, offset: int, per_sequence: bool = False, rows: Rows | None = None
) -> Float[np.ndarray, "*sequence layer head"]:
    """Mean attention to the token `offset` places before; parameters, result and errors as for `attention_to`."""
    if offset < 1:
        raise ValueError(f"offset: expected 1 or more, found {offset}")
    patterns = checked_patterns(patterns)
    return attention_to(patterns, [np.eye(p.shape[-1], k=-offset, dtype=bool) for p in patterns], per_sequence, rows)


def first_position_scores(
    patterns: Patterns, ids: Ids | None = None, per_sequence: bool = False, rows: Rows | None = None
) -> Float[np.ndarray, "*sequence layer head"]:
    """Mean attention to the first position, over later rows; parameters, result and errors as for `attention_to`."""
    patterns = checked_patterns(patterns)
    targets = [np.zeros(p.shape[-2:], dtype=bool) for p in patterns]
    for target in targets:
        target[1:, 0] = True
    return attention_to(patterns, targets, per_sequence, rows)


def duplicate_token_scores(
    patterns: Patterns, ids: Ids, per_sequence: bool = False, rows: Rows | None = None
) -> Float[np.ndarray, "*sequence layer head"]:
    """Mean attention to earlier occurrences of the same token; parameters, result and errors as for `attention_to`.

    `ids` are the token ids, as many as each pattern has positions.
    """
    patterns = checked_patterns(patterns)
    return attention_to(patterns, [duplicate_targets(x) for x in checked_ids(ids, patterns)], per_sequence, rows)


def induction_scores(
    patterns: Patterns, ids: Ids, per_sequence: bool = False, rows: Rows | None = None
) -> Float[np.ndarray, "*sequence layer head"]:
    """Mean attention to what came after earlier occurrences; parameters, result and errors as for `attention_to`.

    `ids` are the token ids, as many as each pattern has positions.
    """
    patterns = checked_patterns(patterns)
    return attention_to(patterns, [induction_targets(x) for x in checked_ids(ids, patterns)], per_sequence, rows)


def induction_excess(
    patterns: Patterns, ids: Ids, per_sequence: bool = False, rows: Rows | None = None, width: int = 4
) -> Float[np.ndarray, "*sequence layer head"]:
    """Induction score less the attention to as many keys near its targets; parameters, result and errors as for `attention_to`.

    A head that prefers near tokens, or early ones, gives the keys around a target nearly as much as the target itself. Each target is
    compared with the keys at most `width` places from it (`nearby_weights`), except other targets and earlier occurrences of the query's
    token.
    """
    patterns = checked_patterns(patterns)
    sequences = checked_ids(ids, patterns)
    targets = [induction_targets(x) for x in sequences]
    nearby = [nearby_weights(t, width, exclude=duplicate_targets(x)) for t, x in zip(targets, sequences, strict=True)]
    kept = [t & near.any(axis=-1, keepdims=True) for t, near in zip(targets, nearby, strict=True)]
    return attention_to(patterns, kept, per_sequence, rows) - attention_to(patterns, nearby, per_sequence, rows)


SCORES: dict[str, Callable[..., np.ndarray]] = {
    "previous token": previous_token_scores,
    "duplicate token": duplicate_token_scores,
    "induction": induction_scores,
    "first position": first_position_scores,
}


def head_scores(
    patterns: Patterns, ids: Ids, per_sequence: bool = False, rows: Rows | None = None, names: Sequence[str] = tuple(SCORES)
) -> dict[str, Float[np.ndarray, "*sequence layer head"]]:
    """The named scores of `SCORES`, each [layer, head], or [sequence, layer, head] if `per_sequence`."""
    return {name: SCORES[name](patterns, ids, per_sequence, rows) for name in names}


def attention_to(
    patterns: Patterns, targets: Sequence[np.ndarray], per_sequence: bool = False, rows: Rows | None = None
) -> Float[np.ndarray, "*sequence layer head"]:
    """Mean attention to target keys, over the rows that have one.

    Parameters
    ----------
    patterns : list of float [layer, head, query, key], or array [sequence, layer, head, query, key]
        One array for each sequence, as `Activations.patterns` gives them; a single pattern needs no list.
    targets : list of bool or float [query, key]
        Target keys, one array for each sequence; if these are numbers, attention is weighted with them. A row of zeros has no
        target and does not count.
    per_sequence : bool
        Return a mean for every sequence, NaN if it has no target, instead of one mean over all rows.
    rows : list of bool [query], or array [sequence, query], optional
        Rows that may count, such as those of a probe's block but not repeats that came by chance; all by default.

    Returns
    -------
    numpy.ndarray of float64 [layer, head] or [sequence, layer, head]

    Raises
    ------
    ValueError
        Shapes that do not fit, numbers that are not attention weights, or no target in any sequence.
    """
    patterns = checked_patterns(patterns)
    if len(targets) != len(patterns):
        raise ValueError(f"targets: expected one for each of {len(patterns)} patterns, found {len(targets)}")
    wrong = next((i for i, (p, t) in enumerate(zip(patterns, targets, strict=True)) if np.shape(t) != p.shape[-2:]), None)
    if wrong is not None:
        raise ValueError(f"targets[{wrong}]: expected [query, key] {patterns[wrong].shape[-2:]}, found {np.shape(targets[wrong])}")
    targets = list(targets) if rows is None else _of_rows(targets, rows)
    counts = np.array([np.any(t, axis=-1).sum() for t in targets])
    if not counts.any():
        raise ValueError(
            f"targets: none in {len(patterns)} sequences of at most {max(p.shape[-1] for p in patterns)} tokens; expected a row with a key"
            " to attend to (induction and duplicate scores need a repeated token, the others a sequence of two tokens or more)"
        )
    sums = np.stack([np.einsum("lhqk,qk->lh", p, t, dtype=np.float64) for p, t in zip(patterns, targets, strict=True)])
    if not per_sequence:
        return sums.sum(axis=0) / counts.sum()
    counts = counts[:, None, None]
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)


def duplicate_targets(ids: Sequence[int] | np.ndarray) -> Bool[np.ndarray, "token token"]:
    """Earlier occurrences of each token, bool [query, key]."""
    tokens = np.asarray(ids)
    return np.tril(tokens[:, None] == tokens[None], k=-1)


def induction_targets(ids: Sequence[int] | np.ndarray) -> Bool[np.ndarray, "token token"]:
    """What came after earlier occurrences of each token, bool [query, key]."""
    repeated = duplicate_targets(ids)
    return np.hstack([np.zeros((len(repeated), 1), dtype=bool), repeated[:, :-1]])


def nearby_weights(targets: np.ndarray, width: int = 4, exclude: np.ndarray | None = None) -> Float[np.ndarray, "token token"]:
    """Weights by which the keys around a row's targets stand for these targets.

    `attention_to(patterns, weights)` is the score that recency and position alone explain; the rest of the score is the excess.

    Parameters
    ----------
    targets : bool [query, key]
    width : int
        Keys at most this far from a target count as near it, but not targets themselves and not keys later than the query.
    exclude : bool [query, key], optional
        Further keys that do not count as near, such as the earlier occurrences.

    Returns
    -------
    numpy.ndarray of float64 [query, key]
        Number of targets divided by number of near keys, at the near keys; zero in rows that have no near key.
    """
    near = np.zeros_like(targets)
    for shift in range(1, width + 1):
        near[:, shift:] |= targets[:, :-shift]
        near[:, :-shift] |= targets[:, shift:]
    near &= np.tril(np.ones_like(near)) & ~targets
    if exclude is not None:
        near &= ~exclude
    counts = near.sum(axis=-1, keepdims=True)
    return near * np.divide(targets.sum(axis=-1, keepdims=True), counts, out=np.zeros(counts.shape), where=counts > 0)


def _of_rows(targets: Sequence[np.ndarray], rows: Rows) -> list[np.ndarray]:
    """Targets with those of other rows set to zero."""
    if len(rows) != len(targets) or any(np.shape(r) != np.shape(t)[:1] for r, t in zip(rows, targets, strict=True)):
        found = [np.shape(r) for r in rows]
        raise ValueError(f"rows: expected bool [query] for each of {len(targets)} sequences, as long as it is, found {found[:3]}")
    return [np.asarray(t) * np.asarray(r, dtype=bool)[:, None] for r, t in zip(rows, targets, strict=True)]


def checked_patterns(patterns: Patterns) -> list[Float[np.ndarray, "layer head _query _key"]]:
    """Patterns as a list of arrays [layer, head, query, key]; raises ValueError for what cannot be that."""
    if isinstance(patterns, np.ndarray) and patterns.ndim == 4:
        patterns = [patterns]
    patterns = [np.asarray(p) for p in patterns]
    if not patterns:
        raise ValueError("patterns: expected one or more, found none")
    for index, pattern in enumerate(patterns):
        if pattern.ndim != 4 or pattern.shape[2] != pattern.shape[3] or 0 in pattern.shape:
            raise ValueError(f"patterns[{index}]: expected [layer, head, query, key], equally many of the last two, found {pattern.shape}")
        if pattern.shape[:2] != patterns[0].shape[:2]:
            raise ValueError(f"patterns[{index}]: expected {patterns[0].shape[:2]} layers and heads as before, found {pattern.shape[:2]}")
        if not (pattern.min() >= 0 and pattern.max() <= 1 + 1e-4):
            raise ValueError(f"patterns[{index}]: expected attention weights from 0 to 1, found {pattern.min():.3g} to {pattern.max():.3g}")
    return patterns


def checked_ids(ids: Ids, patterns: list[np.ndarray]) -> list[np.ndarray]:
    """Ids as one array a pattern; raises ValueError where numbers or lengths differ."""
    sequences: Sequence[Any] | np.ndarray = [ids] if np.ndim(ids[0] if len(ids) else ids) == 0 else ids
    if len(sequences) != len(patterns):
        raise ValueError(f"ids: expected one sequence for each of {len(patterns)} patterns, found {len(sequences)}")
    for index, (sequence, pattern) in enumerate(zip(sequences, patterns, strict=True)):
        if len(sequence) != pattern.shape[-1]:
            raise ValueError(f"ids[{index}]: expected {pattern.shape[-1]} tokens, as its pattern has, found {len(sequence)}")
    return [np.asarray(sequence) for sequence in sequences]
