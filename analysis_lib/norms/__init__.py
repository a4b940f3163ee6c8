"""How large are the updates that a block adds for each token, and do they depend on those of the tokens before?

The question: is the log norm of a token's attention update predicted by those of the tokens before it? `update_norms` measures the norms,
`lagged_regression` asks, and `examine` asks with every control: what the answer would be for a model that learned nothing, and for the
same tokens in another order. `calibration` checks the regression on simulated texts. `interventions` changes an update and measures
what happens to later ones.
"""

from analysis_lib.norms.design import FULL, ORIGINAL, Specification
from analysis_lib.norms.heldout import past_explains
from analysis_lib.norms.interventions import replace_updates
from analysis_lib.norms.measure import UpdateNorms, norm_based_attention, shared_sources, update_norms
from analysis_lib.norms.regression import lagged_regression, neighbours
from analysis_lib.norms.verdicts import examine

__all__ = [
    "FULL",
    "ORIGINAL",
    "Specification",
    "UpdateNorms",
    "examine",
    "lagged_regression",
    "neighbours",
    "norm_based_attention",
    "past_explains",
    "replace_updates",
    "shared_sources",
    "update_norms",
]
