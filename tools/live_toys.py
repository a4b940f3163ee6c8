"""Write the weights of the two models that run in the reader's browser, ``book/_static/live/weights-*.js``.

A page that is opened from disk may not fetch files, so each script sets one constant: the checkpoint's own `model.safetensors` in base64,
its SHA-256, its configuration, and, for the induction toy, what its heads do.

Usage: ``python tools/live_toys.py`` writes them, ``python tools/live_toys.py check`` says which are not those of the checkpoints.
After ``make book``, ``python tools/live_toys.py pictures`` takes the pictures that readers without scripts see; it needs Chromium.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from pathlib import Path

from whole_files import write_whole

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path("book/_static/live")
CHECKPOINTS = {"minigpt": "minigpt-induction", "regressor": "regressor"}  # name of the script: folder
WIDTH = 760  # of the pictures, as wide as the text


def roles() -> list[list[str]]:
    """What each head of the toy is, [layer][head], by the scores from which the chapter on induction chooses the circuit."""
    sys.path.insert(0, str(ROOT))
    from analysis_lib import circuits, models  # slow to import, and needed here only
    from analysis_lib.circuits import induction, repeats

    symbols = range(1, repeats.VOCABULARY)
    probe = circuits.repeated_random_tokens(symbols, 64, 15, (0, 24), start=repeats.BEGIN, length=repeats.LENGTH, distinct=False, seed=1)
    toy = models.load("minigpt", source="embedded")
    scores = induction.probe_scores(induction.probe_patterns(toy, probe), probe)
    circuit = induction.find_circuit(scores)
    found = [[""] * toy.model.config.n_heads for _ in range(toy.model.config.n_layers)]
    for layer, head in circuit.shifting:
        one, two = (scores[name].mean(axis=0)[layer, head] for name in ("previous token", "two back"))
        found[layer][head] = "1 back" if one >= two else "2 back"
    for layer, head in circuit.inductive:
        found[layer][head] = "induction"
    for layer, head in (circuit.previous, circuit.strongest):
        found[layer][head] += ", strongest"
    return found


def script(root: Path, name: str, extra: dict) -> str:
    """The script of one model."""
    folder = root / "analysis_lib" / "checkpoints" / CHECKPOINTS[name]
    weights = (folder / "model.safetensors").read_bytes()
    content = {
        "sha256": hashlib.sha256(weights).hexdigest(),
        "config": json.loads((folder / "config.json").read_text(encoding="utf-8")),
        **extra,
        "safetensors": base64.b64encode(weights).decode(),
    }
    return (
        f"/* Written by tools/live_toys.py from {folder.relative_to(root).as_posix()}. */\nconst {name}Weights = {json.dumps(content)};\n"
    )


def scripts(root: Path) -> dict[Path, str]:
    """The files as they should be."""
    extra = {"minigpt": {"roles": roles()}, "regressor": {}}
    return {root / FOLDER / f"weights-{name}.js": script(root, name, extra[name]) for name in CHECKPOINTS}


def stale(root: Path) -> list[str]:
    """Names of the files that are missing or not those of the checkpoints."""
    return [path.name for path, text in scripts(root).items() if not path.exists() or path.read_text(encoding="utf-8") != text]


def take_pictures(root: Path) -> None:
    """Photograph both toys on the built page."""
    from pdf_book import chromium  # with a browser of the system, as `make pdf`
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": WIDTH, "height": 1200}, color_scheme="light")
        tab.goto((root / "_build/html/book/live.html").as_uri())
        for name in ("induction", "regression"):
            tab.locator(f"#live-{name}").screenshot(path=root / FOLDER / f"{name}.png")
        browser.close()


def main(arguments: list[str]) -> int:
    root = Path.cwd()
    if arguments == ["pictures"]:
        take_pictures(root)
    elif arguments == ["check"]:
        old = stale(root)
        print("\n".join(f"{name}: not that of the checkpoint" for name in old) or "both are those of the checkpoints")
        return 1 if old else 0
    elif not arguments:
        for path, text in scripts(root).items():
            write_whole(path, text)
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
