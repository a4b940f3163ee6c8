"""Quantities of the searches and of a forward pass: FAISS, the formula of MAPS, and transformers' own fused attention."""

import copy
from functools import cache

import numpy as np
import torch

from analysis_lib import activations, projections, weights
from analysis_lib.models import wrap
from tests.oracles import inputs
from tests.oracles.quantity import Quantity

HEADS = ((0, 0), (1, 3), (3, 5))  # of the shipped GPT-2


# Searches


def _factors(layer, head):
    return projections.vo_factors(weights.weights_of(inputs.gpt2s()["polish-gpt2"]), layer, head)


@cache
def _tokens():
    """The ten best tokens of forty neurons."""
    extracted = weights.weights_of(inputs.gpt2s()["polish-gpt2"])
    return projections.top_tokens(extracted.W_out[1, :40], extracted.W_U, k=10)


@cache
def _tokens_of_faiss():
    """Their scores and ids."""
    import faiss

    extracted = weights.weights_of(inputs.gpt2s()["polish-gpt2"])
    index = faiss.IndexFlatIP(extracted.d_model)
    index.add(np.ascontiguousarray(extracted.W_U.T.numpy()))
    return index.search(np.ascontiguousarray(extracted.W_out[1, :40].numpy()), 10)


def best_tokens():
    return {"values of layer 1": _tokens().scores}


def best_tokens_of_faiss():
    return {"values of layer 1": _tokens_of_faiss()[0]}


def ids_of_tokens():
    return {"values of layer 1": _tokens().ids}


def ids_of_tokens_of_faiss():
    return {"values of layer 1": _tokens_of_faiss()[1]}


@cache
def _pairs(layer, head):
    return projections.top_pairs(*_factors(layer, head), k=50)


