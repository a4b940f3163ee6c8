"""Faults of the theme's HTML, and their mending."""

import io

import pytest
import site_pages
from PIL import Image


@pytest.mark.parametrize(
    ("found", "mended"),
    [
        ('<th class="blank level0" >&nbsp;</th>', "<td></td>"),
        ('<th class="head"><p></p></th>', "<td></td>"),
        ('<th class="head"><p>loss</p></th>', '<th class="head"><p>loss</p></th>'),
        ('<th class="col_heading">loss</th>', '<th class="col_heading">loss</th>'),
        ("<title>Book &#8212; Book</title>", "<title>Book</title>"),
        ("<title>Chapter &#8212; Book</title>", "<title>Chapter &#8212; Book</title>"),
        ('<section id="po-polsku">', '<section id="po-polsku" lang="pl">'),
    ],
)
def test_mending(found, mended):
    assert site_pages.mend(found) == mended
    assert site_pages.mend(mended) == mended


def test_a_figure_keeps_its_size_its_ground_and_its_colours():
    ramp = Image.new("RGBA", (300, 40), (0, 0, 0, 0))
    for x in range(256):
        ramp.paste((x, 255 - x, 90, 255), (x, 10, x + 1, 30))
    out = io.BytesIO()
    ramp.save(out, "PNG")
    small = site_pages.of_few_colours(out.getvalue())
    found = Image.open(io.BytesIO(small)).convert("RGBA")
    assert found.size == ramp.size
    assert found.getpixel((5, 2))[3] == 0
    differences = [abs(a - b) for x in range(256) for a, b in zip(found.getpixel((x, 20)), ramp.getpixel((x, 20)), strict=True)]
    assert max(differences) <= 20
    assert len(small) <= len(out.getvalue())
    assert site_pages.of_few_colours(small) == small
