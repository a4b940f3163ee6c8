"""Replacing an update: what it does to later layers, and how its size is summed up."""

import numpy as np
import pandas as pd
import pytest
import torch

from analysis_lib import activations
from analysis_lib.norms import interventions
from tests.support import tiny

TEXTS = ["Nie wiem, czy jeśli żeby który nie. Mały źrebak pił wodę.", "Pięć kobiet i pięciu mężczyzn szło drogą do Żar nie."]


def test_a_replaced_update_acts_on_later_tokens_of_later_layers(gpt2):
    found = interventions.replace_updates(gpt2, TEXTS, n_places=1, reach=3, first=2)
    assert set(zip(found["layer"], found["measured"], strict=True)) == {(0, 1), (0, 2), (1, 2)}
    assert set(found["distance"]) == {1, 2, 3}
    row = found[(found["layer"] == 1) & (found["text"] == 1)].iloc[0]
    ran = activations.run(gpt2, TEXTS, outputs=("attention",))
    mean = torch.from_numpy(ran.attention[1][ran.tokens["position"] >= 2].mean(axis=0))
    ids = torch.tensor([ran.tokens.loc[ran.tokens["text"] == 1, "token_id"].tolist()])
    blocks, seen = gpt2.model.transformer.h, {}

    def put(module, args, output):
        values = output[0].clone()
        values[0, int(row["place"])] = mean
        return (values, *output[1:])

    handles = [
        blocks[1].attn.register_forward_hook(put),
        blocks[2].attn.c_proj.register_forward_hook(lambda m, a, out: seen.update(out=out)),
    ]
    with torch.no_grad():
        gpt2.model(ids)
    for handle in handles:
        handle.remove()
    start = np.flatnonzero(ran.tokens["text"] == 1)[0]
    for _, other in found[(found["layer"] == 1) & (found["text"] == 1)].iterrows():
        at = int(other["place"] + other["distance"])
        change = np.log(seen["out"][0, at].norm().item()) - np.log(np.linalg.norm(ran.attention[2][start + at]))
        assert other["change"] == pytest.approx(change, abs=1e-5)
    assert (found["change"].abs() > 0).any()


def test_replacing_leaves_no_hooks_and_reaches_both_sides_of_bert(bert):
    texts = [" ".join(tiny.SENTENCES[:2]), " ".join(tiny.SENTENCES[2:4])]
    found = interventions.replace_updates(bert, texts, n_places=2, reach=2, first=1)
    assert set(found["distance"]) == {-2, -1, 1, 2}
    assert not any(module._forward_hooks for module in bert.model.modules())
    with pytest.raises(ValueError, match=r"texts\[0\] has \d+ tokens; expected more than"):
        interventions.replace_updates(bert, texts, reach=40)


def test_sizes_of_changes_are_means_over_places_and_then_texts():
    rows = [(0, 1, 0, 1, -1.0), (0, 1, 0, 1, 3.0), (0, 1, 1, 1, 4.0), (0, 1, 0, 2, 1.0), (0, 1, 0, 3, -3.0), (0, 1, 1, 2, 0.0),
            (0, 1, 1, 3, 0.0), (0, 1, 0, -1, 9.0), (0, 1, 1, -1, 9.0), (0, 2, 0, 1, 99.0)]  # fmt: skip
    effects = pd.DataFrame(rows, columns=["layer", "measured", "text", "distance", "change"])
    found = interventions.size_by_distance(effects).set_index("distance")
    assert found["estimate"].to_dict() == {-1: 9.0, 1: 3.0, 2: 0.5, 3: 1.5}
    assert (found["low"] <= found["estimate"]).all()
    assert (found["estimate"] <= found["high"]).all()
    pair = interventions.next_and_further(effects)
    assert pair[["next", "further", "estimate"]].to_numpy().tolist() == [[3, 1, 2]]
    assert (pair["low"] <= pair["estimate"]).all()
    with pytest.raises(ValueError, match="effects: expected distances of 2 and more, got none above 1"):
        interventions.next_and_further(effects[effects["distance"] < 2])


