import base64
import datetime
import io
import math
import re

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lxml import html as lxml_html
from nbclient import NotebookClient

from analysis_lib import report, statistics, texts

INTERVAL = statistics.Interval(-0.5, -0.75, 0.25)


def test_polish_words_show_their_gloss_and_pieces_and_other_columns_do_not():
    frame = pd.DataFrame({"relation": ["do & to"], "pairs": ["Do → na-, <to>"]})
    page = lxml_html.fromstring(report.table(frame, "Pairs", polish=["pairs"])._repr_html_())
    glosses = texts.glossary()
    assert [(word.text, word.get("title")) for word in page.iter("abbr")] == [("Do", glosses["do"]), ("to", glosses["to"])]
    assert [cell.text_content().strip() for cell in page.iter("td")] == frame.iloc[0].tolist()
    assert report.table(frame, "Pairs", polish=frame.columns)._repr_html_().count("<abbr") == 4  # an index has no truth value


def test_polish_columns_must_be_there():
    with pytest.raises(ValueError, match=r"polish: expected columns of the frame, found \['left'\]"):
        report.table(pd.DataFrame({"right": ["to"]}), "Pairs", polish=["left"])


@given(st.floats(-1e6, 1e6), st.integers(0, 5))
def test_a_number_reads_back_and_zero_has_no_sign(x, digits):
    text = report.number(x, digits)
    assert "-" not in text
    back = float(text.replace(",", "").replace("−", "-"))
    assert back == pytest.approx(x, abs=0.5000001 * 10.0**-digits)
    assert (back == 0) <= (text[0] == "0")
    assert report.number(x, digits, signed=True).lstrip("+") == text


@pytest.mark.parametrize(
    ("x", "text"),
    [(3, "3"), (np.int64(-1500), "−1,500"), (np.float32(0.5), "0.50"), (torch.tensor(2.0), "2.00"), (math.nan, "n/a"), (-math.inf, "−∞")],
)
def test_scalars_of_all_libraries(x, text):
    assert report.number(x) == text


def test_what_is_no_number_is_refused():
    with pytest.raises(TypeError, match="x: expected a number, got str"):
        report.number("0.5")
    with pytest.raises(ValueError, match="between 0 and 1"):
        report.p_value(1.5)
    with pytest.raises(ValueError, match="one number or more"):
        report.span([])


def test_numbers_intervals_and_lists_become_words_as_pages_show_them():
    assert report.interval(*INTERVAL, digits=1) == "−0.5 [−0.8, 0.2]"
    assert report.interval(0.1, -0.001, 0.2, digits=1, signed=True) == "+0.1 [0.0, +0.2]"
    assert report.p_value(0.0007, floor=0.00005) == "p = 0.00070"
    assert report.p_value(0.00001, floor=0.00005, bare=True) == "< 0.00005"
    assert report.span([0.121, 0.119]) == "0.12"
    assert report.span(np.array([-0.5, 0.25]), unit=" nats") == "−0.50 to 0.25 nats"
    assert report.scientific(-1.25e-7, 2) == "−1.25 × 10⁻⁷"
    assert report.scientific(0.0) == "0"
    assert (report.listed(["a", "b", "c"]), report.listed([3]), report.listed(iter([]))) == ("a, b and c", "3", "none")
    assert report.head_name(0, 3) == "L0H3"


def test_keys_of_a_frame_keep_the_types_of_its_columns():
    rows = pd.MultiIndex.from_tuples([("herbert", 0), ("polish-gpt2", 1)])
    frame = pd.DataFrame({"heads, p < 0.05": [3, 4], "gain": [INTERVAL, None], "beats": [True, False]}, index=rows)
    keys = report.glue_keys(frame, "ind", digits=1)
    assert keys == {
        "ind-herbert-0-heads-p-0-05": 3,
        "ind-polish-gpt2-1-heads-p-0-05": 4,
        "ind-herbert-0-gain": "−0.5 [−0.8, 0.2]",
        "ind-herbert-0-beats": "yes",
        "ind-polish-gpt2-1-beats": "no",
    }
    assert {type(value) for value in keys.values()} == {int, str}
    assert report.glue_keys(pd.Series({"a": np.float64(0.5)}), "x") == {"x-a": 0.5}
    assert report.glue_keys(frame.T, "ind").keys() != keys.keys()  # rows come first


