"""What holds for whatever pairs of words, and for whatever neurons exchange their lists."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("morfeusz2")

from analysis_lib.projections import relations
from analysis_lib.projections.neuron_activity import exchanged, matching_shares, random_directions
from analysis_lib.vocabulary import Lexicon
from tests.support.examples import examples

FORMS = ["dom", "domami", "Dom", "kot", "kotami", "czytam", "piszesz", "do", "domu", "przez", "szybko", "szczeg", "zamkiem"]
LOWERED = [form.lower() for form in FORMS]
GROUPS = np.array([LOWERED.index(form) for form in LOWERED])
TOKENS = st.integers(0, len(FORMS) - 1)
PAIRS = st.lists(st.tuples(TOKENS, TOKENS), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def lexicon():
    return Lexicon.from_forms(FORMS)


@pytest.fixture(scope="module")
def single(lexicon):
    """Whether a relation holds between two tokens, NaN where it does not apply: [relation, left, right]."""
    cells = [
        [relations.permuted_null([i], [j], lexicon, GROUPS, max_draws=1)["share"] for j in range(len(FORMS))] for i in range(len(FORMS))
    ]
    return np.moveaxis(np.array(cells, dtype=float), 2, 0)


@examples(40)
@given(pairs=PAIRS, seed=st.integers(0, 1000))
def test_a_share_is_the_mean_over_the_pairs_that_it_applies_to_in_any_order(lexicon, single, pairs, seed):
    pairs = [(a, b) for place, (a, b) in enumerate(pairs) if a == b or (b, a) not in pairs[:place]]  # mirror images do not count
    left, right = np.array(pairs).T
    found = relations.permuted_null(left, right, lexicon, GROUPS, max_draws=1)
    cells = single[:, left, right]
    applies = ~np.isnan(cells)
    assert found["n"].tolist() == applies.sum(axis=1).tolist()
    with np.errstate(invalid="ignore"):
        expected = np.nansum(cells, axis=1) / applies.sum(axis=1)
    np.testing.assert_allclose(found["share"], expected)
    order = np.random.default_rng(seed).permutation(len(left))
    pd.testing.assert_frame_equal(
        relations.permuted_null(left[order], right[order], lexicon, GROUPS, max_draws=1)[["share", "n"]], found[["share", "n"]]
    )


@examples(25)
@given(pairs=PAIRS, seed=st.integers(0, 1000))
def test_p_values_lie_between_their_bounds_and_nothing_to_permute_gives_one(lexicon, pairs, seed):
    left, right = np.array(pairs).T
    found = relations.permuted_null(left, right, lexicon, GROUPS, max_draws=200, seed=seed)
    tested = found[found["n"] > 0]
    assert tested["p"].between(0, 1, inclusive="right").all()
    assert found.loc[found["n"] == 0, "p"].isna().all()
    alike = relations.permuted_null(left, np.full_like(right, right[0]), lexicon, GROUPS, max_draws=200, seed=seed)
    assert (alike.loc[alike["n"] > 0, "p"] == 1).all()


@examples(40)
@given(shape=st.tuples(st.integers(1, 6), st.integers(2, 7)), seed=st.integers(0, 1000))
def test_neurons_that_exchange_lists_keep_what_a_layer_has_in_common(shape, seed):
    n_lists, d_mlp = shape
    rng = np.random.default_rng(seed)
    lists = pd.DataFrame({"layer": rng.integers(0, 2, n_lists), "neuron": rng.integers(0, d_mlp, n_lists)})
    shares = rng.random((n_lists, d_mlp))
    matching = matching_shares(shares, lists)
    for row, neuron in enumerate(lists["neuron"]):
        others = np.delete(shares[row], neuron)
        assert matching["own"].iloc[row] == shares[row, neuron]
        assert matching["others"].iloc[row] == pytest.approx(others.mean())
        assert matching["p"].iloc[row] == pytest.approx((1 + (others >= shares[row, neuron]).sum()) / d_mlp)
    drawn = exchanged(shares, lists, n_permutations=50, seed=seed)
    own = [lists.index[lists["layer"] == layer] for layer in lists["layer"].unique()]
    least, most = (
        sum(pick(shares[np.ix_(rows, lists["neuron"][rows])], axis=1).sum() for rows in own) / n_lists for pick in (np.min, np.max)
    )
    assert (drawn >= least - 1e-12).all()
    assert (drawn <= most + 1e-12).all()
    np.testing.assert_allclose(
        exchanged(np.tile(shares[:, :1], d_mlp), lists, 5), shares[:, 0].mean()
    )  # alike for all neurons: nothing changes


@examples(20)
@given(length=st.floats(0.1, 100), width=st.integers(1, 20), seed=st.integers(0, 1000))
def test_random_directions_have_the_length_of_the_vector(length, width, seed):
    import torch

    vector = torch.randn(width, generator=torch.Generator().manual_seed(seed))
    vector *= length / vector.norm()
    np.testing.assert_allclose(random_directions(vector, 5, seed).norm(dim=1), length, rtol=1e-4)
