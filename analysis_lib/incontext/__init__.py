"""What does a transformer compute when it answers from the points of a prompt?

`prompts` draws the points, `estimators` has the baselines and `behaviour` what a model answers and how far it errs. `answers` says in
which layer the answer is, `algorithms` holds layers against steps of gradient descent and of Newton's iteration, `heads` says what single
heads do, and `clusters` whether attention rows fall into kinds. `selection` has the evidence for each of two predictors and the answers
that follow from it; `strategies` compares a model with them.
"""

from analysis_lib.incontext.behaviour import answer_influence, error_curves, implied_weights, predict, query_errors, squared_errors
from analysis_lib.incontext.estimators import bayes_ridge, least_squares, ridge
from analysis_lib.incontext.prompts import Prompts, linear_prompts, prompts_of_tasks, selector_prompts

__all__ = [
    "Prompts",
    "answer_influence",
    "bayes_ridge",
    "error_curves",
    "implied_weights",
    "least_squares",
    "linear_prompts",
    "predict",
    "prompts_of_tasks",
    "query_errors",
    "ridge",
    "selector_prompts",
    "squared_errors",
]
