"""Scrubbing of the hand-built circuit, whose answer is known, and of models that hold none."""

import numpy as np
import pytest

from analysis_lib.circuits import repeated_random_tokens, token_losses
from analysis_lib.circuits.induction import Circuit
from analysis_lib.circuits.scrubbing import Hypothesis, gap_kept, induction_hypotheses, scrubbed_losses
from tests.support import planted, tiny, tiny_circuits
from tests.support.tiny_minigpt import build

CIRCUIT = Circuit((0, 0), (1, 0), ((0, 0),), ((1, 0),))
PROBE = repeated_random_tokens(12, 12, block=4, gap=(0, 3), start=tiny_circuits.START, seed=2)


@pytest.fixture(scope="module")
def model():
    return tiny_circuits.loaded(tiny_circuits.induction_model())


def every(n_heads, layer):
    return tuple((layer, head) for head in range(n_heads))


@pytest.mark.parametrize("make", [lambda: build(vocab=40), lambda: tiny.gpt2(vocab=40, heads=4, width=24)])
def test_a_hypothesis_that_names_everything_changes_nothing(make):
    loaded = tiny_circuits.loaded(make())
    ids = np.random.default_rng(0).integers(0, 40, size=(5, 11))
    early = every(4, 0)
    everything = Hypothesis(every(4, 1), queries=early, keys=early, values=early, direct=early)
    np.testing.assert_allclose(scrubbed_losses(loaded, ids, everything), token_losses(loaded, ids), atol=1e-5)
    assert np.abs(scrubbed_losses(loaded, ids, Hypothesis()) - token_losses(loaded, ids)).max() > 0.01


def test_the_planted_circuit_keeps_the_whole_gap(model):
    kept, whole = gap_kept(model, PROBE, induction_hypotheses(CIRCUIT, 2)["induction"])
    assert whole.mean() > 2
    np.testing.assert_allclose(kept, whole, atol=1e-5)


def test_wrong_hypotheses_keep_less(model):
    shares = {}
    for name, claim in induction_hypotheses(CIRCUIT, 2).items():
        kept, whole = gap_kept(model, PROBE, claim)
        shares[name] = kept.mean() / whole.mean()
    assert shares["other heads"] == pytest.approx(0, abs=1e-6)  # heads of zeros
    assert shares["through queries"] == pytest.approx(shares["no composition"], abs=1e-6)  # its queries read the token's slots alone
    assert shares["no composition"] < 0.5


@pytest.mark.parametrize("kind", ["K", "Q"])
def test_composition_is_found_in_the_side_that_was_planted(kind):
    """Induction by K-composition needs earlier heads in its keys and not in its queries; by Q-composition the other way round."""
    found = planted.build(f"induction by {kind}-composition", 0)
    probe, heads = planted.probe(2), every(planted.HEADS, 0)
    late = every(planted.HEADS, 1)
    shares = {}
    for side in ("keys", "queries"):
        kept, whole = gap_kept(found.loaded, probe, Hypothesis(late, **{side: heads}), n_draws=2)
        shares[side] = kept.mean() / whole.mean()
    right, wrong = ("keys", "queries") if kind == "K" else ("queries", "keys")
    assert shares[right] > 0.8 > 0.5 > shares[wrong]


def test_hypotheses_of_a_circuit_name_its_heads():
    circuit = Circuit((0, 1), (1, 2), ((0, 1), (0, 3)), ((1, 2),))
    found = induction_hypotheses(circuit, 4)
    assert found["induction"] == Hypothesis(((1, 2),), ((0, 1), (0, 3)), ((0, 1), (0, 3)), values=every(4, 0))
    assert found["other heads"].readers == ((1, 0), (1, 1), (1, 3))
    assert found["other heads"].keys == ((0, 0), (0, 2))
    assert found["no composition"] == Hypothesis(((1, 2),), values=every(4, 0))
    assert found["through queries"] == Hypothesis(((1, 2),), queries=((0, 1), (0, 3)), values=every(4, 0))


def test_resamples_stay_in_their_group(model):
    """With groups of equal sequences a resample says the same, so nothing is lost."""
    ids = np.repeat(PROBE.ids[:3], 2, axis=0)
    grouped = scrubbed_losses(model, ids, Hypothesis(), among=[0, 0, 1, 1, 2, 2])
    np.testing.assert_allclose(grouped, token_losses(model, ids), atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hypothesis": Hypothesis(readers=((0, 0),))}, r"hypothesis.readers: expected heads 0 to 1 of layers \[1\], found \(0, 0\)"),
        ({"hypothesis": Hypothesis(((1, 0),), keys=((0, 2),))}, r"hypothesis.keys: expected heads 0 to 1 of layers \[0\], found \(0, 2\)"),
        ({"ids": PROBE.ids[:1]}, "ids: expected two sequences or more to resample from, found one"),
        ({"among": [0, 1]}, "among: expected a group for each of 12 sequences"),
    ],
)
def test_what_cannot_be_scrubbed_raises(model, change, message):
    arguments = {"ids": PROBE.ids, "hypothesis": Hypothesis()} | change
    with pytest.raises(ValueError, match=message):
        scrubbed_losses(model, **arguments)
