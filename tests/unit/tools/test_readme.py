"""The README: its generated block, its length, its links and its example."""

import doctest
import io
import re

import pytest
import readme
from PIL import Image

INDEX = """# %% [markdown]
# # A book
#
# ## Findings
#
# 1. **One.** It is {glue:text}`a.ipynb::a-key:.2f` in
#    the first and {glue:text}`b.ipynb::b-words` in the second. ({doc}`a`, {doc}`b`)
# 2. **Two.** Nothing glued. ({doc}`b`)
# 3. **Three.** It cites {cite}`somebody`.
#
# | a table |
"""


def look_up(chapter, key):
    return {("a", "a-key"): 0.5, ("b", "b-words"): "−1 [−2, 3]"}[chapter, key]


@pytest.fixture(scope="module")
def text(root):
    return (root / "README.md").read_text(encoding="utf-8")


def test_findings_are_those_of_the_first_page_with_numbers_in_place():
    assert readme.findings(INDEX, look_up, 2).splitlines() == [
        "1. **One.** It is 0.50 in the first and −1 [−2, 3] in the second.",
        "2. **Two.** Nothing glued.",
    ]


def test_what_the_readme_cannot_show_is_refused():
    with pytest.raises(SystemExit, match=r"a finding holds \{cite\}`"):
        readme.findings(INDEX, look_up, 3)
    with pytest.raises(SystemExit, match="expected 4 findings .* found 3"):
        readme.findings(INDEX, look_up, 4)
    with pytest.raises(SystemExit, match="expected the lines"):
        readme.fill("no block", "x")


def test_filling_replaces_the_block_and_nothing_else(text):
    once = readme.fill(text, "NEW")
    assert readme.fill(once, "NEW") == once
    assert once.replace("NEW", "") == readme.fill(text, "")


def test_the_first_page_still_has_findings_that_the_readme_can_show(root, text):
    block = readme.findings((root / "book/index.py").read_text(encoding="utf-8"), lambda chapter, key: 0)
    shown = text.split(readme.BEGIN)[1].split(readme.END)[0].strip()
    titles = [re.findall(r"\*\*(.+?)\*\*", part) for part in (block, shown)]
    assert titles[0] == titles[1], "run `make readme`"


def test_a_card_is_narrow_and_keeps_its_ground_transparent():
    out = io.BytesIO()
    Image.new("RGBA", (1200, 600), (0, 0, 0, 0)).save(out, "PNG")
    card = Image.open(io.BytesIO(readme.small(out.getvalue()))).convert("RGBA")
    assert card.size == (560, 280)
    assert card.getpixel((5, 5))[3] == 0


@pytest.mark.parametrize("chapter", readme.FIGURES)
def test_each_chapter_of_the_gallery_still_draws_its_figure(root, chapter):
    source = (root / "book" / f"{chapter}.py").read_text(encoding="utf-8")
    assert f'"name": "{readme.FIGURES[chapter]}"' in source
    assert (root / readme.GALLERY / f"{chapter}.png").exists(), "run `make readme`"


def test_it_is_short_has_one_generated_block_and_no_dead_links(root, text):
    assert len(text.splitlines()) < 120
    assert re.findall(r"<!--.*?-->", text, re.S) == [readme.BEGIN, readme.END]
    contributing = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    links = [*re.findall(r"\]\((?!http)([^)#]+)\)", text + contributing), *re.findall(r"src=\"([^\"]+)\"", text)]
    links += [
        path
        for path in re.findall(r"`([\w/.]+/[\w.]*)`", text + contributing)
        if (root / path.split("/")[0]).exists() and "name" not in path
    ]
    assert len(links) > 10
    assert [path for path in links if not (root / path).exists() and not path.startswith("_build")] == []


def test_the_example_runs(text):
    (example,) = re.findall(r"```python\n(.*?)```", text, re.S)
    test = doctest.DocTestParser().get_doctest(example, {}, "README.md", "README.md", 0)
    assert len(test.examples) > 8
    ended = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test)
    assert ended.failed == 0
