"""The models in the reader's browser compute what torch computes, from the weights of the checkpoints, and follow the reader's keys."""

import copy
from pathlib import Path

import live_toys
import numpy as np
import pytest
import torch

from analysis_lib import circuits, incontext, models
from analysis_lib.circuits import repeats

TOLERANCE = 1e-5  # of what float32 is compared with; a logit of 20 is rounded to about as much, so logits are compared in float64 too
EXACT = 1e-9
SCRIPTS = ("weights-minigpt.js", "weights-regressor.js", "model.js", "parts.js", "induction.js", "regression.js")


def test_the_weights_are_those_of_the_checkpoints(root):
    assert live_toys.stale(root) == [], "run python tools/live_toys.py"


@pytest.fixture(scope="module")
def tab(root, browser):
    """A page of Chromium that holds both toys and nothing else; `toy` and `regressor` are models of its own."""
    page = browser.new_page()
    page.set_default_timeout(300_000)
    page.set_content('<div class="live" id="live-induction"></div><div class="live" id="live-regression"></div>')
    for name in SCRIPTS:
        page.add_script_tag(content=Path(root, live_toys.FOLDER, name).read_text(encoding="utf-8"))
    page.evaluate("() => { window.toy = live.miniGPT(minigptWeights); window.regressor = live.regressor(regressorWeights); }")
    yield page
    page.close()


@pytest.fixture(scope="module")
def toy():
    return models.load("minigpt", source="embedded")


@pytest.fixture(scope="module")
def sequences():
    """A hundred prompts of the toy, of 2 to 64 tokens."""
    rng = np.random.default_rng(0)
    drawn = repeats.sample_sequences(100, rng)
    return [ids[:length].tolist() for ids, length in zip(drawn, rng.integers(2, repeats.LENGTH + 1, len(drawn)), strict=True)]


@pytest.fixture(scope="module")
def points():
    """A hundred prompts of the regressor, with noise in some."""
    drawn = [incontext.linear_prompts(50, 10, 3, seed=seed, noise=noise) for seed, noise in ((31, 0.0), (32, 0.5))]
    return torch.cat([d.xs for d in drawn]), torch.cat([d.ys for d in drawn])


def test_logits_of_the_toy_are_those_of_torch(tab, toy, sequences):
    found = tab.evaluate("prompts => prompts.map(ids => Array.from(toy.forward(ids).logits))", sequences)
    exact = copy.deepcopy(toy.model).double()
    for ids, logits in zip(sequences, found, strict=True):
        with torch.no_grad():
            expected, rounded = (model(torch.tensor([ids])).logits[0] for model in (exact, toy.model))
        np.testing.assert_allclose(np.reshape(logits, expected.shape), expected, rtol=0, atol=EXACT)
        np.testing.assert_allclose(np.reshape(logits, expected.shape), rounded, rtol=1e-6, atol=TOLERANCE)


def test_patterns_of_the_toy_are_those_of_torch(tab, toy, sequences):
    ids = max(sequences, key=len)
    with torch.no_grad():
        expected = torch.stack(toy.model(torch.tensor([ids]), output_attentions=True).attentions)[:, 0]  # [layer, head, query, key]
    rows = tab.evaluate("ids => toy.forward(ids).patterns.map(layer => layer.map(head => head.map(row => Array.from(row))))", ids)
    for layer, heads in enumerate(rows):
        for head, pattern in enumerate(heads):
            for query, row in enumerate(pattern):
                np.testing.assert_allclose(row, expected[layer, head, query, : query + 1], rtol=0, atol=TOLERANCE)


def test_losses_with_heads_switched_off_are_those_of_the_library(tab, toy, sequences):
    ids, heads = max(sequences, key=len), [(0, 2), (0, 5), (1, 4)]
    program = "([ids, off]) => toy.losses(ids, toy.forward(ids, new Set(off)).logits)"
    for chosen in ([], heads[:1], heads):
        found = tab.evaluate(program, [ids, [f"{layer},{head}" for layer, head in chosen]])
        np.testing.assert_allclose(found, circuits.ablated_losses(toy, np.array([ids]), chosen)[0], rtol=0, atol=TOLERANCE)


