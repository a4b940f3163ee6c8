"""Put untrained models in the place of the trained Polish ones, and collect what the chapters then claim in ``book/placebo.json``.

Every claim of the null board about such a model is tested once more where nothing was learned: of tests that are right, at most 5% give a
p below 0.05. The chapters are run as scripts, on twins of the models: the same shape, tokenizer and counts, and fresh weights.

Usage: ``python tools/placebo_board.py [CHAPTER ...]``, by default all chapters that make such claims; about as long as ``make book``. The
claims of other chapters stay in the file as they are. The twins are kept in ``_build/twins``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from whole_files import write_whole

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # for analysis_lib
FILE, FINDINGS = ROOT / "book/placebo.json", ROOT / "book/findings.json"
TWINS = ROOT / "_build/twins"
STUDIES = ("polish-gpt2", "herbert")
EMPTY = ("neurons_at_work",)  # it asks neurons whose lists pass, and no list of an untrained model does
SEED = 100  # no chapter draws its untrained models from it
CELL = re.compile(r"^# %%(.*)$", re.MULTILINE)


def chapters() -> list[str]:
    """Chapters that make claims and speak of a Polish model, and have something to ask an untrained one."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "book").glob("*.py"))}
    named = (name for name, text in texts.items() if "report.finding(" in text and any(f'"{study}"' in text for study in STUDIES))
    return [name for name in named if name not in EMPTY]


def save_twins(folder: Path) -> dict[str, Path]:
    """Checkpoints of the same shape, tokenizer and counts with fresh weights."""
    from analysis_lib import models
    from analysis_lib.models.folders import COUNTS_FILE

    made = {}
    for study in STUDIES:
        loaded = models.load(study, source="embedded")
        made[study] = folder / study
        models.untrained_like(loaded, seed=SEED).model.save_pretrained(made[study])
        loaded.vocabulary.tokenizer.save_pretrained(made[study])
        shutil.copy(models.EMBEDDED_FOLDER / str(models.STUDIES[study].embedded) / COUNTS_FILE, made[study])
    return made


def code_cells(text: str) -> list[str]:
    """The cells of a percent script that are code."""
    cells = re.split(CELL.pattern, text, flags=re.MULTILINE)[2::2]
    return [cell for kind, cell in zip(CELL.findall(text), cells, strict=True) if "[markdown]" not in kind]


def claims_of(chapter: str) -> list[dict]:
    """Run a chapter as a script, in this process, and keep its claims about the twins."""
    import matplotlib

    matplotlib.use("Agg")
    from analysis_lib import report

    found: list[dict] = []
    record = report.finding

    def recording(*arguments, **options):
        claim = record(*arguments, **options)
        if claim.model in STUDIES:
            found.append(asdict(claim))
        return claim

    report.finding = recording
    os.chdir(ROOT / "book")
    space = {"__name__": "chapter", "display": lambda *shown: None}
    for cell in code_cells(Path(f"{chapter}.py").read_text(encoding="utf-8")):
        exec(compile(cell, chapter, "exec"), space)
    return found


def of_twins(claims: list[dict], trained: dict[str, float]) -> list[dict]:
    """Without claims whose value is that of the trained model: a chapter reads it from the model's card and does not compute it."""
    return [claim for claim in claims if claim["estimate"] != trained.get(claim["key"])]


def merged(before: list[dict], after: list[dict], ran: list[str]) -> list[dict]:
    """Claims of the chapters that ran, and those of the others as they were, by key."""
    kept = [claim for claim in before if claim["section"].split(".html")[0] not in ran]
    return sorted(kept + after, key=lambda claim: claim["key"])


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--claims"]:  # what this script asks of itself, so that every chapter has a process of its own
        Path(arguments[2]).write_text(json.dumps(claims_of(arguments[1])), encoding="utf-8")
        return 0
    ran = arguments or chapters()
    if unknown := set(ran) - set(chapters()):
        print(f"no chapter with claims about a Polish model: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    chosen = {"ANALYSIS_MODELS": ",".join(f"{study}={folder}" for study, folder in save_twins(TWINS).items())}
    found: list[dict] = []
    for chapter in ran:
        written = TWINS / f"{chapter}.json"
        subprocess.run([sys.executable, __file__, "--claims", chapter, str(written)], env=os.environ | chosen, check=True)
        found += json.loads(written.read_text(encoding="utf-8"))
        print(f"{chapter}: {len(found)} claims so far", flush=True)
    trained = {claim["key"]: claim["estimate"] for claim in json.loads(FINDINGS.read_text(encoding="utf-8"))["claims"]}
    before = json.loads(FILE.read_text(encoding="utf-8"))["claims"] if FILE.exists() else []
    content = {"seed": SEED, "claims": merged(before, of_twins(found, trained), ran)}
    write_whole(FILE, json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
