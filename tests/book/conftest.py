"""The built site, for the tests that read it."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote, urlsplit

import build_book
import pdf_book
import pytest
from lxml import html
from playwright.sync_api import sync_playwright


@dataclass
class Site:
    """Pages of the built book, parsed when asked for."""

    folder: Path
    _parsed: dict = field(default_factory=dict)
    _anchors: dict = field(default_factory=dict)

    @cached_property
    def pages(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*.html") if "_static" not in path.relative_to(self.folder).parts)

    @cached_property
    def chapters(self) -> list[Path]:
        return [page for page in self.pages if page.parent.name == "book"]

    def parsed(self, page: Path):
        if page not in self._parsed:
            self._parsed[page] = html.fromstring(page.read_bytes())
        return self._parsed[page]

    def anchors(self, page: Path) -> set[str]:
        """What a link to the page can name behind its #."""
        if page not in self._anchors:
            self._anchors[page] = set(self.parsed(page).xpath("//@id | //@name"))
        return self._anchors[page]

    def target(self, page: Path, address: str) -> tuple[Path, str] | None:
        """The file and the anchor an address on a page leads to; None for addresses outside the site."""
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            return None
        path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        return path, unquote(parts.fragment)


@pytest.fixture(scope="session")
def site(root) -> Site:
    """The site, where there is one that belongs to the sources as they are now."""
    build = root / "_build"
    if not (build / "html").exists():
        pytest.skip("the book is not built: run `make book` first")
    if not build_book.is_current(root):
        pytest.skip("the built book is older than its sources: run `make book` first")
    return Site(build / "html")


@pytest.fixture(scope="session")
def browser():
    """Chromium, one for all tests of a worker."""
    program = pdf_book.chromium()
    if program is None:
        pytest.skip("no Chromium on this machine: CONTRIBUTING.md says how to get it")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()
