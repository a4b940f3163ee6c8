"""Faults of the theme's HTML, and their mending."""

import io
import re

import pytest
import site_pages
from PIL import Image


@pytest.mark.parametrize(
    ("found", "mended"),
    [
        ('<th class="blank level0" >&nbsp;</th>', "<td></td>"),
        ('<th class="head"><p></p></th>', "<td></td>"),
        ('<th class="head"><p>loss</p></th>', '<th class="head"><p>loss</p></th>'),
        ('<th class="col_heading">loss</th>', '<th class="col_heading">loss</th>'),
        ("<title>Book &#8212; Book</title>", "<title>Book</title>"),
        ("<title>Chapter &#8212; Book</title>", "<title>Chapter &#8212; Book</title>"),
        ("<em>zamek</em> is <em>castle</em>", '<em lang="pl">zamek</em> is <em>castle</em>'),
        ("<em>Stał tam człowiek</em>", '<em lang="pl">Stał tam człowiek</em>'),
        ('<code class="literal"><span class="pre">x</span></code>', '<code class="literal">x</code>'),
        (
            '<div class="highlight"><pre><span class="n">x</span><span class="o">=</span><span class="p">(</span></pre></div>',
            '<div class="highlight"><pre>x<span class="o">=</span>(</pre></div>',
        ),
        ('<em class="sig-param"><span class="n">x</span></em>', '<em class="sig-param"><span class="n">x</span></em>'),
        ('<section id="po-polsku">', '<section id="po-polsku" lang="pl">'),
        (
            '<div class="sidebar-primary-item">\n<a class="navbar-brand logo">',
            '<div class="sidebar-primary-item" role="banner">\n<a class="navbar-brand logo">',
        ),
        ('<div class="sidebar-primary-item">\n<nav>', '<div class="sidebar-primary-item">\n<nav>'),
        ('<summary><span class="toctree-toggle">', '<summary aria-label="Show the pages below"><span class="toctree-toggle">'),
        ("<p>a\n  \n   b</p>\n\n<pre>x\n\n  y</pre>\n\n", "<p>a\nb</p>\n<pre>x\n\n  y</pre>\n"),
        (
            '<dt class="sig py"><em class="sig-param"><span class="n">k</span><span class="o">=</span>3</em></dt>',
            '<dt class="sig py"><em class="sig-param">k=3</em></dt>',
        ),
    ],
)
def test_mending(found, mended):
    assert site_pages.mend(found) == mended
    assert site_pages.mend(mended) == mended


TABLE = """<table class="docutils"><thead><tr class="row-odd"><th class="head"><p>model</p></th>
<th class="head"><p>loss</p></th><th><p>tokens</p></th></tr></thead>
<tbody><tr><td><p>GPT-2</p></td><td><p>3.25 [3.1, 3.4]</p></td><td class="x"><p>16,384</p></td></tr>
<tr><td><p>7</p></td><td><p><span>−0.5</span></p></td><td class="x"><p>1 and 2</p></td></tr></tbody></table>"""


def test_columns_of_numbers_are_marked_and_no_others():
    found = site_pages.mend(f"<p>12</p>{TABLE}")
    cells = re.findall(r"<t[hd]\b([^>]*)>", found)
    assert ["number" in cell for cell in cells] == [False, True, False, False, True, False, False, True, False]
    assert re.sub(r' class="number"|number ', "", found) == f"<p>12</p>{TABLE}"
    assert site_pages.align_numbers(TABLE.replace("<td>", '<td colspan="1">', 1)).count("number") == 0


@pytest.mark.parametrize(
    ("word", "broken"),
    [
        ("computationalstylistics/100_novels", "computationalstylistics/<wbr>100_novels"),
        ("ANALYSIS_MODELS=gpt9=owner/name", "ANALYSIS_MODELS=<wbr>gpt9=<wbr>owner/<wbr>name"),
        ("transformer.h.1.attn.c_attn", "transformer.<wbr>h.1.<wbr>attn.<wbr>c_attn"),
        ("[0.123456,0.234567,0.345678]", "[0.123456,0.234567,0.345678]"),
        ("polish-gpt2/last", "polish-gpt2/last"),
    ],
)
def test_long_words_of_tables_may_break(word, broken):
    page = '<p>{0}</p><table><tr><td><code class="a/b.c=d/efghijklmnopq">{1}</code> x</td></tr></table>'
    assert site_pages.mend(page.format(word, word)) == page.format(word, broken)
    assert site_pages.mend(page.format(word, broken)) == page.format(word, broken)


