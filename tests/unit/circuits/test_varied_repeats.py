"""The forms of sequences of the later stages: what stands where, and what follows what."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis_lib.circuits.repeats import BEGIN, LENGTH, VOCABULARY
from analysis_lib.circuits.varied_repeats import LONGEST, SHORTEST, STEADY, VARIED, SequenceMixture, sample_sequences


def only(**forms):
    """A mixture of the given forms, without noise and jumps unless they are given."""
    empty = SequenceMixture(0, 0, 0, 0, 0, noise=0.0, jumps=(0.0, 0.0))
    return empty._replace(**forms)


@pytest.mark.parametrize("mixture", [VARIED, STEADY])
def test_a_batch_holds_symbols_after_a_beginning(mixture):
    ids = sample_sequences(mixture, np.random.default_rng(0))
    assert ids.shape == (32, LENGTH)
    assert (ids[:, 0] == BEGIN).all()
    assert ((ids[:, 1:] >= 1) & (ids[:, 1:] < VOCABULARY)).all()
    assert np.array_equal(ids, sample_sequences(mixture, np.random.default_rng(0)))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_walk_that_never_leaves_its_cycle_is_periodic(seed):
    for ids in sample_sequences(only(walks=6), np.random.default_rng(seed))[:, 1:]:
        period = len(set(ids.tolist()))
        assert 3 <= period <= 30
        assert np.array_equal(ids[period:], ids[:-period])


def test_a_walk_that_leaves_its_cycle_keeps_its_successors():
    """What follows a symbol is the same symbol but for the jumps, of which there are about as many as were asked for."""
    ids = sample_sequences(only(walks=200, jumps=(0.1, 0.1)), np.random.default_rng(1))[:, 1:]
    usual = 0
    for row in ids:
        pairs = np.zeros((VOCABULARY, VOCABULARY), dtype=int)
        np.add.at(pairs, (row[:-1], row[1:]), 1)
        usual += pairs.max(axis=1).sum()
    steps = ids[:, 1:].size
    # Nine steps in ten stay in the cycle, to five standard errors. A jump may be usual, too: in a short cycle it often enters at the next
    # symbol, and in a long one it may be all that ever follows a symbol. At least three jumps in ten are neither.
    assert 0.9 - 5 * (0.1 * 0.9 / steps) ** 0.5 < usual / steps < 0.97


def test_blocks_of_different_symbols_stand_twice_or_more_among_others():
    for ids in sample_sequences(only(over_others=50), np.random.default_rng(2))[:, 1:].tolist():
        # some run of four symbols comes again
        runs = [tuple(ids[i : i + SHORTEST]) for i in range(len(ids) - SHORTEST + 1)]
        assert len(set(runs)) < len(runs)


def test_noise_spoils_later_occurrences():
    clean, noisy = (sample_sequences(only(over_random=400, noise=noise), np.random.default_rng(3)) for noise in (0.0, 0.3))
    changed = (clean != noisy).mean(axis=1)
    # Later occurrences: of a size that fits m times, from one to m - 1 in equal shares, but one at least.
    sizes = np.arange(SHORTEST, LONGEST + 1)
    later = np.mean(sizes * np.maximum(2, (LENGTH - 1) // sizes) / 2) / LENGTH
    # In half of the sequences 0 to .3 of them are drawn anew, one symbol in 31 as it was. To five standard errors:
    expected = later * 0.5 * 0.15 * 30 / 31
    assert abs(changed.mean() - expected) < 5 * changed.std() / len(changed) ** 0.5


def test_a_mixture_of_background_alone_raises():
    with pytest.raises(ValueError, match="mixture: expected a sequence or more that is not background"):
        sample_sequences(only(background=4), np.random.default_rng(0))
