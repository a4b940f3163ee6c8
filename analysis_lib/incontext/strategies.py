"""Does a model selector select? Its answers beside those of every strategy that the evidence in a prompt allows.

`learn` simulates prompts and keeps what they teach; `compare` makes fresh prompts and every answer to them; `Comparison` has the errors
and the distances between answers; `weights_by_odds` asks whether the weight on a predictor changes where the evidence does.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.special import expit

from analysis_lib.incontext.behaviour import implied_weights, predict
from analysis_lib.incontext.prompts import ALPHAS, SelectorPrompts, selector_prompts
from analysis_lib.incontext.selection import Mixture, Posterior, Stacking, averaging, hard_choice
from analysis_lib.models import LoadedModel
from analysis_lib.statistics import difference_interval, ratio_interval

RIDGES = tuple(f"ridge({alpha})" for alpha in ALPHAS)
MEASURED = slice(1, None)  # all points but the first, before which nothing was measured
ODDS_BINS = (-np.inf, -6, -3, -1.5, -0.5, 0.5, 1.5, 3, 6, np.inf)


@dataclass(frozen=True)
class Learned:
    """What simulated prompts teach: the evidence for each alpha, and how predictions combine.

    Attributes
    ----------
    n_fitted : int
        Points that both ridge regressions were fitted to.
    mixture : Mixture
    stacking : Stacking
    """

    n_fitted: int
    mixture: Mixture
    stacking: Stacking


@dataclass(frozen=True)
class Comparison:
    """Prompts, the evidence in them, and every answer to them.

    Attributes
    ----------
    prompts : SelectorPrompts
    posterior : Posterior
    answers : dict of str to float64 [prompt, point]
        Of "transformer", both ridge regressions, "hard choice", "averaging of both", "stacking", "posterior mean".
    """

    prompts: SelectorPrompts
    posterior: Posterior
    answers: dict[str, np.ndarray]

    def answered_by(self, loaded: LoadedModel) -> "Comparison":
        """The same prompts and strategies with another model as the transformer."""
        return replace(self, answers=self.answers | {"transformer": predict(loaded, self.prompts.xs, self.prompts.ys)})

    def squared_errors(self) -> dict[str, np.ndarray]:
        """Squared errors of every answerer: [prompt, point]."""
        ys = self.prompts.ys.double().numpy()
        return {name: (values - ys) ** 2 for name, values in self.answers.items()}

    def error_table(self) -> pd.DataFrame:
        """Mean squared errors after the first point.

        Returns
        -------
        DataFrame
            `answerer`, `error`, and `difference`: the transformer's error minus the answerer's, an `Interval` over prompts (None in the
            transformer's own row).
        """
        errors = {name: values[:, MEASURED].mean(axis=1) for name, values in self.squared_errors().items()}
        own = errors["transformer"]
        rows = [
            (name, values.mean(), None if name == "transformer" else difference_interval(own, values, paired=True))
            for name, values in errors.items()
        ]
        return pd.DataFrame(rows, columns=["answerer", "error", "difference"])

    def distances(self) -> dict[str, np.ndarray]:
        """Mean squared distance of the transformer's answers from each strategy's, after the first point: [prompt]."""
        own = self.answers["transformer"]
        return {name: ((own - values) ** 2)[:, MEASURED].mean(axis=1) for name, values in self.answers.items() if name != "transformer"}

    def ridge_distance(self) -> np.ndarray:
        """Mean squared distance between the two ridge regressions' answers, after the first point: [prompt]."""
        first, second = (self.answers[name] for name in RIDGES)
        return ((first - second) ** 2)[:, MEASURED].mean(axis=1)

    def likeness(self) -> pd.DataFrame:
        """How far the transformer's answers are from each strategy's, in units of the distance between the two ridge regressions.

        Returns
        -------
        DataFrame
            `name` (of the strategy), `estimate` (ratio of means over prompts), `low`, `high`.
        """
        unit = self.ridge_distance()
        rows = [(name, *ratio_interval(values, unit)) for name, values in self.distances().items()]
        return pd.DataFrame(rows, columns=["name", "estimate", "low", "high"])


def learn(n_fitted: int, n_prompts: int, seed: int, n_points: int = 100) -> Learned:
    """Simulate prompts and learn the posterior over alpha and the prior of stacking from them.

    Parameters
    ----------
    n_fitted : int
        Points that both ridge regressions are fitted to.
    n_prompts : int
        Components of the mixture.
    seed : int
    n_points : int
        Fresh points of each simulated prompt, which stand for its distribution.

    Returns
    -------
    Learned
    """
    simulated = selector_prompts(n_prompts, seed=seed, n_points=n_points, n_fitted=n_fitted)
    mixture = Mixture.from_prompts(simulated.xs, simulated.ys, simulated.alphas)
    return Learned(n_fitted, mixture, Stacking.from_prompts(simulated.xs, simulated.ys))


def compare(loaded: LoadedModel, learned: Learned, n_prompts: int, seed: int) -> Comparison:
    """A model's answers to fresh prompts beside those of every strategy.

    Parameters
    ----------
    loaded : LoadedModel
        A model selector.
    learned : Learned
        From other seeds.
    n_prompts, seed : int

    Returns
    -------
    Comparison
    """
    drawn = selector_prompts(n_prompts, seed=seed, n_fitted=learned.n_fitted)
    posterior, predictors = learned.mixture.posterior(drawn.xs, drawn.ys), drawn.xs.double().numpy()
    answers = {
        "transformer": predict(loaded, drawn.xs, drawn.ys),
        **{name: predictors[..., place] for place, name in enumerate(RIDGES)},
        "hard choice": hard_choice(predictors, posterior),
        "averaging of both": averaging(predictors, posterior),
        "stacking": learned.stacking.predict(drawn.xs, drawn.ys),
        "posterior mean": posterior.mean,
    }
    return Comparison(drawn, posterior, answers)


def weights_by_odds(
    loaded: LoadedModel, learned: Learned, n_prompts: int, seed: int, n_measured: int = 5, at_least: int = 20
) -> pd.DataFrame:
    """The weight that each answerer puts on the second predictor, by the evidence for its hypothesis.

    Parameters
    ----------
    loaded : LoadedModel
        A model selector.
    learned : Learned
    n_prompts, seed : int
        Of the fresh prompts.
    n_measured : int
        Points that were measured before the question.
    at_least : int
        Prompts that a bin of log odds must have to be reported.

    Returns
    -------
    DataFrame
        `answerer`, `log_odds` (median of the bin, cut at -12 and 12), `estimate`, `low`, `high`: the ratio of the mean gradient in the
        second predictor to that in both, with an interval over prompts.
    """
    drawn = selector_prompts(n_prompts, seed=seed, n_fitted=learned.n_fitted, n_points=n_measured + 1)
    odds = learned.mixture.posterior(drawn.xs, drawn.ys).log_odds[:, n_measured]
    gradients = {
        "transformer": implied_weights(loaded, drawn.xs, drawn.ys)[:, n_measured],
        "stacking": learned.stacking.weights(drawn.xs, drawn.ys)[:, n_measured],
        "averaging of both": np.stack((expit(-odds), expit(odds)), axis=-1),
        "hard choice": np.stack((odds < 0, odds >= 0), axis=-1).astype(float),
    }
    bins = np.digitize(odds, ODDS_BINS[1:-1], right=True)
    rows = []
    for place in np.unique(bins):
        inside = bins == place
        if inside.sum() >= at_least:
            middle = float(np.clip(np.median(odds[inside]), -12, 12))
            rows += [(name, middle, *ratio_interval(g[inside, 1], g[inside].sum(axis=1))) for name, g in gradients.items()]
    return pd.DataFrame(rows, columns=["answerer", "log_odds", "estimate", "low", "high"])
