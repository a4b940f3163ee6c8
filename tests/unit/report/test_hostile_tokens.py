"""A vocabulary may hold anything: tokens that are markup are shown as what they are, in tables, cards and figures."""

import io
from xml.etree import ElementTree

import lxml.html
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from tokenizers import AddedToken

from analysis_lib import models, plots, projections, report
from analysis_lib.plots.neuron_cards import NeuronCard, NeuronCards
from tests.support import tiny

HOSTILE = (
    "<script>",
    "<img/src=x/onerror=alert(1)>",
    '"><svg/onload=alert(1)>',
    "javascript:alert(1)",
    "{{config}}",
    "$\\frac$",
    "a|b",
    "&lt;b&gt;",
)


@pytest.fixture(scope="module")
def vocabulary():
    """Of a model whose tokenizer was given tokens that are markup."""
    tokenizer = tiny.byte_level_tokenizer()
    tokenizer.add_tokens([AddedToken(token, special=False) for token in HOSTILE])
    return models.wrap(tiny.gpt2(vocab=400 + len(HOSTILE)), tokenizer).vocabulary


def elements(markup: str) -> set[str]:
    """Names of elements and of attributes that run code."""
    tree = lxml.html.fromstring(f"<div>{markup}</div>")
    return {node.tag for node in tree.iter()} | {name for node in tree.iter() for name in node.attrib if name.startswith("on")}


HARMFUL = {"script", "img", "svg", "b", "onerror", "onload"}


def test_a_table_shows_them(vocabulary):
    ids = np.array([vocabulary.raw.tolist().index(token) for token in HOSTILE])
    pairs = projections.TopPairs(ids, ids[::-1], np.arange(len(ids), dtype=float)).to_frame(vocabulary)
    table = report.table(pairs.assign(word=HOSTILE), "Pairs with <script>", name="pairs")
    markup = table._repr_html_()
    assert not elements(markup) & HARMFUL
    cells = [cell.text_content() for cell in lxml.html.fromstring(markup).iter("td")]
    assert set(HOSTILE) <= set(cells)
    indexed = report.table(pairs.set_index("left"), "Pairs", index=True)._repr_html_()
    assert not elements(indexed) & HARMFUL


def test_a_card_shows_them():
    places = pd.DataFrame({"before": HOSTILE, "word": HOSTILE[::-1], "after": HOSTILE, "strength": 1.0})
    cards = NeuronCards([NeuronCard("L0N1 <script>", {"reads <b>": HOSTILE}, places, "Fires at <script>")])
    markup = cards._repr_html_()
    assert not elements(markup) & HARMFUL
    assert "<script>" in lxml.html.fromstring(markup).text_content()


def test_a_figure_shows_them():
    words = [*HOSTILE, *["dom"] * 40]  # a figure grows with its words
    pattern = np.full((len(words), len(words)), 1 / len(words))
    with mpl.rc_context():
        plots.use_style()
        mpl.rcParams["svg.fonttype"] = "none"  # text as text
        figure = plots.word_patterns({"L0H0": pattern}, words)
        file = io.StringIO()
        figure.savefig(file, format="svg")
        plt.close(figure)
    tree = ElementTree.fromstring(file.getvalue())
    assert not {node.tag.rpartition("}")[2] for node in tree.iter()} & {"script", "img", "b"}
    shown = {"".join(node.itertext()).strip() for node in tree.iter() if node.tag.endswith("}text")}
    assert set(HOSTILE) <= shown
