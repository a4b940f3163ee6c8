"""Write what the page of the atlas shows: one script a model, which the page loads when a reader asks for it.

A page that is opened from disk may not fetch files, so each script sets one constant, a model's data as JSON, compressed, in base64. Tables
of neurons are packed: a token, or what a list has in common, is a number of two or three characters. The scripts lie in ``_build/atlas``
and are made again only when the library, the models or this program changed; as a Sphinx extension, this module copies them into the site.

Usage: ``python tools/atlas.py``, in the folder of ``_config.yml``.
"""

from __future__ import annotations

import base64
import gzip
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import build_book
import numpy as np
from whole_files import write_whole

ROOT = Path(__file__).resolve().parents[1]
PAGE = "book/atlas"
# What stands between quotes in a script as itself.
ALPHABET = "".join(chr(code) for code in range(33, 127) if chr(code) not in "\"'\\`")
TITLES = {
    "polish-gpt2": "GPT-2",
    "herbert": "HerBERT",
    "e5": "e5",
    "minigpt-polish": "minigpt-polish",
    "minigpt": "Induction toy",
    "regressor": "Regressor",
    "regressor-noisy": "Regressor, noisy",
    "model-selector": "Model selector, 21 points fitted",
    "model-selector-few": "Model selector, 6 points fitted",
}
FAMILY = ("polish-gpt2", "herbert", "e5")  # the models of the chapter on heads


def width(n: int) -> int:
    """Characters that a number below n takes."""
    return max(1, math.ceil(math.log(max(n, 2), len(ALPHABET))))


def packed(numbers: Any, size: int) -> list[str]:
    """Whole numbers from 0 as `size` characters each, the largest place first."""
    found = [""] * np.size(numbers)
    rest = np.ravel(numbers).astype(np.int64)
    if len(rest) and (rest.min() < 0 or rest.max() >= len(ALPHABET) ** size):
        raise ValueError(f"numbers: expected 0 to {len(ALPHABET) ** size - 1}, found {rest.min()} to {rest.max()}")
    for _ in range(size):
        rest, digit = np.divmod(rest, len(ALPHABET))
        found = [ALPHABET[d] + tail for d, tail in zip(digit.tolist(), found, strict=True)]
    return found


def pack_neurons(part: dict) -> dict:
    """The lists of neurons as one string.

    A neuron takes, for its key and then for its value: its tokens, and the place of its test among the different ones, each of which is
    what the list shares, the count of it, the count by chance, p, and whether the list passes. Many lists have the same test.
    """
    ids, tables, text = (part.pop(name) for name in ("ids", "tests", "text"))
    used, places = np.unique(ids, return_inverse=True)
    by_side = [[_test(*row) for row in table[["shared", "count", "expected", "p", "passes"]].to_numpy().tolist()] for table in tables]
    tests = sorted({test for side in by_side for test in side})
    number = {test: place for place, test in enumerate(tests)}
    sides = []
    for side, own in zip(places.reshape(ids.shape), by_side, strict=True):
        tokens = np.reshape(packed(side, width(len(used))), side.shape)
        named = packed([number[test] for test in own], width(len(tests)))
        sides.append(["".join(row) + test for row, test in zip(tokens, named, strict=True)])
    packing = {"alphabet": ALPHABET, "tokens": [text[i] for i in used], "tests": tests, "per_list": ids.shape[2]}
    return part | {"packed": {**packing, "rows": "".join(a + b for a, b in zip(*sides, strict=True))}}


def _test(shared: str, count: int, expected: float, p: float, passes: bool) -> tuple[str, int, float, float, int]:
    """A test as the atlas shows it: the count by chance in tenths, p with two digits, or with one where it is below 0.001."""
    return shared, int(count), round(float(expected), 1), float(f"{p:.2g}" if p >= 0.001 else f"{p:.0e}"), int(passes)


