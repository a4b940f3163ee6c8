"""What the theme leaves to do on the pages: a Sphinx extension that `_config.yml` loads.

Buttons that lead to the repository appear only where `repository: url` names one. Every chapter can be downloaded as a notebook and as a
script. Pages say in their head what they are about, and there is one for addresses that are not found. When the builder has ended, small
faults in the theme's HTML are mended, and what no page uses is taken out of the site.
"""

from __future__ import annotations

import io
import json
import re
import shutil
from html import escape, unescape
from pathlib import Path

from docutils import nodes
from PIL import Image
from whole_files import write_whole

NUMBER = re.compile(r"[<>≤≥~+−-]?\s?\d[\d.,]*\s?(%|s|ms|MB|kB|GB|nats|[×x]|[\[(].*[\])])?|[–—-]")  # with a unit or an interval, or none
# What stands in italics and is Polish, though it has no Polish letter.
POLISH = """zamek zamkiem zamku zamki nie dom na matka twarzy swojej swoich stole sekunda sek rozum pseudonim przydomek przy po pilot panu
pan nazwisko imiona nowak marek borowski jan seku- szczeg- naj- -ego -em -ej -ami -ach -ych -nie -li -iejsz- -go"""
LONG_WORD = re.compile(r"\S{18,}")
BETWEEN = re.compile(r"(?<=/)(?=\w)|(?<=[=.,])(?=[^\W\d_])")  # parts of a word, but not the digits of a number
REPOSITORY_BUTTONS = ("use_repository_button", "use_edit_page_button", "use_issues_button")
CARD = "gallery/senses.png"

# What the theme writes, and what a screen reader can use: (text, replacement).
MENDED = [
    ('<summary aria-label="Toggle hidden content">', "<summary>"),  # hides the words that the line shows
    (' aria-label="Search" data-bs-placement', " data-bs-placement"),  # the button says "Search Ctrl+K"
    (' aria-label="Color mode" data-bs-title', " data-bs-title"),  # as does the name of the colour mode
    ('<summary><span class="toctree-toggle"', '<summary aria-label="Show the pages below"><span class="toctree-toggle"'),
    ('<div role="list" class="citation-list">', '<div class="citation-list">'),  # its entries are no list items
    (' role="doc-biblioentry"', ""),
    ('<section id="po-polsku">', '<section id="po-polsku" lang="pl">'),
    ('<meta name="viewport" content="width=device-width, initial-scale=1.0" />', ""),  # the theme writes it two times more
    ('<meta name="viewport" content="width=device-width, initial-scale=1"/>\n', ""),
]

# Parts of the static files that no page loads: sources of minified files, MathJax's other inputs and outputs, its menu, which is off.
UNUSED = ["**/*.map", "**/*.ttf", "locales"]
UNUSED += ["vendor/fontawesome/webfonts/fa-brands-*", "vendor/fontawesome/webfonts/fa-regular-*"]  # icons are drawn by the script
UNUSED += [f"mathjax/{name}" for name in ("a11y", "adaptors", "sre", "ui", "output/svg", "output/*.js", "input/mml", "input/*.js")]
UNUSED += [f"mathjax/{name}.js" for name in ("core", "loader", "startup", "latest", "node-main", "input/tex/extensions/all-packages")]
UNUSED += [f"mathjax/{name}*.js" for name in ("mml-", "tex-svg", "tex-mml-", "tex-chtml-full")]
# The formulas here use what tex-chtml.js holds itself. One that needs more asks for a file that is not there, which a test sees.
UNUSED += ["mathjax/input/tex/extensions", *(f"mathjax/output/chtml/fonts/*/*_{font}*" for font in ("Fraktur", "SansSerif", "Script"))]


# A rule of the theme's style sheet that draws an icon as a letter of a font.
ICON_RULE = re.compile(r'(?:\.fa-[\w-]+:before,?)+\{content:"[^"]*"\}')
SIGNATURE_MARK = re.compile(
    r'<span class="(?:[nopw]|default_value|sig-paren)">([^<]*)</span>'
)  # names, signs, spaces and brackets, all in one colour
PLAIN = re.compile(r'<span class="[np]">([^<]*)</span>')  # names and signs in code, which the style gives the colour of all code
# What keeps its blanks and line ends.
VERBATIM = re.compile(r"(<(?:pre|textarea|script|style)\b.*?</(?:pre|textarea|script|style)>)", re.DOTALL)

# An icon in the theme's script: name, size, other names, code, one path or two.
ICON = re.compile(r'"?([\w-]+)"?:\[\d+,\d+,\[([^\]]*)\],"[0-9a-f]+",(?:"[^"]*"|\[(?:"[^"]*",?)+\])\],?')


def choose_buttons(app, config) -> None:
    """Buttons that need the repository's address stand only where there is one."""
    options = config.html_theme_options
    for name in REPOSITORY_BUTTONS:
        options[name] = bool(options.get("repository_url"))
    if not options.get("repository_url"):
        options.pop("repository_url", None)
        options.pop("launch_buttons", None)


