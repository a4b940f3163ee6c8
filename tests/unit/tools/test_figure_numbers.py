"""Figures get links to their numbers."""

import io
import zipfile

import figure_numbers
import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn

FIGURE = '<figure class="align-default" id="{}">\n<img alt="x" src="y.png"/>\n<figcaption><p>Words.</p></figcaption>\n</figure>'


def cell(name, csv):
    figure = {"mystnb": {"figure": {"name": name}}} if name else {}
    return figure, {"output_type": "display_data", "data": {"image/png": ""}, "metadata": {"numbers": csv} if csv else {}}


def test_numbers_come_with_the_name_of_their_figure():
    found = [
        cell("fig-one", "x,y\n1,2\n"),
        cell("fig-drawing", None),
        cell(None, "x\n3\n"),
        ({}, {"output_type": "stream", "text": "said"}),
    ]
    assert list(figure_numbers.numbers_in(found)) == [("fig-one", "x,y\n1,2\n")]


def test_a_link_stands_below_its_figure_and_once():
    page = "\n".join(FIGURE.format(name) for name in ("fig-one", "fig-drawing"))
    found = figure_numbers.linked(page, {"fig-one": "fig-one.csv"})
    link = '<p class="table-csv"><a download="fig-one.csv" href="../_downloads/figures/fig-one.csv">Data of the figure as CSV</a></p>'
    assert found == page.replace("</figure>", f"</figure>\n{link}", 1)
    assert figure_numbers.linked(found, {"fig-one": "fig-one.csv"}) == found


def test_long_numbers_are_zipped_to_the_same_bytes():
    csv = "x,y\n" + "1,2\n" * figure_numbers.LARGE
    name, content = figure_numbers.packed("fig-one", csv)
    assert name == "fig-one.zip"
    assert content == figure_numbers.packed("fig-one", csv)[1]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.read("fig-one.csv").decode() == csv
    assert figure_numbers.packed("fig-one", "x\n1\n") == ("fig-one.csv", b"x\n1\n")


def test_the_numbers_of_the_newest_execution_are_linked_but_for_figures_that_have_a_link(tmp_path):
    own = FIGURE.format("fig-own") + '<p class="table-csv"><a download="fig-own.csv" href="data:text/csv;base64,eA==">Data</a></p>'
    page = tmp_path / "html" / "book" / "page.html"
    page.parent.mkdir(parents=True)
    page.write_text(own + FIGURE.format("fig-one"), encoding="utf-8")
    cache = get_cache(tmp_path / ".jupyter_cache")
    for value in (1, 2):
        cells = [
            nbformat.v4.new_code_cell(f"draw({value})", metadata=figure, outputs=[nbformat.from_dict(drawn)])
            for figure, drawn in (cell("fig-own", "x\n0\n"), cell("fig-one", f"x\n{value}\n"))
        ]
        bundle = CacheBundleIn(nbformat.v4.new_notebook(cells=cells), str(tmp_path / "book" / "page.ipynb"))
        cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)

    class App:
        outdir = tmp_path / "html"
        builder = type("Builder", (), {"name": "html"})

    figure_numbers.link_numbers(App, None)
    text = page.read_text(encoding="utf-8")
    assert text.count('class="table-csv"') == 2
    written = tmp_path / "html" / figure_numbers.FOLDER
    assert {path.name: path.read_text(encoding="utf-8") for path in written.iterdir()} == {"fig-one.csv": "x\n2\n"}
    figure_numbers.link_numbers(App, None)
    assert page.read_text(encoding="utf-8") == text


def test_without_a_cache_there_is_nothing_to_link(tmp_path):
    class App:
        outdir = tmp_path / "html"
        builder = type("Builder", (), {"name": "html"})

    figure_numbers.link_numbers(App, None)
    assert list((tmp_path / "html" / figure_numbers.FOLDER).iterdir()) == []
