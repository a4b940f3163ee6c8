"""Figures get links to their numbers."""

import io
import json
import zipfile

import figure_numbers

FIGURE = '<figure class="align-default" id="{}">\n<img alt="x" src="y.png"/>\n<figcaption><p>Words.</p></figcaption>\n</figure>'


def cell(name, csv):
    figure = {"mystnb": {"figure": {"name": name}}} if name else {}
    drawn = {"output_type": "display_data", "data": {"image/png": ""}, "metadata": {"numbers": csv} if csv else {}}
    return {"metadata": figure, "outputs": [{"output_type": "stream", "text": "said"}, drawn]}


def test_numbers_come_with_the_name_of_their_figure(tmp_path):
    cells = [cell("fig-one", "x,y\n1,2\n"), cell("fig-drawing", None), cell(None, "x\n3\n"), {"metadata": {}, "source": "words"}]
    (tmp_path / "page.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    assert list(figure_numbers.numbers_of(tmp_path / "page.ipynb")) == [("fig-one", "x,y\n1,2\n")]


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


def test_a_chapter_that_gives_its_numbers_keeps_its_own_link(tmp_path):
    own = FIGURE.format("fig-own") + '<p class="table-csv"><a download="fig-own.csv" href="data:text/csv;base64,eA==">Data</a></p>'
    site, executed = tmp_path / "html", tmp_path / "jupyter_execute" / "book"
    (site / "book").mkdir(parents=True)
    executed.mkdir(parents=True)
    (site / "book" / "page.html").write_text(own + FIGURE.format("fig-one"), encoding="utf-8")
    (executed / "page.ipynb").write_text(json.dumps({"cells": [cell("fig-own", "x\n1\n"), cell("fig-one", "x\n2\n")]}), encoding="utf-8")

    class App:
        outdir = site
        builder = type("Builder", (), {"name": "html"})

    figure_numbers.link_numbers(App, None)
    text = (site / "book" / "page.html").read_text(encoding="utf-8")
    assert text.count('class="table-csv"') == 2
    assert [path.name for path in (site / figure_numbers.FOLDER).iterdir()] == ["fig-one.csv"]
    figure_numbers.link_numbers(App, None)
    assert (site / "book" / "page.html").read_text(encoding="utf-8") == text