def complete_page(app, pagename, templatename, context, doctree) -> None:
    """Add a description, the fields that social sites read, and the download of the script."""
    about = description(doctree) if doctree else ""
    tags = [("name", "description", about), ("property", "og:title", context.get("title", "")), ("property", "og:description", about)]
    if app.config.html_baseurl:  # a card is an absolute address, or none
        tags.append(("property", "og:image", f"{app.config.html_baseurl.rstrip('/')}/_static/{CARD}"))
    words = [f'<meta {kind}="{name}" content="{escape(re.sub("<[^>]+>", "", text))}"/>' for kind, name, text in tags if text]
    context["metatags"] = "\n".join([context.get("metatags", ""), *words])

    script = Path(app.srcdir) / f"{pagename}.py"
    for group in context.get("header_buttons", []):
        if group.get("label") == "download-buttons" and script.exists():
            link = {"type": "link", "text": ".py", "icon": "fas fa-code", "tooltip": "Download as a script"}
            link |= {"label": "download-script-button", "url": context["pathto"](f"_sources/{pagename}.py", 1)}
            group["buttons"].insert(1, link)


def description(doctree: nodes.document, length: int = 200) -> str:
    """The beginning of the first paragraph, cut at a word."""
    paragraph = next(doctree.findall(nodes.paragraph), None)
    words = " ".join(paragraph.astext().split()) if paragraph is not None else ""
    return words if len(words) <= length else words[:length].rsplit(" ", 1)[0] + " …"


def page_not_found(app):
    """The page that a server shows for an address that is not there. It can be met at any depth, so links start at the site's address."""
    base = app.config.html_baseurl
    head = f'<base href="{escape(base.rstrip("/"))}/"/>' if base else ""
    body = "<h1>Page not found</h1><p>There is no page at this address. The contents list and the search find what has moved.</p>"
    yield "404", {"title": "Page not found", "body": body, "metatags": head}, "page.html"


