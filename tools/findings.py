"""Collect what the last build claims and shows in ``book/findings.json``, or say what has changed since it was collected.

The file holds every claim that a chapter recorded with `report.finding`, from which the null board is drawn, every number that a
chapter glued into the text of a page, and which models ``ANALYSIS_MODELS`` had put in the place of those that come with the book.

Two builds on one machine give the same file. Another processor rounds otherwise, and what that may change is tolerated: two units in the
last place of a number that is shown, and a factor of two in one below 10⁻⁵, which is itself a rounding error; of a claim a tenth of its 95%
interval, and of its p-value a quarter or a twentieth of its logarithm. What comes or goes is never tolerated, and neither is a claim that
survives in one build and not in the other.

Usage, after ``make book``: ``python tools/findings.py write``, or ``python tools/findings.py compare``, which ends with status 3 where a
change is beyond what is tolerated.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from results import glued
from whole_files import write_whole

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for analysis_lib

FILE = Path("book/findings.json")
PREFIX = "finding-"
UNITS_IN_LAST_PLACE = 2  # how far a shown number may move from one processor to another
SHARE_OF_INTERVAL, SHARE_OF_P = 0.1, 0.25  # how far a claim may: by this share of its 95% interval, and of its p-value
ENDS = ("estimate", "low", "high")
SHARE_OF_LOG_P = 0.05  # a p-value far below any level moves by a factor where the estimate moves in its last place
SMALL = 1e-5
SCIENTIFIC = re.compile(r"(\d+(?:\.\d+)?) × 10⁻([⁰¹²³⁴⁵⁶⁷⁸⁹]+)")
PLAIN = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
NUMBER = re.compile(r"(?<![A-Za-z\d])[-+\N{MINUS SIGN}]?\d[\d,]*(?:\.\d+)?")


@dataclass(frozen=True)
class Change:
    """A number that is not what it was, and whether rounding on another processor may explain that."""

    where: str
    before: str
    now: str
    tolerated: bool


def chapters(toc: Path = Path("_toc.yml")) -> list[str]:
    """Names of the notebooks in the table of contents, but for the board, which is drawn from what is collected here."""
    parts = yaml.safe_load(toc.read_text(encoding="utf-8"))["parts"]
    names = [Path(chapter["file"]).name for part in parts for chapter in part["chapters"]]
    return [name for name in names if Path("book", f"{name}.ipynb").exists() and name != "null_board"]


def collect(by_chapter: Mapping[str, Mapping[str, object]]) -> dict:
    """Claims and numbers of all chapters, in an order that is always the same."""
    claims = [json.loads(str(value)) for found in by_chapter.values() for key, value in found.items() if key.startswith(PREFIX)]
    numbers = {
        chapter: {key: str(value) for key, value in sorted(found.items()) if not key.startswith(PREFIX)}
        for chapter, found in sorted(by_chapter.items())
    }
    return {"claims": sorted(claims, key=lambda claim: claim["key"]), "numbers": {name: found for name, found in numbers.items() if found}}


def last_build() -> dict:
    """Claims and numbers of the last build, and the models of a reader's choice that they belong to."""
    from analysis_lib import models

    return collect({name: glued(name) for name in chapters()}) | {"models": models.prepare()}


def flat(found: Mapping) -> dict[str, str]:
    """Every number as one line of text, by where it stands."""
    return {f"{chapter} {key}": text for chapter, numbers in found["numbers"].items() for key, text in numbers.items()}


def rounding_errors(text: str) -> tuple[list[float], str]:
    """Numbers such as 7 × 10⁻⁷ that are too small to be anything but rounding, and the text without them."""
    found = [float(f"{digits}e-{power.translate(PLAIN)}") for digits, power in SCIENTIFIC.findall(text)]
    return (found, SCIENTIFIC.sub("", text)) if found and max(found) < SMALL else ([], text)


def alike(before: str, now: str) -> bool:
    """Whether two texts differ in nothing but the last places of their numbers."""
    (errors, before), (new_errors, now) = rounding_errors(before), rounding_errors(now)
    if len(errors) != len(new_errors) or any(max(pair) > 2 * min(pair) for pair in zip(errors, new_errors, strict=True)):
        return False
    if NUMBER.sub("", before) != NUMBER.sub("", now):
        return False
    for old, new in zip(NUMBER.findall(before), NUMBER.findall(now), strict=True):
        decimals = max(len(text.partition(".")[2]) for text in (old, new))
        values = [float(text.replace(",", "").replace("\N{MINUS SIGN}", "-")) for text in (old, new)]
        if abs(values[0] - values[1]) > (UNITS_IN_LAST_PLACE + 1e-6) * 10**-decimals:
            return False
    return True