def collect() -> dict[str, dict]:
    """All models of the book, by study name."""
    sys.path.insert(0, str(ROOT))
    import atlas_rows as rows  # torch and the library are slow to import, and needed here only

    from analysis_lib import models
    from analysis_lib.projections.readers import Reader

    has_e5 = models.available()["e5"]["embedded"] is not None
    sources = {name: "embedded" if name == "e5" else None for name in (*FAMILY, "minigpt-polish") if has_e5 or name != "e5"}
    readers = {name: Reader.of(models.load(name, source), numbers=True) for name, source in sources.items()}
    heads = rows.language_models({name: rows.heads_reader(reader, name) for name, reader in readers.items()}, FAMILY)
    found = {}
    for name, reader in readers.items():
        neurons = {"neurons": pack_neurons(rows.language_neurons(reader))} if reader.weights.d_mlp else {}
        found[name] = entry(name, reader.loaded, heads=heads[name], **neurons)
    toy = models.load("minigpt", "embedded")
    found["minigpt"] = entry("minigpt", toy, heads=rows.toy_heads(toy))
    for name in (name for name in TITLES if name.startswith(("regressor", "model-selector"))):
        loaded = models.load(name, "embedded")
        found[name] = entry(name, loaded, **dict(zip(("heads", "neurons"), rows.regressor_parts(loaded, name), strict=True)))
    return {name: found[name] for name in TITLES if name in found}


def entry(study: str, loaded: Any, **parts: dict) -> dict:
    return {"name": study, "title": TITLES[study], "source": loaded.label, **parts}


def scripts(found: dict[str, dict]) -> dict[str, str]:
    """The files by name: one for each model, the glosses of Polish words, and the list of models."""
    from analysis_lib import texts

    data = found | {"glosses": texts.glossary()}
    files = {f"data-{name}.js": f'(window.atlasData ??= {{}})["{name}"] = "{compressed(content)}";\n' for name, content in data.items()}
    kinds = {name: [kind for kind in ("heads", "neurons") if kind in model] for name, model in found.items()}
    listed = [{"name": name, "title": model["title"], "parts": kinds[name]} for name, model in found.items()]
    return files | {"models.js": f"window.atlasModels = {compact(listed)};\n"}


def compact(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def compressed(content: Any) -> str:
    """JSON in gzip in base64, the same bytes every time."""
    return base64.b64encode(gzip.compress(compact(content).encode(), mtime=0)).decode()


def key(root: Path) -> str:
    """What the scripts depend on."""
    return build_book.digest([root / "tools" / name for name in ("atlas.py", "atlas_rows.py")], root, build_book.results_key(root))


def refresh(root: Path) -> Path:
    """Make the scripts where those that are there are old; returns their folder."""
    folder, mark = root / "_build" / "atlas", root / "_build" / "atlas.key"
    if build_book.read(mark) != key(root) or not (folder / "models.js").exists():
        shutil.rmtree(folder, ignore_errors=True)
        for name, text in scripts(collect()).items():
            write_whole(folder / name, text)
        write_whole(mark, key(root))
    return folder


def to_site(app, exception) -> None:
    """Bring the scripts into the site; they are made in a process of their own, which gives its memory back."""
    if exception or app.builder.name != "html" or PAGE not in app.env.found_docs:
        return
    subprocess.run(
        [sys.executable, str(Path(__file__).resolve())], cwd=app.srcdir, check=True, env=os.environ | {"PYTHONPATH": str(app.srcdir)}
    )
    for script in (Path(app.srcdir) / "_build" / "atlas").glob("*.js"):
        shutil.copy(script, Path(app.outdir) / "_static" / "atlas" / script.name)


def setup(app):
    app.connect("build-finished", to_site, priority=800)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def main() -> int:
    folder = refresh(Path.cwd())
    sizes = {path.name: path.stat().st_size for path in sorted(folder.glob("*.js"))}
    print(f"{folder}: {len(sizes)} scripts, {sum(sizes.values()) / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