def finish_site(app, exception) -> None:
    """Mend the pages, copy the scripts beside the notebooks, and delete static files that nothing loads."""
    if exception or app.builder.name not in {"html", "singlehtml"}:
        return
    site = Path(app.outdir)
    for page in [*site.glob("*.html"), *(site / "book").rglob("*.html")]:
        text = page.read_text(encoding="utf-8")
        mended = mend(text)
        if mended != text:
            write_whole(page, mended)
    for source in (site / "_sources" / "book").glob("*.ipynb"):
        script = Path(app.srcdir) / "book" / f"{source.stem}.py"
        if script.exists():
            shutil.copy(script, source.with_suffix(".py"))
    for pattern in UNUSED:
        for path in list((site / "_static").glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    names = icons_named(site)
    for icons, used in (("scripts/fontawesome.js", used_icons), ("styles/pydata-sphinx-theme.css", used_rules)):
        file = site / "_static" / icons
        if file.exists():
            write_whole(file, used(file.read_text(encoding="utf-8"), names))
    index = site / "searchindex.js"
    if index.exists():
        write_whole(index, without_entries(index.read_text(encoding="utf-8")))
    delete_unshown_images(site)
    for figure in (site / "_images").glob("*.png"):
        write_whole(figure, of_few_colours(figure.read_bytes()))


def without_entries(script: str) -> str:
    """The search data without the entries of a general index: the book has none, and the library's names are found as objects."""
    before, data = re.fullmatch(r"(Search\.setIndex\()(.*)\)", script.strip(), re.DOTALL).groups()  # type: ignore[union-attr]
    return f"{before}{json.dumps(json.loads(data) | {'indexentries': {}}, ensure_ascii=False, separators=(',', ':'))})"


def delete_unshown_images(site: Path) -> None:
    """Delete images that no page shows: figures of earlier builds, which Sphinx leaves, and pictures of which it has made copies."""
    pages = [*site.glob("*.html"), *(site / "book").rglob("*.html")]
    shown = {name for page in pages for name in re.findall(r"_(?:images|static)/([^\"\s)?#]+)", page.read_text(encoding="utf-8"))}
    static = site / "_static"
    for path in [*(site / "_images").glob("*"), *static.glob("gallery/*.png"), *static.glob("live/*.png")]:
        name = path.relative_to(static if path.is_relative_to(static) else site / "_images").as_posix()
        if name not in shown | {CARD}:
            path.unlink()


def icons_named(site: Path) -> set[str]:
    """Names of icons that pages or the theme's own scripts show."""
    scripts = [site / "_static" / "scripts" / name for name in ("pydata-sphinx-theme.js", "sphinx-book-theme.js")]
    files = [*site.glob("*.html"), *(site / "book").rglob("*.html"), *(path for path in scripts if path.exists())]
    return {name for path in files for name in re.findall(r"\bfa-([a-z0-9-]+)", path.read_text(encoding="utf-8"))}


def used_icons(script: str, names: set[str]) -> str:
    """The script of icons with those alone that are named; it holds two thousand."""
    return ICON.sub(lambda icon: icon[0] if names & {icon[1], *re.findall(r"[a-z][\w-]*", icon[2])} else "", script)


def used_rules(style: str, names: set[str]) -> str:
    """The style sheet with the rules of those icons alone that are named."""
    return ICON_RULE.sub(lambda rule: rule[0] if names & set(re.findall(r"\.fa-([\w-]+):before", rule[0])) else "", style)


def of_few_colours(png: bytes, colours: int = 128) -> bytes:
    """A figure with a palette, a third of the bytes and to the eye the same; as it was where that is no smaller."""
    picture = Image.open(io.BytesIO(png))
    if picture.mode == "P":
        return png
    out = io.BytesIO()
    picture.convert("RGBA").quantize(colours, method=Image.Quantize.FASTOCTREE).save(out, "PNG", optimize=True)
    return min(png, out.getvalue(), key=len)


def mend(text: str) -> str:
    """One page with the theme's faults mended."""
    for found, replacement in MENDED:
        text = text.replace(found, replacement)
    # The name of the site stands outside of every landmark.
    text = re.sub(r'(<div class="sidebar-primary-item")(>\s*<a class="navbar-brand)', r'\1 role="banner"\2', text)
    text = re.sub(r'<th class="(blank|head)[^>]*>(&nbsp;|<p></p>)</th>', "<td></td>", text)  # a header without words
    text = re.sub(r"<table\b[^>]*>.*?</table>", lambda table: breakable(align_numbers(table[0])), text, flags=re.S)
    text = re.sub(r'<span class="pre">([^<]*)</span>', r"\1", text)  # twelve thousand marks without effect here
    text = re.sub(r'<dt class="sig\b.*?</dt>', lambda signature: SIGNATURE_MARK.sub(r"\1", signature[0]), text, flags=re.S)
    text = re.sub(r'<div class="highlight">.*?</pre>', lambda code: PLAIN.sub(r"\1", code[0]), text, flags=re.S)
    text = re.sub(r'<style type="text/css">.*?</style>', lambda style: re.sub(r"\s*([{};])\s*", r"\1", style[0]), text, flags=re.S)
    text = re.sub(r"<!-- .*? -->", "", text)
    text = mark_polish(text)
    # Templates leave many blank lines and indents behind.
    text = "".join(part if place % 2 else re.sub(r"\s*\n\s*", "\n", part) for place, part in enumerate(VERBATIM.split(text)))
    return re.sub(r"<title>(.+?) &#8212; \1</title>", r"<title>\1</title>", text)


def mark_polish(text: str) -> str:
    """A page whose Polish words in italics are marked as Polish, so that they are read aloud and hyphenated as such."""

    def marked(found: re.Match) -> str:
        words = unescape(found[1])
        polish = re.search("[ąćęłńóśźż]", words, re.I) or set(words.lower().split()) <= set(POLISH.split())
        return f'<em lang="pl">{found[1]}</em>' if polish else found[0]

    return re.sub(r"<em>([^<]+)</em>", marked, text)


def align_numbers(table: str) -> str:
    """A table whose columns of numbers, heads included, have the class `number`; tables of `report.table` have styles of their own."""
    rows = [re.findall(r"(<(t[hd])\b([^>]*)>(.*?)</\2>)", row, re.S) for row in re.findall(r"<tr\b.*?</tr>", table, re.S)]
    body = [row for row in rows if any(tag == "td" for _, tag, _, _ in row)]
    if len({len(row) for row in rows}) != 1 or "colspan" in table or "rowspan" in table or 'id="T_' in table:
        return table
    columns = [[unescape(re.sub(r"<[^>]+>", "", cell)).strip() for _, _, _, cell in column] for column in zip(*body, strict=True)]
    numeric = [any(column) and all(NUMBER.fullmatch(cell) for cell in column if cell) for column in columns]

    def with_class(cell: re.Match) -> str:
        place = next(places)
        if not numeric[place]:
            return cell[0]
        if 'class="' in cell[2]:
            return cell[0].replace('class="', 'class="number ', 1)
        return f'<{cell[1]} class="number"{cell[2]}>'

    places = iter([place for row in rows for place in range(len(row))])
    return re.sub(r"<(t[hd])\b([^>]*)>", with_class, table)


def breakable(table: str) -> str:
    """A table whose long words, names of files and of settings for instance, may break between their parts."""
    words = [LONG_WORD.sub(lambda word: BETWEEN.sub("<wbr>", word[0]), part) for part in re.split(r"(?:<[^>]*>)+", table)]
    tags = [*re.findall(r"(?:<[^>]*>)+", table), ""]
    return "".join(f"{word}{tag}" for word, tag in zip(words, tags, strict=True))


def setup(app):
    app.connect("config-inited", choose_buttons)
    app.connect("html-page-context", complete_page, priority=502)  # after the theme has made its buttons, with 501
    app.connect("html-collect-pages", page_not_found)
    app.connect("build-finished", finish_site, priority=900)  # after MathJax and the theme have copied their files
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
