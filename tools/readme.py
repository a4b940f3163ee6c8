"""Put the findings and the figures of the last build into README.md and the first page, so that nothing there is made by hand.

The findings are the first ones of the book's first page, `book/index.py`, with the numbers that the chapters glued; they stand in
README.md between the two comments `BEGIN` and `END`. The figures are one of each chapter, for the first page's gallery; README.md shows
one of them.

Usage: ``python tools/readme.py``, after ``make book``.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from results import glued, outputs
from whole_files import write_whole

GALLERY = Path("book/_static/gallery")
FIGURES = {
    "models": "fig-models-positions",
    "tokens": "fig-tokens-pieces",
    "feed_forward": "fig-ff-key",
    "neurons_at_work": "fig-work-key",
    "attention_heads": "fig-heads-forms",
    "heads_at_work": "fig-heads-copying-text",
    "grammar": "fig-grammar-accuracy",
    "senses": "fig-geo-senses",
    "geometry": "fig-geo-anisotropy",
    "lenses": "fig-lens-layers",
    "induction": "fig-induction-scores",
    "induction_forming": "fig-induction-emergence",
    "induction_polish": "fig-induction-names",
    "attention_terms": "fig-terms-key",
    "term_targets": "fig-terms-profiles",
    "incontext_regression": "fig-ctx-errors",
    "incontext_algorithms": "fig-alg-steps",
    "model_selection": "fig-ctx-alike",
    "attention_norms": "fig-norms-key",
    "norms_controls": "fig-norms-steps",
    "mixing": "fig-mix-zeroing",
}
N_FINDINGS = 3
BEGIN, END = "<!-- findings: written by `make readme` from book/index.py and the last build -->", "<!-- end of the findings -->"
ROLE = re.compile(r"\{glue:text\}`(\w+)\.ipynb::([\w-]+?)(?::([^`:]+))?`")

Lookup = Callable[[str, str], object]


def of_last_build() -> Lookup:
    """What looks up a glued value by chapter and key."""
    known: dict[str, dict[str, object]] = {}

    def look_up(chapter: str, key: str) -> object:
        if chapter not in known:
            known[chapter] = glued(chapter)
        if key not in known[chapter]:
            raise SystemExit(f"book/index.py: {chapter} glues no {key}")
        return known[chapter][key]

    return look_up


def findings(index: str, look_up: Lookup, count: int = N_FINDINGS) -> str:
    """The first findings of the first page as Markdown that needs no builder.

    Parameters
    ----------
    index : str
        The page's source: a percent script in which each finding is an item of the numbered list, beginning in bold.
    look_up : callable
        Gives the value of a chapter's key.
    count : int
        How many.
    """
    text = re.sub(r"^# ?", "", index, flags=re.M)
    items = re.findall(r"^(\d+\. \*\*.*?)(?=^\d+\. \*\*|^\s*$)", text, flags=re.M | re.S)
    if len(items) < count:
        raise SystemExit(f"book/index.py: expected {count} findings that begin like `1. **`, found {len(items)}")

    def number(match: re.Match) -> str:
        chapter, key, form = match.groups()
        value = look_up(chapter, key)
        return str(value) if form in (None, "s") else format(value, form)

    plain = [ROLE.sub(number, " ".join(item.split())) for item in items[:count]]
    plain = [re.sub(r"\s*\((?:\{doc\}`\w+`(?:, )?)+\)", "", item) for item in plain]
    left = re.search(r"\{\w[\w:]*\}`", " ".join(plain))
    if left:
        raise SystemExit(f"book/index.py: a finding holds {left[0]}, which README.md cannot show")
    return "\n".join(plain)


def fill(readme: str, block: str) -> str:
    """The README with its block replaced."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"README.md: expected the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{block}\n{END}{after}"


def figure(chapter: str, name: str) -> bytes:
    """PNG of a chapter's figure."""
    for metadata, output in outputs(chapter):
        if metadata.get("mystnb", {}).get("figure", {}).get("name") == name and "image/png" in output.get("data", {}):
            return base64.b64decode(output["data"]["image/png"])
    raise SystemExit(f"{chapter} draws no figure {name}")


def small(png: bytes, width: int = 560, colours: int = 64) -> bytes:
    """A picture as a card of the gallery shows it: narrow, and with few colours."""
    picture = Image.open(io.BytesIO(png)).convert("RGBA")
    if picture.width > width:
        picture = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.quantize(colours, method=Image.Quantize.FASTOCTREE).save(out, "PNG", optimize=True)
    return out.getvalue()


def main() -> None:
    """Fill README.md and the gallery."""
    readme = Path("README.md")
    block = findings(Path("book/index.py").read_text(encoding="utf-8"), of_last_build())
    text = fill(readme.read_text(encoding="utf-8"), block)
    for chapter, name in FIGURES.items():
        write_whole(GALLERY / f"{chapter}.png", small(figure(chapter, name)))
    write_whole(readme, text)


if __name__ == "__main__":
    main()
