"""Random MiniGPTs, and their logits as a sum over every path."""

import torch

from analysis_lib.models.minigpt import MiniGPT, MiniGPTConfig


def build(seed=0, vocab=40, positions=24, width=24, heads=4, layers=2, **options):
    config = MiniGPTConfig(vocab_size=vocab, n_positions=positions, d_model=width, n_heads=heads, n_layers=layers, **options)
    config._attn_implementation = "eager"
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return MiniGPT(config).eval()


def logits_by_paths(found, ids):
    """Every path from embedding to unembedding, one by one, in float64 (Elhage et al. 2021, "Path expansion").

    Two layers: the direct path, heads of either layer alone, and virtual heads, whose pattern is the product of two
    patterns and whose output circuit is the product of two. No state is carried from layer to layer except through
    the sum of paths that scores of the second layer read.
    """
    length = ids.shape[1]
    embedded, positions = found.W_E.double()[ids], found.W_pos.double()[:length]
    future = torch.ones(length, length).triu(1).bool()
    w_q, w_k, w_ov = found.W_Q.double(), found.W_K.double(), found.W_V.double() @ found.W_O.double()

    def patterns(layer, stream):
        placed = stream + positions
        qk = w_q[layer] @ w_k[layer].transpose(-1, -2)  # [head, d_model, d_model]
        scores = torch.einsum("bqd,hde,bke->bhqk", placed, qk, placed) / found.d_head**0.5
        return scores.masked_fill(future, -torch.inf).softmax(-1)

    def through(pattern, ov):
        return torch.einsum("bhqk,bkd,hde->bqe", pattern, embedded, ov)

    first = patterns(0, embedded)
    paths = {"direct": embedded, "layer 0": through(first, w_ov[0])}
    second = patterns(1, paths["direct"] + paths["layer 0"])
    paths["layer 1"] = through(second, w_ov[1])
    paths["virtual"] = torch.zeros_like(embedded)
    for early in range(found.n_heads):
        for late in range(found.n_heads):
            pattern, ov = second[:, late] @ first[:, early], w_ov[0, early] @ w_ov[1, late]
            paths["virtual"] += pattern @ embedded @ ov
    return {name: path @ found.W_U.double() for name, path in paths.items()}