@cache
def _pairs_of_faiss(layer, head):
    """Scores, left and right ids. The fifty best pairs are among the fifty best tokens of each token."""
    import faiss

    left, right = (np.ascontiguousarray(side.numpy()) for side in _factors(layer, head))
    index = faiss.IndexFlatIP(right.shape[1])
    index.add(right)
    scores = np.concatenate([index.search(left[i : i + 4096], 50)[0].max(axis=1) for i in range(0, len(left), 4096)])
    rows = np.argsort(-scores)[:50]  # a token that is not among the fifty with the best first pair has none of the best pairs
    found, columns = index.search(left[rows], 50)
    best = np.argsort(-found, axis=None)[:50]
    return found.ravel()[best], rows[best // 50], columns.ravel()[best]


def best_pairs():
    return {f"L{layer}H{head}": _pairs(layer, head).scores for layer, head in HEADS}


def best_pairs_of_faiss():
    return {f"L{layer}H{head}": _pairs_of_faiss(layer, head)[0] for layer, head in HEADS}


def ids_of_pairs():
    """[pair, side]."""
    return {f"L{layer}H{head}": np.stack([_pairs(layer, head).left_ids, _pairs(layer, head).right_ids], axis=1) for layer, head in HEADS}


def ids_of_pairs_of_faiss():
    return {f"L{layer}H{head}": np.stack(_pairs_of_faiss(layer, head)[1:], axis=1) for layer, head in HEADS}


def relation_shares():
    """Share of pairs whose target is among the 200 best tokens of the source through the head."""
    sources, targets = _relation()
    found = {}
    for layer, head in HEADS:
        left, right = _factors(layer, head)
        best = projections.top_tokens(left[sources], right.T, k=200).ids
        found[f"L{layer}H{head}"] = np.mean([target in row for target, row in zip(targets, best, strict=True)])[None]
    return found


def relation_shares_of_maps():
    """x_s W_VO W_U with dense matrices, as `maps.py` writes it."""
    model = inputs.gpt2s()["polish-gpt2"]
    embedding, unembedding = (module.weight.detach().double().numpy() for module in (model.transformer.wte, model.lm_head))
    sources, targets = _relation()
    width = model.config.n_embd
    d_head = width // model.config.n_head
    found = {}
    for layer, head in HEADS:
        block, columns = model.transformer.h[layer].attn, slice(head * d_head, (head + 1) * d_head)
        values = block.c_attn.weight.detach().double().numpy()[:, 2 * width :][:, columns]
        outputs = block.c_proj.weight.detach().double().numpy()[columns]
        logits = embedding[sources] @ (values @ outputs) @ unembedding.T
        ranks = (logits > np.take_along_axis(logits, targets[:, None], axis=1)).sum(axis=1)
        found[f"L{layer}H{head}"] = (ranks < 200).mean(keepdims=True)
    return found


def _relation():
    rng = np.random.default_rng(4)
    return rng.integers(0, 2000, 400), rng.integers(0, 2000, 400)


# transformers' own attention


def rebuilt():
    return {name: _rebuilt(model) for name, model in _models().items()}


def _rebuilt(model):
    """Outputs of every attention module, from the weights and what each module reads."""
    ids, extracted = inputs.ids_of(model), weights.weights_of(model)
    with activations.recording(model, ["read"], states=False) as record, torch.no_grad():
        model(input_ids=ids)
    outputs = [weights.rebuild_attention(extracted, layer, record["read", layer]).output for layer in range(extracted.n_layers)]
    return torch.stack(outputs).numpy()


def attention_of_transformers():
    return {name: _fused_attention(model) for name, model in _models().items()}


def _fused_attention(model):
    """What the attention modules give, caught by hooks of torch."""
    fused = _fused(model)
    if hasattr(fused, "transformer"):
        modules = [block.attn for block in fused.transformer.h]
    else:
        modules = [layer.attention.output.dense for layer in fused.bert.encoder.layer]
    caught = []
    hooks = [m.register_forward_hook(lambda _m, _i, out: caught.append(out[0] if isinstance(out, tuple) else out)) for m in modules]
    with torch.no_grad():
        fused(input_ids=inputs.ids_of(model))
    for hook in hooks:
        hook.remove()
    return torch.stack(caught).numpy()


def states():
    """As transformers gives them: those of a GPT-2 without the last block's output before ln_f."""
    found = {}
    for name, model in _models().items():
        run = activations.run_ids(wrap(model), inputs.ids_of(model).numpy())
        found[name] = np.stack([run.layer(label) for label in run.layers if f"{label}+ln_f" not in run.layers])
    return found


def states_of_transformers():
    found = {}
    for name, model in _models().items():
        fused = _fused(model)
        with torch.no_grad():
            hidden = torch.stack(fused.base_model(input_ids=inputs.ids_of(model), output_hidden_states=True).hidden_states)
        found[name] = hidden.flatten(1, 2).numpy()
    return found


def _models():
    return inputs.gpt2s() | inputs.berts()


def _fused(model):
    """A copy with torch's fused attention, which never forms a pattern."""
    fused = copy.deepcopy(model)
    fused.set_attn_implementation("sdpa")
    return fused


QUANTITIES = [
    Quantity(
        "best-tokens",
        "Scores of the ten best tokens of forty neurons",
        "faiss-cpu",
        "`IndexFlatIP` over the unembedding",
        1e-5,
        "FAISS sums in float32, the library orders by float64",
        best_tokens,
        best_tokens_of_faiss,
    ),
    Quantity(
        "token-ids",
        "Which tokens these are, in their order",
        "faiss-cpu",
        "ids of the same search",
        0.0,
        "the same ids in the same order",
        ids_of_tokens,
        ids_of_tokens_of_faiss,
    ),
    Quantity(
        "best-pairs",
        "Scores of the fifty best pairs of three heads",
        "faiss-cpu",
        "`IndexFlatIP` over one factor, every token of the other asked",
        1e-4,
        "FAISS sums in float32, the library orders by float64",
        best_pairs,
        best_pairs_of_faiss,
    ),
    Quantity(
        "pair-ids",
        "Which pairs these are, in their order",
        "faiss-cpu",
        "ids of the same search, left and right",
        0.0,
        "the same ids in the same order",
        ids_of_pairs,
        ids_of_pairs_of_faiss,
    ),
    Quantity(
        "relation-shares",
        "Share of pairs whose target is among a head's 200 best tokens of the source",
        "MAPS",
        "its formula, $x_s W_{VO} W_U$ with dense matrices in float64",
        0.0,
        "shares of 400 pairs: the same counts",
        relation_shares,
        relation_shares_of_maps,
    ),
    Quantity(
        "attention",
        "Attention outputs rebuilt from weights",
        "transformers",
        "the modules themselves with fused attention, caught by hooks",
        1e-4,
        "float32; outputs of the shipped models are of the order of 10",
        rebuilt,
        attention_of_transformers,
    ),
    Quantity(
        "states",
        "Residual stream as recorded",
        "transformers",
        "`output_hidden_states` with fused attention",
        5e-4,
        "float32; states of the shipped models reach almost 200",
        states,
        states_of_transformers,
    ),
]
