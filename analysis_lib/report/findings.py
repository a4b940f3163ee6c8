"""What the book claims: one record a claim, with the nulls that it has to beat, and the board that holds all of them together.

A chapter calls `finding` once for each of its claims. The record travels with the chapter's glued numbers; `make findings` collects all
of them in ``book/findings.json``, from which the page of the null board is drawn.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.stats import norm, t

from analysis_lib.report.gluing import glue
from analysis_lib.report.words import is_interval
from analysis_lib.statistics import holm

PREFIX = "finding-"
TO_SPREAD = 2 * norm.ppf(0.975)  # width of a 95% interval in standard deviations
BOARD_COLUMNS = [
    *("key", "claim", "model", "section", "unit", "estimate", "low", "high", "null", "null_mean", "null_spread"),
    *("distance", "distance_low", "distance_high", "nulls", "p", "p_holm", "survives"),
]


@dataclass(frozen=True)
class Finding:
    """A claim about a quantity of a trained model, beside the same quantity where the claim cannot hold.

    Attributes
    ----------
    key : str
        Unique in the book.
    claim : str
        One plain sentence, without numbers.
    model, unit : str
        Study name of the model, and what `estimate` counts.
    section : str
        Page and anchor, "geometry.html#senses".
    expected : "greater" or "less"
        On which side of its nulls the claim puts the trained value.
    estimate, low, high : float
        The trained value and its 95% interval.
    nulls : mapping from str to (float, float)
        Mean and standard deviation of each null, by name.
    p : float
        One-sided, the largest over the nulls, not corrected.
    """

    key: str
    claim: str
    model: str
    unit: str
    section: str
    expected: Literal["greater", "less"]
    estimate: float
    low: float
    high: float
    nulls: Mapping[str, tuple[float, float]]
    p: float

    @property
    def sign(self) -> int:
        """1 where the claim expects more than the nulls, -1 where it expects less."""
        return 1 if self.expected == "greater" else -1

    @property
    def own_spread(self) -> float:
        """Standard deviation of the trained value, from its interval."""
        return (self.high - self.low) / TO_SPREAD

    @property
    def hardest(self) -> str:
        """Name of the null that the trained value exceeds by least, in units of both spreads together."""
        return min(self.nulls, key=lambda name: _excess(self, name))


def finding(
    key: str,
    claim: str,
    value: Any,
    nulls: Mapping[str, Any],
    *,
    model: str,
    section: str,
    unit: str = "",
    expected: Literal["greater", "less"] = "greater",
    p: float | None = None,
) -> Finding:
    """Record a claim for the null board.

    Parameters
    ----------
    key, claim, model, section, unit, expected
        As in `Finding`.
    value : statistics.Interval or (estimate, low, high)
        The trained value and its 95% interval.
    nulls : mapping from str to array, Interval or (estimate, low, high)
        By name ("untrained", "permuted"): an array of draws, of which mean and standard deviation are kept, or a mean with the
        range that holds 95% of the draws. Where neither the value nor a null varies, their difference is taken to be none.
    p : float, optional
        One-sided p-value of the chapter's own test against the hardest null, not corrected. Without it the value is compared with one
        more draw of each null: the difference is taken to be normal, with the variances of the value and of the null added, and to
        have Student's distribution where the null's variance is that of few draws (Welch 1947); of several nulls the largest p is kept.

    Returns
    -------
    Finding

    Raises
    ------
    ValueError
        A null of one draw or with NaN, an interval that does not hold its estimate, a p outside 0 to 1, or an unknown `expected`.

    Examples
    --------
    >>> found = finding(
    ...     "senses", "Neighbours share a sense", (0.6, 0.54, 0.67), {"permuted": (0.43, 0.38, 0.47)}, model="e5", section="geometry.html"
    ... )
    >>> found.hardest, found.p < 0.001
    ('permuted', True)
    """
    estimate, low, high = _ends("value", value)
    if expected not in ("greater", "less"):
        raise ValueError(f"expected is {expected!r}, should be 'greater' or 'less'")
    if not nulls:
        raise ValueError(f"nulls of {key!r}: expected one or more, found none")
    if p is not None and not 0 <= p <= 1:
        raise ValueError(f"p of {key!r}: expected a number from 0 to 1, found {p}")
    known = {name: _mean_and_spread(name, null) for name, null in nulls.items()}
    spreads = {name: (mean, spread) for name, (mean, spread, _) in known.items()}
    common: dict[str, Any] = {"key": key, "claim": claim, "model": model, "unit": unit, "section": section, "expected": expected}
    found = Finding(**common, estimate=estimate, low=low, high=high, nulls=spreads, p=1.0)
    chosen = max(_beyond(found, name, n_draws) for name, (_, _, n_draws) in known.items()) if p is None else float(p)
    found = Finding(**{**asdict(found), "p": chosen})
    glue(PREFIX + key, json.dumps(asdict(found), ensure_ascii=False, sort_keys=True))
    return found


def read_findings(path: str | Path) -> list[Finding]:
    """The findings in a file that `make findings` wrote.

    Raises
    ------
    ValueError
        The file holds no list of claims.
    """
    try:
        claims = json.loads(Path(path).read_text(encoding="utf-8"))["claims"]
        return [Finding(**{**claim, "nulls": {name: tuple(null) for name, null in claim["nulls"].items()}}) for claim in claims]
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: expected findings as `make findings` writes them, found something else ({error})") from error


def recorded_models(path: str | Path) -> dict[str, str]:
    """Models in the place of the book's own when `make findings` wrote the file: study name to one line, as `models.prepare`."""
    return json.loads(Path(path).read_text(encoding="utf-8")).get("models", {})


