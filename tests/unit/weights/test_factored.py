"""Factored matrices against the dense products that they stand for, and heads against their weights."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from analysis_lib import projections, weights
from analysis_lib.weights import FactoredMatrix
from tests.support import tiny
from tests.support.examples import examples


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def factored(rows, rank, columns, seed=0, batch=()):
    return FactoredMatrix(random(*batch, rows, rank, seed=seed), random(*batch, rank, columns, seed=seed + 1))


@examples(25)
@given(
    rows=st.integers(1, 9), rank=st.integers(1, 6), columns=st.integers(1, 9), other=st.integers(1, 7), seed=st.integers(0, 50),
    batch=st.sampled_from([(), (2,), (2, 3)]),
)  # fmt: skip
def test_products_transpose_norm_and_singular_values_are_the_dense_ones(rows, rank, columns, other, seed, batch):
    matrix = factored(rows, rank, columns, seed, batch)
    dense = matrix.left @ matrix.right
    assert matrix.shape == dense.shape
    torch.testing.assert_close(matrix.dense(), dense)
    torch.testing.assert_close(matrix.T.dense(), dense.mT)
    after, before = random(columns, other, seed=seed + 2), random(other, rows, seed=seed + 3)
    torch.testing.assert_close((matrix @ after).dense(), dense @ after)
    torch.testing.assert_close((before @ matrix).dense(), before @ dense)
    for inner in (1, 5):
        second = factored(columns, inner, other, seed + 4)
        product = matrix @ second
        torch.testing.assert_close(product.dense(), dense @ second.dense())
        assert product.rank == min(rank, inner)
    torch.testing.assert_close(matrix.norm(), torch.linalg.matrix_norm(dense))
    u, s, vh = matrix.svd()
    torch.testing.assert_close(u @ torch.diag_embed(s) @ vh, dense)
    torch.testing.assert_close(s, matrix.singular_values())
    expected = torch.linalg.svdvals(dense)
    found = torch.nn.functional.pad(s, (0, max(0, expected.shape[-1] - s.shape[-1])))[..., : expected.shape[-1]]
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-7)


def test_singular_vectors_are_orthonormal():
    u, s, vh = factored(30, 4, 20).svd()
    assert (u.shape, s.shape, vh.shape) == ((30, 4), (4,), (4, 20))
    torch.testing.assert_close(u.T @ u, torch.eye(4, dtype=torch.float64))
    torch.testing.assert_close(vh @ vh.T, torch.eye(4, dtype=torch.float64))
    assert (s.diff() < 0).all()


def test_eigenvalues_are_the_dense_ones_that_are_not_zero():
    matrix = factored(12, 3, 12, seed=3)
    dense = torch.linalg.eigvals(matrix.dense())
    largest = dense[dense.abs() > 1e-9]
    found = matrix.eigenvalues()
    assert len(largest) == len(found) == 3
    np.testing.assert_allclose(np.sort_complex(found.numpy()), np.sort_complex(largest.numpy()), atol=1e-9)
    with pytest.raises(ValueError, match=r"eigenvalues: expected a square matrix, found \(12, 11\)"):
        factored(12, 3, 11).eigenvalues()


def test_a_vector_from_either_side_gives_a_vector():
    matrix = factored(7, 2, 5)
    torch.testing.assert_close(matrix @ random(5), matrix.dense() @ random(5))
    torch.testing.assert_close(random(7) @ matrix, random(7) @ matrix.dense())


def test_nothing_of_the_size_of_the_vocabulary_squared_is_formed():
    """A million tokens: the product would have four terabytes."""
    matrix = FactoredMatrix(torch.ones(1_000_000, 1), torch.ones(1, 1_000_000))
    assert matrix.shape == (1_000_000, 1_000_000)
    assert float(matrix.norm()) == pytest.approx(1e6, rel=1e-3)
    assert float(matrix.eigenvalues().real) == pytest.approx(1e6, rel=1e-3)


@pytest.mark.parametrize(("left", "right"), [((3, 2), (3, 2)), ((3,), (3, 2))])
def test_factors_that_do_not_fit_are_named(left, right):
    with pytest.raises(ValueError, match="left, right: expected"):
        FactoredMatrix(torch.zeros(left), torch.zeros(right))


def test_a_heads_matrices_are_its_weights_and_its_pairs_those_of_the_projection():
    found = weights.weights_of(tiny.gpt2(layers=3, heads=4, width=24))
    head = found.head(2, 3)
    assert head.label == "L2H3"
    assert "rank 6" in repr(head)
    torch.testing.assert_close(head.vo.dense(), found.W_V[2, 3] @ found.W_O[2, 3])
    torch.testing.assert_close(head.qk.dense(), found.W_Q[2, 3] @ found.W_K[2, 3].T)
    assert head.W_V.data_ptr() == found.W_V[2, 3].data_ptr()
    pairs = found.W_E @ head.vo @ found.W_U
    assert pairs.shape == (400, 400)
    left, right = projections.vo_factors(found, 2, 3)
    assert torch.equal(pairs.left, left)
    assert torch.equal(pairs.right.T, right)
    best = projections.top_pairs(pairs.left, pairs.right.T, k=1)
    assert float(best.scores[0]) == pytest.approx(float(pairs.dense().max()), rel=1e-5)


@pytest.mark.parametrize(("arguments", "message"), [((3, 0), "layer: .* from 0 to 2, found 3"), ((0, -1), "head: .* 0 to 3, found -1")])
def test_heads_that_are_not_there_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        weights.weights_of(tiny.gpt2(layers=3, heads=4, width=24)).head(*arguments)


@pytest.mark.parametrize("shape", [(3,), (2,), (2, 3)])
def test_batches_of_matrices_times_a_vector(shape):
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(*shape, *size, generator=generator) for size in ((5, 3), (3, 5)))
    vector = torch.randn(5, generator=generator)
    factored, dense = FactoredMatrix(left, right), left @ right
    torch.testing.assert_close(vector @ factored, torch.einsum("r,...rc->...c", vector, dense))
    torch.testing.assert_close(factored @ vector, torch.einsum("...rc,c->...r", dense, vector))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_decomposed_as_float32(dtype):
    half = FactoredMatrix(random(9, 3).to(dtype), random(3, 9).to(dtype))
    whole = FactoredMatrix(half.left.float(), half.right.float())
    torch.testing.assert_close(half.singular_values(), whole.singular_values())
    torch.testing.assert_close(half.norm(), whole.norm())
    torch.testing.assert_close(half.svd()[1], whole.svd()[1])
    assert half.eigenvalues().isfinite().all()


def test_arrays_multiply_from_both_sides():
    matrix, array = FactoredMatrix(random(9, 3), random(3, 7)), random(7, 2)
    torch.testing.assert_close((matrix @ array.numpy()).dense(), (matrix @ array).dense())
    torch.testing.assert_close((random(2, 9).numpy() @ matrix).dense(), (random(2, 9) @ matrix).dense())
