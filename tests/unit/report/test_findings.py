"""Claims beside their nulls, and the board that corrects them together."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, t

from analysis_lib import report, statistics

WHERE = {"model": "e5", "section": "geometry.html"}


def make(key="a", value=(0.6, 0.5, 0.7), nulls=None, **rest):
    return report.finding(key, f"Claim {key}", value, nulls or {"permuted": (0.4, 0.3, 0.5)}, **WHERE, **rest)


def test_the_p_value_is_that_of_a_difference_of_two_normal_numbers():
    one = 0.2 / (2 * norm.ppf(0.975))  # the standard deviation of both
    assert make().p == pytest.approx(norm.sf(0.2 / np.hypot(one, one)))


@given(st.floats(-5, 5), st.floats(0.01, 3), st.floats(-5, 5), st.floats(0.01, 3))
def test_a_claim_of_less_is_the_mirror_image_of_a_claim_of_more(value, width, null, spread):
    here, null_here = (value, value - width, value + width), (null, null - spread, null + spread)
    there, null_there = (-value, -value - width, -value + width), (-null, -null - spread, -null + spread)
    more, less = make(value=here, nulls={"n": null_here}), make(value=there, nulls={"n": null_there}, expected="less")
    assert more.p == pytest.approx(less.p)
    assert more.p + make(value=here, nulls={"n": null_here}, expected="less").p == pytest.approx(1)


def test_the_hardest_null_decides():
    found = make(nulls={"easy": (0.1, 0.0, 0.2), "hard": (0.55, 0.5, 0.6)})
    assert found.hardest == "hard"
    assert found.p == make(nulls={"hard": (0.55, 0.5, 0.6)}).p


def test_draws_of_a_null_are_kept_as_mean_and_standard_deviation():
    draws = np.random.default_rng(0).normal(0.4, 0.05, 1000)
    assert make(nulls={"untrained": draws}).nulls["untrained"] == pytest.approx((draws.mean(), draws.std(ddof=1)))


def test_a_null_that_does_not_vary_leaves_the_spread_of_the_value():
    """As a model that has learned nothing may have it, whose guesses are all wrong."""
    one = 0.2 / (2 * norm.ppf(0.975))
    for null in ((0.4, 0.4, 0.4), np.full(5, 0.4)):
        assert make(nulls={"same": null}).p == pytest.approx(norm.sf(0.2 / one))


@pytest.mark.parametrize("value", [0.0, 0.7])
def test_where_nothing_varies_nothing_is_claimed(value):
    found = make(value=(value, value, value), nulls={"same": np.zeros(5)})
    row = report.board([found]).iloc[0]
    assert (found.p, row["distance"], row["distance_low"], row["survives"]) == (0.5, 0, 0, False)
    assert row["nulls"] == {"same": (0, 0)}


def test_the_board_corrects_over_all_its_rows():
    ps = [0.001, 0.02, 0.04, 0.5]
    table = report.board([make(str(i), p=p) for i, p in enumerate(ps)])
    assert sorted(table["p_holm"]) == pytest.approx(sorted(statistics.holm(ps)))
    assert table["survives"].tolist() == [True, False, False, False]
    assert table["key"].iloc[0] == "0"


def test_distances_are_standard_deviations_of_the_difference():
    found = make(nulls={"untrained": np.array([0.3, 0.5]), "low": (0.0, -0.1, 0.1)})
    row = report.board([found]).iloc[0]
    unit = np.hypot(0.2 / (2 * norm.ppf(0.975)), np.std([0.3, 0.5], ddof=1))
    assert [row["distance"], row["distance_low"], row["distance_high"]] == pytest.approx([0.2 / unit, 0.1 / unit, 0.3 / unit])
    assert row["p"] == found.p
    assert row["nulls"]["untrained"] == pytest.approx((0, np.std([0.3, 0.5], ddof=1) / unit))
    assert row["nulls"]["low"][0] == pytest.approx(-0.4 / unit)


@pytest.mark.parametrize("n_draws", [2, 5, 50])
def test_a_value_without_spread_is_compared_with_draws_as_one_more_of_them(n_draws):
    """Student's prediction interval: exact where draws are normal, however few."""
    draws = np.random.default_rng(n_draws).normal(0.4, 0.05, n_draws)
    statistic = (0.6 - draws.mean()) / (draws.std(ddof=1) * np.sqrt(1 + 1 / n_draws))
    assert make(value=(0.6, 0.6, 0.6), nulls={"untrained": draws}).p == pytest.approx(t.sf(statistic, n_draws - 1))


