"""The best pairs of a product of two thin factors, exactly and without forming it.

A head's matrix in embedding space is `left @ right.T` with two factors of shape `[vocab, d_head]`. At a vocabulary of 51,200 the product
has 2.6 billion entries; its best fifty are obtained here without computing most of them.

Two strategies share the bounds of `bounds`, and a sample of pairs says which would compute less. *Norms*: tokens of both sides are
ordered by their norm, and blocks of the product are computed whose norms can reach the score of the `k`-th pair so far. *Split*: the
right side is cut into small boxes, and every box is multiplied by the left-hand tokens that can reach that score in it.

Closest are LEMP (Teflioudi, Gemulla and Mykytiuk, "LEMP: Fast Retrieval of Large Entries in a Matrix Product", SIGMOD 2015: buckets of
tokens ordered by length, and bounds for each), FEXIPRO (Li, Chan, Yiu and Mamoulis, "FEXIPRO: Fast and Exact Inner Product Retrieval in
Recommender Systems", SIGMOD 2017: an SVD of the items, partial products and the norms of what is left, one query at a time), trees of
balls (Ram and Gray, "Maximum Inner-Product Search Using Cone Trees", KDD 2012) and "To Index or Not to Index: Optimizing Exact Maximum
Inner Product Search" (Abuzaid, Sethi, Bailis and Zaharia, ICDE 2019), which shows that plain blocked products often beat cleverer indexes
on real hardware. They answer queries one at a time; here the `k` best pairs of all are wanted, so that both sides can be balanced and one
score prunes everything.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from analysis_lib.projections.best_pairs import BestPairs, TopPairs
from analysis_lib.projections.bounds import VANISHING, Side, Sides, against_boxes, box_rows, leaves, prepare, reduced, shares_left
from analysis_lib.projections.exact import (
    UNDERFLOW,
    count_argument,
    exact_scores,
    mask_argument,
    matrix_argument,
    refuse_overflow,
    refuse_rounded_products,
    rounding_bound,
)

BLOCK = 1024
"""Rows and columns of a block: 1024 x 1024 float32 scores are 4 MiB, about a cache."""

CORNER = 128
"""Tokens that are largest in some respect and are searched first, for a score to begin with."""

CHUNK = 64
"""Left-hand tokens that are multiplied by a box at once."""

BOUNDS_HELD = 1 << 22
"""Float32 bounds of left-hand tokens against boxes that are held at once (16 MiB)."""

SPLITS = {"norms": 0, "split 1": 1, "split 2": 2}
"""Strategies, and the coordinates that their bound takes as they are."""


class SearchReport(NamedTuple):
    """How a search went.

    Attributes
    ----------
    strategy : str
        A key of `SPLITS`, or `nothing` where no pair was allowed.
    computed : int
        Entries of the product that were computed.
    """

    strategy: str
    computed: int


def top_pairs(
    left: ArrayLike | Tensor,
    right: ArrayLike | Tensor,
    k: int = 50,
    keep_left: ArrayLike | None = None,
    keep_right: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    largest: bool = True,
) -> TopPairs:
    """The `k` best entries of `left @ right.T`, exactly.

    Only the parts of the product are computed that a bound cannot rule out (see `bounds`), in float32 and from
    the largest bound down. Every entry that rounding could have kept off the list is scored again in float64, so
    that the list is that of the float64 product.

    Parameters
    ----------
    left : array or tensor, shape [n_left, d]
    right : array or tensor, shape [n_right, d]
        The two factors; finite.
    k : int
        Number of pairs wanted, at least 1.
    keep_left, keep_right : bool array, shape [n_left] and [n_right], optional
        Tokens that may stand on each side. Default: all.
    groups : int array, shape [vocab], optional
        Pairs of two tokens with equal groups are left out (for example forms that
        differ only in case). Both factors must then have `vocab` rows.
    largest : bool
        The largest scores first, or (False) the smallest, most negative, first.

    Returns
    -------
    TopPairs
        Sorted by score; equal scores by left id, then right id. Fewer than `k`
        pairs only when fewer are allowed; none is an empty list.

    Raises
    ------
    ValueError
        Factors that are not two finite matrices of one width or whose products float64
        cannot hold, masks or groups that do not fit them, or `k` below 1. The message
        names the argument. Also where `torch.set_float32_matmul_precision` lets float32
        products be rounded further: the bounds of errors assume that they are not.

    Notes
    -----
    Products too small for float64 (about 1e-308) count as 0. Among pairs that are
    equal for that reason alone, which are listed and in which order is not promised.

    Examples
    --------
    >>> top_pairs(np.eye(3), np.diag([1.0, 5.0, 2.0]), k=2).scores
    array([5., 2.])
    """
    return search_pairs(left, right, k, keep_left, keep_right, groups, largest)[0]


def search_pairs(
    left: ArrayLike | Tensor,
    right: ArrayLike | Tensor,
    k: int = 50,
    keep_left: ArrayLike | None = None,
    keep_right: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    largest: bool = True,
    strategy: str | None = None,
) -> tuple[TopPairs, SearchReport]:
    """`top_pairs` with a report of how the search went, and with a strategy (a key of `SPLITS`) where that is not to be chosen."""
    refuse_rounded_products()
    k = count_argument("k", k)
    left, right = matrix_argument("left", left), matrix_argument("right", right)
    if left.shape[1] != right.shape[1]:
        raise ValueError(f"left and right must have the same width; got {tuple(left.shape)} and {tuple(right.shape)}")
    refuse_overflow("left and right", left, right)
    keep_left = mask_argument("keep_left", keep_left, len(left))
    keep_right = mask_argument("keep_right", keep_right, len(right))
    groups = _groups(groups, len(left), len(right))
    if strategy is not None and strategy not in SPLITS:
        raise ValueError(f"strategy must be one of {', '.join(SPLITS)}; got {strategy!r}")
    sign = 1 if largest else -1
    with torch.inference_mode():
        if not (keep_left.any() and keep_right.any()):
            return BestPairs(k, np.multiply).settle(), SearchReport("nothing", 0)
        sides = prepare(left, right, keep_left, keep_right, negate=not largest)

        def score(left_ids: np.ndarray, right_ids: np.ndarray) -> np.ndarray:
            return sign * np.ldexp(exact_scores(left, right, left_ids, right_ids), -sides.exponent)

        best = BestPairs(k, score, groups)
        best.floor = _first_floor(sides, BestPairs(k, score, groups))
        strategy = strategy or _choose(sides, best.floor)
        visit = _by_boxes if SPLITS[strategy] else _by_norms
        computed = visit(sides, best, SPLITS[strategy])
        found = best.settle()
    # Scaling and sign are for the search alone.
    scores = exact_scores(left, right, found.left_ids, found.right_ids)
    return TopPairs(found.left_ids, found.right_ids, scores), SearchReport(strategy, computed)


def _margin(sides: Sides, largest: float) -> float:
    """How far a float32 score of the sides' rows may be from the true one, where `|a| |b|` is at most `largest`."""
    return largest * rounding_bound(sides.left.rows.shape[1]) + UNDERFLOW + sides.drift


