"""Folding of norms, for whatever states and gains, and states of runs, whatever they are batched with."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from analysis_lib import activations
from analysis_lib.models import wrap
from analysis_lib.weights import LayerNorm, fold, weights_of
from tests.support import tiny
from tests.support.examples import examples

SMALL = st.integers(0, 1000)


@examples(30)
@given(seed=SMALL, width=st.integers(1, 6), out=st.integers(1, 4), layers=st.integers(1, 3), rms=st.booleans(), scale=st.floats(0.1, 10))
def test_a_folded_weight_reads_what_is_left_of_its_norm(seed, width, out, layers, rms, scale):
    def drawn(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    generator = torch.Generator().manual_seed(seed)
    norms = LayerNorm(drawn(layers, width), None if rms else drawn(layers, width), 1e-5, rms)
    weight, states = drawn(layers, width, out), drawn(5, width)
    folded, left = norms.folded_into(weight), norms.without_gain()
    for layer in range(layers):
        norm = norms[layer]
        torch.testing.assert_close(folded[layer], norm.folded_into(weight[layer]))
        shift = 0 if rms else norm.bias @ weight[layer]
        torch.testing.assert_close(left[layer](states) @ folded[layer] + shift, norm(states) @ weight[layer])
        exact = LayerNorm(norm.gain, norm.bias, 0.0, rms)
        if width > 1:
            torch.testing.assert_close(exact(scale * states), exact(states))
            if not rms:
                torch.testing.assert_close(exact(states + scale), exact(states))


@examples(6)
@given(seed=SMALL, heads=st.integers(1, 3), d_head=st.integers(1, 4), layers=st.integers(1, 2))
def test_folded_weights_give_the_same_queries_neurons_and_logits(seed, heads, d_head, layers):
    raw = weights_of(tiny.gpt2(vocab=9, layers=layers, heads=heads, width=heads * d_head, seed=seed))
    folded = fold(raw)
    states = 3 * torch.randn(5, raw.d_model, generator=torch.Generator().manual_seed(seed))
    for layer in range(layers):
        for name in "QKV":
            asked = (
                given_.read(layer, states)[:, None] @ getattr(given_, f"W_{name}")[layer, 0] + getattr(given_, f"b_{name}")[layer, 0]
                for given_ in (raw, folded)
            )
            torch.testing.assert_close(*asked, atol=1e-4, rtol=1e-4)
        fired = (given_.layer_norms.mlp[layer](states) @ given_.W_in[layer] + given_.b_in[layer] for given_ in (raw, folded))
        torch.testing.assert_close(*fired, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(folded.logits(states), raw.logits(states), atol=1e-4, rtol=1e-4)


@examples(5)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4), seed=SMALL, batch_size=st.integers(1, 4), kind=st.sampled_from("gb"))
def test_states_do_not_depend_on_what_a_sequence_is_batched_with(lengths, seed, batch_size, kind):
    loaded = wrap((tiny.gpt2 if kind == "g" else tiny.bert)(vocab=20, seed=seed))
    rng = np.random.default_rng(seed)
    sequences = [rng.integers(2, 20, length).tolist() for length in lengths]
    together = activations.run_ids(loaded, sequences, batch_size=batch_size, outputs=["patterns"])
    assert together.tokens["token_id"].tolist() == [token for sequence in sequences for token in sequence]
    for number, sequence in enumerate(sequences):
        alone = activations.run_ids(loaded, [sequence], outputs=["patterns"])
        rows = (together.tokens["text"] == number).to_numpy()
        np.testing.assert_allclose(together.states[:, rows], alone.states, atol=1e-4)
        np.testing.assert_allclose(together.output("patterns")[number], alone.output("patterns")[0], atol=1e-5)
