r"""Which of several predictors a prompt speaks for, and what follows from it.

The model selector reads, at every point, what $m$ predictors say, $p = (p_1, \dots, p_m)$, and what was measured, $y$. Hypothesis $h$
says that $(p, y)$ is normal around 0 with covariance $\Sigma_h$, which is estimated on prompts made under $h$; points are taken as
independent, so that their evidence adds up. From the posterior over hypotheses follow the answers that a model can be compared with: trust
the predictor of the likelier hypothesis (`hard_choice`), average the predictors (`averaging`; Hoeting et al. 1999, *Bayesian Model
Averaging*), or combine them as is best under each hypothesis (`best_combination`).

Points of one prompt share their fitted functions, so the independence is an approximation: check that the posterior is calibrated.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_softmax, softmax


@dataclass(frozen=True)
class Evidence:
    """Covariances of the points that each hypothesis makes.

    Attributes
    ----------
    hypotheses : list of float
        Their names, e.g. alphas, ascending; each is as likely beforehand.
    covariances : float64 [hypothesis, m + 1, m + 1]
        Of (predictors, y) around 0.
    """

    hypotheses: list[float]
    covariances: np.ndarray

    @classmethod
    def fit(cls, xs: ArrayLike, ys: ArrayLike, labels: ArrayLike) -> "Evidence":
        """Covariances from prompts whose hypothesis is known.

        Parameters
        ----------
        xs, ys : array [prompt, point, m], [prompt, point]
            Predictors and measurements.
        labels : array [prompt]
            The hypothesis that made each prompt; two or more different ones.
        """
        tokens, labels = _tokens(xs, ys), np.asarray(labels, dtype=float)
        if labels.shape != tokens.shape[:1]:
            raise ValueError(f"labels: expected one a prompt, shape {tokens.shape[:1]}, found {labels.shape}")
        names = np.unique(labels)
        if len(names) < 2:
            raise ValueError(f"labels: expected two hypotheses or more, found {len(names)}")
        groups = [tokens[labels == name].reshape(-1, tokens.shape[-1]) for name in names]
        return cls([round(float(name), 6) for name in names], np.stack([group.T @ group / len(group) for group in groups]))

    def log_posterior(self, xs: ArrayLike, ys: ArrayLike) -> np.ndarray:
        """Log probability of each hypothesis before each answer: from the points before, and the predictors at the point itself.

        Parameters
        ----------
        xs, ys : array [prompt, point, m], [prompt, point]

        Returns
        -------
        float64 [prompt, point, hypothesis]
        """
        tokens = _tokens(xs, ys)
        if tokens.shape[-1] != self.covariances.shape[-1]:
            raise ValueError(f"xs: expected {self.covariances.shape[-1] - 1} predictors a point, found {tokens.shape[-1] - 1}")
        whole = np.stack([_log_density(tokens, c) for c in self.covariances], axis=-1)
        asked = np.stack([_log_density(tokens[..., :-1], c[:-1, :-1]) for c in self.covariances], axis=-1)
        before = np.cumsum(whole, axis=1) - whole
        return log_softmax(before + asked, axis=-1)

    def log_odds(self, xs: ArrayLike, ys: ArrayLike) -> np.ndarray:
        """Log odds of the last hypothesis against the first before each answer: [prompt, point], natural logarithms."""
        found = self.log_posterior(xs, ys)
        return found[..., -1] - found[..., 0]

    def best_weights(self) -> np.ndarray:
        r"""Weights of the predictors in $E[y \mid p]$ under each hypothesis: $\Sigma_{yp} \Sigma_{pp}^{-1}$, [hypothesis, m]."""
        return np.stack([np.linalg.solve(c[:-1, :-1], c[:-1, -1]) for c in self.covariances])


def hard_choice(xs: ArrayLike, log_posterior: ArrayLike) -> np.ndarray:
    """What the predictor of the likelier hypothesis says, predictor i belonging to hypothesis i: [prompt, point]."""
    xs, log_posterior = _matched(xs, log_posterior)
    return np.take_along_axis(xs, log_posterior.argmax(axis=-1)[..., None], axis=-1)[..., 0]


def averaging(xs: ArrayLike, log_posterior: ArrayLike) -> np.ndarray:
    """The predictors' mean under the posterior, predictor i belonging to hypothesis i: [prompt, point]."""
    xs, log_posterior = _matched(xs, log_posterior)
    return (xs * softmax(log_posterior, axis=-1)).sum(axis=-1)


def best_combination(xs: ArrayLike, log_posterior: ArrayLike, weights: ArrayLike) -> np.ndarray:
    """Mean under the posterior of each hypothesis's own best combination of all predictors.

    Parameters
    ----------
    xs : array [prompt, point, m]
    log_posterior : array [prompt, point, hypothesis]
    weights : array [hypothesis, m]
        `Evidence.best_weights`.

    Returns
    -------
    float64 [prompt, point]
    """
    combined = np.asarray(xs, dtype=float) @ np.asarray(weights, dtype=float).T
    return (combined * softmax(np.asarray(log_posterior, dtype=float), axis=-1)).sum(axis=-1)


def _log_density(values: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Log density of a normal distribution around 0, up to the constant that all hypotheses share: [...]."""
    root = np.linalg.cholesky(covariance)
    scaled = np.linalg.solve(root, values[..., None])[..., 0]
    return -0.5 * (scaled**2).sum(axis=-1) - np.log(np.diag(root)).sum()


def _tokens(xs: ArrayLike, ys: ArrayLike) -> np.ndarray:
    xs, ys = np.asarray(xs, dtype=float), np.asarray(ys, dtype=float)
    if xs.ndim != 3 or ys.shape != xs.shape[:2]:
        raise ValueError(f"xs, ys: expected [prompt, point, m] and [prompt, point], found {xs.shape} and {ys.shape}")
    return np.concatenate((xs, ys[..., None]), axis=-1)


def _matched(xs: ArrayLike, log_posterior: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    xs, log_posterior = np.asarray(xs, dtype=float), np.asarray(log_posterior, dtype=float)
    if xs.shape != log_posterior.shape:
        raise ValueError(f"log_posterior: expected a hypothesis a predictor, shape {xs.shape}, found {log_posterior.shape}")
    return xs, log_posterior
