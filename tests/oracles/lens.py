"""Quantities that TransformerLens computes as well, for GPT-2s and BERTs that are shipped or random and of odd shapes.

TransformerLens 4 wraps a model of transformers. `build_bridge_from_module` needs neither a tokenizer nor a network; it changes the module
that it is given, so it gets a copy.
"""

import copy
from functools import cache

import numpy as np
import torch

from analysis_lib import activations, circuits, weights
from analysis_lib.circuits.composition import KINDS
from analysis_lib.models import wrap
from tests.oracles import inputs
from tests.oracles.quantity import Quantity

TENSORS = ("W_E", "W_pos", "W_U", "W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O", "W_in", "b_in", "W_out", "b_out")
DETECTED = {"previous token": "previous_token", "duplicate token": "duplicate_token", "induction": "induction"}


@cache
def bridges():
    from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module

    return {name: build_bridge_from_module(copy.deepcopy(m), type(m).__name__, hf_config=m.config) for name, m in all_models().items()}


def all_models():
    return inputs.gpt2s() | inputs.berts()


def matrices():
    return _by_tensor({name: weights.weights_of(model) for name, model in all_models().items()})


def matrices_of_lens():
    return _by_tensor(bridges())


def _by_tensor(owners):
    """One part a tensor, so that the fixture samples each."""
    return {f"{name}: {tensor}": getattr(owner, tensor).detach().numpy() for name, owner in owners.items() for tensor in TENSORS}


def patterns():
    """From the extracted weights alone, layer by layer: [layer, sequence, head, query, key]."""
    return {name: _rebuilt(model, "patterns") for name, model in all_models().items()}


def patterns_of_lens():
    return {name: _cached(name, "attn.hook_pattern") for name in bridges()}


def results():
    """What each head adds: [layer, head, sequence, token, d_model]."""
    return {name: _rebuilt(model, "head_outputs").swapaxes(1, 2) for name, model in all_models().items()}


def results_of_lens():
    found = {}
    for name, bridge in bridges().items():
        with torch.no_grad():
            stacked = bridge.run_with_cache(inputs.ids_of(all_models()[name]))[1].stack_head_results()
        found[name] = stacked.unflatten(0, (bridge.cfg.n_layers, bridge.cfg.n_heads)).numpy()
    return found


def _rebuilt(model, what):
    ids, extracted = inputs.ids_of(model), weights.weights_of(model)
    with activations.recording(model, ["read"], states=False) as record, torch.no_grad():
        model(input_ids=ids)
    layers = [weights.rebuild_attention(extracted, layer, record["read", layer]) for layer in range(extracted.n_layers)]
    return torch.stack([getattr(layer, what) for layer in layers]).numpy()


def _cached(name, hook):
    bridge = bridges()[name]
    with torch.no_grad():
        kept = bridge.run_with_cache(inputs.ids_of(all_models()[name]))[1]
    return torch.stack([kept[f"blocks.{layer}.{hook}"] for layer in range(bridge.cfg.n_layers)]).numpy()


def composition():
    return {
        f"{name}: {kind}": circuits.composition_scores(weights.weights_of(model), kind)
        for name, model in all_models().items()
        for kind in KINDS
        if model.config.num_hidden_layers > 1
    }


def composition_of_lens():
    found = {}
    for name, bridge in bridges().items():
        shape = (bridge.cfg.n_layers, bridge.cfg.n_heads) * 2
        for kind in KINDS if bridge.cfg.n_layers > 1 else ():
            found[f"{name}: {kind}"] = bridge.all_composition_scores(kind).scores.detach().numpy().reshape(shape)
    return found


def minigpt_composition():
    extracted = weights.weights_of(inputs.minigpt())
    return {kind: circuits.composition_scores(extracted, kind)[0, :, 1] for kind in KINDS}


def minigpt_composition_of_lens():
    """TransformerLens does not know this architecture; its functions are given matrices that are cut out of the model here."""
    from transformer_lens import FactoredMatrix
    from transformer_lens.utilities.matrix import composition_scores

    model = inputs.minigpt()
    n_heads = model.config.n_heads

    def cut(name):
        return torch.stack([getattr(block.attn, name).weight.detach().T for block in model.blocks])

    w_q, w_k, w_v = (torch.stack(cut(name).chunk(n_heads, dim=-1), dim=1) for name in ("query", "key", "value"))
    w_o = torch.stack(cut("output").chunk(n_heads, dim=1), dim=1)
    ov, qk = FactoredMatrix(w_v, w_o), FactoredMatrix(w_q, w_k.mT)
    return {kind: composition_scores(ov[0], right[1]).numpy() for kind, right in {"Q": qk, "K": qk.T, "V": ov}.items()}


def copying():
    return {name: circuits.copying_scores(weights.weights_of(model)) for name, model in all_models().items()}


