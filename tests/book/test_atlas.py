"""The atlas in Chromium: its rows are those of the program, and searching, sorting, links and the CSV work."""

import csv
import io
from pathlib import Path

import atlas
import atlas_rows
import numpy as np
import pandas as pd
import pytest

from analysis_lib import models

pytestmark = pytest.mark.browser
LAYERS, SIZE = 3, 64
HARM = "&<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def planted():
    """Neurons with random lists; key 70 shares an ending and passes, and a key alone holds a word of the glossary (33) or markup (40)."""
    rng = np.random.default_rng(0)
    n = LAYERS * SIZE
    text = np.array([*(f"słowo{i}" for i in range(299)), "Matka", HARM])
    ids = rng.integers(0, 299, (2, n, 8))
    ids[0, [33, 40], 0] = 299, 300
    table = pd.DataFrame({"shared": "noun", "count": 6, "expected": 5.0, "p": 0.0521, "passes": False}, index=range(n))
    keys = table.copy()
    keys.loc[70] = ["ending -go", 16, 12.34, 1e-9, True]
    keys.loc[40, "shared"] = f"ending -{HARM}"
    cosine = rng.uniform(-1, 1, (LAYERS, SIZE))
    found = atlas_rows.part({atlas_rows.COSINE: cosine}, lists=["key", "value"])
    return found | {"ids": ids, "tests": [keys, table], "text": text}


@pytest.fixture(scope="module")
def files(planted):
    toy = models.load("minigpt", source="embedded")
    made_up = {"name": "made-up", "title": "Made up", "source": "by lot", "neurons": atlas.pack_neurons(dict(planted))}
    return atlas.scripts({"minigpt": atlas.entry("minigpt", toy, heads=atlas_rows.toy_heads(toy)), "made-up": made_up})


@pytest.fixture(scope="module")
def page(root, files, tmp_path_factory):
    """A page on disk that holds the atlas and little else."""
    folder = tmp_path_factory.mktemp("atlas")
    for script in Path(root, "book/_static/atlas").iterdir():
        (folder / script.name).write_bytes(script.read_bytes())
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    tags = "".join(f'<script defer src="./atlas/{name}"></script>' for name in ("datatables.min.js", "models.js", "atlas.js"))
    (folder / "atlas").symlink_to(folder)
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Atlas</title><link rel="stylesheet" href="./atlas/atlas.css">'
    box = '<div class="atlas" id="atlas-browser"><p class="atlas-off">The atlas needs scripts.</p></div>'
    html = f"{head}<main><h1>Atlas</h1>{box}<h2>How to read it</h2></main>{tags}"
    (folder / "page.html").write_text(html, encoding="utf-8")
    return folder / "page.html"


@pytest.fixture
def tab(browser, page):
    opened, said = browser.new_page(), []
    opened.set_default_timeout(120_000)
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("requestfailed", lambda request: said.append(request.url))
    opened.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    opened.goto(page.as_uri())
    opened.wait_for_selector("#atlas-rows tbody td")
    yield opened
    opened.close()
    assert said == []


def names(tab):
    return tab.locator("#atlas-rows tbody tr td:first-child").all_inner_texts()


def test_rows_in_the_browser_are_those_that_were_packed(tab, planted):
    tab.evaluate("atlas.choose('made-up')")
    tab.wait_for_function("atlas.view.rows.length === 192")
    rows = tab.evaluate("atlas.view.rows")
    text = planted["text"][planted["ids"]]
    assert [row["lists"][0]["words"] for row in rows] == text[0].tolist()
    assert [row["lists"][1]["words"] for row in rows] == text[1].tolist()
    assert rows[70]["name"] == "L1N6"
    what, count, expected, p, _, passes = rows[70]["lists"][0]["tests"][0]
    assert (what, count, expected, passes) == ("ending -go", 16, 12.3, 1)
    assert p == pytest.approx(1e-9)
    assert rows[71]["lists"][0]["tests"][0][3] == 0.052


def test_a_map_cell_leads_to_its_row_and_the_row_to_its_address(tab):
    tab.locator(".atlas-cell").nth(11).click()
    assert tab.evaluate("location.hash") == "#minigpt-L1H3"
    assert "L1H3" in tab.locator("#atlas-card h2").inner_text()
    assert tab.locator("#atlas-rows tr.atlas-chosen td").first.inner_text() == "L1H3"
    tab.locator(".atlas-cell").nth(11).press("ArrowRight")
    assert tab.evaluate("document.activeElement.getAttribute('aria-label')").startswith("L1H4")


def test_an_address_opens_its_row_whatever_was_filtered(browser, page):
    opened = browser.new_page()
    opened.goto(page.as_uri() + "#made-up-L2N5")
    opened.wait_for_selector("#atlas-card h2")
    assert "Made up L2N5" in opened.locator("#atlas-card h2").inner_text()
    assert opened.evaluate("document.activeElement === document.body")  # the page is read from its beginning
    opened.locator("input[type=search]").fill("L0N1")
    opened.evaluate("location.hash = '#made-up-L1N6'")
    opened.wait_for_function("document.querySelector('#atlas-card h2').innerText.includes('L1N6')")
    assert opened.locator("#atlas-rows tr.atlas-chosen").get_attribute("id") == "made-up-L1N6"
    opened.close()


def test_an_address_of_a_neuron_opens_no_head(browser, page):
    opened = browser.new_page()
    opened.goto(page.as_uri() + "#minigpt-L0N3")  # the toy has no neurons
    opened.wait_for_selector("#atlas-rows tbody td")
    assert opened.locator("#atlas-card > *, .atlas-chosen").count() == 0
    opened.close()


