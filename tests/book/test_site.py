"""The built pages: links lead somewhere, images say what they show, and nothing is fetched from elsewhere."""

import base64
import io
import re
import zipfile

import pairs
import pandas as pd
import pytest
import yaml

pytestmark = pytest.mark.site


def test_there_is_a_page_to_open(site):
    assert (site.folder / "index.html").exists()
    assert (site.folder / "book/index.html").exists()


def test_links_lead_to_pages_and_anchors_that_exist(site):
    dead = []
    for page in site.pages:
        for link in site.parsed(page).iter("a"):
            goes_to = site.target(page, link.get("href") or "")
            if goes_to is None or link.get("href") in {None, "", "#"}:
                continue
            path, anchor = goes_to
            missing_anchor = path.exists() and anchor and path.suffix == ".html" and anchor not in site.anchors(path)
            if not path.exists() or missing_anchor:
                dead.append((page.name, link.get("href")))
    assert dead == []


def test_images_exist_and_have_words_beside_them(site):
    for page in site.pages:
        for image in site.parsed(page).iter("img"):
            alt = image.get("alt") or ""
            assert alt.strip(), f"{page.name}: {image.get('src')} has no alt text"
            # Sphinx writes the file name where the author wrote nothing.
            assert not re.search(r"\.(png|svg|jpe?g)$", alt), f"{page.name}: {alt} is a file name"
            goes_to = site.target(page, image.get("src"))
            if goes_to and not image.get("src").startswith("data:"):
                assert goes_to[0].exists(), f"{page.name}: {image.get('src')}"


def test_scripts_styles_and_images_come_with_the_site(site):
    outside = []
    for page in site.pages:
        tree = site.parsed(page)
        loaded = [node.get("src") for node in tree.iter("script", "img", "iframe", "source", "video") if node.get("src")]
        kinds = {"stylesheet", "preload", "modulepreload", "preconnect"}
        loaded += [node.get("href") for node in tree.iter("link") if node.get("rel") in kinds]
        outside += [(page.name, address) for address in loaded if re.match(r"(https?:)?//", address)]
        for script in tree.iter("script"):
            code = script.text or ""
            outside += [(page.name, found) for found in re.findall(r"""(?:import|from|src=)\s*["'](https?://[^"']+)""", code)]
    assert outside == []


def test_no_cell_left_a_traceback_or_a_warning_on_a_page(site):
    for page in site.chapters:
        tree = site.parsed(page)
        assert not tree.xpath("//*[contains(concat(' ', @class, ' '), ' traceback ')]"), page.name
        for block in tree.xpath("//*[contains(concat(' ', @class, ' '), ' stderr ')]"):
            pytest.fail(f"{page.name} shows what a cell wrote to stderr: {block.text_content()[:200]}")


def test_no_markup_is_left_unread(site):
    """A role or directive that was mistyped stays on the page as letters."""
    for page in site.chapters:
        tree = site.parsed(page)
        for article in tree.xpath("//article"):
            words = " ".join(article.xpath(".//text()[not(ancestor::pre or ancestor::code or ancestor::script or ancestor::style)]"))
            left = re.findall(r"\{(?:glue|cite|numref|doc|ref|eq|term)[^}]*\}|np\.float\d+\(", words)
            assert left == [], page.name


def test_buttons_lead_to_the_repository_where_there_is_one(site, root):
    repository = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]
    for page in site.chapters:
        addresses = [link.get("href") for link in site.parsed(page).iter("a") if link.get("href")]
        launches = [address for address in addresses if "mybinder.org" in address or "colab.research" in address]
        if not repository:
            assert launches == [], page.name
            assert site.parsed(page).find_class("dropdown-source-buttons") == [], page.name
        elif (root / "book" / f"{page.stem}.ipynb").exists():
            assert len(launches) >= 2, page.name
            assert all(f"book/{page.stem}.ipynb" in address.replace("%2F", "/") for address in launches), launches


