"""How large are the updates that a block adds for each token, and do they depend on those of the tokens before?

The question: is the log norm of a token's attention update predicted by those of the tokens before it? `update_norms` measures the norms,
`lagged_regression` asks, and `null_distribution` says what the answer would be of a model that learned nothing, of the same tokens in
another order, and of simulated texts without any dependence. `interventions` says what changing an update does to later ones.
"""

from analysis_lib.norms.design import FULL, ORIGINAL, Specification
from analysis_lib.norms.measure import UpdateNorms, mean_by_position, norm_based_attention, shared_sources, update_norms
from analysis_lib.norms.nulls import against_null, null_distribution, survivors
from analysis_lib.norms.regression import lagged_regression, past_explains

__all__ = [
    "FULL",
    "ORIGINAL",
    "Specification",
    "UpdateNorms",
    "against_null",
    "lagged_regression",
    "mean_by_position",
    "norm_based_attention",
    "null_distribution",
    "past_explains",
    "shared_sources",
    "survivors",
    "update_norms",
]
