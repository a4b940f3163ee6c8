"""Faults of the theme's HTML, and their mending."""

import pytest
import site_pages


@pytest.mark.parametrize(
    ("found", "mended"),
    [
        ('<th class="blank level0" >&nbsp;</th>', "<td></td>"),
        ('<th class="col_heading">loss</th>', '<th class="col_heading">loss</th>'),
        ("<title>Book &#8212; Book</title>", "<title>Book</title>"),
        ("<title>Chapter &#8212; Book</title>", "<title>Chapter &#8212; Book</title>"),
        ('<section id="po-polsku">', '<section id="po-polsku" lang="pl">'),
    ],
)
def test_mending(found, mended):
    assert site_pages.mend(found) == mended
    assert site_pages.mend(mended) == mended
