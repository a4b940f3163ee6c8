"""Ask programs that others wrote what the library computes, keep their answers, and write the page that shows both.

``record`` needs the packages of `oracles.lock`, in an environment of their own (`make oracles`): it compares every quantity in full,
keeps a sample of the oracles' numbers in `tests/oracles/recorded.npz` with versions and largest differences beside it, and writes
`book/oracles.md`. ``page`` writes the page again from the record, in any environment.

Usage: ``python tools/oracles.py record`` or ``python tools/oracles.py page``.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from whole_files import write_whole

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    from tests.oracles.quantity import Quantity

NUMBERS, RECORD, PAGE = ROOT / "tests/oracles/recorded.npz", ROOT / "tests/oracles/recorded.json", ROOT / "book/oracles.md"
MODULES = {
    "transformer-lens": ["transformer_lens"],
    "transformers": ["transformers"],
    "faiss-cpu": ["faiss"],
    "MAPS": [],  # a formula
    "IsoScore": ["IsoScore.IsoScore"],
    "scikit-learn": ["sklearn"],
    "scikit-dimension": ["skdim"],
    "statsmodels": ["statsmodels"],
    "wildboottest": ["wildboottest.wildboottest"],
}
TITLES = {"transformer-lens": "TransformerLens", "faiss-cpu": "FAISS", "MAPS": "The formula of MAPS"}
BESIDE = ("torch", "numpy")

INTRODUCTION = """\
# Agreement with other programs

The library agrees with code that other people wrote in every quantity below. The agreement is to rounding, except in one row where two
definitions differ, as the row says. For MAPS {cite}`elhelo2025` no package was asked: the formula of the paper was written out.

Most tests of a library compare it with itself. Here the same models and data go to other packages as well. The models are the two
shipped language models, the shipped attention-only model, and
random GPT-2s and BERTs of odd shapes: one head, five heads, a feed-forward layer narrower than the stream, an unembedding of its own.
The random weights depend on the names and shapes of the parameters alone, so that they are the same
everywhere.

`make oracles` installs the packages in an environment of their own, compares every number, and writes this page. A sample of the
packages' answers is kept in the repository with the versions that gave them, and
every run of the tests compares the library with this sample.
"""
ENDING = """\
## What is not compared

- **Logit lens.** `accumulated_resid(apply_ln=True)` of TransformerLens normalises each state by the scale of the last one, which is
  another quantity.
- **Scores of `detect_head`** are shares of all rows of a pattern. A perfect induction head scores about one half there and 1 here; the
  table converts these shares before it compares them.
- **Wild bootstrap.** The table compares the t of the jackknife over texts. wildboottest 0.3.2 cannot draw its bootstrap for these errors
  with numpy 2.4; a unit test compares the library's draws with regressions that are run again.
- **Layer norms folded into weights.** TransformerLens also centres what layers write, so that its matrices differ while outputs are equal.
"""


def read_numbers() -> dict[str, dict[str, np.ndarray]]:
    """The oracles' numbers by quantity and part."""
    found: dict[str, dict[str, np.ndarray]] = {}
    with np.load(NUMBERS) as file:
        for name in file.files:
            key, _, part = name.partition("/")
            found.setdefault(key, {})[part] = file[name]
    return found


def ask(quantity: Quantity) -> tuple[dict, dict[str, np.ndarray]]:
    """Compare one quantity in full; what the record says of it, and what the fixture keeps."""
    from tests.oracles.quantity import largest_difference, stored

    ours, theirs = quantity.ours(), quantity.theirs()
    largest = largest_difference(ours, theirs)
    print(f"{quantity.key}: largest difference {largest:.2g}, tolerance {quantity.tolerance:.2g}", flush=True)
    if not largest <= quantity.tolerance:
        raise SystemExit(
            f"{quantity.key}: the library and {quantity.oracle} differ by {largest:.3g}, expected at most {quantity.tolerance:.3g}"
        )
    return {"largest": float(f"{largest:.2g}"), "numbers": sum(np.size(values) for values in ours.values())}, stored(theirs)


def record() -> dict:
    """Ask all oracles, and write numbers and record."""
    from tests.oracles import inputs
    from tests.oracles.quantities import QUANTITIES

    differences: dict[str, dict] = {}
    numbers: dict[str, np.ndarray] = {}
    for quantity in QUANTITIES:
        differences[quantity.key], kept = ask(quantity)
        numbers |= {f"{quantity.key}/{part}": values for part, values in kept.items()}
    versions = {name: version(name) for name, modules in MODULES.items() if modules} | {"MAPS": ""}
    found = {"versions": versions | {name: version(name).split("+")[0] for name in BESIDE}, "differences": differences}
    found["models"] = {name: inputs.shipped(name).revision for name in inputs.SHIPPED}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **numbers)
    write_whole(NUMBERS, buffer.getvalue())
    write_whole(RECORD, json.dumps(found, indent=1, sort_keys=True) + "\n")
    return found


def page(found: dict) -> str:
    """The page of the book, a table for each oracle."""
    from tests.oracles.quantities import QUANTITIES

    lines = [INTRODUCTION]
    for oracle in dict.fromkeys(quantity.oracle for quantity in QUANTITIES):
        lines += [f"## {TITLES.get(oracle, oracle)} {found['versions'][oracle]}".rstrip(), ""]
        lines += ["| Quantity, and what was asked | Numbers | Largest difference | Tolerance, and why |", "|---|--:|--:|---|"]
        for quantity in (quantity for quantity in QUANTITIES if quantity.oracle == oracle):
            difference = found["differences"][quantity.key]
            asked, allowed = f"{quantity.words}: {quantity.how}", f"{size(quantity.tolerance)}: {quantity.reason}"
            lines.append(f"| {asked} | {difference['numbers']:,} | {size(difference['largest'])} | {allowed} |")
        lines.append("")
    beside = " and ".join(f"{name} {found['versions'][name]}" for name in BESIDE)
    lines += [f"All were asked with {beside}. A difference is absolute, and the largest over all models and all numbers.", "", ENDING]
    return "\n".join(lines)


def size(value: float) -> str:
    """A difference in words: 0, or one or two digits and a power of ten."""
    if value == 0:
        return "0"
    digits, power = f"{value:.1e}".split("e")
    return f"${digits.removesuffix('.0')} \\times 10^{{{int(power)}}}$"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["record", "page"])
    action = parser.parse_args(arguments).action
    found = record() if action == "record" else json.loads(RECORD.read_text(encoding="utf-8"))
    write_whole(PAGE, page(found))


if __name__ == "__main__":
    main(sys.argv[1:])
