import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis_lib.circuits import repeats
from analysis_lib.circuits.repeats import BEGIN, LENGTH, LONGEST, SHORTEST, VOCABULARY, WIDEST, MarkovBackground
from tests.support.examples import examples


def rng(seed=0):
    return np.random.default_rng(seed)


def test_the_entropy_rate_is_what_the_chain_itself_scores():
    chain = repeats.background()
    rate = chain.entropies()["both"]
    drawn = chain.sample(4000, 50, rng()) - 1
    losses = -np.log(chain.table[drawn[:, :-2], drawn[:, 1:-1], drawn[:, 2:]]).mean(axis=1)
    # Sequences are independent: five standard errors.
    assert abs(losses.mean() - rate) < 5 * losses.std() / len(losses) ** 0.5
    assert rate == pytest.approx(1.670, abs=0.0005)  # as the checkpoint's card says


def test_entropies_of_less_context_are_those_of_counted_symbols():
    chain = repeats.background()
    found = chain.entropies()
    drawn = chain.sample(6000, 63, rng(1)) - 1
    pairs = np.zeros((31, 31))
    np.add.at(pairs, (drawn[:, :-1], drawn[:, 1:]), 1)
    pairs /= pairs.sum()
    counted = -(pairs[pairs > 0] * np.log(pairs[pairs > 0])).sum()
    single = -(pairs.sum(0) * np.log(pairs.sum(0))).sum()
    # Plug-in entropies of 961 cells from 372,000 pairs fall short by about 961 / 744,000 nats; the rest is sampling.
    assert found["none"] == pytest.approx(single, abs=0.01)
    assert found["last"] == pytest.approx(counted - single, abs=0.01)
    assert found["both"] < found["last"] - 0.5 < found["none"] - 0.5


def test_entropies_of_chains_known_by_heart():
    uniform = MarkovBackground.log_additive(7, 0.0, seed=3)
    assert list(uniform.entropies().values()) == pytest.approx([np.log(7)] * 3)
    n = 5  # the next symbol is the last but one plus one or two: the last says nothing
    table = np.zeros((n, n, n))
    for before in range(n):
        table[before, :, [(before + 1) % n, (before + 2) % n]] = 0.5
    assert MarkovBackground(table).entropies() == pytest.approx({"none": np.log(n), "last": np.log(n), "both": np.log(2)})


def test_long_run_pairs_stay_as_they_are():
    chain = repeats.background()
    np.testing.assert_allclose(np.einsum("ab,abc->bc", chain.pairs, chain.table), chain.pairs, atol=1e-14)
    np.testing.assert_allclose(chain.pairs.sum(axis=0), chain.pairs.sum(axis=1), atol=1e-13)
    assert chain.pairs.sum() == pytest.approx(1)


def test_a_chain_that_does_not_settle_raises():
    table = np.zeros((3, 3, 3))
    table[:, [0, 1, 2], [1, 2, 0]] = 1  # a cycle: from an uneven start it never settles
    table[0, 0] = table[0, 1] = [0, 0, 1]
    table[1, 2] = [0, 1, 0]
    chain = MarkovBackground(table)
    with pytest.raises(ValueError, match="has not settled after 10,000 steps"):
        _ = chain.pairs


@examples(20)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 40))
def test_blocks_repeat_and_everything_else_is_background(seed, n):
    under = repeats.background_sequences(n, rng(seed + 1))
    before = under.copy()
    found = repeats.repeated_blocks(n, rng(seed), under)
    assert np.array_equal(under, before)
    assert found.ids.shape == found.occurrence.shape == found.place.shape == (n, LENGTH)
    outside = found.occurrence < 0
    assert np.array_equal(found.ids[outside], under[outside])
    assert (found.ids[:, 0] == BEGIN).all()
    assert ((found.ids[:, 1:] >= 1) & (found.ids[:, 1:] < VOCABULARY)).all()
    for ids, occurrence, place in zip(found.ids, found.occurrence, found.place, strict=True):
        block = ids[occurrence == 0]
        assert SHORTEST <= len(block) <= LONGEST
        for k in range(1, occurrence.max() + 1):
            seen = ids[occurrence == k]
            assert np.array_equal(seen, block[: len(seen)])
            assert np.array_equal(place[occurrence == k], np.arange(len(seen)))
            assert len(seen) == len(block) or k == occurrence.max()


def starts_of(found):
    return [np.flatnonzero(place == 0) for place in found.place]


def test_distances_vary_between_and_within_sequences():
    found = repeats.repeated_blocks(2000, rng())
    sizes = (found.occurrence == 0).sum(axis=1)
    distances = [np.diff(starts) for starts in starts_of(found)]
    gaps = [steps - size for steps, size in zip(distances, sizes, strict=True)]
    assert set(np.concatenate(gaps[::2])) == set(range(WIDEST + 1))
    assert not np.concatenate(gaps[1::2]).any()
    share = np.bincount(np.concatenate(distances)) / len(np.concatenate(distances))
    assert share.max() < 0.1  # a head that looks back by one fixed distance finds the earlier occurrence at most so often
    assert np.mean([len(set(steps)) > 1 for steps in distances[::2] if len(steps) > 1]) > 0.8
    assert set(sizes) == set(range(SHORTEST, LONGEST + 1))


def test_masks_tell_first_occurrences_later_ones_and_background_apart():
    found = repeats.repeated_blocks(50, rng(4))
    assert np.array_equal(found.new, found.occurrence == 0)
    assert not (found.repeated(0) & found.new).any()
    for known in (0, 1, 2):
        assert np.array_equal(found.repeated(known), (found.occurrence > 0) & (found.place >= known))
    # After one known token what comes next stands after an earlier occurrence of it.
    for row, at in zip(*np.nonzero(found.repeated(1)), strict=True):
        earlier = np.flatnonzero(found.ids[row, : at - 1] == found.ids[row, at - 1])
        assert found.ids[row, at] in found.ids[row, earlier + 1]


def test_training_sequences_are_half_background_and_come_again_from_the_same_seed():
    ids = repeats.sample_sequences(9, rng(2))
    assert ids.shape == (9, LENGTH)
    assert ids.dtype == np.int64
    assert np.array_equal(ids, repeats.sample_sequences(9, rng(2)))
    assert np.array_equal(ids[1::2], repeats.background_sequences(9, rng(2))[1::2])
    assert (ids[::2] != repeats.background_sequences(9, rng(2))[::2]).any(axis=1).all()
