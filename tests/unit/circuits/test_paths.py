"""Logits as sums over paths, against the model's own logits and against dense products."""

import numpy as np
import pytest
import torch

from analysis_lib import activations, weights
from analysis_lib.circuits import repeated_random_tokens, virtual_heads, virtual_patterns
from analysis_lib.circuits.scoreboard import duplicate_token_scores
from tests.support import tiny, tiny_circuits
from tests.support.tiny_minigpt import build

IDS = np.random.default_rng(1).integers(0, 40, size=(4, 9))


def centred_next_logits(model):
    with torch.no_grad():
        logits = model(input_ids=torch.as_tensor(IDS)).logits.double()
    logits = logits - logits.mean(dim=-1, keepdim=True)
    return logits[:, :-1].gather(-1, torch.as_tensor(IDS)[:, 1:, None]).squeeze(-1).numpy()


def dense_paths(extracted, patterns):
    """Centred logits of every path by whole matrices, {(kind, first, second): [sequence, token, vocab]}."""
    embedded = extracted.W_E.double()[torch.as_tensor(IDS)]
    ov = extracted.W_V.double() @ extracted.W_O.double()
    unembed = extracted.W_U.double() - extracted.W_U.double().mean(dim=1, keepdim=True)
    early, late = patterns[:, 0], patterns[:, 1]
    found = {("direct", -1, -1): embedded}
    for a in range(extracted.n_heads):
        found["layer 0", a, -1] = early[:, a] @ embedded @ ov[0, a]
        found["layer 1", -1, a] = late[:, a] @ embedded @ ov[1, a]
        for b in range(extracted.n_heads):
            found["virtual", a, b] = late[:, b] @ early[:, a] @ embedded @ (ov[0, a] @ ov[1, b])
    return {key: states @ unembed for key, states in found.items()}


@pytest.mark.parametrize("chosen", [False, True])
def test_virtual_heads_and_shares_against_dense_logits(chosen):
    model = build()
    loaded = tiny_circuits.loaded(model)
    rows = np.random.default_rng(2).random((4, 8)) < 0.5 if chosen else np.ones((4, 8), dtype=bool)
    found = virtual_heads(loaded, IDS, rows if chosen else None).set_index(["kind", "first", "second", "sequence"])
    patterns = torch.as_tensor(np.stack(activations.run_ids(loaded, IDS, outputs=["patterns"]).patterns)).double()
    dense = dense_paths(weights.weights_of(model), patterns)
    assert len(found) == len(dense) * 4 == (1 + 4 + 4 + 16) * 4
    whole = sum(dense.values())
    for (path, logits), sequence in ((item, s) for item in dense.items() for s in range(4)):
        own, all_paths = logits[sequence, :-1][rows[sequence]], whole[sequence, :-1][rows[sequence]]
        row = found.loc[(*path, sequence)]
        assert row["norm"] == pytest.approx(float(own.norm()), rel=1e-4, abs=1e-4)
        assert row["share"] == pytest.approx(float((own * all_paths).sum() / all_paths.square().sum()), abs=1e-4)
        target = own[torch.arange(len(own)), torch.as_tensor(IDS)[sequence, 1:][rows[sequence]]]
        assert row["target"] == pytest.approx(float(target.mean()), abs=1e-3)


def test_shares_sum_to_one_and_targets_to_the_logit():
    model = build()
    found = virtual_heads(tiny_circuits.loaded(model), IDS)
    np.testing.assert_allclose(found.groupby("sequence")["share"].sum(), 1, atol=1e-5)
    np.testing.assert_allclose(found.groupby("sequence")["target"].sum(), centred_next_logits(model).mean(axis=1), atol=1e-3)


def test_the_hand_built_circuit_has_one_path():
    probe = repeated_random_tokens(12, n_sequences=6, block=4, gap=(0, 3), start=tiny_circuits.START)
    loaded = tiny_circuits.loaded(tiny_circuits.induction_model(gain=12))
    rows = np.zeros((6, probe.ids.shape[1] - 1), dtype=bool)
    rows[np.arange(6)[:, None], probe.second[:, :-1]] = True
    found = virtual_heads(loaded, probe.ids, rows)
    path = (found["kind"] == "layer 1") & (found["second"] == 0)
    np.testing.assert_allclose(found.loc[path, "share"], 1, atol=1e-5)
    np.testing.assert_allclose(found.loc[path, "target"], 12 * 11 / 12, atol=1e-4)  # one of twelve logits is 12
    assert found.loc[~path, ["norm", "share", "target"]].abs().max().max() < 1e-4


def test_virtual_patterns_multiply():
    """A previous-token head below an induction head moves to the earlier occurrence itself: a head of duplicate tokens."""
    probe = repeated_random_tokens(12, n_sequences=6, block=4, gap=(0, 3), start=tiny_circuits.START)
    run = activations.run_ids(tiny_circuits.loaded(tiny_circuits.induction_model()), probe.ids, outputs=["patterns"])
    virtual = [virtual_patterns(pattern) for pattern in run.patterns]
    assert virtual[0].shape == (2, 2, *run.patterns[0].shape[-2:])
    np.testing.assert_allclose(virtual[0].sum(axis=-1), 1, atol=1e-5)
    np.testing.assert_allclose(virtual[3][1, 0], run.patterns[3][1, 0] @ run.patterns[3][0, 1], atol=1e-6)
    assert duplicate_token_scores(virtual, probe.ids)[0, 0] == pytest.approx(1, abs=1e-5)


def test_models_and_rows_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="loaded: expected two layers of attention alone, without layer norm, found .*gpt2"):
        virtual_heads(tiny_circuits.loaded(tiny.gpt2(vocab=40)), IDS)
    with pytest.raises(ValueError, match="expected two layers of attention alone, .*3 layers"):
        virtual_heads(tiny_circuits.loaded(build(layers=3)), IDS)
    with pytest.raises(ValueError, match=r"rows: expected bool \(4, 8\) with a place in every sequence, found bool \(4, 9\)"):
        virtual_heads(tiny_circuits.loaded(build()), IDS, np.ones((4, 9), dtype=bool))
    with pytest.raises(ValueError, match="with a place in every sequence"):
        virtual_heads(tiny_circuits.loaded(build()), IDS, np.eye(8, dtype=bool)[:4] & False)
    with pytest.raises(ValueError, match="found BertForMaskedLM"):
        virtual_heads(tiny_circuits.loaded(tiny.bert()), IDS)
    with pytest.raises(ValueError, match="pattern: expected .* layers 0 < 1, found shape"):
        virtual_patterns(np.ones((1, 2, 3, 3)) / 3)
