r"""A matrix as the product of a tall and a wide one, never formed.

A head's $W_{VO} = W_V W_O$ and $W_{QK} = W_Q W_K^\top$ are [d_model, d_model] of rank d_head at most, and between embeddings they are
[vocab, vocab]: ten gigabytes for a vocabulary of fifty thousand, while the two factors have ten megabytes. Products with other matrices,
the transpose, singular values, eigenvalues and the norm all follow from the factors.

The peer of this class is TransformerLens's `FactoredMatrix`.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class FactoredMatrix:
    """The matrix `left @ right`.

    Multiplied by a matrix from either side, `@` gives another factored matrix; by a vector, a vector.

    Attributes
    ----------
    left : Tensor [..., row, rank]
    right : Tensor [..., rank, column]

    Raises
    ------
    ValueError
        Factors whose inner sizes differ.
    """

    left: Tensor
    right: Tensor
    __array_ufunc__ = None  # `array @ matrix` asks the matrix

    def __post_init__(self) -> None:
        if self.left.ndim < 2 or self.right.ndim < 2 or self.left.shape[-1] != self.right.shape[-2]:
            found = f"{tuple(self.left.shape)} and {tuple(self.right.shape)}"
            raise ValueError(f"left, right: expected [..., row, rank] and [..., rank, column], found {found}")

    def __repr__(self) -> str:
        return f"FactoredMatrix({list(self.shape)} of rank {self.rank} at most)"

    @property
    def shape(self) -> torch.Size:
        """Shape of the product."""
        batch = torch.broadcast_shapes(self.left.shape[:-2], self.right.shape[:-2])
        return torch.Size((*batch, self.left.shape[-2], self.right.shape[-1]))

    @property
    def rank(self) -> int:
        """The inner size, which the rank of the product cannot exceed."""
        return self.left.shape[-1]

    @property
    def T(self) -> "FactoredMatrix":
        """The transpose."""
        return FactoredMatrix(self.right.mT, self.left.mT)

    def __matmul__(self, other: "Tensor | FactoredMatrix") -> "Tensor | FactoredMatrix":
        if isinstance(other, FactoredMatrix):
            middle = self.right @ other.left
            if self.rank <= other.rank:
                return FactoredMatrix(self.left, middle @ other.right)
            return FactoredMatrix(self.left @ middle, other.right)
        other = torch.as_tensor(other)
        if other.ndim == 1:
            return (self.left @ (self.right @ other)[..., None])[..., 0]
        return FactoredMatrix(self.left, self.right @ other)

    def __rmatmul__(self, other: Tensor) -> "Tensor | FactoredMatrix":
        other = torch.as_tensor(other)
        if other.ndim == 1:
            return ((other @ self.left)[..., None, :] @ self.right)[..., 0, :]
        return FactoredMatrix(other @ self.left, self.right)

    def dense(self) -> Float[Tensor, "*batch row column"]:
        """The product itself [..., row, column]: for small matrices."""
        return self.left @ self.right

    def svd(self) -> tuple[Float[Tensor, "*batch row rank"], Float[Tensor, "*batch rank"], Float[Tensor, "*batch rank column"]]:
        """Singular value decomposition, from that of a matrix of the size of the rank.

        Returns
        -------
        U, S, Vh : Tensor [..., row, rank], [..., rank], [..., rank, column]
            Singular values descend; `U @ diag(S) @ Vh` is the product.
        """
        q_left, r_left = torch.linalg.qr(_decomposable(self.left))
        q_right, r_right = torch.linalg.qr(_decomposable(self.right.mT))
        u, s, vh = torch.linalg.svd(r_left @ r_right.mT, full_matrices=False)
        return q_left @ u, s, vh @ q_right.mT

    def singular_values(self) -> Float[Tensor, "*batch rank"]:
        """Singular values [..., rank], from the largest down."""
        return torch.linalg.svdvals(self._core())

    def norm(self) -> Float[Tensor, "*batch"]:
        """The Frobenius norm [...]."""
        return torch.linalg.matrix_norm(self._core())

    def _core(self) -> Tensor:
        """A matrix [..., rank, rank] at most, with the singular values of the product."""
        return torch.linalg.qr(_decomposable(self.left)).R @ torch.linalg.qr(_decomposable(self.right.mT)).R.mT

    def eigenvalues(self) -> Complex[Tensor, "*batch rank"]:
        """The eigenvalues that may differ from zero, complex [..., rank], in no order.

        `left @ right` and `right @ left`, which is as small as the rank, share them.

        Raises
        ------
        ValueError
            The product is not square.
        """
        if self.shape[-1] != self.shape[-2]:
            raise ValueError(f"eigenvalues: expected a square matrix, found {tuple(self.shape)}")
        return torch.linalg.eigvals(_decomposable(self.right @ self.left))


def _decomposable(matrix: Tensor) -> Tensor:
    """A matrix as float32 where it is half as precise, since there are no decompositions of such."""
    return matrix.float() if matrix.dtype in (torch.float16, torch.bfloat16) else matrix