def test_two_draws_that_are_close_by_chance_prove_little():
    """Welch's test: the degrees of freedom are those of the draws, and a few more for the share of the value's own variance."""
    draws, own = np.array([0.40, 0.41]), (0.02 / (2 * norm.ppf(0.975))) ** 2
    of_null = draws.var(ddof=1) * 1.5
    welch = t.sf((0.5 - draws.mean()) / np.sqrt(own + of_null), (own + of_null) ** 2 / of_null**2)
    found = make(value=(0.5, 0.49, 0.51), nulls={"untrained": draws})
    assert found.p == pytest.approx(welch)
    assert found.p > 0.001


def test_many_draws_are_as_good_as_the_range_that_holds_them():
    draws = np.random.default_rng(0).normal(0.4, 0.05, 20_000)
    reach = norm.ppf(0.975) * draws.std(ddof=1)
    known = (draws.mean(), draws.mean() - reach, draws.mean() + reach)
    assert make(nulls={"untrained": draws}).p == pytest.approx(make(nulls={"untrained": known}).p, rel=0.01)


def test_the_largest_p_counts_even_where_another_null_is_nearer():
    nulls = {"few": np.array([0.30, 0.36]), "permuted": (0.4, 0.3, 0.5)}
    found = make(nulls=nulls)
    assert found.hardest == "permuted"
    assert found.p == make(nulls={"few": nulls["few"]}).p > make(nulls={"permuted": nulls["permuted"]}).p


def test_findings_come_back_from_the_file_as_they_were(tmp_path):
    path = tmp_path / "findings.json"
    found = [make("a"), make("b", expected="less")]
    path.write_text(json.dumps({"claims": [asdict(one) for one in found], "numbers": {}}), encoding="utf-8")
    assert report.read_findings(path) == found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"value": (0.8, 0.5, 0.7)}, "inside its interval"),
        ({"nulls": {"one": np.ones(1)}}, "two draws or more"),
        ({"nulls": {"broken": np.array([0.1, np.nan])}}, "none of them NaN"),
        ({"expected": "more"}, "'greater' or 'less'"),
        ({"p": 1.5}, "from 0 to 1"),
    ],
)
def test_bad_input_is_named(change, words):
    with pytest.raises(ValueError, match=words):
        make(**change)


def test_no_two_claims_share_a_key():
    with pytest.raises(ValueError, match="keys of their own"):
        report.board([make("a"), make("a")])


def test_another_file_is_refused(tmp_path):
    (tmp_path / "other.json").write_text('{"rows": []}', encoding="utf-8")
    with pytest.raises(ValueError, match="make findings"):
        report.read_findings(tmp_path / "other.json")


def test_a_board_says_which_models_it_was_recorded_with(tmp_path):
    path, branch = (
        tmp_path / "findings.json",
        {"herbert": "hub allegro/herbert-base-cased, revision 12ab, configuration and tokenizer 34cd"},
    )
    path.write_text(json.dumps({"claims": [], "numbers": {}}), encoding="utf-8")
    assert report.recorded_models(path) == {}
    assert report.recorded_with(path, {})
    assert not report.recorded_with(path, branch)
    path.write_text(json.dumps({"claims": [], "numbers": {}, "models": branch}), encoding="utf-8")
    assert report.recorded_models(path) == branch
    assert report.recorded_with(path, {"herbert": branch["herbert"].replace("-cased", "-cased@12ab")})  # the same one by its commit
    assert not report.recorded_with(path, {"herbert": branch["herbert"].replace("12ab", "56ef")})
    assert not report.recorded_with(path, {})
