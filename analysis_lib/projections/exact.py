"""What the searches for pairs and for tokens share: exact scores, bounds of float32 rounding, and checks of arguments."""

import math
import operator

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

RESCORED_ENTRIES = 1 << 18
"""Float64 products held at once while candidates are scored again (2 MiB, about a cache)."""

UNIT_ROUNDOFF = 2.0**-24
UNDERFLOW = 2.0**-120


def exact_scores(left: Tensor, right: Tensor, left_ids: np.ndarray, right_ids: np.ndarray) -> np.ndarray:
    """Float64 inner products of chosen rows; equal rows give equal bits.

    Parameters
    ----------
    left, right : Tensor, shapes [n_left, d] and [n_right, d]
    left_ids, right_ids : int array, shape [n]

    Returns
    -------
    numpy.ndarray of float64, shape [n]
    """
    scores = np.empty(len(left_ids))
    chunk = max(1, RESCORED_ENTRIES // left.shape[1])
    for start in range(0, len(left_ids), chunk):
        part = slice(start, start + chunk)
        products = left[torch.from_numpy(left_ids[part])].double().numpy()
        products *= right[torch.from_numpy(right_ids[part])].double().numpy()
        # Row by row, whatever the other rows are: no blocked product promises that.
        scores[part] = products.sum(axis=1)
    return scores


def refuse_rounded_products() -> None:
    """ValueError where PyTorch may round factors of float32 products on the CPU, which `rounding_bound` does not allow for.

    The setting is one of the whole process: to change it for a search would change it for what other threads compute.
    """
    matmul = getattr(torch.backends.mkldnn, "matmul", None)  # PyTorch 2.9 and later: one setting for each kind of device
    found = matmul.fp32_precision if matmul is not None else torch.get_float32_matmul_precision()
    if found in ("high", "medium", "tf32", "bf16"):
        raise ValueError(f"precision of float32 products: expected torch.set_float32_matmul_precision('highest'), found {found!r}")


def rounding_bound(width: int) -> float:
    """How far a float32 inner product may be off, as a share of `|a| |b|`.

    Higham (2002), "Accuracy and Stability of Numerical Algorithms", section 3.1:
    `width` roundings in any order, two more for entries rounded to float32, the
    rest for comparisons made in float32.
    """
    return (width + 8) * UNIT_ROUNDOFF * 1.01


def scaled(matrix: Tensor) -> tuple[Tensor, int]:
    """A copy divided by a power of two so that entries are below 1, and that power."""
    low, high = (end.item() for end in matrix.aminmax()) if matrix.numel() else (0.0, 0.0)
    exponent = int(np.frexp(max(-low, high))[1])
    # Two steps: 2 ** exponent alone may lie outside the range of a float.
    half = exponent // 2
    return (matrix * 2.0**-half).mul_(2.0 ** (half - exponent)), exponent


def count_argument(name: str, value: int) -> int:
    """`value` as an int of at least 1, or a ValueError that names it."""
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if number < 1 or isinstance(value, bool):
        raise ValueError(f"{name} must be a whole number of at least 1; got {value!r}")
    return number


def matrix_argument(name: str, value: ArrayLike | Tensor) -> Tensor:
    """`value` as a finite float tensor [rows, width] on the CPU, or a ValueError."""
    try:
        matrix = torch.as_tensor(value if isinstance(value, Tensor) else _plain_array(value), device="cpu").detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} must hold real numbers; got {getattr(value, 'dtype', type(value).__name__)} ({error})") from error
    if matrix.layout != torch.strided:
        raise ValueError(f"{name} must be a dense matrix; got a tensor of layout {matrix.layout}")
    if matrix.is_complex() or matrix.dtype == torch.bool:
        raise ValueError(f"{name} must hold real numbers; got {matrix.dtype}")
    if matrix.dtype not in (torch.float32, torch.float64):
        matrix = matrix.to(torch.float32 if matrix.is_floating_point() else torch.float64)
    if matrix.ndim != 2 or matrix.shape[1] == 0:
        raise ValueError(f"{name} must be a matrix [rows, width]; got shape {tuple(matrix.shape)}")
    if matrix.numel() and not all(map(math.isfinite, torch.stack(matrix.aminmax()).tolist())):
        finite = torch.isfinite(matrix)
        row, column = (~finite).nonzero()[0].tolist()
        raise ValueError(
            f"{name} must be finite; row {row}, column {column} holds "
            f"{matrix[row, column].item()} (first of {int((~finite).sum())} such values)"
        )
    return matrix


def _plain_array(value: ArrayLike) -> np.ndarray:
    """An array that torch takes: none in another byte order, none reversed, and none that it warns of because it cannot be written."""
    array = np.asarray(value)  # numbers of a list stay float64
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    return array.copy() if min(array.strides, default=0) < 0 or not array.flags.writeable else array


def refuse_overflow(names: str, left: Tensor, right: Tensor) -> None:
    """ValueError where products of rows of two matrices [rows, width] may be too large for float64, and their sums no numbers."""
    if torch.float64 not in (left.dtype, right.dtype) or not left.numel() or not right.numel():
        return  # float32 entries are too small for that
    one, other = (max(map(abs, torch.stack(side.aminmax()).tolist())) for side in (left, right))
    if not math.isfinite(one * other * left.shape[1]):
        raise ValueError(f"{names} must have products that float64 can hold; got entries up to {one:.1e} and {other:.1e}")


def mask_argument(name: str, value: ArrayLike | None, length: int) -> np.ndarray:
    """`value` as a bool array [length]; None keeps all."""
    if value is None:
        return np.ones(length, dtype=bool)
    mask = np.asarray(value.cpu() if isinstance(value, Tensor) else value)
    if mask.dtype != bool or mask.shape != (length,):
        raise ValueError(f"{name} must be a bool array of shape ({length},); got {mask.dtype} of shape {mask.shape}")
    return mask
