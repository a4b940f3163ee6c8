"""Pictures of few colours are packed into palettes, and look as before."""

import numpy as np
import pdf_book
import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, Stream


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
