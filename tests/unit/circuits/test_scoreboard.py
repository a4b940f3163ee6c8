"""Scores of hand-built heads that are known exactly, also on the probe of repeated tokens and its confounded variant."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis_lib import activations, circuits
from analysis_lib.circuits import induction_scores, induction_targets, repeated_random_tokens, scoreboard
from analysis_lib.circuits.scoreboard import SCORES, attention_to, duplicate_targets, induction_excess, nearby_weights
from tests.support import tiny_circuits
from tests.support.examples import examples

IDS = [5, 1, 2, 3, 1, 2, 4, 4]
#      0  1  2  3  4  5  6  7 ; 1 and 2 come again at 4 and 5, 4 at 7


def attends(targets):
    """A pattern [query, key] that lies evenly on its targets, and on the first position where there are none."""
    targets = np.array(targets, dtype=float)
    targets[~targets.any(axis=-1), 0] = 1
    return targets / targets.sum(axis=-1, keepdims=True)


def offset(n, back):
    return attends(np.eye(n, k=-back, dtype=bool))


def uniform(n):
    return attends(np.tril(np.ones((n, n), dtype=bool)))


def heads(*patterns):
    """One layer of heads [1, head, query, key]."""
    return np.stack(patterns)[None]


def test_targets_by_hand():
    assert np.argwhere(duplicate_targets(IDS)).tolist() == [[4, 1], [5, 2], [7, 6]]
    assert np.argwhere(induction_targets(IDS)).tolist() == [[4, 2], [5, 3], [7, 7]]
    assert np.argwhere(induction_targets([1, 1, 1])).tolist() == [[1, 1], [2, 1], [2, 2]]


def test_perfect_heads_score_exactly_one_and_only_their_own_score():
    n = len(IDS)
    first = np.zeros((n, n), dtype=bool)
    first[:, 0] = True
    pattern = heads(offset(n, 1), attends(duplicate_targets(IDS)), attends(induction_targets(IDS)), attends(first))
    found = circuits.head_scores(pattern, IDS)
    names = list(SCORES)
    assert names == ["previous token", "duplicate token", "induction", "first position"]
    for place, name in enumerate(names):
        assert found[name][0, place] == 1, name
    assert found["duplicate token"][0, 2] == found["induction"][0, 1] == 0
    assert found["first position"][0, 0] == 1 / 7  # row 1, whose previous token is the first
    assert found["previous token"][0, 1] == 1 / 7 + 1 / 7  # the repeat at 7 stands right after; row 1 falls back on the first


def test_uniform_head_scores_the_share_of_targets():
    n = len(IDS)
    found = circuits.head_scores(heads(uniform(n)), IDS)
    assert found["previous token"][0, 0] == pytest.approx(np.mean(1 / np.arange(2, n + 1)))
    assert found["first position"][0, 0] == pytest.approx(np.mean(1 / np.arange(2, n + 1)))
    assert found["induction"][0, 0] == pytest.approx(np.mean([1 / 5, 1 / 6, 1 / 8]))
    assert found["duplicate token"][0, 0] == pytest.approx(np.mean([1 / 5, 1 / 6, 1 / 8]))


def test_attention_to_several_targets_is_summed():
    ids = [7, 7, 7, 7]
    assert scoreboard.duplicate_token_scores(heads(uniform(4)), ids)[0, 0] == pytest.approx(np.mean([1 / 2, 2 / 3, 3 / 4]))


def test_sequences_are_pooled_by_rows_or_kept_apart():
    patterns = [heads(uniform(n)) for n in (8, 3, 4)]
    ids = [IDS, [1, 2, 3], [1, 1, 1, 1]]
    apart = induction_scores(patterns, ids, per_sequence=True)
    assert apart.shape == (3, 1, 1)
    assert np.isnan(apart[1]).all()
    assert induction_scores(patterns, ids)[0, 0] == pytest.approx((3 * apart[0, 0, 0] + 3 * apart[2, 0, 0]) / 6)


def test_only_the_rows_asked_for_count():
    n = len(IDS)
    rows = np.zeros((1, n), dtype=bool)
    rows[0, [3, 4, 7]] = True  # 3 has no earlier occurrence
    pattern = heads(uniform(n))
    assert induction_scores(pattern, IDS, rows=rows)[0, 0] == pytest.approx(np.mean([1 / 5, 1 / 8]))
    assert circuits.previous_token_scores(pattern, rows=rows)[0, 0] == pytest.approx(np.mean([1 / 4, 1 / 5, 1 / 8]))
    with pytest.raises(ValueError, match="targets: none"):
        induction_scores(pattern, IDS, rows=~np.ones_like(rows))
    with pytest.raises(ValueError, match=r"rows: expected bool \[query\] for each of 1 sequences.*\(7,\)"):
        induction_scores(pattern, IDS, rows=rows[:, 1:])


def test_a_single_pattern_an_array_and_a_list_are_the_same():
    pattern = heads(uniform(8), offset(8, 1))
    for patterns, ids in ((pattern, IDS), ([pattern], [IDS]), (pattern[None], np.array([IDS])), ([pattern], np.array(IDS))):
        np.testing.assert_array_equal(induction_scores(patterns, ids), induction_scores(pattern, IDS))


@examples(40)
@given(st.lists(st.integers(0, 4), min_size=6, max_size=14), st.integers(0, 99))
def test_scores_lie_between_zero_and_one_and_are_linear_in_the_pattern(ids, seed):
    n = len(ids)
    rng = np.random.default_rng(seed)
    one, two = (attends(np.tril(rng.random((n, n)))) for _ in range(2))
    found = circuits.head_scores(heads(one, two, 0.25 * one + 0.75 * two), ids)  # six of five ids: something repeats
    for score in found.values():
        assert ((score >= 0) & (score <= 1 + 1e-12)).all()
        assert score[0, 2] == pytest.approx(0.25 * score[0, 0] + 0.75 * score[0, 1])


def test_the_prefix_matching_of_olsson_reads_tokens_after_earlier_occurrences():
    """A block of 25 four times over: a head that attends to all earlier "next" tokens scores 1, one to those before them 0."""
    ids = np.tile(np.random.default_rng(0).permutation(25), 4)
    after = attends(induction_targets(ids))
    before = attends(np.hstack([duplicate_targets(ids)[:, 1:], np.zeros((100, 1), dtype=bool)]))
    np.testing.assert_allclose(induction_scores(heads(after, before), ids)[0], [1, 0], atol=1e-12)


def test_a_fixed_offset_head_passes_for_induction_under_a_fixed_period_and_not_under_random_gaps():
    block = 8
    fixed = repeated_random_tokens(100, n_sequences=200, block=block, gap=10)
    random = repeated_random_tokens(100, n_sequences=200, block=block, gap=(0, 20))

    def score(probe, back):
        n = probe.ids.shape[1]
        return induction_scores([heads(offset(n, back))] * len(probe.ids), probe.ids)[0, 0]

    assert score(fixed, block + 10 - 1) == 1
    shares = [score(random, block + gap - 1) for gap in range(21)]
    np.testing.assert_allclose(shares, np.bincount(random.gaps, minlength=21) / 200)
    assert max(shares) < 0.15
    assert all(
        induction_scores([heads(attends(induction_targets(ids))) for ids in probe.ids], probe.ids)[0, 0] == 1 for probe in (fixed, random)
    )


def test_the_hand_built_circuit_is_found():
    probe = repeated_random_tokens(12, n_sequences=20, block=4, gap=(0, 3), start=tiny_circuits.START)
    run = activations.run_ids(tiny_circuits.loaded(tiny_circuits.induction_model()), probe.ids, outputs=["patterns"])
    found = circuits.head_scores(run.patterns, probe.ids)
    assert found["previous token"][0, 0] == pytest.approx(1, abs=1e-6)
    assert found["induction"][1, 0] == pytest.approx(1, abs=1e-6)
    assert max(found["induction"][0, 0], found["induction"][0, 1], found["induction"][1, 1]) < 0.15


def test_nearby_keys_stand_for_targets():
    targets = np.zeros((8, 8), dtype=bool)
    targets[6, 3] = True
    near = nearby_weights(targets, width=2)
    assert near[6].tolist() == [0, 0.25, 0.25, 0, 0.25, 0.25, 0, 0]
    assert not near[:6].any()
    exclude = np.zeros_like(targets)
    exclude[6, 2] = True
    assert nearby_weights(targets, width=1, exclude=exclude)[6].tolist() == [0, 0, 0, 0, 1, 0, 0, 0]
    late = np.zeros_like(targets)
    late[4, 4] = True  # what lies behind the query is not near
    assert nearby_weights(late, width=2)[4].tolist() == [0, 0, 0.5, 0.5, 0, 0, 0, 0]


@pytest.mark.parametrize("seed", range(3))
def test_position_and_recency_leave_no_excess_and_induction_leaves_all(seed):
    """A head of distances alone, attention falling slowly with them, beside a perfect induction head."""
    probe = repeated_random_tokens(200, n_sequences=30, block=8, gap=(5, 15), seed=seed)
    n = probe.ids.shape[1]
    distance = np.arange(n)[:, None] - np.arange(n)
    by_distance = attends(np.where(distance >= 0, 1 + 0.02 * distance, 0))
    patterns = [heads(by_distance, attends(induction_targets(ids))) for ids in probe.ids]
    score, excess = induction_scores(patterns, probe.ids)[0], induction_excess(patterns, probe.ids)[0]
    assert abs(excess[0]) < 0.03 * score[0]  # linear in the distance, so that only keys cut off at the edge matter
    assert excess[1] == score[1] == 1
    assert induction_excess(patterns, probe.ids, per_sequence=True, rows=probe.predictable).shape == (30, 1, 2)


@pytest.mark.parametrize(
    ("patterns", "ids", "message"),
    [
        ([], [], "patterns: expected one or more"),
        (np.ones((2, 3, 4, 5)) / 5, [1, 2, 3, 4], r"patterns\[0\]: expected \[layer, head, query, key\].*\(2, 3, 4, 5\)"),
        (np.ones((4, 4)) / 4, [1, 2, 3, 4], r"patterns\[0\]: expected \[layer, head, query, key\]"),
        ([np.ones((1, 2, 3, 3)) / 3, np.ones((1, 1, 3, 3)) / 3], [[1, 1, 1]] * 2, r"patterns\[1\]: expected \(1, 2\) layers and heads"),
        (np.full((1, 1, 3, 3), -2.0), [1, 1, 1], r"patterns\[0\]: expected attention weights from 0 to 1, found -2"),
        (np.full((1, 1, 3, 3), np.nan), [1, 1, 1], r"patterns\[0\]: expected attention weights"),
        (heads(uniform(3)), [[1, 1, 1], [1, 1, 1]], "ids: expected one sequence for each of 1 patterns, found 2"),
        (heads(uniform(3)), [1, 1], r"ids\[0\]: expected 3 tokens, as its pattern has, found 2"),
        (heads(uniform(3)), [1, 2, 3], "targets: none in 1 sequences of at most 3 tokens.*repeated token"),
        (heads(uniform(1)), [4], "targets: none in 1 sequences of at most 1 tokens"),
        (heads(uniform(3)), [], "ids: expected one sequence"),
    ],
)
def test_bad_patterns_and_ids_are_named(patterns, ids, message):
    with pytest.raises(ValueError, match=message):
        induction_scores(patterns, ids)


def test_other_bad_arguments_are_named():
    for score in (circuits.previous_token_scores, scoreboard.first_position_scores):
        with pytest.raises(ValueError, match="sequence of two tokens or more"):
            score(heads(uniform(1)))
    with pytest.raises(ValueError, match="offset: expected 1 or more, found 0"):
        scoreboard.offset_scores(heads(uniform(3)), 0)
    with pytest.raises(ValueError, match=r"targets\[0\]: expected \[query, key\] \(3, 3\), found \(2, 2\)"):
        attention_to(heads(uniform(3)), [np.ones((2, 2))])
    with pytest.raises(ValueError, match="targets: expected one for each of 1 patterns, found 0"):
        attention_to(heads(uniform(3)), [])
