"""The probe: one block that comes twice at a random distance, and nothing else that repeats."""

import numpy as np
import pytest

from analysis_lib.circuits import repeated_random_tokens


@pytest.mark.parametrize("gap", [(0, 10), (3, 3), 4])
@pytest.mark.parametrize(("start", "length"), [(None, None), (0, None), (0, 45)])
def test_one_block_comes_twice_at_every_distance_and_nothing_else_repeats(gap, start, length):
    found = repeated_random_tokens(60, n_sequences=50, block=8, gap=gap, start=start, length=length)
    low, high = (gap, gap) if isinstance(gap, int) else gap
    expected = length or (start is not None) + 16 + high
    assert found.ids.shape == (50, expected)
    rows = np.arange(50)[:, None]
    np.testing.assert_array_equal(found.ids[rows, found.first], found.ids[rows, found.second])
    np.testing.assert_array_equal(found.second - found.first, np.broadcast_to(8 + found.gaps[:, None], (50, 8)))
    assert set(found.gaps) == set(range(low, high + 1))
    assert (found.predictable.sum(axis=1) == 7).all()
    again, before = np.argwhere(found.predictable), np.argwhere(found.unpredictable)
    np.testing.assert_array_equal(found.ids[again[:, 0], again[:, 1] + 1], found.ids[before[:, 0], before[:, 1] + 1])
    for ids in found.ids:
        assert len(np.unique(ids)) == expected - 8  # nothing repeats but the block
    if start is not None:
        assert (found.ids[:, 0] == start).all()
        assert (found.ids[:, 1:] != start).all()


def test_probe_is_seeded_and_draws_from_the_ids_given():
    pool = np.arange(100, 200, 2)
    one, two, other = (repeated_random_tokens(pool, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.ids, two.ids)
    assert not np.array_equal(one.ids, other.ids)
    assert np.isin(one.ids, pool).all()
    assert one.ids.shape == (64, 30)


def test_shuffled_probe_brings_the_tokens_again_in_another_order():
    found = repeated_random_tokens(100, n_sequences=40, block=8, start=0)
    shuffled = found.shuffled(seed=1)
    rows = np.arange(40)[:, None]
    before, after = found.ids[rows, found.second], shuffled.ids[rows, found.second]
    np.testing.assert_array_equal(np.sort(before), np.sort(after))
    assert (before == after).mean() < 0.3  # 1/8 by chance
    changed = np.argwhere(found.ids != shuffled.ids)
    assert all(position in found.second[row] for row, position in changed)
    np.testing.assert_array_equal(found.shuffled(1).ids, shuffled.ids)


def test_probe_with_replacement_repeats_more_than_the_block():
    found = repeated_random_tokens(5, n_sequences=20, block=6, distinct=False)
    rows = np.arange(20)[:, None]
    np.testing.assert_array_equal(found.ids[rows, found.first], found.ids[rows, found.second])
    assert max(len(np.unique(ids)) for ids in found.ids) <= 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block": 1}, "n_sequences and block: expected at least 1 and 2, found 64 and 1"),
        ({"n_sequences": 0}, "n_sequences and block"),
        ({"gap": (3, 2)}, "gap: expected 0 <= least <= largest, found 3 and 2"),
        ({"gap": -1}, "gap: expected"),
        ({"length": 29}, "length: expected room for 30 tokens .* found 29"),
        ({"vocab": 19}, "vocab: expected 20 ids or more to draw distinct tokens, found 19"),
        ({"vocab": 1, "start": 0, "distinct": False}, "vocab: expected 1 ids or more to draw from, found 0"),
    ],
)
def test_bad_settings_of_the_probe_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        repeated_random_tokens(**({"vocab": 100} | options))


def test_no_block_keeps_its_order_when_it_is_shuffled():
    """A block of two has one other order."""
    found = repeated_random_tokens(100, n_sequences=40, block=2)
    before, after = (np.take_along_axis(probe.ids, probe.second, axis=1) for probe in (found, found.shuffled()))
    np.testing.assert_array_equal(after, before[:, ::-1])


def test_a_single_sequence_has_no_other_to_exchange_blocks_with():
    with pytest.raises(ValueError, match="ids: expected two sequences or more, whose blocks can be exchanged, found 1"):
        repeated_random_tokens(100, n_sequences=1).exchanged()