def claims_alike(before: Mapping, now: Mapping) -> bool:
    """Whether two records of a claim say the same, and rounding may explain how their numbers differ."""
    numbers = {*ENDS, "p", "nulls"}
    if {key: value for key, value in before.items() if key not in numbers} != {
        key: value for key, value in now.items() if key not in numbers
    }:
        return False
    if before["nulls"].keys() != now["nulls"].keys():
        return False
    width = SHARE_OF_INTERVAL * max(before["high"] - before["low"], now["high"] - now["low"])
    moved = max(abs(before[end] - now[end]) for end in ENDS)
    return moved <= width and nulls_alike(before, now, width) and p_alike(*sorted((before["p"], now["p"])))


def nulls_alike(before: Mapping, now: Mapping, width: float) -> bool:
    """Whether means and spreads of all nulls moved by no more than the estimate may, or than this share of their own 95% range."""
    for name, (mean, spread) in before["nulls"].items():
        new_mean, new_spread = now["nulls"][name]
        if max(abs(mean - new_mean), abs(spread - new_spread)) > max(width, SHARE_OF_INTERVAL * 4 * max(spread, new_spread)):
            return False
    return True


def p_alike(smaller: float, larger: float) -> bool:
    """Whether rounding may be all that two p-values differ by."""
    if larger - smaller <= SHARE_OF_P * larger:
        return True
    return smaller > 0 and math.log(larger / smaller) <= SHARE_OF_LOG_P * -math.log(larger)


def shown(claim: Mapping) -> str:
    """A claim as one line."""
    estimate, low, high = (f"{claim[end]:.3g}" for end in ENDS)
    return f"{estimate} [{low}, {high}], p = {claim['p']:.2g}"


def survivors(found: Mapping) -> set[str]:
    """Keys of the claims that survive on the null board."""
    from analysis_lib.report.findings import Finding, board

    claims = [Finding(**claim) for claim in found["claims"]]
    table = board(claims) if claims else None
    return set() if table is None else set(table.loc[table["survives"], "key"])


def changes(before: Mapping, now: Mapping) -> list[Change]:
    """Where two collections differ; what only one of them has is never tolerated."""
    old, new = flat(before), flat(now)
    found = []
    for where in sorted(old.keys() | new.keys()):
        was, is_now = old.get(where, "(not there)"), new.get(where, "(gone)")
        if was != is_now:
            found.append(Change(where, was, is_now, where in old and where in new and alike(was, is_now)))
    return found + claim_changes(before, now)


def claim_changes(before: Mapping, now: Mapping) -> list[Change]:
    """Claims that differ, and those that survive on one side alone."""
    old, new = ({claim["key"]: claim for claim in side["claims"]} for side in (before, now))
    found = []
    for key in sorted(old.keys() | new.keys()):
        if key not in old or key not in new:
            sides = (shown(old[key]) if key in old else "(not there)", shown(new[key]) if key in new else "(gone)")
            found.append(Change(f"claim {key}", *sides, False))
        elif old[key] != new[key]:
            found.append(Change(f"claim {key}", shown(old[key]), shown(new[key]), claims_alike(old[key], new[key])))
    kept = old.keys() & new.keys()
    flipped = (survivors(before) ^ survivors(now)) & kept
    words = ("survives", "does not survive")
    found += [Change(f"claim {key}", *(words if key in survivors(before) else words[::-1]), False) for key in sorted(flipped)]
    return found


def summary(found: list[Change]) -> str:
    """The changes as a table in Markdown, for the page of a run on a forge."""
    rows = [f"| {'' if c.tolerated else '**beyond rounding**'} | {c.where} | {c.before} | {c.now} |" for c in found]
    return "\n".join(["### Numbers and claims that changed", "", "| | Where | Before | Now |", "|---|---|---|---|", *rows, ""])


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["write", "compare"])
    action, now = parser.parse_args(arguments).action, last_build()
    before = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {"claims": [], "numbers": {}}
    found = changes(before, now)
    for change in found:
        print(f"{'  ' if change.tolerated else '! '}{change.where}: {change.before} -> {change.now}")
    beyond = sum(not change.tolerated for change in found)
    print(f"{len(flat(now)) + len(now['claims'])} numbers and claims, {len(found)} changed, {beyond} beyond rounding")
    if found and (page := os.environ.get("GITHUB_STEP_SUMMARY")):
        with open(page, "a", encoding="utf-8") as file:
            file.write(summary(found))
    if action == "write":
        write_whole(FILE, json.dumps(now, ensure_ascii=False, indent=1) + "\n")
        return 0
    if beyond:
        print("If the changes are meant, `make findings` records them; commit book/findings.json.")
    return 3 * (beyond > 0)  # neither the 1 of an error nor the 2 of a wrong command


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
