"""Every figure is drawn in the book's style, and none is left open."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from analysis_lib import plots


@pytest.fixture(autouse=True)
def style():
    with mpl.rc_context():
        plots.use_style()
        yield
        plt.close("all")
