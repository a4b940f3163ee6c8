"""Blocks at given places, and the scores of the hand-built circuit, which works at all of them."""

import numpy as np
import pytest

from analysis_lib.circuits import placements
from tests.support import tiny_circuits


@pytest.fixture(scope="module")
def model():
    return tiny_circuits.loaded(tiny_circuits.induction_model())


@pytest.mark.parametrize(("block", "gap", "begin"), [(2, 0, 1), (5, 3, 4), (10, 0, 1)])
def test_a_block_stands_twice_where_it_was_put(block, gap, begin):
    probe = placements.placed_blocks(range(1, 9), 6, block, gap, begin, length=24, seed=1)
    assert (probe.ids[:, 0] == 0).all()
    assert set(np.unique(probe.ids[:, 1:])) <= set(range(1, 9))
    assert (probe.first[:, 0] == begin).all()
    assert (probe.second[:, 0] == begin + block + gap).all()
    first, second = (np.take_along_axis(probe.ids, places, axis=1) for places in (probe.first, probe.second))
    assert np.array_equal(first, second)
    assert probe.predictable.sum() == 6 * (block - 1)


def test_the_hand_built_circuit_works_everywhere(model):
    table = placements.placement_scores(model, [2, 4, 8], [0, 3], [1, 5], n_sequences=4)
    assert not table.duplicated(["block", "gap", "begin", "layer", "head"]).any()
    assert (table.eval("begin + 2 * block + gap") <= tiny_circuits.POSITIONS).all()
    assert {(8, 0, 5), (2, 3, 5)} <= set(table[["block", "gap", "begin"]].itertuples(index=False, name=None))
    best = placements.of_head({"planted": table}, layer=1)
    assert set(best["head"]) == {0}
    np.testing.assert_allclose(best["score"], 1, atol=1e-6)
    assert (table.query("layer == 0 and block == 8")["score"] < 0.5).all()


@pytest.mark.parametrize(("block", "gap", "begin"), [(1, 0, 1), (4, -1, 1), (4, 0, 0), (12, 0, 1)])
def test_what_does_not_fit_raises(block, gap, begin):
    with pytest.raises(ValueError, match=f"fits twice in 24 tokens, found {block}, {gap}, {begin}"):
        placements.placed_blocks(range(1, 9), 2, block, gap, begin, length=24)


def test_no_placement_that_fits_raises(model):
    with pytest.raises(ValueError, match="expected a combination that fits in 24 tokens, found none"):
        placements.placement_scores(model, [12], [4], [1])


@pytest.mark.parametrize(("blocks", "gaps", "begins"), [([4, 1], [0], [1]), ([4], [2, -1], [1]), ([4], [0], [0])])
def test_blocks_of_one_token_and_places_below_the_first_are_refused_before_any_is_measured(model, monkeypatch, blocks, gaps, begins):
    monkeypatch.setattr(placements, "probe_patterns", lambda *_: pytest.fail("the model ran"))
    with pytest.raises(ValueError, match="blocks, gaps, begins: expected blocks of 2 or more, gaps from 0 and beginnings from 1, found"):
        placements.placement_scores(model, blocks, gaps, begins)
