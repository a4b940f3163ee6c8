"""Code on pages: lines that fit, and the key figure above what draws it."""

import code_cells
from docutils import nodes
from docutils.utils import new_document


def test_wide_cells_are_laid_out_and_others_left_alone():
    short = "x  =  1;"
    wide = f"value = function({', '.join(f'argument_{i}' for i in range(12))});"
    found = code_cells.fitted([short, wide, "%matplotlib inline\n" + wide])
    assert found[0] == short
    assert max(len(line) for cell in found for line in cell.splitlines()) <= code_cells.WIDTH
    assert found[1].replace("\n", "").replace(" ", "").replace(",)", ")") == wide.replace(" ", "")
    assert found[2].startswith("%matplotlib inline")


def test_cells_that_are_no_python_are_left_alone():
    wide = "this is no Python " * 6
    assert code_cells.fitted([wide]) == [wide]


def test_a_comment_that_makes_a_statement_too_long_stands_above_it():
    comment = "# " + "why " * 18 + "so"
    cell = f"for a, b in pairs():  {comment}\n    if a:\n        b += 1  {comment}"
    assert code_cells.fitted([cell]) == [f"{comment}\nfor a, b in pairs():\n    if a:\n        {comment}\n        b += 1"]


def test_comments_stay_inside_statements_of_several_lines_and_in_strings():
    long = "# " + "why " * 20
    inside = f"x = [\n    1,  {long}\n]"
    quoted = f'text = """\na  {long}\n"""'
    for cell in (inside, quoted, f"short = 1  # a note\n{quoted}", f"broken(  {long}"):
        assert code_cells.comments_above(cell, 84) == cell


def cell(name, *, closed=True, figure=False, output=False):
    made = nodes.container(classes=["cell"], nb_element="cell_code", ids=[name], **({"hide_mode": "input"} if closed else {}))
    made += nodes.container("", nodes.literal_block("", name), nb_element="cell_code_source")
    if figure or output:
        made += nodes.container("", nodes.figure() if figure else nodes.paragraph(), nb_element="cell_code_output")
    return made


def test_closed_code_above_the_key_figure_moves_below_what_was_found():
    page = nodes.section("", nodes.title("", "Chapter"), nodes.paragraph("", "Question"))
    page += [
        cell("setup", output=True),
        cell("shown", closed=False),
        cell("drawing", figure=True),
        nodes.bullet_list(),
        nodes.section(ids=["next"]),
    ]
    document = new_document("page")
    document += page
    code_cells.lower_code(document)
    kinds = [(child.tagname, child.get("ids")) for child in page.children]
    assert kinds == [
        ("title", []),
        ("paragraph", []),
        ("container", ["shown"]),
        ("container", ["drawing"]),
        ("bullet_list", []),
        ("container", ["setup"]),
        ("container", []),
        ("section", ["next"]),
    ]
    assert [child.get("nb_element") for child in page[3]] == ["cell_code_output"]
    assert page[6].astext() == "drawing"
    assert all(child.parent is page for child in page.children)


def test_the_key_figure_moves_above_what_was_found_and_its_code_stays():
    key, numbers = cell("drawing", figure=True), cell("", output=True)
    key["classes"].append(code_cells.KEY)
    numbers["classes"].append(code_cells.KEY)
    numbers.pop(0)  # a cell whose code is not shown
    heading = nodes.paragraph("", "", nodes.Text(""), nodes.strong("", "What was found"))  # MyST leaves empty text
    page = nodes.section("", nodes.title("", "Chapter"), nodes.paragraph("", "Question"), heading, nodes.bullet_list())
    method = nodes.section("", nodes.title("", "Method"), key, numbers, nodes.paragraph("", "Result"), ids=["method"])
    page += [cell("setup"), method]
    document = new_document("page")
    document += page
    code_cells.raise_figure(document)
    kinds = [child.tagname for child in page.children]
    assert kinds == ["title", "paragraph", "container", "container", "paragraph", "bullet_list", "container", "section"]
    assert len(list(page[2].findall(nodes.figure))) == 1
    assert page[2].astext() == page[3].astext() == ""
    assert [child.astext() for child in method.children] == ["Method", "drawing", "Result"]
    assert method.children[1] is key


def test_pages_without_a_figure_keep_their_order():
    document = new_document("page")
    document += nodes.section("", nodes.title("", "Chapter"), cell("setup"))
    before = document.pformat()
    code_cells.lower_code(document)
    assert document.pformat() == before


def test_closed_cells_in_a_row_share_one_box():
    first, second, drawing = cell("first"), cell("second"), cell("drawing", figure=True)
    page = nodes.section("", nodes.title("", "Chapter"), first, second, drawing, cell("after"), cell("shown", closed=False), cell("last"))
    document = new_document("page")
    document += page
    code_cells.join_closed(document)
    assert [child.astext().split() for child in page.children] == [
        ["Chapter"],
        ["first", "second", "drawing"],
        ["after"],
        ["shown"],
        ["last"],
    ]
    assert page[1] is drawing
    assert [child.get("nb_element") for child in drawing] == ["cell_code_source"] * 3 + ["cell_code_output"]
    assert len(list(document.findall(nodes.literal_block))) == 6


def test_a_closed_cell_that_shows_something_keeps_its_box():
    page = nodes.section("", cell("table", output=True), cell("next"))
    document = new_document("page")
    document += page
    before = document.pformat()
    code_cells.join_closed(document)
    assert document.pformat() == before