def _box_margin(sides: Sides, r: int) -> float:
    """How far a float32 bound of a pair with a box may be below the true score: both have the margin of a score, over r + 1 terms."""
    left, right = sides.left.norms.max(), sides.right.norms.max()
    return (1 + 2 * np.sqrt(r + 1)) * 1.1 * _margin(sides, left * right) + VANISHING * (left + right)


def _first_floor(sides: Sides, best: BestPairs) -> float:
    """A score that the k-th pair reaches, from tokens of large norm or with a large or small first coordinate; -inf if they are too few."""
    chosen = []
    for side in sides[:2]:
        size, first = min(CORNER, len(side.ids)), side.rows[:, 0].numpy()
        ends = [np.argpartition(values, -size)[-size:] for values in (side.norms, first, -first)]
        chosen.append(side.take(np.unique(np.concatenate(ends))))
    left, right = chosen
    scores = left.rows @ right.rows.T
    margin = _margin(sides, left.norms.max() * right.norms.max())
    # A few times k entries are enough, unless most of them are of equal groups.
    best.floor = scores.flatten().topk(min(4 * best.k, scores.numel())).values[-1].item()
    best.offer(scores, 0.0, left.ids, right.ids)
    if len(best.scores) < best.k:
        best = BestPairs(best.k, best.exact, best.groups)
        best.offer(scores, 0.0, left.ids, right.ids)
    return best.floor - margin if len(best.scores) >= best.k else -np.inf


def _choose(sides: Sides, floor: float) -> str:
    """The strategy that would compute least, from a sample of pairs; boxes cost a little more for each entry, and some beforehand."""
    left, right, _, _ = sides
    if not np.isfinite(floor) or len(left.ids) * len(right.ids) < 16 * BLOCK**2 or _box_margin(sides, 2) > 0.02 * abs(floor):
        return "norms"
    shares = shares_left(sides, floor, tuple(SPLITS.values()))
    costs = {name: shares[r] if r == 0 else 0.02 + 3 * shares[r] for name, r in SPLITS.items()}
    costs["split 2"] += 0.005
    return min(costs, key=costs.__getitem__)


