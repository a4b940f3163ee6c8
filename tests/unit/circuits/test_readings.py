"""Notebook 002's departures, one by one, on scores whose patterns can be written down."""

import numpy as np
import pytest
import torch

from analysis_lib import weights
from analysis_lib.circuits import readings
from analysis_lib.circuits.terms import score_terms
from tests.support import tiny_minigpt


def masked(scores):
    return scores.masked_fill(torch.ones(scores.shape[-2:]).triu(1).bool(), -torch.inf)


def test_zeros_for_a_mask_let_attention_go_to_the_future():
    patterns = readings.notebook_patterns(masked(torch.zeros(1, 1, 4, 4)), scale=0.5)
    np.testing.assert_allclose(patterns["model"][0, 0, 1], [0.5, 0.5, 0, 0])
    np.testing.assert_allclose(patterns["zeros for mask"][0, 0], 0.25)
    compared = readings.compare_patterns(patterns)
    assert compared["attention on the future"]["model"] == 0
    assert compared["attention on the future"]["zeros for mask"].item() == pytest.approx(np.mean([3 / 4, 2 / 4, 1 / 4, 0]))
    assert compared["attention moved"]["both (notebook)"].item() == pytest.approx(np.mean([3 / 4, 2 / 4, 1 / 4, 0]))
    assert compared["entropy of a row [nats]"]["model"].item() == pytest.approx(np.mean(np.log([1, 2, 3, 4])))


def test_unscaled_scores_sharpen_patterns():
    scores = masked(torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(0)))
    patterns = readings.notebook_patterns(scores, scale=0.25)
    torch.testing.assert_close(patterns["unscaled"], (4 * scores).softmax(-1))
    entropy = readings.compare_patterns(patterns)["entropy of a row [nats]"]
    assert (entropy["unscaled"] < entropy["model"]).all()
    assert entropy["model"].shape == (2,)
    torch.testing.assert_close(patterns["both (notebook)"].sum(-1), torch.ones(2, 3, 6))


def test_variance_over_all_entries_counts_what_softmax_cannot_see():
    """A term that is constant along each row moves no attention, has no variance within rows, and much in the notebook's sense."""
    along_rows = torch.arange(6.0)[:, None].expand(6, 6)
    random = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    found = readings.term_variances(masked(torch.stack([along_rows, random]))[:, None])
    assert found["with zeros (notebook)"][0] > found["with zeros (notebook)"][1]
    assert found["causal entries"][0] > 1
    assert found["within rows"][0] == pytest.approx(0, abs=1e-6)
    assert found["attention moved"][0] == pytest.approx(0, abs=1e-6)
    entries = np.tril(random)
    assert found["with zeros (notebook)"][1] == pytest.approx(entries.var(), rel=1e-5)
    assert found["causal entries"][1] == pytest.approx(random.numpy()[np.tri(6, dtype=bool)].var(), rel=1e-5)


def test_a_large_term_that_moves_nothing_is_the_largest_by_variance_alone():
    along_rows = torch.arange(6.0)[:, None].expand(6, 6)
    random = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    terms = masked(torch.stack([torch.stack([along_rows, random]), torch.stack([random, 0 * random])]))[:, None]  # [term, 1, head, 6, 6]
    found = readings.largest_terms(terms)
    assert found["by variance"].tolist() == [0, 0]
    assert found["by attention moved"].tolist() == [1, 0]


def test_terms_of_a_model_go_straight_in():
    w = weights.weights_of(tiny_minigpt.build())
    ids = torch.randint(40, (2, 9), generator=torch.Generator().manual_seed(0))
    terms = score_terms(w, ids, 1)
    found = readings.term_variances(terms[:, :, 2])
    assert all(values.shape == (4,) and (values >= 0).all() for values in found.values())
    patterns = readings.notebook_patterns(terms.sum(0), float(w.attention_scale[1]))
    assert all(torch.isfinite(pattern).all() for pattern in patterns.values())
