"""Every figure is drawn in the book's style, no wider than the text, and none is left open."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from analysis_lib import plots

WIDEST = 6.5  # inches: a wider figure is made narrower by the page, and its letters with it


@pytest.fixture(autouse=True)
def style():
    with mpl.rc_context():
        plots.use_style()
        yield
        widths = [plt.figure(number).get_figwidth() for number in plt.get_fignums()]
        plt.close("all")
        assert max(widths, default=0) <= WIDEST