def _by_norms(sides: Sides, best: BestPairs, _r: int = 0) -> int:
    """Visit blocks of tokens ordered by norm, from the largest bound `|a| |b|` down; the number of entries computed."""
    margin = _margin(sides, sides.left.norms.max() * sides.right.norms.max())
    left, right = (
        side.take(np.flatnonzero(side.norms * other.norms.max() >= best.floor - margin)).by_norm()
        for side, other in ((sides.left, sides.right), (sides.right, sides.left))
    )
    if not (len(left.ids) and len(right.ids)):
        return 0
    # Small vocabularies in smaller blocks, for what a bound leaves is a part of few blocks otherwise.
    size = min(BLOCK, max(1, BLOCK // 8, len(left.ids) // 8, len(right.ids) // 8))
    bounds = np.outer(left.norms[::size], right.norms[::size])
    buffer = torch.empty(size * size, dtype=left.rows.dtype, device=left.rows.device)
    computed = 0
    for block in np.argsort(-bounds, axis=None, kind="stable"):
        bound = bounds.flat[block]
        margin = _margin(sides, bound)
        reach = best.floor - margin
        if bound < reach:
            break
        i, j = (size * int(part) for part in divmod(block, bounds.shape[1]))
        # Norms fall inside a block too: drop rows and columns that cannot reach the floor.
        n_rows = np.count_nonzero(left.norms[i : i + size] * right.norms[j] >= reach)
        n_columns = np.count_nonzero(right.norms[j : j + size] * left.norms[i] >= reach)
        scores = buffer[: n_rows * n_columns].view(n_rows, n_columns)
        torch.mm(left.rows[i : i + n_rows], right.rows[j : j + n_columns].T, out=scores)
        best.offer(scores, margin, left.ids[i : i + n_rows], right.ids[j : j + n_columns])
        computed += scores.numel()
    return computed


def _by_boxes(sides: Sides, best: BestPairs, r: int) -> int:
    """Visit boxes of right-hand tokens with the left-hand tokens that can reach the floor there; the number of entries computed."""
    margin, slack = _margin(sides, sides.left.norms.max() * sides.right.norms.max()), _box_margin(sides, r)
    left, a, right, b = _alive(sides, best.floor - slack, r)
    if not (len(a) and len(b)):
        return 0
    cells, spare = leaves(b, a.square().mean(0).sqrt())
    corners, queries = box_rows(b, cells), against_boxes(a)
    box_ids = right.ids[cells.numpy()]
    box_ids[spare.numpy()] = -1
    columns = right.rows[cells]
    # Boxes that are best for a few large tokens come first: they raise the floor.
    probes = queries[torch.from_numpy(np.argpartition(left.norms, -min(CORNER, len(a)))[-CORNER:])]
    order = (probes @ corners.T).amax(0).argsort(descending=True)
    step = max(1, BOUNDS_HELD // len(a))
    starts = [0, *range(max(1, min(step, len(order) // 16)), len(order), step), len(order)]
    computed = 0
    for start, stop in zip(starts[:-1], starts[1:], strict=True):
        group = order[start:stop]
        box, row = (corners[group] @ queries.T >= best.floor - slack).nonzero().T
        computed += _visit(best, margin, left, row, columns, box_ids, group[box])
    return computed


def _alive(sides: Sides, reach: float, r: int) -> tuple[Side, Tensor, Side, Tensor]:
    """Tokens of each side that can reach a score in the box around the other side, and their reduced rows."""
    found = []
    points = [reduced(side.rows, r) for side in sides[:2]]
    for side, own, other in zip(sides[:2], points, points[::-1], strict=True):
        around = torch.cat([other.amax(0), other.amin(0)])
        alive = (against_boxes(own) @ around >= reach).nonzero()[:, 0]
        found += [side.take(alive.numpy()), own[alive]] if len(alive) < len(own) else [side, own]
    return tuple(found)


def _visit(best: BestPairs, margin: float, left: Side, row: Tensor, columns: Tensor, box_ids: np.ndarray, box: Tensor) -> int:
    """Multiply tokens by boxes, `row` by `box` and sorted by box: as many tokens of one box at once as `CHUNK`."""
    if not len(row):
        return 0
    # Each box begins a chunk of its own, and -1 fills up the last one.
    boxes, counts = torch.unique_consecutive(box, return_counts=True)
    chunks = -(-counts // CHUNK)
    shift = chunks.cumsum(0).sub_(chunks).mul_(CHUNK) - counts.cumsum(0).sub_(counts)
    rows = torch.full((int(chunks.sum()) * CHUNK,), -1, device=row.device)
    rows[torch.arange(len(row), device=row.device) + shift.repeat_interleave(counts)] = row
    rows, boxes = rows.view(-1, CHUNK), boxes.repeat_interleave(chunks)
    step = max(1, BLOCK * BLOCK // (CHUNK * columns.shape[1]))
    for start in range(0, len(rows), step):
        here, place = rows[start : start + step], boxes[start : start + step]
        scores = left.rows[here.clamp_min(0)] @ columns[place].transpose(1, 2)
        ids = left.ids[here.clamp_min(0).numpy()]
        best.offer(scores, margin, np.where(here.numpy() < 0, -1, ids), box_ids[place.numpy()])
    return len(rows) * CHUNK * columns.shape[1]


def _groups(groups: np.ndarray | Tensor | None, n_left: int, n_right: int) -> np.ndarray | None:
    if groups is None:
        return None
    groups = np.asarray(groups.cpu() if isinstance(groups, Tensor) else groups)
    if groups.dtype.kind not in "iu" or groups.shape != (n_left,) or n_left != n_right:
        raise ValueError(
            f"groups must be an integer array with one entry for each row of left "
            f"({n_left}) and of right ({n_right}); got {groups.dtype} of shape "
            f"{groups.shape}"
        )
    return groups