def test_scaling_changes_the_size_alone(gpt2):
    found = interventions.replace_updates(gpt2, TEXTS, n_places=1, reach=2, first=2, scale=2.0)
    np.testing.assert_allclose(found["replaced"], np.log(2), atol=1e-5)
    nothing = interventions.replace_updates(gpt2, TEXTS, n_places=1, reach=2, first=2, scale=1.000001)
    assert nothing["change"].abs().max() < 1e-4 < found["change"].abs().max()
    half, double = (interventions.replace_updates(gpt2, TEXTS, n_places=1, reach=2, first=2, scale=s) for s in (0.99, 1.01))
    np.testing.assert_allclose(half["change"], -double["change"], atol=2e-4)  # to first order
    for scale in (0, 1, -1.0, np.inf):
        with pytest.raises(ValueError, match="scale: expected a positive number other than 1"):
            interventions.replace_updates(gpt2, TEXTS, scale=scale)


def test_elasticity_is_the_change_a_unit_of_log_size():
    rng = np.random.default_rng(0)
    effects = pd.DataFrame({"layer": 0, "measured": 1, "text": np.arange(80) // 2, "distance": 1, "replaced": np.log(2)})
    effects["change"] = 0.3 * effects["replaced"] + 0.1 * rng.standard_normal(80)
    ignored = effects.assign(distance=2, change=9.0)
    found = interventions.elasticity(pd.concat([effects, ignored])).iloc[0]
    assert found["estimate"] == pytest.approx(effects["change"].mean() / np.log(2))
    assert found["low"] < 0.3 < found["high"]
    with pytest.raises(ValueError, match="effects: expected updates that were all scaled by one factor"):
        interventions.elasticity(effects.assign(replaced=0.0))
    with pytest.raises(ValueError, match="or not alike"):
        interventions.elasticity(effects.assign(replaced=np.linspace(0.1, 0.9, len(effects))))


def test_some_layers_are_replaced_as_if_all_were(gpt2):
    whole = interventions.replace_updates(gpt2, TEXTS, n_places=1, reach=2, first=1)
    some = interventions.replace_updates(gpt2, TEXTS, n_places=1, reach=2, first=1, layers=[1])
    pd.testing.assert_frame_equal(some, whole[whole["layer"] == 1].reset_index(drop=True))
    for layers in ([2], []):
        with pytest.raises(ValueError, match="layers: expected some of 0 to 1, after which another comes, got"):
            interventions.replace_updates(gpt2, TEXTS, layers=layers)


@pytest.mark.parametrize("name", ["gpt2", "bert"])
def test_the_next_layer_alone_is_as_in_whole_passes(name, request):
    """With `later`, the layers before and after are not computed."""
    loaded = request.getfixturevalue(name)
    texts = [" ".join(tiny.SENTENCES[:2]), " ".join(tiny.SENTENCES[2:4])]
    whole = interventions.replace_updates(loaded, texts, n_places=2, reach=2, first=1)
    near = interventions.replace_updates(loaded, texts, n_places=2, reach=2, first=1, later=1)
    kept = whole[whole["measured"] == whole["layer"] + 1].reset_index(drop=True)
    pd.testing.assert_frame_equal(near, kept, rtol=0, atol=1e-6)
    assert (near["change"].abs() > 1e-4).any()
    with pytest.raises(ValueError, match="later: expected 1 or more, got 0"):
        interventions.replace_updates(loaded, texts, later=0)


def test_layers_are_spread_over_those_with_another_after_them():
    assert interventions.spread_layers(4, 6) == [0, 1, 2]
    assert interventions.spread_layers(24, 6) == [0, 4, 9, 13, 18, 22]
    assert interventions.spread_layers(2, 1) == [0]


def test_no_neighbour_is_the_special_token_at_the_beginning(bert):
    texts = [" ".join(tiny.SENTENCES[:4])] * 3
    reach = 8
    changes = interventions.replace_updates(bert, texts, n_places=20, reach=reach, first=1, layers=[0], later=1)
    assert changes["place"].min() == reach + 1  # so many places to the left of it there is no [CLS]


@pytest.mark.parametrize("name", ["gpt2", "bert"])
def test_a_text_that_is_too_short_is_refused_before_the_model_runs(name, request, monkeypatch):
    monkeypatch.setattr(activations, "run", lambda *_, **__: pytest.fail("the model ran"))
    texts = [" ".join(tiny.SENTENCES[:2]), "Nie wiem."]
    with pytest.raises(ValueError, match=r"texts\[1\] has \d+ tokens; expected more than"):
        interventions.replace_updates(request.getfixturevalue(name), texts, reach=8, first=2)