def test_the_address_of_a_row_goes_with_its_model(tab, page):
    def card_after(name):
        tab.locator("select").first.select_option(name)
        tab.wait_for_function("name => atlas.view.model.name === name", arg=name)
        return tab.locator("#atlas-card").inner_text()

    link = tab.locator("#minigpt-L0H3 a")
    link.click()
    tab.wait_for_selector("#atlas-card h2")
    assert [card_after(name) for name in ("made-up", "minigpt")] == ["", ""]
    assert tab.evaluate("location.href") == page.as_uri() + "#"
    link.click()  # leads to the row again
    tab.wait_for_selector("#atlas-card h2")
    assert tab.evaluate("location.hash") == "#minigpt-L0H3"


def test_the_last_of_two_choices_counts(tab):
    tab.evaluate("Promise.all([atlas.choose('made-up'), atlas.choose('minigpt')])")  # the second has its data already
    assert tab.evaluate("[atlas.view.model.name, document.querySelector('select').value]") == ["minigpt", "minigpt"]
    assert tab.locator("#minigpt-L0H0").count() == 1


def test_the_card_takes_the_focus_from_the_link_that_opened_it(tab):
    tab.locator("#minigpt-L0H3 a").press("Enter")
    tab.wait_for_selector("#atlas-card h2")
    assert tab.evaluate("document.activeElement.id") == "atlas-card"
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "atlas-link"


def test_search_sort_and_filters(tab):
    tab.locator("select").first.select_option("made-up")
    tab.wait_for_function("atlas.view.rows.length === 192 && document.querySelector('#made-up-L0N0')")
    assert names(tab)[:3] == ["L0N0", "L0N1", "L0N2"]
    tab.locator("input[type=checkbox]").check()
    assert names(tab) == ["L1N6"]
    tab.locator("input[type=checkbox]").uncheck()
    tab.locator("input[type=search]").fill("-go")
    assert names(tab) == ["L1N6"]
    tab.locator("input[type=search]").fill("")
    tab.locator("select").nth(3).select_option("2")  # the layer
    assert names(tab)[0] == "L2N0"
    tab.locator("#atlas-rows thead th").last.click()
    tab.wait_for_selector("#atlas-rows thead th:last-child[aria-sort=ascending]")  # the table sorts after the click returns
    shown = [float(text.replace("−", "-")) for text in tab.locator("#atlas-rows tbody tr td:last-child").all_inner_texts()]
    assert shown == sorted(shown)


def test_a_word_is_found_by_its_meaning_and_shows_it(tab):
    tab.evaluate("atlas.choose('made-up')")
    tab.wait_for_function("atlas.view.rows.length === 192")
    tab.locator("input[type=search]").fill("mother")
    assert names(tab) == ["L0N33"]
    assert tab.locator("#atlas-rows abbr").evaluate_all("words => words.map(word => [word.innerText, word.title])") == [["Matka", "mother"]]
    tab.locator("#atlas-rows tbody a").click()
    tab.wait_for_selector("#atlas-card h2")
    assert tab.locator("#atlas-card abbr").all_inner_texts() == ["Matka"]


def test_markup_in_a_vocabulary_is_text(tab):
    """And no request or dialog, which the tab would hear."""
    tab.evaluate("atlas.choose('made-up')")
    tab.wait_for_function("atlas.view.rows.length === 192")
    tab.locator("input[type=search]").fill(HARM)
    assert names(tab) == ["L0N40"]
    assert tab.locator("#atlas-rows tbody td").nth(1).inner_text().startswith(HARM)
    tab.locator("#atlas-rows tbody a").click()
    tab.wait_for_selector("#atlas-card h2")
    assert tab.locator("#atlas-browser img").count() == 0


def test_paper_says_that_it_has_no_atlas(tab, browser, page):
    note = tab.locator(".atlas-off")
    assert note.is_hidden()
    tab.emulate_media(media="print")
    assert note.is_visible()
    assert tab.locator(".atlas > :visible").count() == 1
    without = browser.new_page(java_script_enabled=False)
    without.goto(page.as_uri())
    assert without.locator(".atlas-off").is_visible()
    without.close()


def test_the_csv_holds_the_rows_that_are_shown(tab):
    tab.evaluate("atlas.choose('made-up')")
    tab.wait_for_function("atlas.view.rows.length === 192")
    tab.locator("input[type=search]").fill("-go")
    with tab.expect_download() as started:
        tab.get_by_role("button", name="Download as CSV").click()
    assert started.value.suggested_filename == "atlas-made-up-neurons.csv"
    rows = list(csv.DictReader(io.StringIO(Path(started.value.path()).read_text(encoding="utf-8"))))
    shown = [[row[name] for name in ("neuron", "key, alike in", "key, count", "key, passes")] for row in rows]
    assert shown == [["L1N6", "ending -go", "16", "1"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(tab, scheme):
    axe = (Path(pytest.importorskip("axe_playwright_python").__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    tab.emulate_media(color_scheme=scheme)
    tab.locator(".atlas-cell").first.click()
    tab.evaluate(axe)
    found = tab.evaluate("axe.run({resultTypes: ['violations'], preload: false})")["violations"]
    assert [(v["id"], v["nodes"][0]["html"][:100]) for v in found if v["impact"] in {"serious", "critical"}] == []