def test_keys_that_collide_and_values_that_are_none_are_refused():
    with pytest.raises(ValueError, match="two cells would get the key 'x-a-b'"):
        report.glue_keys(pd.Series([1, 2], index=["a b", "a-b"]), "x")
    with pytest.raises(TypeError, match="value of 'k': expected a number or a string, got list"):
        report.glue("k", [1])
    report.glue("k", 1)  # outside a notebook nothing happens


def test_a_notebook_holds_what_was_glued():
    cell = (
        "import pandas as pd\nfrom analysis_lib import report\nreport.glue_frame(pd.DataFrame({'b': ['−1', 0.5]}, index=['x', 'y']), 'a')"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    found = {
        out["metadata"]["scrapbook"]["name"]: out["data"]["application/papermill.record/text/plain"] for out in notebook.cells[0].outputs
    }
    assert found == {"a-x-b": "'−1'", "a-y-b": "0.5"}


def parsed(table):
    return lxml_html.fragment_fromstring(table._repr_html_(), create_parent="div")


FRAME = pd.DataFrame({"token": ["<s>", "-a"], "n": [1000, 2], "gain": [INTERVAL, None], "share": [0.5, math.nan]}, index=["x", "y"])


def test_a_table_shows_true_minus_signs_and_escapes_tokens():
    table = report.table(FRAME, "Gain & loss <here>", formats={"gain": 1, "share": ".0%"})
    tree = parsed(table)
    assert [[cell.text_content() for cell in row.iter("td")] for row in tree.iter("tr")][1:] == [
        ["<s>", "1,000", "−0.5 [−0.8,\u00a00.2]", "50%"],
        ["-a", "2", "", ""],
    ]
    assert tree.findtext(".//caption") == "Gain & loss <here>"
    assert [cell.text_content() for cell in tree.iter("th")] == ["token", "n", "gain", "share"]
    style = tree.findtext(".//style")
    assert [f"td.col{place} {{" in " ".join(style.split()) for place in range(4)] == [False, True, True, True]
    assert "Gain & loss" in repr(table)
    assert "1,000" in repr(table)


def test_a_wide_table_may_break_its_headers_and_put_intervals_below_their_estimates_and_breaks_no_number():
    frame = pd.DataFrame({"gain": [INTERVAL], "p": ["< 0.001"], "share of the pairs": [0.5]})
    tree = parsed(report.table(frame, "A"))
    rules = dict(re.findall(r"#\w+ +([^{]+?) \{([^}]*)\}", tree.findtext(".//style")))
    assert {name for name, rule in rules.items() if "nowrap" in rule} == {"td.col1", "td.col2"}
    assert [cell.text_content() for cell in tree.iter("td")] == ["−0.50 [−0.75,\u00a00.25]", "< 0.001", "0.50"]


def test_its_csv_has_numbers_at_full_precision():
    tree = parsed(report.table(FRAME, "Gain of a model", index=True, name="gain"))
    link = next(tree.iter("a"))
    assert link.get("download") == "gain.csv"
    back = pd.read_csv(io.BytesIO(base64.b64decode(link.get("href").split(",")[1])), index_col=0)
    assert list(back.columns) == ["token", "n", "gain", "gain low", "gain high", "share"]
    assert back.loc["x"].tolist() == ["<s>", 1000, -0.5, -0.75, 0.25, 0.5]
    assert [cell.text_content() for row in tree.iter("tr") for cell in row.iter("th")][-2:] == ["x", "y"]


def test_a_table_is_the_same_on_every_build_and_leaves_the_frame_alone():
    before = FRAME.copy()
    assert report.table(FRAME, "A")._repr_html_() == report.table(FRAME, "A")._repr_html_()
    pd.testing.assert_frame_equal(FRAME, before)


def test_columns_in_levels_repeated_labels_and_empty_frames():
    frame = pd.DataFrame([[1.5, INTERVAL]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("b", "y")]), index=pd.Index([0], name="layer"))
    table = report.table(pd.concat([frame, frame]), "Levels", index=True, formats={("a", "x"): 0})
    assert [cell.text_content() for cell in parsed(table).iter("td")] == ["2", "−0.50 [−0.75,\u00a00.25]"] * 2
    assert table.csv.splitlines()[0] == ",a,b,b,b"
    assert list(parsed(report.table(FRAME.iloc[:0], "None")).iter("td")) == []


