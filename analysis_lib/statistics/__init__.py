"""Intervals, nulls and corrections for many tests, and figures by layer that carry their intervals with them.

`resampling` holds the former, `profiles` the latter.
"""

from analysis_lib.statistics.profiles import Measure, Profile
from analysis_lib.statistics.resampling import Interval, bootstrap_interval, difference_interval, holm, permutation_pvalue, wilson_interval

__all__ = [
    "Interval",
    "Measure",
    "Profile",
    "bootstrap_interval",
    "difference_interval",
    "holm",
    "permutation_pvalue",
    "wilson_interval",
]
