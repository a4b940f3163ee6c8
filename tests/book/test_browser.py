"""The built pages in a browser, opened from disk: silent, self-contained, usable by everybody, no page wider than its window."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

pytestmark = [pytest.mark.site, pytest.mark.browser]

WIDTHS = (360, 390, 768, 1280, 1920)
DESKTOP = {"width": 1280, "height": 900}
PATIENCE = 300_000  # ms, on a machine with much else to do
# Rules that axe calls experimental are off unless named; it would fetch style sheets again, which pages on disk may not.
AXE = """axe.run({
  resultTypes: ["violations"], preload: false, elementRef: false,
  rules: {"label-content-name-mismatch": {enabled: true}, "empty-table-header": {enabled: true}, "color-contrast": {enabled: false}},
})"""
# Contrast takes axe far longer than all other rules. Texts that lie in boxes of the same kinds, in the same colours and of the same size
# have the same contrast, so that it is asked about one of each.
CONTRAST = """() => {
  const chains = new Map([[document.documentElement, ""]]), texts = new Map();
  const chain = node => {
    if (!chains.has(node)) {
      const kind = `${node.tagName} ${(node.getAttribute("class") || "").replace(/\\d+/g, "")} ${getComputedStyle(node).backgroundColor}`;
      chains.set(node, `${chain(node.parentElement)} > ${kind}`);
    }
    return chains.get(node);
  };
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some(child => child.nodeType === Node.TEXT_NODE && child.data.trim());
    if (!node.checkVisibility() || !(own || node.matches("input, select, textarea"))) continue;
    const style = getComputedStyle(node), kind = [chain(node), style.color, style.fontSize, style.fontWeight, style.opacity].join();
    if (!texts.has(kind)) texts.set(kind, node);
  }
  const rules = ["color-contrast", "link-in-text-block"];
  return axe.run({include: [...texts.values()]}, {resultTypes: ["violations"], preload: false, elementRef: false, runOnly: rules});
}"""
# What sticks out of the window, but for what lies in a box that scrolls or hides what does not fit.
TOO_WIDE = """() => {
  const boxes = node => node.parentElement.matches(".bd-article") ? [] : [node.parentElement, ...boxes(node.parentElement)];
  return [...document.querySelectorAll(".bd-article *")]
    .filter(node => node.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .filter(node => boxes(node).every(box => getComputedStyle(box).overflowX === "visible"))
    .slice(0, 3).map(node => node.tagName + "." + node.className);
}"""

# Tables that are wider than the text and would have to be scrolled; those of the atlas are made for that.
WIDE_TABLES = """() => [...document.querySelectorAll(".bd-article table")]
  .filter(table => table.checkVisibility() && !table.closest(".dt-container, [class*=itables]"))
  .filter(table => table.getBoundingClientRect().width > document.querySelector(".bd-article h1").clientWidth + 1)
  .map(table => table.innerText.slice(0, 60))"""
DESK = 1100  # px

# On screen only: the theme repeats the title for paper.
HEADINGS = """() => [...document.querySelectorAll("main :is(h1, h2, h3, h4, h5, h6)")]
  .filter(node => node.getClientRects().length).map(node => +node.tagName[1])"""


# Colours fade for a moment when the scheme changes, and axe would read what is between two of them.
STILL = "*, ::before, ::after { transition: none !important; animation: none !important; }"
FORMULAS_SET = "async () => { await window.MathJax?.startup?.promise; }"
TWO_FRAMES = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


def page_names():
    """Every page that the table of contents makes, and those that Sphinx adds."""
    toc = yaml.safe_load((Path(__file__).parents[2] / "_toc.yml").read_text(encoding="utf-8"))
    chapters = [chapter for part in toc["parts"] for chapter in part["chapters"]]
    files = [toc["root"], *(entry["file"] for chapter in chapters for entry in (chapter, *chapter.get("sections", [])))]
    return [f"{name}.html" for name in (*files, "404", "search")]


@dataclass
class Visit:
    """What one page did when it was opened."""

    said: list = field(default_factory=list)
    asked_for: list = field(default_factory=list)
    violations: dict = field(default_factory=dict)
    overflow: dict = field(default_factory=dict)
    wide_tables: list = field(default_factory=list)
    headings: list = field(default_factory=list)

    def listen(self, tab) -> None:
        tab.on("console", lambda message: self.said.append(message.text) if message.type in {"error", "warning"} else None)
        tab.on("pageerror", lambda error: self.said.append(str(error)))
        tab.on("requestfailed", lambda request: self.said.append(f"failed: {request.url}"))
        tab.on("request", lambda request: self.asked_for.append(request.url))

    def judge(self, what: str, found: dict) -> None:
        """Keep what axe says is serious."""
        # Lesser ones for axe: a table of this book has words in its headers, and all of a page lies in a landmark.
        strict, rules = {"serious", "critical"}, {"empty-table-header", "region"}
        kept = [v for v in found["violations"] if v["impact"] in strict or v["id"] in rules]
        self.violations[what] = [(v["id"], v["impact"], v["nodes"][0]["html"][:120], len(v["nodes"])) for v in kept]


@pytest.fixture(scope="module")
def axe():
    return (Path(pytest.importorskip("axe_playwright_python").__file__).parent / "axe.min.js").read_text(encoding="utf-8")


def schemes(tab):
    """Light and then dark, as soon as the tab shows it."""
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)
        tab.evaluate("scheme => document.documentElement.dataset.theme = scheme", scheme)
        tab.evaluate(TWO_FRAMES)
        yield scheme


def judge_colours(tab, seen: Visit) -> None:
    """Ask axe, which the tab has loaded, about contrast in light and in dark."""
    for scheme in schemes(tab):
        seen.judge(scheme, tab.evaluate(CONTRAST))


def assert_accessible(seen: Visit) -> None:
    """Nothing that axe says is serious, and headings in order."""
    assert {what: found for what, found in seen.violations.items() if found} == {}
    assert seen.headings.count(1) == 1
    assert seen.headings[0] == 1
    assert all(below - above <= 1 for above, below in zip(seen.headings, seen.headings[1:], strict=False)), seen.headings


def visit(browser, page: Path, axe: str) -> Visit:
    """Open a page, ask axe about it in light, in dark and on a phone, and try the widths of windows."""
    seen = Visit()
    tab = browser.new_page(viewport=DESKTOP, color_scheme="light")
    tab.set_default_timeout(PATIENCE)
    seen.listen(tab)
    tab.goto(page.as_uri())
    tab.evaluate("document.fonts.ready")
    tab.evaluate(FORMULAS_SET)
    tab.add_style_tag(content=STILL)
    tab.evaluate(axe)
    seen.judge("all but contrast", tab.evaluate(AXE))
    tab.set_viewport_size({"width": WIDTHS[0], "height": 900})
    tab.evaluate(TWO_FRAMES)
    seen.judge("all but contrast, on a phone", tab.evaluate(AXE))
    tab.set_viewport_size(DESKTOP)
    judge_colours(tab, seen)
    for width in WIDTHS:
        tab.set_viewport_size({"width": width, "height": 900})
        wide = tab.evaluate("document.documentElement.scrollWidth") > width
        culprits = tab.evaluate(TOO_WIDE)
        if wide or culprits:
            seen.overflow[width] = culprits
    tab.set_viewport_size({"width": DESK, "height": 900})
    seen.wide_tables = tab.evaluate(WIDE_TABLES)
    seen.headings = tab.evaluate(HEADINGS)
    tab.close()
    return seen


def test_every_page_of_the_site_is_visited(site):
    found = {page.relative_to(site.folder).as_posix() for page in site.pages}
    assert found - {"index.html"} == set(page_names())  # which only leads to book/index.html


# A test a page, so that workers share the pages between them.
@pytest.mark.parametrize("name", page_names())
def test_page(site, browser, axe, name):
    seen = visit(browser, site.folder / name, axe)
    assert seen.said == []  # nothing on the console
    assert [address for address in seen.asked_for if not address.startswith(("file:", "data:", "blob:"))] == []
    assert_accessible(seen)
    assert seen.overflow == {}
    assert seen.wide_tables == []


def open_page(browser, page: Path, query="", **options):
    tab, seen = browser.new_page(viewport=DESKTOP, **options), Visit()
    tab.set_default_timeout(PATIENCE)
    seen.listen(tab)
    tab.goto(page.as_uri() + query)
    return tab, seen


def test_a_row_of_the_atlas_can_be_read_in_light_and_in_dark(site, browser, axe):
    tab, seen = open_page(browser, site.folder / "book/atlas.html", "#minigpt-L1H3", color_scheme="light")
    tab.wait_for_selector("#atlas-card h2")
    assert tab.locator("#atlas-rows .atlas-chosen a").inner_text() == "L1H3"
    tab.add_style_tag(content=STILL)
    tab.evaluate(axe)
    judge_colours(tab, seen)
    seen.headings = tab.evaluate(HEADINGS)
    assert_accessible(seen)
    assert seen.said == []
    tab.close()


def test_symbols_of_the_toy_can_be_read_where_heads_look_hardest(site, browser, axe):
    tab, _ = open_page(browser, site.folder / "book/live.html", color_scheme="light")
    tab.wait_for_selector(".live-tile")
    tab.add_style_tag(content=STILL + " .live-tile { --seen-0: 100% !important; --seen-1: 100% !important; }")
    tab.evaluate(axe)
    for scheme in schemes(tab):
        found = tab.evaluate("axe.run('.live-strip', {runOnly: ['color-contrast'], preload: false, elementRef: false})")
        assert len(found["passes"]) > 0
        assert found["violations"] + found["incomplete"] == [], scheme  # of a text of one sign axe says no more than that it is not sure
    tab.close()


@pytest.mark.parametrize("scripts", [False, True])
def test_pictures_stand_in_the_place_of_the_toys_where_scripts_are_off(site, browser, scripts):
    tab, _ = open_page(browser, site.folder / "book/live.html", java_script_enabled=scripts)
    pictures = tab.locator("img.live-picture").all()
    assert [picture.is_visible() for picture in pictures] == [not scripts, not scripts]
    tab.close()


def test_search_works_from_disk(site, browser):
    tab, seen = open_page(browser, site.folder / "search.html", "?q=residual")
    tab.wait_for_selector("#search-results li a")
    links = tab.eval_on_selector_all("#search-results li a", "links => links.map(link => link.href)")
    assert any("/book/" in link for link in links)
    assert seen.said == []
    tab.close()


def test_the_first_page_shows_its_picture_on_the_first_screen(site, browser):
    tab, _ = open_page(browser, site.folder / "book/index.html")
    box = tab.locator(".bd-article figure img").first.bounding_box()
    assert box["y"] + box["height"] <= DESKTOP["height"]
    tab.close()


def test_a_figure_opens_and_closes_by_keyboard(site, browser):
    tab, seen = open_page(browser, site.folder / "book/models.html")
    tab.locator("a.figure-link").first.focus()
    tab.keyboard.press("Enter")
    shown = tab.locator("dialog.figure-view img")
    shown.wait_for()
    assert shown.get_attribute("alt")
    tab.keyboard.press("Escape")
    shown.wait_for(state="hidden")
    assert seen.said == []
    tab.close()


def test_a_figure_on_a_phone_says_that_it_opens_larger(site, browser):
    tab, _ = open_page(browser, site.folder / "book/grammar.html")
    tab.set_viewport_size({"width": 390, "height": 844})
    link = tab.locator("a.figure-link").first
    assert "enlarge" in link.evaluate("node => getComputedStyle(node, '::after').content")
    small = link.locator("img").bounding_box()["width"]
    link.click()
    shown = tab.locator("dialog.figure-view img")
    shown.wait_for()
    assert shown.bounding_box()["width"] > 1.3 * small
    tab.close()


def test_formulas_are_set_without_a_network(site, browser):
    tab, _ = open_page(browser, site.folder / "book/attention_heads.html")
    tab.wait_for_selector("mjx-container")
    assert tab.locator("mjx-merror, [data-mjx-error]").count() == 0
    tab.close()


def test_numbers_in_sentences_are_not_bold(site, browser):
    tab, _ = open_page(browser, site.folder / "book/geometry.html")
    weights = tab.eval_on_selector_all(
        "li .pasted-text, p .pasted-text",
        "nodes => nodes.map(node => [getComputedStyle(node).fontWeight, getComputedStyle(node.parentElement).fontWeight])",
    )
    assert weights
    assert all(own == around for own, around in weights)
    tab.close()


def test_every_icon_of_a_page_is_drawn(site, browser):
    """The script of icons holds those alone that the pages name."""
    tab, seen = open_page(browser, site.folder / "book/models.html")
    tab.wait_for_selector("svg.fa-magnifying-glass", state="attached")
    shown = tab.eval_on_selector_all("svg.svg-inline--fa", "icons => icons.map(icon => icon.querySelectorAll('path').length)")
    assert min(shown) > 0
    assert tab.locator("i.fa-solid, i.fas, i.fab").count() == 0
    assert seen.said == []
    tab.close()


def shown_preview(tab):
    preview = tab.locator("#link-preview")
    preview.wait_for(state="visible")
    return preview


def test_a_link_to_the_glossary_shows_what_it_says(site, browser):
    tab, seen = open_page(browser, site.folder / "book/geometry.html")
    link = tab.locator("a.term").first
    link.hover()
    preview = shown_preview(tab)
    anchor = link.get_attribute("href").split("#")[1]
    entry = site.parsed(site.folder / "book/glossary.html").get_element_by_id(anchor).getnext()
    assert preview.inner_text()[:60] == " ".join(entry.text_content().split())[:60]
    assert link.get_attribute("aria-describedby") == "link-preview"
    tab.keyboard.press("Escape")
    preview.wait_for(state="hidden")
    assert seen.said == []
    tab.close()


def test_a_preview_that_is_left_before_it_is_found_stays_closed(site, browser):
    tab, _ = open_page(browser, site.folder / "book/geometry.html")
    link, preview = tab.locator("a.term").first, tab.locator("#link-preview")
    link.focus()
    shown_preview(tab)
    link.blur()
    preview.wait_for(state="hidden")
    link.evaluate("node => { node.focus(); node.blur(); }")
    tab.evaluate(TWO_FRAMES)
    assert preview.is_hidden()
    tab.close()


def test_a_polish_word_shows_its_gloss_when_it_is_tapped(site, browser):
    tab, seen = open_page(browser, site.folder / "book/attention_heads.html")
    word = tab.locator("td abbr:visible").first
    word.click()
    preview = shown_preview(tab)
    assert preview.inner_text() == word.get_attribute("title")
    tab.locator("article h1").click()
    preview.wait_for(state="hidden")
    assert seen.said == []
    tab.close()


def test_a_link_to_a_figure_shows_it(site, browser):
    tab, seen = open_page(browser, site.folder / "book/feed_forward.html")
    tab.locator("a.reference.internal[href='#fig-ff-survival']").first.hover()
    image = tab.locator("#link-preview img")
    image.wait_for(state="visible")
    assert image.get_attribute("alt")
    assert seen.said == []
    tab.close()
