"""Measures from weights: copying and composition against dense matrices, composition against chance, known circuits."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from analysis_lib import circuits
from analysis_lib.circuits import composition_scores, composition_z, copying_scores
from tests.support import tiny_circuits

KINDS = ("Q", "K", "V")


@dataclass
class Weights:
    """As much of a TransformerWeights as these measures read."""

    W_V: torch.Tensor
    W_O: torch.Tensor
    W_E: torch.Tensor | None = None
    W_U: torch.Tensor | None = None
    W_Q: torch.Tensor | None = None
    W_K: torch.Tensor | None = None
    n_layers = property(lambda self: self.W_V.shape[0])
    n_heads = property(lambda self: self.W_V.shape[1])
    d_model = property(lambda self: self.W_V.shape[2])
    d_head = property(lambda self: self.W_V.shape[3])


@pytest.fixture
def weights():
    return random_weights()


def random_weights(layers=2, heads=3, width=12, d_head=5, vocab=30, seed=0):
    rng = torch.Generator().manual_seed(seed)
    reading, writing = (layers, heads, width, d_head), (layers, heads, d_head, width)
    shapes = {"W_E": (vocab, width), "W_U": (width, vocab), "W_V": reading, "W_O": writing, "W_Q": reading, "W_K": reading}
    return Weights(**{name: torch.randn(*shape, generator=rng) for name, shape in shapes.items()})


def test_copying_equals_the_eigenvalues_of_the_whole_circuit(weights):
    scores = copying_scores(weights)
    assert scores.shape == (2, 3)
    for layer, head in np.ndindex(2, 3):
        whole = weights.W_E @ weights.W_V[layer, head] @ weights.W_O[layer, head] @ weights.W_U
        eigenvalues = np.linalg.eigvals(whole.double().numpy())
        expected = eigenvalues.real.sum() / np.abs(eigenvalues).sum()
        # float32 rounding leaves 25 spurious eigenvalues near zero in the [30, 30] matrix
        assert scores[layer, head] == pytest.approx(expected, abs=1e-3)


def test_known_copying(weights):
    """Writing back what was read copies; with the sign turned it suppresses; zeros do neither."""
    weights.W_U = weights.W_E.T
    weights.W_O = weights.W_V.transpose(-1, -2).clone()
    weights.W_O[1] *= -1
    weights.W_O[0, 0] = 0
    np.testing.assert_allclose(copying_scores(weights), [[0, 1, 1], [-1, -1, -1]], atol=1e-6)


@pytest.mark.parametrize("d_head", [1, 4])
def test_rounding_is_neither_copying_nor_suppression(d_head):
    """Heads that map tokens to others which they do not read: all eigenvalues are zero."""
    basis = torch.linalg.qr(torch.randn(20, 20, generator=torch.Generator().manual_seed(d_head)))[0]
    reading, writing = basis[None, None, :, :d_head], basis.T[None, None, d_head : 2 * d_head]
    assert copying_scores(Weights(W_V=reading, W_O=writing, W_E=basis.T, W_U=basis)) == 0


def test_centred_copying_ignores_the_common_mean(weights):
    """A constant added to every embedding moves the raw score to the sign of one eigenvalue, and the centred score not at all."""
    before = copying_scores(weights, centre=True)
    shift = 20 * torch.randn(12, generator=torch.Generator().manual_seed(2))
    weights.W_E, weights.W_U = weights.W_E + shift, weights.W_U + shift[:, None]
    np.testing.assert_allclose(copying_scores(weights, centre=True), before, atol=1e-4)
    assert np.abs(copying_scores(weights)).mean() > 0.9 > np.abs(before).mean()


def test_copying_of_random_heads_is_balanced_and_bounded():
    scores = copying_scores(random_weights(layers=4, heads=16, width=64, d_head=8, vocab=200, seed=1))
    assert np.abs(scores).max() <= 1
    assert abs(scores.mean()) < 4 * scores.std() / np.sqrt(scores.size)


def dense(weights, kind):
    """Composition from whole [d_model, d_model] matrices."""
    ov = weights.W_V.double() @ weights.W_O.double()
    qk = weights.W_Q.double() @ weights.W_K.double().mT
    reads = {"Q": qk, "K": qk.mT, "V": ov}[kind]
    scores = np.zeros((weights.n_layers, weights.n_heads) * 2)
    for first, a, second, b in np.ndindex(scores.shape):
        if first < second:
            left, right = ov[first, a], reads[second, b]
            scores[first, a, second, b] = (left @ right).norm() / (left.norm() * right.norm())
    return scores


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("layers", "heads", "width", "d_head"), [(2, 3, 12, 5), (3, 2, 8, 8), (2, 1, 20, 1), (1, 4, 8, 2)])
def test_composition_equals_dense_products(kind, layers, heads, width, d_head):
    weights = random_weights(layers, heads, width, d_head)
    scores = composition_scores(weights, kind)
    assert scores.shape == (layers, heads, layers, heads)
    np.testing.assert_allclose(scores, dense(weights, kind), atol=1e-12)  # float64 throughout
    later = np.tril(np.ones((layers, layers), dtype=bool))
    assert (scores.transpose(0, 2, 1, 3)[later] == 0).all()
    assert (scores.transpose(0, 2, 1, 3)[~later] > 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_composition_does_not_see_scale_or_the_choice_of_factors(weights, kind):
    before = composition_scores(weights, kind)
    mix = torch.randn(5, 5, generator=torch.Generator().manual_seed(3))
    weights.W_V, weights.W_O = 7 * weights.W_V @ mix, torch.linalg.inv(mix) @ weights.W_O
    weights.W_Q, weights.W_K = 0.1 * weights.W_Q @ torch.linalg.inv(mix).T, weights.W_K @ mix
    np.testing.assert_allclose(composition_scores(weights, kind), before, rtol=1e-3)  # the inverse is in float32


def test_composition_with_a_head_of_zeros_is_zero(weights):
    weights.W_O[0, 1] = 0
    weights.W_K[1, 2] = 0
    found = composition_z(weights, "K", n_draws=10)
    assert np.isfinite(found.z).all()
    assert not found.scores[0, 1].any()
    assert not found.scores[0, :, 1, 2].any()
    assert found.scores[0, 0, 1, 0] > 0


def test_kinds_tell_what_is_read():
    """A head that writes into a subspace that one later head reads with its keys alone."""
    weights = random_weights(heads=1, width=12, d_head=4)
    basis = torch.linalg.qr(torch.randn(12, 12, generator=torch.Generator().manual_seed(1))).Q
    written, other = basis[:, :4], basis[:, 4:8]
    weights.W_O[0, 0], weights.W_K[1, 0] = written.T, written
    weights.W_Q[1, 0], weights.W_V[1, 0] = other, other
    found = {kind: float(composition_scores(weights, kind)[0, 0, 1, 0]) for kind in KINDS}
    assert found["K"] == pytest.approx(0.5, abs=0.1)  # 1 / sqrt(4) for heads of four equal singular values
    assert max(found["Q"], found["V"]) < 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_expected_square_of_composition_is_one_over_d_model_whatever_the_heads(kind):
    """Exactly so under random rotation; here to the standard error of 4,000 draws, for heads of very unequal singular values."""
    weights = random_weights(heads=2, width=16, d_head=4)
    for name in ("W_V", "W_Q", "W_K"):
        setattr(weights, name, getattr(weights, name) * torch.tensor([1.0, 0.3, 0.1, 0.03]))
    found = composition_z(weights, kind, n_draws=4000)
    square = (found.expected**2 + found.sd**2)[0, :, 1]
    error = 2 * found.expected[0, :, 1] * found.sd[0, :, 1] / np.sqrt(4000)
    assert (np.abs(square - 1 / 16) < 5 * error).all()
    np.testing.assert_allclose(found.z[0, :, 1], ((found.scores - found.expected)[0, :, 1] / found.sd[0, :, 1]))


def test_null_equals_rotating_the_whole_space(weights):
    """The small blocks of rotations against rotations of all of d_model between the two heads."""
    rng = np.random.default_rng(5)
    ov, qk = weights.W_V[0, 0] @ weights.W_O[0, 0], weights.W_Q[1, 0] @ weights.W_K[1, 0].T
    ov, reads = ov.double().numpy(), qk.T.double().numpy()
    drawn = []
    for _ in range(3000):
        q, r = np.linalg.qr(rng.standard_normal((12, 12)))
        drawn.append(np.linalg.norm(ov @ (q * np.sign(np.diag(r))) @ reads))
    drawn = np.array(drawn) / (np.linalg.norm(ov) * np.linalg.norm(reads))
    found = composition_z(weights, "K", n_draws=3000)
    error = drawn.std() / np.sqrt(3000)
    assert found.expected[0, 0, 1, 0] == pytest.approx(drawn.mean(), abs=6 * error)
    assert found.sd[0, 0, 1, 0] == pytest.approx(drawn.std(), rel=0.12)  # standard error of either: 1 / sqrt(6000)


def test_z_of_random_heads_is_standard_and_seeded():
    weights = random_weights(layers=3, heads=8, width=64, d_head=8)
    found = composition_z(weights, "K", n_draws=500)
    z = np.concatenate([found.z[0, :, 1:].ravel(), found.z[1, :, 2].ravel()])
    assert abs(z.mean()) < 0.6  # pairs share heads, so that they are not 192 independent draws
    assert 0.6 < z.std() < 1.5
    again = composition_z(weights, "K", n_draws=500)
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))
    assert not np.array_equal(found.sd, composition_z(weights, "K", n_draws=500, seed=1).sd)


def test_the_hand_built_circuit_composes_through_keys():
    """W_OV and W_QK are partial isometries of rank 12, so the score is sqrt(12) / (sqrt(12) sqrt(12)), and nothing else composes."""
    found = tiny_circuits.induction_weights()
    scores = {kind: composition_scores(found, kind) for kind in KINDS}
    assert scores["K"][0, 0, 1, 0] == pytest.approx(12**-0.5, abs=1e-6)
    assert scores["K"].sum() == pytest.approx(12**-0.5, abs=1e-6)
    assert scores["Q"].max() < 1e-6
    assert scores["V"].max() < 1e-6
    assert composition_z(found, "K").z[0, 0, 1, 0] > 5
    assert copying_scores(found)[1, 0] == pytest.approx(1, abs=1e-5)


def test_measures_leave_the_weights_alone(weights):
    before = {name: getattr(weights, name).clone() for name in ("W_E", "W_U", "W_V", "W_O", "W_Q", "W_K")}
    copying_scores(weights, centre=True)
    composition_z(weights, "V", n_draws=5)
    assert all(torch.equal(getattr(weights, name), value) for name, value in before.items())


def test_bad_arguments_are_named(weights):
    with pytest.raises(ValueError, match="kind: expected one of 'Q', 'K', 'V', found 'k'"):
        composition_scores(weights, "k")
    with pytest.raises(ValueError, match="n_draws: expected 2 or more, found 1"):
        composition_z(weights, "K", n_draws=1)


def test_the_study_exports_its_own_names_and_all_that_it_imports():
    imported = {name: value for name, value in vars(circuits).items() if callable(value) and not name.startswith("_")}
    assert set(circuits.__all__) == set(imported)
    assert all(value.__module__.startswith("analysis_lib.circuits.") for value in imported.values())
