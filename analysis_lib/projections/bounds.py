"""Bounds that say which pairs of two factors cannot be among the best, and an estimate of which bound pays.

The bound of all of them is Cauchy and Schwarz's, `a . b <= |a| |b|`, and two things make it tight.

*Balanced* coordinates: for any invertible M the factors `A M` and `B M^-T` have the product of A and B. M is chosen so that both are
written in the product's singular vectors, each scaled by the root of its singular value. A direction that is long in one factor and that
the other does not use, such as the mean of an embedding, then no longer counts.

*Split* bounds: `a . b <= a1 . b1 + |a2| |b2|`, where the first r coordinates are taken as they are. That is an inner product in r + 1
dimensions, and over a box of right-hand tokens its maximum is an inner product in 2 r + 1, so that every left-hand token is held against
every box in one small matrix product.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from analysis_lib.projections.exact import UNIT_ROUNDOFF, scaled

LEAF = 128
"""Tokens in a box, at most."""

MOST_LEAVES = 2048
"""Boxes, at most: with larger vocabularies they hold more tokens."""

RIDGE = 1e-9
"""Share of a Gram matrix's mean eigenvalue that is added to it, so that factors of deficient rank can be balanced."""

GRAM_ROWS = 8192
"""Rows that a Gram matrix is computed from, at most."""

VANISHING = 2.0**-60
"""More than a float32 norm can lose because squares below the smallest number vanish."""

SAMPLED = (256, 512)
"""Left and right tokens whose pairs estimate what a bound leaves."""


class Side(NamedTuple):
    """One factor's kept tokens.

    Attributes
    ----------
    ids : numpy.ndarray of int64, shape [n]
        Token ids.
    rows : Tensor of float32, shape [n, d]
        Their rows, in coordinates that both sides share.
    norms : numpy.ndarray of float64, shape [n]
        Norms of `rows`.
    """

    ids: np.ndarray
    rows: Tensor
    norms: np.ndarray

    def take(self, order: np.ndarray) -> "Side":
        """The same tokens in another order, or some of them."""
        return Side(self.ids[order], self.rows[torch.from_numpy(order)], self.norms[order])

    def by_norm(self) -> "Side":
        """The tokens from the largest norm to the smallest."""
        return self.take(np.argsort(-self.norms, kind="stable"))


class Sides(NamedTuple):
    """Both factors in common coordinates, scaled so that no norm is far above 1.

    Attributes
    ----------
    left, right : Side
    exponent : int
        A product of the factors as given is 2 to this power times that of the sides.
    drift : float
        By how much products of the sides' exact rows may differ from that: what float64 loses in balancing.
    """

    left: Side
    right: Side
    exponent: int
    drift: float


def prepare(left: Tensor, right: Tensor, keep_left: np.ndarray, keep_right: np.ndarray, negate: bool = False) -> Sides:
    """Kept rows of both factors (at least one on each side): balanced where that loses nothing, scaled, rounded to float32."""
    ids, rows, exponents = [], [], []
    for factor, keep in ((left, keep_left), (right, keep_right)):
        ids.append(np.flatnonzero(keep))
        kept = factor if keep.all() else factor[torch.from_numpy(ids[-1])]
        kept, exponent = scaled(kept) if kept.dtype == torch.float64 else (kept, 0)  # squares of float32 do not overflow in float64
        rows.append(kept.double())
        exponents.append(exponent)
    turned = balancing(*rows)
    if turned is None:
        pairs = [scaled(part) for part in rows]
        rows, exponent, drift = [part for part, _ in pairs], sum(exponents) + sum(power for _, power in pairs), 0.0
    else:
        turns, more, drift = turned
        rows, exponent = [part @ turn for part, turn in zip(rows, turns, strict=True)], sum(exponents) + more
    left, right = (Side(ids, *_rounded(part)) for ids, part in zip(ids, rows, strict=True))
    if negate:
        left.rows.neg_()
    return Sides(left, right, exponent, drift)


def _rounded(rows: Tensor) -> tuple[Tensor, np.ndarray]:
    """Rows in float32, and norms that are not below theirs: neither by rounding nor because small squares vanish."""
    rows = rows.float()
    norms = torch.linalg.vector_norm(rows, dim=1).double().numpy()
    return rows, norms * (1 + (rows.shape[1] + 4) * UNIT_ROUNDOFF) + VANISHING


