"""A page printed to PDF: its words can be found, its figure is there, and no link leads to a file of this machine."""

from concurrent.futures import ThreadPoolExecutor

import matplotlib.image
import numpy as np
import pdf_book
import pikepdf
import pytest
from pypdf import PdfReader

PAGE = """<!doctype html><html lang="pl"><title>x</title><h1>Zażółć gęślą jaźń</h1><h2 id="here">Second heading</h2>
<p><a href="index.html#here">inside</a> <a href="other.html">a file</a> <a href="https://example.org/">the web</a></p>
<img src="figure.png" alt="noise">"""


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    program = pdf_book.chromium() or pytest.skip("no Chromium on this machine: CONTRIBUTING.md says how to get it")
    folder = tmp_path_factory.mktemp("page")
    (folder / "page.html").write_text(PAGE, encoding="utf-8")
    matplotlib.image.imsave(folder / "figure.png", np.random.default_rng(0).random((30, 40, 3)))
    target = folder / "out" / "page.pdf"
    # In a thread, since Playwright does not start twice in one, and this worker may hold the browser of the site's tests.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(pdf_book.print_page, folder / "page.html", target, program).result()
    assert pdf_book.pack(target, "A title") == 1
    return target


def test_words_title_and_outline_are_in_the_file(printed):
    reader = PdfReader(printed)
    assert "Zażółć gęślą jaźń" in reader.pages[0].extract_text()
    assert reader.metadata.title == "A title"
    assert reader.outline[0].title == "Zażółć gęślą jaźń"


def test_the_figure_is_in_the_file(printed):
    assert [(image.image.width, image.image.height) for image in PdfReader(printed).pages[0].images] == [(40, 30)]


def test_links_lead_inside_or_to_the_web(printed):
    with pikepdf.open(printed) as book:
        links = list(book.pages[0].get("/Annots", []))
        assert [str(note.A.URI) for note in links if "/A" in note and "/URI" in note.A] == ["https://example.org/"]
        assert len(links) == 2
