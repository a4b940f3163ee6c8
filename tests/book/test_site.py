"""The built pages: links lead somewhere, images say what they show, and nothing is fetched from elsewhere."""

import re

import pytest

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
            missing_anchor = path.exists() and anchor and path.suffix == ".html" and not has_anchor(site, path, anchor)
            if not path.exists() or missing_anchor:
                dead.append((page.name, link.get("href")))
    assert dead == []


def has_anchor(site, path, anchor):
    return any(anchor in (node.get("id"), node.get("name")) for node in site.parsed(path).iter() if isinstance(node.tag, str))


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


def test_launch_buttons_open_notebooks(site):
    for page in site.chapters:
        addresses = [link.get("href") for link in site.parsed(page).iter("a") if link.get("href")]
        launches = [address for address in addresses if "mybinder.org" in address or "colab.research" in address]
        if (site.folder.parent.parent / "book" / f"{page.stem}.ipynb").exists():
            assert len(launches) >= 2, page.name
            assert all(f"book/{page.stem}.ipynb" in address.replace("%2F", "/") for address in launches), launches
