"""The picture of a sentence by layer: every word in its cell, colours by divergence, letters that can be read."""

import matplotlib as mpl
import numpy as np
import pytest

from analysis_lib import plots
from tests.support.figures import texts_of


def test_each_cell_has_its_word_in_letters_that_stand_out():
    kl = np.array([[5.0, 1.0, 0.0], [0.2, 0.1, 0.0]])
    words = [["się", "w", "rękę"], ["bardzodługiesłowo", "na", "ramieniu"]]
    figure = plots.lens_grid(["mu", "na"], ["embed", "1", "2"], words, kl, limit=3.0)
    axis = figure.axes[0]
    cells = {tuple(np.round(text.get_position()).astype(int)): text for text in axis.texts}
    assert {place: text.get_text() for place, text in cells.items()} == {
        (column, row): word if len(word) <= 10 else "bardzodłu…" for row, line in enumerate(words) for column, word in enumerate(line)
    }
    np.testing.assert_array_equal(axis.images[0].get_array(), kl)
    assert axis.images[0].get_clim() == (0, 3)
    for (column, row), text in cells.items():
        ground = np.array(axis.images[0].cmap(min(kl[row, column] / 3, 1.0))[:3])
        ink = np.array(mpl.colors.to_rgb(text.get_color()))
        assert abs((ground - ink) @ [0.3, 0.59, 0.11]) > 0.4
    assert "divergence from the last layer [nats]" in texts_of(figure)


def test_of_many_layers_some_are_shown_with_the_first_and_the_last():
    layers = ["embed", *map(str, range(1, 25))]
    figure = plots.lens_grid(["a"], layers, [layers], np.arange(25)[None] / 10)
    shown = ["embed", "4", "8", "12", "16", "20", "24"]
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == shown
    assert [text.get_text() for text in figure.axes[0].texts] == shown  # each word stays with its layer
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), [[0, 0.4, 0.8, 1.2, 1.6, 2, 2.4]])


@pytest.mark.parametrize(("n_rows", "n_layers"), [(1, 2), (30, 7)])
def test_sentences_of_any_length_are_drawn(n_rows, n_layers):
    layers = ["embed", *map(str, range(1, n_layers))]
    figure = plots.lens_grid(["a"] * n_rows, layers, [["b"] * n_layers] * n_rows, np.zeros((n_rows, n_layers)))
    figure.canvas.draw()
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == layers
    assert len(figure.axes[0].get_yticklabels()) == n_rows