def recorded_with(path: str | Path, now: Mapping[str, str]) -> bool:
    """Whether a file's claims were recorded with the models that `models.prepare` names now, asked for by a branch or by a commit."""
    revisions = ({name: line.rpartition("revision ")[2] for name, line in found.items()} for found in (recorded_models(path), now))
    return next(revisions) == next(revisions)


def board(findings: Iterable[Finding], level: float = 0.05) -> pd.DataFrame:
    """All claims in one unit, corrected together.

    Parameters
    ----------
    findings : iterable of Finding
    level : float
        Familywise level of Holm's correction over all rows.

    Returns
    -------
    DataFrame
        One row a claim, those that survive first and then by distance. `null`, `null_mean`, `null_spread`: the hardest null;
        `distance`, `distance_low`, `distance_high`: the trained value and its interval, from the mean of that null, positive where the
        claim expects it, in standard deviations of the difference: the spread of the null and the value's own, added as variances,
        since a null of no spread to speak of would put every value infinitely far away; `nulls`: mean and spread of every null in
        that unit, by name; `p`, `p_holm`; `survives`: `p_holm` below `level`.

    Raises
    ------
    ValueError
        No findings, or two with one key.
    """
    findings = list(findings)
    keys = [found.key for found in findings]
    if not keys or len(set(keys)) < len(keys):
        raise ValueError(f"findings: expected one or more with keys of their own, found {sorted(keys)}")
    corrected = holm([found.p for found in findings])
    rows = []
    for found, p_holm in zip(findings, corrected, strict=True):
        mean, spread = found.nulls[found.hardest]
        unit = _unit(found, spread)
        ends = sorted(found.sign * (end - mean) / unit for end in (found.low, found.high))
        row = {name: getattr(found, name) for name in BOARD_COLUMNS if hasattr(found, name)}
        row["nulls"] = {name: (found.sign * (m - mean) / unit, s / unit) for name, (m, s) in found.nulls.items()}
        row |= {"null": found.hardest, "null_mean": mean, "null_spread": spread}
        row |= {"distance": found.sign * (found.estimate - mean) / unit, "distance_low": ends[0], "distance_high": ends[1]}
        rows.append(row | {"p_holm": p_holm, "survives": bool(p_holm < level)})
    table = pd.DataFrame(rows)[BOARD_COLUMNS]
    return table.sort_values(["survives", "distance"], ascending=False, kind="stable", ignore_index=True)


def _excess(found: Finding, name: str) -> float:
    """How far the value is beyond a null, in standard deviations of their difference."""
    mean, spread = found.nulls[name]
    return found.sign * (found.estimate - mean) / _unit(found, spread)


def _beyond(found: Finding, name: str, n_draws: float) -> float:
    """One-sided p-value of the value as one more draw of a null, by Welch's degrees of freedom."""
    mean, spread = found.nulls[name]
    own, of_null = found.own_spread**2, spread**2 * (1 + 1 / n_draws)
    if own + of_null == 0:
        return 0.5
    freedom = (n_draws - 1) * (1 + own / of_null) ** 2 if of_null else math.inf
    return float(t.sf(found.sign * (found.estimate - mean) / math.sqrt(own + of_null), freedom))


def _unit(found: Finding, spread: float) -> float:
    """Standard deviation of the difference from a null; infinite where neither varies: nothing tells how large it is then."""
    return math.hypot(found.own_spread, spread) or math.inf


def _ends(name: str, value: Any) -> tuple[float, float, float]:
    estimate, low, high = (value.estimate, value.low, value.high) if is_interval(value) else value
    if not low <= estimate <= high:
        raise ValueError(f"{name}: expected an estimate inside its interval, found {estimate} and [{low}, {high}]")
    return float(estimate), float(low), float(high)


def _mean_and_spread(name: str, null: Any) -> tuple[float, float, float]:
    """Of a null, and of how many draws its spread is known."""
    n_draws = math.inf
    if isinstance(null, np.ndarray | pd.Series | list):
        draws = np.asarray(null, dtype=float).ravel()
        n_draws = len(draws)
        mean, spread = (float(draws.mean()), float(draws.std(ddof=1))) if n_draws > 1 else (math.nan, math.nan)
    else:
        mean, low, high = _ends(f"null {name!r}", null)
        spread = (high - low) / TO_SPREAD
    if math.isnan(spread):
        raise ValueError(f"null {name!r}: expected two draws or more, none of them NaN, or an interval, found a spread of {spread}")
    return mean, spread, n_draws