def test_chapters_can_be_downloaded_as_notebook_and_script(site, root):
    for script in pairs.scripts(root / "book"):
        page = site.folder / "book" / f"{script.stem}.html"
        offered = [site.target(page, link.get("href") or "") for link in site.parsed(page).iter("a")]
        files = {place[0] for place in offered if place}
        for suffix in (".ipynb", ".py"):
            source = (site.folder / "_sources" / "book" / script.name).with_suffix(suffix)
            assert source in files, page.name
            assert source.read_bytes() == script.with_suffix(suffix).read_bytes()


def test_pages_and_site_are_small(site):
    assert {page.name: page.stat().st_size for page in site.pages if page.stat().st_size > 1.5e6} == {}
    sizes = [path.stat().st_size for path in site.folder.rglob("*") if path.is_file()]
    assert sum(sizes) < 15e6


def test_marks_that_are_left_out_of_code_would_have_no_colour_of_their_own(site):
    style = (site.folder / "_static" / "pygments.css").read_text(encoding="utf-8")
    for theme in ("light", "dark"):
        ground = re.search(rf'"{theme}"\] \.highlight \{{[^}}]*?[ ;]color: (#\w+)', style)[1]
        assert re.findall(rf'"{theme}"\] \.highlight \.[np] \{{ color: (#\w+) \}}', style) == [ground, ground]


def test_heads_of_pages_say_what_they_are_about(site):
    for page in site.chapters:
        tree = site.parsed(page)
        assert len(tree.xpath("//meta[@name='description']/@content")[0]) > 40, page.name
        title = tree.xpath("//title")[0].text
        assert len(set(title.split(" \N{EM DASH} "))) == len(title.split(" \N{EM DASH} ")), title
        assert len(tree.xpath("//meta[@name='viewport']")) == 1, page.name
        assert tree.xpath("//link[@rel='icon' or @rel='shortcut icon']"), page.name


def test_polish_text_is_marked(site):
    section = site.parsed(site.folder / "book/index.html").get_element_by_id("po-polsku")
    assert section.get("lang") == "pl"
    words = {word.text for word in site.parsed(site.folder / "book/senses.html").xpath("//em[@lang='pl']")}
    assert {"zamek", "zamków"} <= words
    assert "contrastively" not in words
    written = [span.text_content() for span in site.parsed(site.folder / "book/models.html").xpath("//li//span[@lang='pl']")]
    assert any(text.startswith("Dawno temu") for text in written)
    assert not any("Long ago" in text for text in written)


def test_columns_of_numbers_are_set_to_the_right(site):
    """Tables of `report.table` have styles of their own; of the others, a cell that is a number has a class."""
    cells = [
        (page.name, cell.text_content().strip())
        for page in site.chapters
        for cell in site.parsed(page).xpath("//table[not(starts-with(@id, 'T_'))]//td[contains(@class, 'number')]")
    ]
    assert len(cells) > 0
    assert [(name, text) for name, text in cells if text and not re.search(r"\d|[–—-]", text)] == []


def csv_behind(site, page, link) -> str:
    """The CSV that a link leads to: in its address, in a file, or zipped."""
    address = link.get("href")
    if address.startswith("data:"):
        return base64.b64decode(address.split(",")[1]).decode()
    path, _ = site.target(page, address)
    if path.suffix == ".csv":
        return path.read_text(encoding="utf-8")
    with zipfile.ZipFile(path) as archive:
        return archive.read(f"{path.stem}.csv").decode()


def test_figures_link_to_their_numbers(site):
    without = set()
    for page in site.chapters:
        tree = site.parsed(page)
        for figure in tree.xpath("//figure[starts-with(@id, 'fig-')]"):
            links = tree.xpath("//p[@class='table-csv']/a[starts-with(@download, $name)]", name=f"{figure.get('id')}.")
            if links:
                assert len(pd.read_csv(io.StringIO(csv_behind(site, page, links[0])))) >= 2, figure.get("id")
            else:
                without.add(figure.get("id"))
    drawings = {"fig-models-blocks", "fig-tokens-pieces", "fig-induction-idea"}
    assert without <= drawings | {"fig-index-board"}  # whose numbers another page has
