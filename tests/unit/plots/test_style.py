"""The book's figure style: readable on both grounds of the site."""

import re

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from analysis_lib import plots

GROUNDS = {"light": "#ffffff", "dark": "#121212"}


def luminance(colour):
    """Relative luminance as WCAG 2 defines it."""
    rgb = np.array(mpl.colors.to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(colour, ground):
    low, high = sorted([luminance(colour), luminance(ground)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("ground", GROUNDS.values(), ids=GROUNDS)
def test_lines_and_letters_stand_out_from_the_page(ground):
    for colour in {*plots.CYCLE, *plots.MODEL_COLOURS.values()}:
        assert contrast(colour, ground) >= 3, colour  # WCAG 2.1, graphical objects


def test_letters_stand_out_as_the_pages_show_them(root):
    factor = float(re.search(r"filter: brightness\(([\d.]+)\)", (root / "book/_static/book.css").read_text(encoding="utf-8"))[1])
    assert contrast(plots.INK, GROUNDS["light"]) >= 4.5
    assert contrast(np.array(mpl.colors.to_rgb(plots.INK)) * factor, GROUNDS["dark"]) >= 4.5


def test_models_have_colours_of_their_own():
    assert len(set(plots.MODEL_COLOURS.values())) == len(plots.MODEL_COLOURS) == 5


def test_figures_are_drawn_on_nothing(tmp_path):
    with mpl.rc_context():
        plots.use_style()
        figure, axes = plt.subplots()
        axes.plot([0, 1], [1, 0])
        figure.savefig(tmp_path / "line.png")
        plt.close(figure)
    pixels = mpl.image.imread(tmp_path / "line.png")
    assert pixels[0, 0, 3] == 0  # a corner of the figure
    assert pixels[pixels.shape[0] // 4, pixels.shape[1] * 3 // 4, 3] == 0  # inside the axes, off the line
    assert pixels[..., 3].max() > 0.9


def test_polish_letters_have_glyphs(recwarn):
    with mpl.rc_context():
        plots.use_style()
        figure, axes = plt.subplots()
        axes.set_title("zażółć gęślą jaźń ĄĆĘŁŃÓŚŹŻ")
        figure.canvas.draw()
        plt.close(figure)
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]
