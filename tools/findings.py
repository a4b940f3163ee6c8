"""Collect what the last build claims and shows in ``book/findings.json``, or say what has changed since it was collected.

The file holds every claim that a chapter recorded with `report.finding`, from which the null board is drawn, and every number that a
chapter glued into the text of a page.

Usage, after ``make book``: ``python tools/findings.py write`` or ``python tools/findings.py compare``.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from results import glued
from whole_files import write_whole

FILE = Path("book/findings.json")
PREFIX = "finding-"
UNITS_IN_LAST_PLACE = 2  # how far a shown number may move from one processor to another
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
    """Claims and numbers of the last build."""
    return collect({name: glued(name) for name in chapters()})


def flat(found: Mapping) -> dict[str, str]:
    """Every claim and every number as one line of text, by where it stands."""
    lines = {f"{chapter} {key}": text for chapter, numbers in found["numbers"].items() for key, text in numbers.items()}
    for claim in found["claims"]:
        estimate, low, high = (f"{claim[end]:.3g}" for end in ("estimate", "low", "high"))
        lines[f"claim {claim['key']}"] = f"{estimate} [{low}, {high}], p = {claim['p']:.2g}"
    return lines


def alike(before: str, now: str) -> bool:
    """Whether two texts differ in nothing but the last places of their numbers."""
    if NUMBER.sub("", before) != NUMBER.sub("", now):
        return False
    for old, new in zip(NUMBER.findall(before), NUMBER.findall(now), strict=True):
        decimals = max(len(text.partition(".")[2]) for text in (old, new))
        values = [float(text.replace(",", "").replace("\N{MINUS SIGN}", "-")) for text in (old, new)]
        if abs(values[0] - values[1]) > (UNITS_IN_LAST_PLACE + 1e-6) * 10**-decimals:
            return False
    return True


def changes(before: Mapping, now: Mapping) -> list[Change]:
    """Where two collections differ; what only one of them has is never tolerated."""
    old, new = flat(before), flat(now)
    found = []
    for where in sorted(old.keys() | new.keys()):
        was, is_now = old.get(where, "(not there)"), new.get(where, "(gone)")
        if was != is_now:
            found.append(Change(where, was, is_now, where in old and where in new and alike(was, is_now)))
    return found


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["write", "compare"])
    action, now = parser.parse_args(arguments).action, last_build()
    before = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {"claims": [], "numbers": {}}
    found = changes(before, now)
    for change in found:
        print(f"{'  ' if change.tolerated else '! '}{change.where}: {change.before} -> {change.now}")
    print(f"{len(flat(now))} numbers and claims, {len(found)} changed, {sum(not change.tolerated for change in found)} beyond rounding")
    if action == "write":
        write_whole(FILE, json.dumps(now, ensure_ascii=False, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