def test_formats_for_columns_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match=r"formats: expected columns of the frame, found \['loss'\]"):
        report.table(FRAME, "A", formats={"loss": 2})


def test_the_data_of_a_figure_travel_in_its_link():
    frames = {"a": pd.DataFrame({"x": [1, 2], "y": [statistics.Interval(0.5, 0.25, 0.75), 1.0]}), "b": pd.DataFrame({"x": [3], "y": [2.0]})}
    data = report.figure_data(frames, "fig-a", label="group")
    link = re.search(r'download="fig-a.csv" href="data:text/csv;charset=utf-8;base64,([^"]+)"', data._repr_html_())
    read = pd.read_csv(io.StringIO(base64.b64decode(link[1]).decode()))
    assert read["group"].tolist() == ["a", "a", "b"]
    assert read["x"].tolist() == [1, 2, 3]
    assert read["y low"].tolist()[0] == 0.25
    assert "group" not in frames["a"]


def test_a_figure_without_data_is_refused():
    with pytest.raises(ValueError, match="fig-none"):
        report.figure_data({}, "fig-none")


def test_long_times_small_floors_and_undefined_numbers():
    assert (report.duration(360000), report.duration(150 * 3600), report.duration(0.031)) == ("100 h", "150 h", "0.031 s")
    times = {59.4: "59 s", 59.7: "1 min", 60: "1 min", 65: "1.1 min", 3560: "59 min", 3599: "1 h", 3600: "1 h", 5400: "1.5 h"}
    assert {seconds: report.duration(seconds) for seconds in times} == times
    assert report.p_value(0.0012, floor=0.0014) == "p < 0.002"
    assert report.p_value(0.0002, floor=1 / 4097) == "p < 0.0003"
    assert report.p_value(0.0001, floor=1 / 1000) == "p < 0.001"
    assert report.scientific(float("nan")) == "n/a"


def test_a_format_is_for_each_number_of_an_interval_and_leaves_dates_as_they_are():
    day = datetime.date(2024, 1, 2)
    frame = pd.DataFrame({"gain": [INTERVAL, 0.125], "day": [day, day], "p": [1.5e-7, -1.5e-7]})
    table = report.table(frame, "A", formats={"gain": ".1%", "day": "%Y-%m-%d", "p": ".1e"})
    assert [[cell.text_content() for cell in row.iter("td")] for row in parsed(table).iter("tr")][1:] == [
        ["−50.0% [−75.0%,\u00a025.0%]", "2024-01-02", "1.5e−07"],
        ["12.5%", "2024-01-02", "−1.5e−07"],
    ]


@pytest.mark.parametrize("values", [[math.nan, 0.5, 1.0], [1.0, math.nan, 0.5], [0.5, 1.0, math.nan], [math.nan]])
def test_a_span_with_an_undefined_number_is_not_defined_in_whatever_order(values):
    assert report.span(values, unit=" nats") == "n/a"


def test_what_is_not_defined_has_no_unit():
    assert report.percent(math.nan) == "n/a"
    assert report.interval(math.nan, math.nan, math.nan, unit="%") == "n/a [n/a, n/a]"
    assert report.interval(0.5, math.nan, math.nan, scale=100, digits=0, unit="%") == "50% [n/a, n/a]"
