"""What has changed between two builds, and what rounding may explain."""

import json

import pytest

pytest.importorskip("jupyter_cache")
from findings import alike, changes, collect


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
    ],
)
def test_only_last_places_are_tolerated(before, now, same):
    assert alike(before, now) == same


def test_claims_and_numbers_are_collected_apart():
    claim = {"key": "a", "claim": "c", "estimate": 1.0, "low": 0.5, "high": 1.5, "p": 0.01}
    found = collect({"geometry": {"finding-a": json.dumps(claim), "geo-peak": "0.74"}, "models": {}})
    assert found == {"claims": [claim], "numbers": {"geometry": {"geo-peak": "0.74"}}}


def test_what_comes_or_goes_is_a_change_beyond_rounding():
    before = {"claims": [], "numbers": {"models": {"loss": "4.20", "old": "1"}}}
    now = {"claims": [], "numbers": {"models": {"loss": "4.21", "new": "1"}}}
    found = {change.where: change.tolerated for change in changes(before, now)}
    assert found == {"models loss": True, "models old": False, "models new": False}
    assert changes(now, now) == []