def balancing(left: Tensor, right: Tensor) -> tuple[tuple[Tensor, Tensor], int, float] | None:
    """Matrices that balance two float64 factors.

    With Cholesky factors of their Gram matrices, `L' L = T_L T_L'` and so on, and `T_L' T_R = U S V'`, they are `M = T_L^-T U S^1/2`
    and its inverse, transposed. The Gram matrices come from evenly spaced rows where there are many: any invertible M leaves the
    product as it is.

    Returns
    -------
    turns : two Tensors [d, d]
        Both divided by a power of two, so that balanced rows are about 1 at most.
    exponent : int
        The product of the powers, as an exponent of two.
    drift : float
        What the products of balanced rows may lose.

    None where there is nothing to balance or the loss would be too large.
    """
    width, eye = left.shape[1], torch.eye(left.shape[1], dtype=torch.float64, device=left.device)
    roots, lengths = [], []
    for rows in (left, right):
        some = rows[:: -(-len(rows) // GRAM_ROWS)]
        gram = some.T @ some * (len(rows) / len(some))
        root, failed = torch.linalg.cholesky_ex(gram + RIDGE * gram.diagonal().mean() * eye)
        if failed.item() or not gram.diagonal().sum() > 0:
            return None
        roots.append(root)
        lengths.append(torch.linalg.vector_norm(rows, dim=1).max().item())
    u, s, _ = torch.linalg.svd(roots[0].T @ roots[1])
    if not s[0] > 0:
        return None
    scale = s.clamp_min(1e-6 * s[0]).sqrt()
    turn = torch.linalg.solve_triangular(roots[0].T, u * scale, upper=True)
    back = (roots[0] @ u) / scale
    # Products change by |turn @ back.T - 1| and by float64's rounding of three products.
    loss = (turn @ back.T - eye).norm() + 4 * (width + 4) * 2.0**-53 * turn.norm() * back.norm()
    exponent = int(np.frexp(np.sqrt(s[0].item()))[1])
    drift = np.ldexp(1.01 * loss.item() * lengths[0] * lengths[1], -2 * exponent)
    if not drift < 1e-3 / np.sqrt(len(left) * len(right)):  # a typical product of balanced norms
        return None
    return (turn * 2.0**-exponent, back * 2.0**-exponent), 2 * exponent, drift


def reduced(rows: Tensor, r: int) -> Tensor:
    """The first r coordinates and the norm of the others, [n, r + 1]: `a1 . b1 + |a2| |b2|` is an inner product of such rows."""
    return torch.cat([rows[:, :r], torch.linalg.vector_norm(rows[:, r:], dim=1, keepdim=True)], dim=1)


def shares_left(sides: Sides, reach: float, splits: tuple[int, ...]) -> dict[int, float]:
    """Share of pairs that a bound leaves at or above `reach`, from evenly spaced tokens of both sides; r = 0 is the bound by norms."""
    left, right = (side.rows[:: -(-len(side.ids) // size)] for side, size in zip(sides[:2], SAMPLED, strict=True))
    pairs = len(left) * len(right)
    return {r: (reduced(left, r) @ reduced(right, r).T >= reach).count_nonzero().item() / pairs for r in splits}


def leaves(points: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Cut points into small boxes of one size: into strips along the first coordinate, these along the second, and so on.

    Parameters
    ----------
    points : Tensor [n, c]
    weights : Tensor [c]
        How much an extent in each coordinate counts.

    Returns
    -------
    cells : Tensor of int64 [boxes, size]
        Indices of the points of each box. Some points stand in it twice, so that all boxes have one size.
    spare : Tensor of bool [boxes, size]
        Marks the second places; without them every point has one.
    """
    levels = int(np.ceil(np.log2(max(1.0, min(len(points) / LEAF, MOST_LEAVES)))))
    size = -(-len(points) // 2**levels)
    cells = torch.arange(size * 2**levels, device=points.device)[None]
    spare = cells >= len(points)
    cells = cells % len(points)
    # Each halving goes to the coordinate that is then the widest.
    extents = points.std(dim=0, correction=0) * weights
    halvings = torch.zeros(len(weights), dtype=torch.int64, device=points.device)
    for _ in range(levels):
        halvings[(extents * 0.5**halvings).argmax()] += 1
    for coordinate, count in enumerate(halvings.tolist()):
        if count:
            order = points[:, coordinate][cells].argsort(1)
            size = cells.shape[1] // 2**count
            cells, spare = cells.gather(1, order).view(-1, size), spare.gather(1, order).view(-1, size)
    return cells, spare


def box_rows(points: Tensor, cells: Tensor) -> Tensor:
    """The largest and then the smallest coordinates of each box, [boxes, 2 c]."""
    return torch.cat([points[cells].amax(1), points[cells].amin(1)], dim=1)


def against_boxes(points: Tensor) -> Tensor:
    """Rows [n, 2 c] whose inner product with a row of `box_rows` is the point's largest inner product with anything in that box."""
    return torch.cat([points.clamp_min(0), points.clamp_max(0)], dim=1)
