"""How do hidden states lie in their space, layer by layer: are they all alike, and do they tell words, texts and senses apart?

The measures are in `measures`, `word_senses` has those of ambiguous words, and `cosines` the closed forms behind both.
"""

from analysis_lib.geometry.measures import (
    anisotropy,
    intra_sentence_similarity,
    iso_score,
    isotropy,
    max_explainable_variance,
    mean_cosine,
    rogue_dimensions,
    self_similarity,
    within_texts,
)

__all__ = [
    "anisotropy",
    "intra_sentence_similarity",
    "iso_score",
    "isotropy",
    "max_explainable_variance",
    "mean_cosine",
    "rogue_dimensions",
    "self_similarity",
    "within_texts",
]
