"""The book as one PDF, where `make pdf` has made one of the pages as they are now."""

import re
from pathlib import Path

import pikepdf
import pytest
from pypdf import PdfReader

pytestmark = pytest.mark.site


@pytest.fixture(scope="module")
def printed(site, root):
    book = root / "_build" / "pdf" / "book.pdf"
    if not book.exists() or book.stat().st_mtime < (root / "_build" / "site.key").stat().st_mtime:
        pytest.skip("no PDF of the book as it is: run `make pdf` first")
    return book


@pytest.fixture(scope="module")
def words(printed):
    return " ".join(" ".join(page.extract_text() for page in PdfReader(printed).pages).split())


def test_size_and_pages(printed):
    assert printed.stat().st_size <= 15e6
    assert 80 < len(PdfReader(printed).pages) < 700


def test_every_chapter_can_be_found(site, words):
    squeezed = re.sub(r"\W", "", words)
    for page in site.chapters:
        heading = site.parsed(page).xpath("//article//h1")[0].text_content().rstrip("#")
        assert re.sub(r"\W", "", heading) in squeezed, page.name


def test_no_figure_is_missing(site, printed):
    # A picture that stands on two pages is one image of the file.
    shown = {Path(src).name for page in site.chapters for src in site.parsed(page).xpath("//article//img/@src[contains(., '_images/')]")}
    with pikepdf.open(printed) as book:
        # A transparent figure is two images, its colours and its mask; the mask belongs to the first.
        drawn = {image.objgen for page in book.pages for image in page.get_images().values()}
    assert len(drawn) >= len(shown)