def test_predictions_of_the_regressor_are_those_of_torch(tab, points):
    xs, ys = points
    loaded = models.load("regressor", source="embedded")
    found = tab.evaluate("([xs, ys]) => xs.map((x, i) => regressor.predict(x, ys[i]))", [xs.tolist(), ys.tolist()])
    np.testing.assert_allclose(found, incontext.predict(loaded, xs, ys), rtol=0, atol=TOLERANCE)
    with torch.no_grad():
        exact = copy.deepcopy(loaded.model).double()(xs=xs.double(), ys=ys.double()).predictions
    np.testing.assert_allclose(found, exact, rtol=0, atol=EXACT)


def test_many_questions_at_once_are_answered_as_one(tab, points):
    xs, ys = points
    program = "([xs, ys]) => [0, 4, 9].map(k => regressor.ask(xs.slice(0, k), ys.slice(0, k), xs.slice(k)))"
    predict = "([xs, ys]) => regressor.predict(xs, ys)"
    answers = tab.evaluate(program, [xs[0].tolist(), ys[0].tolist()])
    for k, found in zip((0, 4, 9), answers, strict=True):
        for question, answer in zip(xs[0, k:], found, strict=True):
            prompt = torch.cat([xs[0, :k], question[None]]).tolist(), ys[0, : k + 1].tolist()
            assert tab.evaluate(predict, prompt)[-1] == pytest.approx(answer, abs=1e-12)


def test_regressions_are_those_of_the_library(tab, points):
    xs, ys = points
    program = """([xs, ys, penalty]) => xs.map((x, i) => x.map((question, k) => k === 0 ? 0
      : live.linearWeights(x.slice(0, k), ys[i].slice(0, k), penalty).reduce((sum, w, j) => sum + w * question[j], 0)))"""
    for penalty, expected in ((0, incontext.least_squares(xs, ys)), (0.1, incontext.ridge(xs, ys, 0.1))):
        found = tab.evaluate(program, [xs.tolist(), ys.tolist(), penalty])
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_regressions_on_points_that_lie_in_a_plane_have_the_least_norm(tab):
    xs = np.column_stack([np.linspace(-2, 2, 9), np.ones(9), np.zeros(9)])  # as on the page: an axis, a constant, nothing
    ys = 0.7 * xs[:, 0] - 0.4
    found = tab.evaluate("([xs, ys]) => live.linearWeights(xs, ys)", [xs.tolist(), ys.tolist()])
    np.testing.assert_allclose(found, [0.7, -0.4, 0], atol=1e-12)


def test_the_ninth_point_hardly_counts_and_one_of_the_first_six_does(tab):
    """What the page invites the reader to see."""
    xs = [[x, 1, 0] for x in np.linspace(-2.2, 2.2, 9)[[4, 1, 7, 0, 8, 3, 5, 2, 6]]]
    ys = [0.8 * x[0] + 0.5 for x in xs]
    questions = [[x, 1, 0] for x in (-1.5, 0.5, 1.5)]
    program = "([xs, ys, questions]) => regressor.ask(xs, ys, questions)"
    before = np.array(tab.evaluate(program, [xs, ys, questions]))
    moved = []
    for i in range(9):
        changed = [y + 2 * (i == j) for j, y in enumerate(ys)]
        moved.append(np.abs(tab.evaluate(program, [xs, changed, questions]) - before).mean())
    assert moved[8] < 0.1 < min(moved[:6])


def test_heads_are_switched_off_by_keyboard(tab, toy):
    field, mean = tab.locator("#live-induction input[type=text]"), tab.locator("#live-induction .live-mean")
    field.fill("Abcde, 12 Abcde 12!")  # what is no symbol is left out
    symbols = "abcdefghijklmnopqrstuvwxyz12345"
    ids = np.array([[0, *(symbols.index(letter) + 1 for letter in "abcde12abcde12")]])
    whole = circuits.token_losses(toy, ids).mean()
    assert mean.text_content() == f"Mean loss: {whole:.2f} nats."
    switch = tab.locator("#live-induction .live-heads button").nth(2)
    switch.focus()
    tab.keyboard.press("Enter")
    assert switch.get_attribute("aria-pressed") == "true"
    changed = circuits.ablated_losses(toy, ids, [(0, 2)]).mean()
    assert mean.text_content() == f"Mean loss: {changed:.2f} nats; with all heads on {whole:.2f} nats."
    tab.keyboard.press("Enter")
    assert mean.text_content() == f"Mean loss: {whole:.2f} nats."


