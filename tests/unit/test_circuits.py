"""The copying score against the whole vocabulary-sized circuit."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from analysis_lib.circuits import copying_scores


@dataclass
class Weights:
    """As much of a TransformerWeights as a copying score reads."""

    W_E: torch.Tensor
    W_U: torch.Tensor
    W_V: torch.Tensor
    W_O: torch.Tensor


@pytest.fixture
def weights():
    rng = torch.Generator().manual_seed(0)
    shapes = (30, 12), (12, 30), (2, 3, 12, 5), (2, 3, 5, 12)
    return Weights(*(torch.randn(*shape, generator=rng) for shape in shapes))


def test_equals_the_eigenvalues_of_the_whole_circuit(weights):
    scores = copying_scores(weights)
    assert scores.shape == (2, 3)
    for layer, head in np.ndindex(2, 3):
        whole = weights.W_E @ weights.W_V[layer, head] @ weights.W_O[layer, head] @ weights.W_U
        eigenvalues = np.linalg.eigvals(whole.double().numpy())
        expected = eigenvalues.real.sum() / np.abs(eigenvalues).sum()
        # float32 rounding leaves 25 spurious eigenvalues near zero in the [30, 30] matrix
        assert scores[layer, head] == pytest.approx(expected, abs=1e-3)


def test_known_answers(weights):
    """Writing back what was read copies; with the sign turned it suppresses; zeros do neither."""
    weights.W_U = weights.W_E.T
    weights.W_O = weights.W_V.transpose(-1, -2).clone()
    weights.W_O[1] *= -1
    weights.W_O[0, 0] = 0
    np.testing.assert_allclose(copying_scores(weights), [[0, 1, 1], [-1, -1, -1]], atol=1e-6)


def test_centred_scores_ignore_the_common_mean(weights):
    """A constant added to every embedding moves the raw score to the sign of one eigenvalue, and the centred score not at all."""
    before = copying_scores(weights, centre=True)
    shift = 20 * torch.randn(12, generator=torch.Generator().manual_seed(2))
    weights.W_E, weights.W_U = weights.W_E + shift, weights.W_U + shift[:, None]
    np.testing.assert_allclose(copying_scores(weights, centre=True), before, atol=1e-4)
    assert np.abs(copying_scores(weights)).mean() > 0.9 > np.abs(before).mean()


def test_random_heads_are_balanced_and_bounded():
    rng = torch.Generator().manual_seed(1)
    shapes = (200, 64), (64, 200), (4, 16, 64, 8), (4, 16, 8, 64)
    scores = copying_scores(Weights(*(torch.randn(*shape, generator=rng) for shape in shapes)))
    assert np.abs(scores).max() <= 1
    assert abs(scores.mean()) < 4 * scores.std() / np.sqrt(scores.size)
