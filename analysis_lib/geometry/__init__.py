"""How do hidden states lie in their space, layer by layer: are they all alike, and do they tell words, texts and senses apart?

`word_states` has the states of words, `anisotropy` and `isotropy` say how alike they all are, `contexts` how specific a word is
to its context, and `word_senses` whether the senses of an ambiguous word stand apart. `intrinsic_dimension` counts the directions that
states use around a point, `causes` asks what position and frequency explain, and `projection` lays a few words in a plane. `cosines`
holds the closed forms behind most of them.
"""

from analysis_lib.geometry.anisotropy import anisotropy, mean_cosine, rogue_dimensions, within_texts
from analysis_lib.geometry.contexts import (
    function_and_content,
    intra_sentence_similarity,
    max_explainable_variance,
    self_similarity,
)
from analysis_lib.geometry.intrinsic_dimension import intrinsic_dimension
from analysis_lib.geometry.isotropy import iso_score, isotropy
from analysis_lib.geometry.word_states import WordStates, read_by_each, read_words

__all__ = [
    "WordStates",
    "anisotropy",
    "function_and_content",
    "intrinsic_dimension",
    "intra_sentence_similarity",
    "iso_score",
    "isotropy",
    "max_explainable_variance",
    "mean_cosine",
    "read_by_each",
    "read_words",
    "rogue_dimensions",
    "self_similarity",
    "within_texts",
]
