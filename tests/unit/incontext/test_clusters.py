"""Clusters of attention rows: planted kinds are found and explained, random causal rows are a cut between positions."""

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from analysis_lib.incontext import clusters

CAUSAL = np.tril(np.ones((20, 20)))


@pytest.fixture(scope="module")
def planted():
    """Thirty prompts of eight points; the sign of an input alone decides which of two keys a row looks at, far from chance."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(30, 8, 3))
    rows = rng.uniform(0, 0.05, size=(30, 8, 16))
    rows[..., 0] += inputs[..., 1] > 0
    rows[..., 5] += inputs[..., 1] <= 0
    return rows / rows.sum(axis=-1, keepdims=True), inputs


def test_planted_kinds_are_counted_and_found(planted):
    rows, inputs = planted
    found = clusters.cluster_rows(rows.reshape(-1, 16))
    kinds = (inputs[..., 1] > 0).ravel()
    assert found.count == 2
    assert len(set(zip(found.labels.tolist(), kinds.tolist(), strict=True))) == 2  # the same partition


def test_silhouettes_are_scikit_learns_on_the_rows(planted):
    rows = planted[0].reshape(-1, 16)
    found = clusters.cluster_rows(rows, counts=(2, 3))
    labels = KMeans(3, n_init=3, random_state=0).fit(rows).labels_
    assert found.silhouettes[3] == pytest.approx(silhouette_score(rows, labels), abs=1e-9)
    assert list(found.silhouettes) == [2, 3]


def test_clusters_are_numbered_by_where_they_stand():
    rows = np.repeat(np.eye(3)[[2, 0, 1]], 5, axis=0) + 1e-6 * np.arange(15)[:, None]
    assert clusters.cluster_rows(rows, counts=(3,)).labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5


def test_inputs_explain_planted_kinds_and_position_does_not(planted):
    found = clusters.describe(*planted)
    assert found.both > 0.9
    assert found.inputs > 0.95
    assert found.position < 0.7
    assert abs(found.position_agreement) < 0.05
    assert found.gain.low > 0.2


def test_kinds_that_are_positions_are_explained_by_position_and_inputs_add_nothing():
    rng = np.random.default_rng(1)
    rows = np.where(np.arange(8)[:, None] < 4, np.eye(16)[0], np.eye(16)[5]) + rng.uniform(0, 0.05, size=(30, 8, 16))
    found = clusters.describe(rows, rng.normal(size=(30, 8, 3)))
    assert found.count == 2
    assert found.position == 1
    assert found.position_agreement > 0.3  # eight positions say more than two clusters can
    assert found.gain.estimate <= 0


def test_two_clusters_of_random_causal_rows_are_a_cut_between_positions():
    rows = clusters.random_attention(np.broadcast_to(CAUSAL, (40, 20, 20)), seed=0)
    cuts = [clusters.cut_accuracy(clusters.cluster_rows(r, counts=(2,)).labels, np.arange(20)) for r in rows]
    assert np.mean(cuts) > 0.85  # three of twenty rows beyond the cut; labels drawn at random leave six, a mean of 0.70


def test_random_attention_sees_what_the_patterns_see():
    patterns = np.broadcast_to(CAUSAL / CAUSAL.sum(axis=-1, keepdims=True), (3, 20, 20))
    found = clusters.random_attention(patterns, seed=1)
    np.testing.assert_allclose(found.sum(axis=-1), 1)
    assert ((found > 0) == (CAUSAL > 0)).all()
    assert not np.allclose(found[0], found[1])
    np.testing.assert_array_equal(found, clusters.random_attention(patterns, seed=1))


def test_rows_alternate_between_questions_and_answers():
    pattern = np.arange(16.0).reshape(1, 4, 4)
    x_rows, y_rows = clusters.split_rows(pattern)
    np.testing.assert_array_equal(x_rows, pattern[:, [0, 2]])
    np.testing.assert_array_equal(y_rows, pattern[:, [1, 3]])


@pytest.mark.parametrize(("labels", "accuracy"), [([0, 0, 1, 1], 1.0), ([1, 1, 1, 0], 1.0), ([0, 1, 0, 1], 0.75)])
def test_cut_accuracy_by_hand(labels, accuracy):
    assert clusters.cut_accuracy(labels, [0, 1, 2, 3]) == accuracy


def test_the_svm_does_not_find_labels_that_have_nothing_to_do_with_the_features():
    rng = np.random.default_rng(2)
    hits = clusters.guessed_by_svm(rng.integers(0, 2, 400), rng.normal(size=(400, 4)), np.repeat(np.arange(40), 10))
    assert 0.4 < hits.mean() < 0.6  # 400 fair coins: a standard error of 0.025


def test_a_fold_with_one_cluster_names_that_cluster():
    labels = np.array([0] * 5 + [1] * 5)
    hits = clusters.guessed_by_svm(labels, np.arange(10.0)[:, None], np.repeat([0, 1], 5), folds=2)
    assert not hits.any()


def test_every_head_is_described_as_its_rows_are(planted):
    rows, inputs = planted  # questions look at planted kinds; answers at the same keys
    pattern = np.zeros((30, 16, 16))
    pattern[:, ::2] = pattern[:, 1::2] = rows
    ys = np.random.default_rng(6).normal(size=(30, 8))
    table = clusters.describe_heads(pattern[None, :, None], inputs, ys, level=0.9)
    assert table[["head", "rows"]].to_numpy().tolist() == [["L0H0", "questions"], ["L0H0", "answers"]]
    expected = clusters.describe(rows, np.concatenate((inputs, inputs**2), axis=-1), level=0.9)
    assert {name: table.iloc[0][name] for name in vars(expected)} == vars(expected)
    assert expected.content == clusters.content_share(rows)


def test_cuts_are_found_prompt_by_prompt():
    early = np.arange(8)[:, None] < 3
    cut = np.where(early, np.eye(8)[0], np.eye(8)[1])
    mixed = np.eye(8)[np.arange(8) % 2]  # every other row looks elsewhere, so no cut accounts for the clusters
    noise = 1e-6 * np.random.default_rng(7).random((2, 8, 8))
    np.testing.assert_allclose(clusters.prompt_cuts(np.stack((cut, mixed)) + noise), [1, 5 / 8])


def test_content_share_is_what_position_leaves():
    rng = np.random.default_rng(4)
    by_position, by_prompt = rng.normal(size=(1, 6, 8)), rng.normal(size=(200, 6, 8))
    assert clusters.content_share(np.broadcast_to(by_position, (5, 6, 8))) < 1e-20  # rounding
    assert clusters.content_share(by_prompt) > 0.95
    few = [clusters.content_share(rng.normal(size=(3, 6, 8))) for _ in range(40)]
    assert np.mean(few) > 0.9  # without degrees of freedom it would be 0.7
    # Variances 9 between positions and 1 within: a tenth.
    by_position *= 3 / np.sqrt(by_position.var(axis=1).mean())
    assert clusters.content_share(by_position + by_prompt) == pytest.approx(0.1, abs=0.02)


ROWS = np.random.default_rng(3).dirichlet(np.ones(6), size=(4, 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: clusters.split_rows(np.ones((3, 3))), "patterns: expected"),
        (lambda: clusters.cluster_rows(np.ones((5, 2))), "counts: expected"),
        (lambda: clusters.cluster_rows(ROWS), "rows: expected"),
        (lambda: clusters.cluster_rows(np.full((5, 2), np.nan)), "rows: expected finite"),
        (lambda: clusters.cut_accuracy([0, 1, 2], [0, 1, 2]), "labels: expected two clusters"),
        (lambda: clusters.guessed_by_svm([0, 1], np.ones((3, 1)), [0, 1]), "features: expected"),
        (lambda: clusters.guessed_by_svm([0, 1], np.ones((2, 1)), [0, 1], folds=3), "folds: expected"),
        (lambda: clusters.content_share(np.ones((2, 3))), "rows: expected"),
        (lambda: clusters.content_share(np.ones((2, 3, 4))), "rows: expected rows that differ"),
        (lambda: clusters.content_share(np.ones((1, 3, 4))), "rows: expected two prompts or more"),
        (lambda: clusters.random_attention(np.tril(np.ones((3, 3)), -1), 0), "patterns: expected a key for every query"),
        (lambda: clusters.describe_heads(ROWS, np.ones((4, 3, 1)), np.ones((4, 3))), "patterns: expected"),
        (lambda: clusters.describe(ROWS, np.ones((4, 2, 1))), "inputs: expected"),
        (lambda: clusters.describe(ROWS[:3], np.ones((3, 3, 1))), "rows: expected 5 prompts or more, found 3"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