def test_an_empty_sequence_is_no_error(tab):
    said = []
    tab.on("pageerror", lambda error: said.append(str(error)))
    field = tab.locator("#live-induction input[type=text]")
    field.fill("")
    assert "undefined" in tab.locator("#live-induction .live-mean").text_content()
    field.fill("ab")
    assert said == []


def test_a_short_sequence_can_be_shuffled(tab):
    said = []
    tab.on("pageerror", lambda error: said.append(str(error)))
    field, mean = tab.locator("#live-induction input[type=text]"), tab.locator("#live-induction .live-mean")
    for text in ("ab", ""):
        field.fill(text)
        tab.get_by_role("button", name="Shuffle", exact=True).click()
        field.fill("abab")
        before = mean.text_content()
        field.fill("cccc")
        assert mean.text_content() != before
    assert said == []


def test_a_symbol_is_selected_by_a_click_and_not_by_a_finger_that_scrolls(tab):
    tab.locator("#live-induction input[type=text]").fill("abcdabcd")
    words, tile, triangle = (tab.locator(f"#live-induction {kind}") for kind in (".live-words", ".live-tile", ".live-map"))
    tile.nth(3).click()
    assert words.text_content().startswith("At place 3 ")
    for touched in (tile.nth(6), triangle.first):
        touched.dispatch_event("pointerdown")
        assert words.text_content().startswith("At place 3 ")
    triangle.first.click()
    assert words.text_content().startswith("At place 4 ")  # in the middle of nine rows


def shown(tab, method):
    return float(tab.locator("#live-regression td").nth(method).text_content().replace("\N{MINUS SIGN}", "-"))


def test_points_move_by_keyboard_and_all_three_answers_follow(tab):
    points = tab.locator("#live-regression .live-point")
    points.nth(0).focus()
    for key in ("ArrowUp", "Shift+ArrowUp", "ArrowRight"):
        tab.keyboard.press(key)
    described = [point.get_attribute("transform") for point in points.all()]
    xs, ys = zip(*(tab.evaluate(WHERE, at) for at in described), strict=True)
    prompt = torch.tensor([[[x, 1, 0] for x in (*xs, 1.5)]]), torch.tensor([[*ys, 0]])
    regressor = models.load("regressor", source="embedded")
    answers = (incontext.predict(regressor, *prompt), incontext.least_squares(*prompt), incontext.ridge(*prompt, 0.1))
    for method, answer in enumerate(answers):
        assert shown(tab, method) == pytest.approx(answer[0, -1], abs=0.006)  # two digits are shown


# Back from the picture's coordinates, by the marks that its axes have at known places.
WHERE = """place => {
  const [across, down] = place.match(/[-\\d.]+/g).map(Number), lines = [...document.querySelectorAll(".live-plot > g:first-of-type line")];
  const upright = lines.filter(line => line.getAttribute("x1") === line.getAttribute("x2")).map(line => +line.getAttribute("x1"));
  const level = lines.filter(line => line.getAttribute("y1") === line.getAttribute("y2")).map(line => +line.getAttribute("y1"));
  return [-3 + 6 * (across - upright[0]) / (upright.at(-1) - upright[0]), -4 + 8 * (down - level[0]) / (level.at(-1) - level[0])];
}"""


def test_a_point_follows_the_pointer(tab):
    point = tab.locator("#live-regression .live-point").nth(3)
    point.scroll_into_view_if_needed()
    before, box = point.get_attribute("aria-valuetext"), point.bounding_box()
    at = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.mouse.move(*at)
    tab.mouse.down()
    tab.mouse.move(at[0] + 5, at[1] - 40)
    tab.mouse.up()
    assert point.get_attribute("aria-valuetext") != before


@pytest.mark.site
def test_weights_are_loaded_on_their_page_alone(site):
    loading = {page.name for page in site.pages if "live/weights-" in page.read_text(encoding="utf-8")}
    assert loading == {"live.html"}
