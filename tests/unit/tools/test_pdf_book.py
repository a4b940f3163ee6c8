"""A page printed to PDF: its words can be found, its figure is there, and no link leads to a file of this machine."""

import io
from concurrent.futures import ThreadPoolExecutor

import matplotlib.image
import numpy as np
import pdf_book
import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, Stream
from PIL import Image
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


def picture(book, pixels, space):
    """A picture [row, column, channel] of a PDF."""
    look = Dictionary(
        Type=Name.XObject, Subtype=Name.Image, Width=pixels.shape[1], Height=pixels.shape[0], ColorSpace=space, BitsPerComponent=8
    )
    return book.make_indirect(Stream(book, pixels.tobytes(), look))


@pytest.fixture
def book():
    with pikepdf.new() as made:
        yield made


@pytest.mark.parametrize("with_profile", [False, True])
def test_few_colours_become_a_palette(book, with_profile):
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (256, 3), dtype=np.uint8)
    pixels = colours[rng.integers(0, 256, (40, 30))]
    space = Array([Name.ICCBased, book.make_indirect(Stream(book, b"", Dictionary(N=3)))]) if with_profile else Name.DeviceRGB
    shown = picture(book, pixels, space)
    assert pdf_book.use_palettes(book) == 1
    kind, base, last, palette = shown.ColorSpace
    assert kind == Name.Indexed
    assert base == space
    table = np.frombuffer(bytes(palette), np.uint8).reshape(last + 1, 3)
    np.testing.assert_array_equal(table[np.frombuffer(shown.read_bytes(), np.uint8)].reshape(pixels.shape), pixels)
    assert pdf_book.use_palettes(book) == 0


def test_other_pictures_stay_as_they_are(book):
    many = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    grey = np.zeros((4, 4, 1), np.uint8)
    kept = [picture(book, many, Name.DeviceRGB), picture(book, grey, Name.DeviceGray)]
    before = [shown.read_bytes() for shown in kept]
    assert pdf_book.use_palettes(book) == 0
    assert [shown.read_bytes() for shown in kept] == before
    assert [str(shown.ColorSpace) for shown in kept] == ["/DeviceRGB", "/DeviceGray"]


def test_a_picture_on_paper_is_opaque_and_looks_as_it_did_on_white():
    pixels = np.zeros((40, 60, 4), np.uint8)
    pixels[:, 30:] = (200, 30, 30, 255)
    pixels[:20, :30] = (0, 0, 0, 128)  # half transparent black is grey on white
    found = io.BytesIO()
    Image.fromarray(pixels).save(found, "PNG")
    paper = Image.open(io.BytesIO(pdf_book.on_paper(found.getvalue())))
    assert paper.size == (60, 40)
    assert "transparency" not in paper.info
    shown = np.asarray(paper.convert("RGB")).astype(int)
    for place, colour in (((30, 10), (255, 255, 255)), ((10, 10), (127, 127, 127)), ((10, 50), (200, 30, 30))):
        assert np.abs(shown[place] - colour).max() <= 3
