"""What do a model's weights say when they are read in its vocabulary?

Heads become products of two thin factors, whose best pairs of tokens `top_pairs` finds exactly; neurons become lists of tokens
(`top_tokens`). What such lists have in common is asked by `relations`, `shared_features` and `overlap`, each beside what
chance would give, and `recall` asks whether a list says what the model goes on to write. `lenses` read states instead of weights: what the
model would say if it stopped after a layer.
"""

from analysis_lib.projections.best_pairs import TopPairs
from analysis_lib.projections.factors import feed_forward_keys_values, qk_factors, vo_factors
from analysis_lib.projections.overlap import shuffled_overlap, top_overlap
from analysis_lib.projections.pair_search import top_pairs
from analysis_lib.projections.token_search import TopTokens, top_tokens

__all__ = [
    "TopPairs",
    "TopTokens",
    "feed_forward_keys_values",
    "qk_factors",
    "shuffled_overlap",
    "top_overlap",
    "top_pairs",
    "top_tokens",
    "vo_factors",
]