def copying_of_lens():
    """Elhage et al.'s ratio over the eigenvalues that `FactoredMatrix` finds, in float64."""
    from transformer_lens import FactoredMatrix

    found = {}
    for name, bridge in bridges().items():
        reading, writing = bridge.W_E.double() @ bridge.W_V.double(), bridge.W_O.double() @ bridge.W_U.double()
        values = FactoredMatrix(reading.detach(), writing.detach()).eigenvalues
        found[name] = (values.real.sum(dim=-1) / values.abs().sum(dim=-1)).numpy()
    return found


def streams():
    """The residual stream before each block and after the last: [layer, sequence * token, d_model]."""
    found = {}
    for name, model in all_models().items():
        run = activations.run_ids(wrap(model), inputs.ids_of(model).numpy())
        found[name] = run.states[[not label.endswith("+ln_f") for label in run.layers]]
    return found


def streams_of_lens():
    found = {}
    for name, bridge in bridges().items():
        with torch.no_grad():
            kept = bridge.run_with_cache(inputs.ids_of(all_models()[name]))[1]
        found[name] = kept.accumulated_resid(layer=bridge.cfg.n_layers).flatten(1, 2).numpy()
    return found


def scoreboard():
    """Per sequence: [sequence, layer, head]."""
    found = {}
    for name, model in all_models().items():
        ids = inputs.repeated_ids(model).numpy()
        run = activations.run_ids(wrap(model), ids, outputs=["patterns"], states=False)
        scores = circuits.head_scores(run.output("patterns"), ids, per_sequence=True, names=list(DETECTED))
        found |= {f"{name}: {kind}": values for kind, values in scores.items()}
    return found


def scoreboard_of_lens():
    """`head_detector` divides by all rows of a pattern, this library by those that have a target: the shares of rows are put right here."""
    from transformer_lens import head_detector

    found = {}
    for name, bridge in bridges().items():
        ids = inputs.repeated_ids(all_models()[name])
        with torch.no_grad():
            kept = bridge.run_with_cache(ids)[1]
        for kind, called in DETECTED.items():
            scores = np.zeros((len(ids), bridge.cfg.n_layers, bridge.cfg.n_heads))
            for row, layer, head in np.ndindex(*scores.shape):
                wanted = getattr(head_detector, f"get_{called}_head_detection_pattern")(ids[row : row + 1])
                score = head_detector.compute_head_attention_similarity_score(
                    kept["pattern", layer][row, head], wanted, exclude_bos=False, exclude_current_token=False, error_measure="mul"
                )
                scores[row, layer, head] = score * ids.shape[1] / float(wanted.any(dim=-1).sum())
            found[f"{name}: {kind}"] = scores
    return found


QUANTITIES = [
    Quantity(
        "weights",
        "Weights and biases by head, embeddings, feed-forward layers",
        "transformer-lens",
        "`W_Q`, `W_K`, … of five GPT-2s and three BERTs",
        0.0,
        "the same numbers in another order: exactly equal",
        matrices,
        matrices_of_lens,
    ),
    Quantity(
        "patterns",
        "Attention patterns rebuilt from weights",
        "transformer-lens",
        "`hook_pattern` of the same models",
        1e-5,
        "float32 products and softmax in another order; a weight is at most 1",
        patterns,
        patterns_of_lens,
    ),
    Quantity(
        "head-results",
        "What each head adds to the residual stream",
        "transformer-lens",
        "`stack_head_results` of the same models",
        1e-4,
        "float32; an output of a head is of the order of 10",
        results,
        results_of_lens,
    ),
    Quantity(
        "streams",
        "Residual stream before each block and after the last",
        "transformer-lens",
        "`accumulated_resid` of the same models",
        5e-4,
        "float32; states of the shipped model reach almost 200",
        streams,
        streams_of_lens,
    ),
    Quantity(
        "composition",
        "Composition of queries, keys and values, all pairs of heads",
        "transformer-lens",
        "`all_composition_scores` of the same models, those with several layers",
        2e-6,
        "float32 there and float64 here; a score is at most 1",
        composition,
        composition_of_lens,
    ),
    Quantity(
        "minigpt-composition",
        "Composition in the attention-only model",
        "transformer-lens",
        "`composition_scores` of matrices cut out of the model",
        2e-6,
        "float32 there and float64 here; a score is at most 1",
        minigpt_composition,
        minigpt_composition_of_lens,
    ),
    Quantity(
        "copying",
        "Copying scores",
        "transformer-lens",
        "eigenvalues of a `FactoredMatrix` [vocab, vocab] of the same models",
        1e-6,
        "both float64, but the small matrix is multiplied in another order; a score is at most 1",
        copying,
        copying_of_lens,
    ),
    Quantity(
        "scoreboard",
        "Previous-token, duplicate-token and induction scores of heads",
        "transformer-lens",
        "`head_detector` of the same models, times all rows over rows with a target",
        5e-6,
        "sums of float32 patterns there, float64 here; a score is at most 1",
        scoreboard,
        scoreboard_of_lens,
    ),
]
