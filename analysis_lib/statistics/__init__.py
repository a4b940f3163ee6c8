"""Intervals, nulls and corrections for many tests, and figures by layer that carry their intervals with them.

`resampling` has intervals, nulls and corrections, `selection` what is chosen on one draw and measured on another, `profiles` figures by
layer.
"""

from analysis_lib.statistics.profiles import Measure, Profile
from analysis_lib.statistics.resampling import (
    Interval,
    bootstrap_interval,
    difference_interval,
    holm,
    permutation_pvalue,
    ratio_interval,
    wilson_interval,
)
from analysis_lib.statistics.selection import Chosen, choose_and_measure, interval_table

__all__ = [
    "Chosen",
    "Interval",
    "Measure",
    "Profile",
    "bootstrap_interval",
    "choose_and_measure",
    "difference_interval",
    "holm",
    "interval_table",
    "permutation_pvalue",
    "ratio_interval",
    "wilson_interval",
]
