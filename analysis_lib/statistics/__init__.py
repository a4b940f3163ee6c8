"""Intervals, p-values with their corrections, and figures by layer that carry their intervals with them.

`intervals`, `pvalues` and `profiles` hold one of these each; `monte_carlo` finds p-values small enough to survive a correction, and
`selection` measures on one draw what was chosen on another.
"""

from analysis_lib.statistics.intervals import (
    Interval,
    bootstrap_interval,
    difference_interval,
    ratio_interval,
    t_interval,
    wilson_interval,
)
from analysis_lib.statistics.profiles import Measure, Profile
from analysis_lib.statistics.pvalues import holm, permutation_pvalue, sign_flip_pvalues
from analysis_lib.statistics.selection import Chosen, choose_and_measure, choose_several, drawn_heads, interval_table

__all__ = [
    "Chosen",
    "Interval",
    "Measure",
    "Profile",
    "bootstrap_interval",
    "choose_and_measure",
    "choose_several",
    "difference_interval",
    "drawn_heads",
    "holm",
    "interval_table",
    "permutation_pvalue",
    "ratio_interval",
    "sign_flip_pvalues",
    "t_interval",
    "wilson_interval",
]