def test_icons_that_nothing_shows_are_left_out():
    icons = [
        'monero:[496,512,[],"f3d0","M352 384z"],',
        '"magnifying-glass":[512,512,[128269,"search"],"f002","M1 1z"],',
        'x:[1,2,[],"f1",["M1z","M2z"]]',
    ]
    script = "var p={" + "".join(icons) + "};f(p)"
    assert site_pages.used_icons(script, {"search", "solid"}) == "var p={" + icons[1] + "};f(p)"
    assert site_pages.used_icons(script, {"monero", "x", "magnifying-glass"}) == script


def test_rules_of_icons_that_nothing_shows_are_left_out():
    kept = '.fa-book-quran:before,.fa-quran:before{content:"\\f687"}'
    style = f'.fa-fw{{width:1em}}.fa-anchor:before{{content:"\\f13d"}}{kept}.btn:before{{content:"x"}}'
    assert site_pages.used_rules(style, {"quran"}) == f'.fa-fw{{width:1em}}{kept}.btn:before{{content:"x"}}'


def test_styles_of_tables_are_short_and_comments_of_templates_are_left_out():
    style = "#T_1 th {\n  text-align: left;\n}\n#T_1 .a td:hover {\n  color: red;\n}\n"
    page = f'<!-- nav -->\n<style type="text/css">\n{style}</style>\n<p>a {{ b }}; c</p>\n'
    found = site_pages.mend(page)
    assert '<style type="text/css">' in found
    assert "#T_1 th{text-align: left;}#T_1 .a td:hover{color: red;}" in found
    assert "<p>a { b }; c</p>" in found
    assert "nav" not in found


def test_the_search_keeps_all_but_entries_of_an_index():
    script = 'Search.setIndex({"alltitles": {"A (b)": [[0, null]]}, "indexentries": {"x": [[0, "y", false]]}, "terms": {"zamków": 1}})'
    assert (
        site_pages.without_entries(script) == 'Search.setIndex({"alltitles":{"A (b)":[[0,null]]},"indexentries":{},"terms":{"zamków":1}})'
    )


def test_a_figure_keeps_its_size_its_ground_and_its_colours():
    ramp = Image.new("RGBA", (300, 40), (0, 0, 0, 0))
    for x in range(256):
        ramp.paste((x, 255 - x, 90, 255), (x, 10, x + 1, 30))
    out = io.BytesIO()
    ramp.save(out, "PNG")
    small = site_pages.of_few_colours(out.getvalue())
    found = Image.open(io.BytesIO(small)).convert("RGBA")
    assert found.size == ramp.size
    assert found.getpixel((5, 2))[3] == 0
    differences = [abs(a - b) for x in range(256) for a, b in zip(found.getpixel((x, 20)), ramp.getpixel((x, 20)), strict=True)]
    assert max(differences) <= 20
    assert len(small) <= len(out.getvalue())
    assert site_pages.of_few_colours(small) == small


def test_only_images_that_no_page_shows_are_deleted(tmp_path):
    kept = ["_images/card.png", "_images/now.png", f"_static/{site_pages.CARD}", "_static/live/still.png"]
    for name in (*kept, "_images/old.png", "_static/gallery/models.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "book").mkdir()
    (tmp_path / "index.html").write_text('<meta content="_images/card.png"/>', encoding="utf-8")
    page = '<img src="../_images/now.png" alt="x"/><img src="../_static/live/still.png" alt="x"/><img src="../_images/models.png" alt="x"/>'
    (tmp_path / "book" / "page.html").write_text(page, encoding="utf-8")
    site_pages.delete_unshown_images(tmp_path)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")) == sorted(kept)
