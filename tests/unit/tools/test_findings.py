"""What has changed between two builds, and what rounding may explain."""

import json

import pytest

pytest.importorskip("jupyter_cache")
import findings
from findings import alike, changes, collect, p_alike


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        ("0.74 [0.73, 0.76]", "0.74 [0.72, 0.76]", True),
        ("0.74 [0.73, 0.76]", "0.78 [0.73, 0.76]", False),
        ("−0.004", "0.001", False),
        ("−0.001", "0.001", True),
        ("1,234", "1,236", True),
        ("6 of 8", "5 of 8", True),
        ("L2H7, 75%", "L3H7, 75%", False),
        ("rises", "falls", False),
        ("7.4 × 10⁻⁷", "6.7 × 10⁻⁷", True),
        ("9 × 10⁻⁷", "1.1 × 10⁻⁶", True),
        ("9 × 10⁻⁷", "3 × 10⁻⁶", False),
        ("4 × 10⁻⁴", "4 × 10⁻⁵", False),
    ],
)
def test_only_last_places_are_tolerated(before, now, same):
    assert alike(before, now) == same


def test_claims_and_numbers_are_collected_apart():
    found = collect({"geometry": {"finding-a": json.dumps(claim()), "geo-peak": "0.74"}, "models": {}})
    assert found == {"claims": [claim()], "numbers": {"geometry": {"geo-peak": "0.74"}}}


def test_what_comes_or_goes_is_a_change_beyond_rounding():
    before = {"claims": [], "numbers": {"models": {"loss": "4.20", "old": "1"}}}
    now = {"claims": [], "numbers": {"models": {"loss": "4.21", "new": "1"}}}
    found = {change.where: change.tolerated for change in changes(before, now)}
    assert found == {"models loss": True, "models old": False, "models new": False}
    assert changes(now, now) == []


def claim(key="a", estimate=1.0, half=0.2, p=0.001, **more):
    record = {"key": key, "claim": "c", "model": "m", "unit": "u", "section": "s", "expected": "greater"}
    return record | {"estimate": estimate, "low": estimate - half, "high": estimate + half, "nulls": {"none": [0.0, 0.1]}, "p": p} | more


def collection(*claims):
    return {"claims": list(claims), "numbers": {}}


@pytest.mark.parametrize(
    ("now", "tolerated"),
    [
        (claim(estimate=1.03), True),
        (claim(estimate=1.06), False),
        (claim(p=0.0012), True),
        (claim(p=0.00001), False),
        (claim(claim="another"), False),
    ],
)
def test_a_claim_may_move_by_a_share_of_its_interval_and_of_its_p(now, tolerated):
    (found,) = changes(collection(claim()), collection(now))
    assert found.tolerated == tolerated


def test_a_claim_that_survives_on_one_side_alone_is_never_tolerated():
    """A p-value that hardly moves can cross the level."""
    found = changes(collection(claim(p=0.049)), collection(claim(p=0.051)))
    assert [(change.before, change.now, change.tolerated) for change in found][1:] == [("survives", "does not survive", False)]
    assert found[0].tolerated


@pytest.mark.parametrize(("p", "status"), [(0.001, 0), (0.0011, 0), (0.2, 3)])
def test_comparing_fails_where_a_change_is_beyond_rounding(tmp_path, monkeypatch, capsys, p, status):
    monkeypatch.chdir(tmp_path)
    findings.FILE.parent.mkdir()
    findings.FILE.write_text(json.dumps(collection(claim())))
    monkeypatch.setattr(findings, "last_build", lambda: collection(claim(p=p)))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    assert findings.main(["compare"]) == status
    assert ("`make findings`" in capsys.readouterr().out) == bool(status)
    assert (tmp_path / "summary.md").exists() == (p != 0.001)
    assert findings.main(["write"]) == 0
    assert findings.main(["compare"]) == 0


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [(0.04, 0.045, True), (0.04, 0.06, False), (5.8e-63, 3.4e-63, True), (1e-63, 1e-50, False), (0.0, 0.0, True), (0.0, 1e-9, False)],
)
def test_tiny_p_values_are_compared_by_their_logarithm(before, now, same):
    assert p_alike(*sorted((before, now))) == same


@pytest.mark.parametrize(("mean", "same"), [(0.03, True), (0.95, False), (5.0, False)])
def test_nulls_may_move_as_little_as_estimates(mean, same):
    before, now = collection(claim()), collection(claim(nulls={"none": [mean, 0.1]}))
    assert all(change.tolerated for change in changes(before, now)) == same
