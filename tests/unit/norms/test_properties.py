"""What holds for whatever tokens, norms and autoregressions."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis_lib import activations, norms, weights
from analysis_lib.norms import calibration
from analysis_lib.norms.bias import autocovariance, small_sample_bias
from analysis_lib.norms.contributions import rank_agreement
from analysis_lib.norms.measure import mean_by_position, position_slopes
from tests.support.examples import examples

SEEDS = st.integers(0, 2**32 - 1)
TEXTS = st.lists(st.lists(st.integers(5, 220), min_size=1, max_size=8), min_size=1, max_size=3)


@examples(5)
@given(texts=TEXTS)
@pytest.mark.parametrize("kind", ["gpt2", "bert"])
def test_what_tokens_contribute_bounds_the_update(kind, texts, request):
    """The vectors of a row sum to the update less b_O, and the heads' vectors to a token's: norms obey the triangle inequality."""
    loaded = request.getfixturevalue(kind)
    summed, by_head = norms.norm_based_attention(loaded, texts), norms.norm_based_attention(loaded, texts, per_head=True)
    ran = activations.run_ids(loaded, texts, outputs=("attention", "patterns"))
    biases = weights.extract(loaded).b_O.numpy()[:, None]
    for text, (whole, heads, pattern) in enumerate(zip(summed, by_head, ran.output("patterns"), strict=True)):
        update = ran.output("attention")[:, (ran.tokens["text"] == text).to_numpy()]
        assert whole.shape == (3, len(texts[text]), len(texts[text]))
        assert (np.linalg.norm(update - biases, axis=-1) <= whole.sum(axis=-1) * (1 + 1e-4) + 1e-4).all()
        assert (whole <= heads.sum(axis=1) * (1 + 1e-4) + 1e-3).all()
        assert (heads[np.asarray(pattern) == 0] == 0).all()
        if len(texts[text]) == 1:  # one token is all that contributes
            np.testing.assert_allclose(whole[..., 0], np.linalg.norm(update - biases, axis=-1), rtol=1e-3, atol=1e-3)


@examples(3)
@given(texts=st.lists(st.lists(st.integers(5, 220), min_size=4, max_size=4), min_size=2, max_size=3))
def test_texts_do_not_see_each_other(gpt2, texts):
    together = norms.norm_based_attention(gpt2, texts)
    for text, found in zip(texts, together, strict=True):
        np.testing.assert_allclose(found, norms.norm_based_attention(gpt2, [text])[0], rtol=1e-3, atol=1e-3)


@st.composite
def tokens_and_norms(draw):
    """Texts of any lengths whose first and last token may be special, and norms of two layers."""
    lengths = draw(st.lists(st.integers(3, 7), min_size=1, max_size=5))
    edge = draw(st.booleans())
    rows = [(text, place, edge and place in (0, n - 1)) for text, n in enumerate(lengths) for place in range(n)]
    rng = np.random.default_rng(draw(SEEDS))
    return pd.DataFrame(rows, columns=["text", "position", "special"]), rng.lognormal(size=(2, len(rows))), rng


@examples(20)
@given(drawn=tokens_and_norms(), scale=st.floats(0.01, 100), data=st.data())
def test_means_by_position_are_what_they_say_and_follow_a_change_of_unit(drawn, scale, data):
    tokens, values, rng = drawn
    usable = tokens[~tokens["special"]]
    reached = usable.groupby("position").size()
    least = data.draw(st.integers(1, reached.max()))
    found = mean_by_position(values, tokens, least)
    places = [place for place, n in reached.items() if n >= least]
    expected = [np.log(values[:, usable.index[usable["position"] == place]]).mean(axis=1) for place in places]
    np.testing.assert_allclose(found, np.transpose(expected))
    np.testing.assert_allclose(mean_by_position(scale * values, tokens, least), found + np.log(scale))
    order = rng.permutation(len(tokens))
    np.testing.assert_allclose(mean_by_position(values[:, order], tokens.iloc[order].reset_index(drop=True), least), found)


@examples(20)
@given(slope=st.floats(-2, 2), level=st.floats(-5, 5), n=st.integers(2, 30))
def test_a_planted_slope_over_positions_is_found(slope, level, n):
    means = np.stack([level + slope * np.log1p(np.arange(n)), np.full(n, level)])
    np.testing.assert_allclose(position_slopes(means), [slope, 0], atol=1e-9)


@examples(20)
@given(seed=SEEDS, n=st.integers(3, 8), scale=st.floats(0.01, 100))
def test_shared_sources_are_a_share_that_sees_no_unit(seed, n, scale):
    rng = np.random.default_rng(seed)
    pairs = np.tril(rng.uniform(0.1, 1, (2, n, n)))
    found = norms.shared_sources([pairs, np.repeat(pairs[:, -1:], n, axis=1)], first=2)
    assert ((found >= 0) & (found <= 1 + 1e-12)).all()
    np.testing.assert_allclose(found[1], 1)  # every token reads the same sources in the same shares
    lengths = rng.uniform(0.1, 10, (2, n, 1)) * scale
    np.testing.assert_allclose(norms.shared_sources([lengths * pairs], first=2)[0], found[0])


@examples(20)
@given(seed=SEEDS, n=st.integers(5, 8), power=st.sampled_from([0.5, 3.0]))
def test_agreement_of_ranks_sees_ranks_alone(seed, n, power):
    rng = np.random.default_rng(seed)
    effect, share = np.tril(rng.uniform(0.1, 1, (2, 1, n, n)))
    found = rank_agreement([effect], [share])
    assert (np.abs(found) <= 1 + 1e-12).all()
    np.testing.assert_allclose(rank_agreement([share], [effect]), found)
    np.testing.assert_allclose(rank_agreement([effect**power], [3 * share]), found)
    np.testing.assert_allclose(rank_agreement([effect], [effect**power]), 1)
    np.testing.assert_allclose(rank_agreement([effect], [np.tril(1 / np.where(effect > 0, effect, 1))]), -1)


@examples(20)
@given(rho=st.floats(-0.95, 0.95), scale=st.floats(0.1, 10), n=st.integers(1, 20))
def test_the_autocovariance_of_one_lag_falls_by_its_coefficient(rho, scale, n):
    np.testing.assert_allclose(autocovariance(np.array([rho]), scale, n), scale / (1 - rho**2) * rho ** np.arange(n), rtol=1e-6, atol=1e-9)


@examples(20)
@given(lags=st.lists(st.floats(-2, 2), min_size=1, max_size=4), scale=st.floats(0.1, 10))
def test_an_autocovariance_is_one_whatever_was_estimated(lags, scale):
    """Lags that explode are shrunk: the covariances are those of a series that exists, so no covariance exceeds the variance."""
    found = autocovariance(np.array(lags), scale, 12)
    assert found[0] >= scale * (1 - 1e-9)
    assert (np.abs(found) <= found[0] * (1 + 1e-6)).all()
    toeplitz = found[np.abs(np.subtract.outer(np.arange(12), np.arange(12)))]
    assert np.linalg.eigvalsh(toeplitz)[0] >= -1e-6 * found[0]
    np.testing.assert_allclose(autocovariance(np.array(lags), 4 * scale, 12), 4 * found, rtol=1e-9, atol=1e-300)


@examples(20)
@given(rho=st.floats(-0.99, 0.99), n_tokens=st.integers(1, 500), n_texts=st.integers(1, 500))
def test_bias_shrinks_with_tokens_and_is_kendalls_in_one_series(rho, n_tokens, n_texts):
    found = small_sample_bias(rho, n_tokens, n_texts)
    assert small_sample_bias(rho, n_tokens) == pytest.approx(-(1 + 3 * rho) / n_tokens)
    assert found * n_tokens == pytest.approx(small_sample_bias(rho, 1, n_texts))
    assert small_sample_bias(rho, n_tokens, 10**9) == pytest.approx(-(1 + rho) / n_tokens, abs=1e-8)


@examples(3)
@given(kind=st.sampled_from(calibration.WITHOUT_PAST), level=st.sampled_from([0.01, 0.05, 0.2]), seed=SEEDS)
def test_false_positives_are_shares_that_correction_and_a_stricter_level_lower(kind, level, seed):
    """A corrected p is never below the uncorrected one, and what is rejected at a level is rejected at a laxer one."""
    rates, laxer = (calibration.false_positives((kind,), n_models=2, n_draws=2, level=at, seed=seed).loc[kind] for at in (level, 2 * level))
    for share in rates:
        assert 0 <= share.low <= share.estimate <= share.high <= 1
    assert rates["any, Holm"].estimate <= rates["any of 24"].estimate
    assert all(few.estimate <= many.estimate for few, many in zip(rates, laxer, strict=True))
