"""The recipe of clamps: a clamped layer attends as its source does, and everything else is trained."""

import copy

import pytest
import torch

from analysis_lib import recorded
from training import clamps, minigpt


@pytest.fixture
def small(monkeypatch):
    """The recipe with a model of a few numbers."""
    configuration = minigpt.configuration()
    configuration.d_model, configuration.n_heads = 16, 2
    monkeypatch.setattr(minigpt, "configuration", lambda: copy.deepcopy(configuration))
    monkeypatch.setattr(minigpt, "BATCH", 4)


@pytest.mark.parametrize("layer", [0, 1])
def test_a_clamped_layer_attends_as_its_source_does(small, layer):
    model, source = minigpt.build(0), minigpt.build(1)
    ids = minigpt.batch(0, 0)
    free, wanted = (one(ids, output_attentions=True).attentions for one in (model, source))
    with clamps.clamped(model, layer, source):
        found = model(ids, output_attentions=True)
    torch.testing.assert_close(found.attentions[layer], wanted[layer])
    if layer == 1:  # the layer below is as it was
        torch.testing.assert_close(found.attentions[0], free[0])
    assert not torch.allclose(found.attentions[layer], free[layer])


def test_a_clamp_by_the_model_itself_changes_nothing_and_no_clamp_stays(small):
    model, ids = minigpt.build(0), minigpt.batch(0, 0)
    before = model(ids).logits
    with clamps.clamped(model, 1, minigpt.build(0)):
        assert torch.equal(model(ids).logits, before)
    with clamps.clamped(model, 1, minigpt.build(1)):
        assert not torch.allclose(model(ids).logits, before)
    assert torch.equal(model(ids).logits, before)  # no clamp stays


def test_queries_and_keys_of_a_clamped_layer_stay_and_values_are_trained(small, monkeypatch):
    models = []
    run = minigpt.training_run
    monkeypatch.setattr(minigpt, "training_run", lambda *given: (models.append(found[1]) or found for found in run(*given)))
    rows = clamps.run(0, "layer 0 initial", steps=2, every=1)
    fresh, (trained, *_) = minigpt.build(0), models
    for name, moves in (("query", False), ("key", False), ("value", True), ("output", True)):
        weights = [getattr(model.blocks[0].attn, name).weight for model in (fresh, trained)]
        assert torch.equal(*weights) != moves
    assert [row["step"] for row in rows] == [0, 1, 2]
    assert rows[0]["previous_token"] == rows[2]["previous_token"]


def test_what_is_recorded_has_every_clamp_for_each_seed():
    table = recorded.table("induction_clamps")
    runs = table.groupby(["seed", "clamp"])["step"].max().unstack()
    assert set(runs.columns) == set(clamps.CLAMPS)
    assert set(table["seed"]) == {0, 1}
    assert (runs == clamps.STEPS).all(axis=None)


def test_seeds_without_a_final_model_are_refused(capsys):
    with pytest.raises(SystemExit):
        clamps.main(["--seeds", "5"])
    assert "invalid choice: 5" in capsys.readouterr().err
