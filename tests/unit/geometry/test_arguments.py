"""Bad input is named, and arguments are left as they were."""

import numpy as np
import pytest
import torch

from analysis_lib import geometry
from tests.support import clouds
from tests.support.clouds import cloud


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: geometry.mean_cosine(x[:, :1]), "two vectors"),
        (lambda x: geometry.mean_cosine(np.where(np.arange(60)[:, None] == 3, 0, x)), r"states\[0, 3\] is zero"),
        (lambda x: geometry.mean_cosine(np.where(np.arange(60)[:, None] == 3, np.nan, x)), r"states\[0, 3\].*not finite"),
        (lambda x: geometry.iso_score(np.where(np.arange(60)[:, None] == 3, np.inf, x)), "not finite"),
        (lambda x: geometry.iso_score(np.ones((1, 60, 3))), "all equal"),
        (lambda x: geometry.iso_score(x[..., :1]), "1 dimension"),
        (lambda x: geometry.anisotropy(x, np.zeros(60)), "two texts"),
        (lambda x: geometry.anisotropy(x, np.arange(59)), r"texts has shape \(59,\)"),
        (lambda x: geometry.anisotropy(x, np.arange(60), n_resamples=0), "n_resamples is 0"),
        (lambda x: geometry.within_texts(x, np.arange(60)), "texts are all different"),
        (lambda x: geometry.rogue_dimensions(x, np.arange(60), k=8), "k is 8"),
        (lambda x: geometry.rogue_dimensions(x, np.arange(60) % 3), "texts are 3; expected eight"),
        (lambda x: geometry.self_similarity(x, np.arange(60), np.arange(60)), "found 1 at most"),
        (lambda x: geometry.self_similarity(x, np.zeros(60), np.arange(60), min_contexts=1), "min_contexts is 1"),
        (lambda x: geometry.self_similarity(x, np.zeros(9), np.arange(60)), "words has shape"),
        (lambda x: geometry.intra_sentence_similarity(x, np.arange(60)), "at most 1 words"),
        (lambda x: geometry.intra_sentence_similarity(x, np.arange(60), min_words=1), "min_words is 1"),
        (lambda x: geometry.max_explainable_variance(x, np.zeros(60), np.arange(60), n_permutations=0), "n_permutations is 0"),
        (lambda x: geometry.isotropy(x, np.zeros(60)), "two blocks"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(cloud())


def test_arguments_are_left_as_they_were():
    labelled = clouds.labelled()
    states, words, texts = (array.copy() for array in labelled)
    for call in (geometry.self_similarity, geometry.max_explainable_variance):
        call(states, words, texts)
    for call in (
        geometry.anisotropy,
        geometry.isotropy,
        geometry.rogue_dimensions,
        geometry.intra_sentence_similarity,
        geometry.intrinsic_dimension,
    ):
        call(states, texts)
    for array, before in zip((states, words, texts), labelled, strict=True):
        np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_tensors_of_any_precision_are_read(dtype):
    states = torch.randn(1, 20, 5, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_(True)
    np.testing.assert_allclose(geometry.mean_cosine(states), geometry.mean_cosine(states.detach().double().numpy()))
