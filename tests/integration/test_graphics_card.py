"""The same functions on a graphics card, where there is one."""

import numpy as np
import pytest
import torch

from analysis_lib import activations, models, projections, texts
from analysis_lib.projections.forms_in_text import head_means_in
from analysis_lib.weights import attention_errors, extract

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.mark.parametrize("name", ["polish-gpt2", "herbert"])
def test_states_and_lists_are_those_of_the_processor(name):
    here, there = models.load(name), models.load(name, device="cuda")
    sentences = texts.sentences()[:8]
    runs = [activations.run(loaded, sentences) for loaded in (here, there)]
    np.testing.assert_allclose(runs[1].states, runs[0].states, rtol=1e-3, atol=1e-3)  # 24 bits, sums in another order
    found = [projections.top_pairs(*projections.qk_factors(extract(loaded), 1, 2), k=50) for loaded in (here, there)]
    np.testing.assert_allclose(found[1].scores, found[0].scores, rtol=1e-4)
    apart = np.diff(-found[0].scores, prepend=-np.inf, append=np.inf) > 1e-3 * np.abs(found[0].scores).max()
    sure = apart[:-1] & apart[1:]  # where rounding cannot have exchanged neighbours
    np.testing.assert_array_equal(found[1].left_ids[sure], found[0].left_ids[sure])
    np.testing.assert_array_equal(found[1].right_ids[sure], found[0].right_ids[sure])
    assert sure.any()


@pytest.mark.parametrize("name", ["polish-gpt2", "herbert"])
def test_weights_are_read_onto_the_processor(name):
    here, there = models.load(name), models.load(name, device="cuda")
    expected = extract(here).named()
    for key, weight in extract(there).named().items():
        assert weight.device.type == "cpu", key
        torch.testing.assert_close(weight, expected[key], rtol=0, atol=0)
    sentences = texts.sentences()[:4]
    errors = attention_errors(there, sentences)
    assert errors.output.max() < 1e-3 * errors.output_scale.max()
    torch.testing.assert_close(head_means_in(there, sentences), head_means_in(here, sentences), rtol=1e-3, atol=1e-3)
