"""What does a transformer compute when it answers from the points of a prompt?

`prompts` draws the points, `estimators` has the baselines and the measures of a model's answers, `answers` says in which layer the answer
is, `clusters` what kinds of attention rows there are, and `selection` which of two predictors a prompt speaks for.
"""

from analysis_lib.incontext.estimators import (
    answer_influence,
    bayes_ridge,
    determined,
    error_curve,
    implied_weights,
    least_squares,
    predict,
    query_errors,
    ridge,
    squared_errors,
)
from analysis_lib.incontext.prompts import Prompts, linear_prompts, selector_prompts

__all__ = [
    "Prompts",
    "answer_influence",
    "bayes_ridge",
    "determined",
    "error_curve",
    "implied_weights",
    "least_squares",
    "linear_prompts",
    "predict",
    "query_errors",
    "ridge",
    "selector_prompts",
    "squared_errors",
]
