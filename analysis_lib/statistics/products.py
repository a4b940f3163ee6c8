"""All that a linear regression needs of its rows, so that cross-validation multiplies each row once."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Products:
    """How many rows there are, their sums and their products; those of some rows can be taken from those of all.

    Attributes
    ----------
    n : int
    sum_x, sum_y : float64 [d], [c]
    xx, xy : float64 [d, d], [d, c]
        Sums of products over rows. They lose digits where means are large beside what varies: subtract a common mean first.
    """

    n: int
    sum_x: np.ndarray
    sum_y: np.ndarray
    xx: np.ndarray
    xy: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray) -> "Products":
        """Of rows x [n, d] and y [n, c]."""
        return cls(len(x), x.sum(axis=0), y.sum(axis=0), x.T @ x, x.T @ y)

    def __add__(self, other: "Products") -> "Products":
        return Products(*(own + more for own, more in zip(self._parts(), other._parts(), strict=True)))

    def __sub__(self, other: "Products") -> "Products":
        return Products(*(own - less for own, less in zip(self._parts(), other._parts(), strict=True)))

    def centred(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Means of x and y, and the sums of products [d, d] and [d, c] of the deviations from them."""
        mean_x, mean_y = self.sum_x / self.n, self.sum_y / self.n
        return mean_x, mean_y, self.xx - np.outer(mean_x, self.sum_x), self.xy - np.outer(mean_x, self.sum_y)

    def _parts(self) -> tuple:
        return self.n, self.sum_x, self.sum_y, self.xx, self.xy
