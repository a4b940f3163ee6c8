r"""Which of several predictors a prompt speaks for, and what answers follow from it.

The model selector reads, at every point, what $m$ predictors say, $p = (p_1, \dots, p_m)$, and what was measured, $y$. Given the prompt's
functions, its points $t = (p, y)$ are independent draws from a normal distribution, but nobody knows which one. The evidence for a
hypothesis $h$ (the noise that made the prompt) is therefore a mixture over the functions that might have been drawn,

$$p(t_1, \dots, t_k \mid h) = \frac{1}{|h|} \sum_{c \in h} \prod_{i \le k} N(t_i;\, \mu_c, \Sigma_c),$$

with a component $c$ for each of many simulated prompts: it is exact but for the number of components. The posterior gives the answers
that a model can be compared with. `hard_choice` trusts the predictor of the likelier hypothesis. `averaging` averages the predictors
(Hoeting et al. 1999, *Bayesian Model Averaging*). `Posterior.mean` is the posterior mean of y, which no answer beats on average. A model
need not select at all: `Stacking` regresses y on the predictors in context, whatever the hypothesis (Wolpert 1992, *Stacked
Generalization*). `strategies` compares a model with all of these.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from analysis_lib.incontext.arrays import as_prompts, sum_before

ROWS = 250  # prompts times points that are compared with all components at once


@dataclass(frozen=True)
class Posterior:
    """What a prompt says before each answer: from the points before it, and the predictors at the point itself.

    Attributes
    ----------
    hypotheses : list of float
    log_probability : float64 [prompt, point, hypothesis]
        Not below -708, where double precision ends.
    mean : float64 [prompt, point]
        Posterior mean of y.
    """

    hypotheses: list[float]
    log_probability: np.ndarray
    mean: np.ndarray

    @property
    def log_odds(self) -> np.ndarray:
        """Of the last hypothesis against the first, natural logarithms: [prompt, point]."""
        return self.log_probability[..., -1] - self.log_probability[..., 0]

    def log_loss(self, labels: ArrayLike) -> np.ndarray:
        """Log loss on the true hypothesis in bits: for two hypotheses a coin has 1, certainty 0.

        Parameters
        ----------
        labels : array [prompt]
            The hypothesis that made each prompt, one of `hypotheses`.

        Returns
        -------
        float64 [prompt, point]
        """
        labels = np.asarray(labels, dtype=float)
        if labels.shape != self.mean.shape[:1]:
            raise ValueError(f"labels: expected one for each of {len(self.mean)} prompts, found shape {labels.shape}")
        distance = np.abs(labels[:, None] - np.asarray(self.hypotheses))
        if distance.min(axis=1).max() > 1e-6:
            raise ValueError(f"labels: expected hypotheses among {self.hypotheses}, found {np.unique(labels).tolist()}")
        true = np.broadcast_to(distance.argmin(axis=1)[:, None, None], (*self.mean.shape, 1))
        return -np.take_along_axis(self.log_probability, true, axis=-1)[..., 0] / np.log(2)


@dataclass(frozen=True)
class Mixture:
    """Normal distributions of points, each of which belongs to a hypothesis; all hypotheses are equally likely beforehand.

    Attributes
    ----------
    labels : float64 [component]
        The hypothesis that each belongs to.
    means : float64 [component, m + 1]
    covariances : float64 [component, m + 1, m + 1]
        Of (predictors, y).
    """

    labels: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

    @classmethod
    def from_prompts(cls, xs: ArrayLike, ys: ArrayLike, labels: ArrayLike) -> "Mixture":
        """One component for each simulated prompt: the mean and covariance of its points.

        Parameters
        ----------
        xs, ys : array [prompt, point, m], [prompt, point]
            Predictors and measurements. The moments of the points stand for those of the prompt's own distribution, so there must be
            many points (hundreds).
        labels : array [prompt]
            The hypothesis that made each prompt; two or more different ones.

        Raises
        ------
        ValueError
            Labels that do not fit the prompts or are all the same, too few points, or a prompt whose y and predictors depend on each other.
        """
        tokens, labels = _tokens(xs, ys), np.asarray(labels, dtype=float).round(6)
        if labels.shape != tokens.shape[:1]:
            raise ValueError(f"labels: expected one for each prompt, shape {tokens.shape[:1]}, found {labels.shape}")
        if len(np.unique(labels)) < 2:
            raise ValueError(f"labels: expected two hypotheses or more, found {len(np.unique(labels))}")
        _check_many_points(tokens)
        means = tokens.mean(axis=1)
        centred = tokens - means[:, None]
        covariances = centred.transpose(0, 2, 1) @ centred / tokens.shape[1]
        flat = np.flatnonzero(np.linalg.matrix_rank(covariances, hermitian=True) < tokens.shape[2])
        if len(flat):
            raise ValueError(
                f"xs, ys: expected predictors and measurements that no line connects, found a prompt where one does ({flat[0]})"
            )
        return cls(labels, means, covariances)

    def posterior(self, xs: ArrayLike, ys: ArrayLike) -> Posterior:
        """Probabilities of the hypotheses and the mean of y before each answer.

        Parameters
        ----------
        xs, ys : array [prompt, point, m], [prompt, point]

        Returns
        -------
        Posterior
        """
        tokens = _tokens(xs, ys)
        if tokens.shape[-1] != self.means.shape[-1]:
            raise ValueError(f"xs: expected {self.means.shape[-1] - 1} predictors a point, found {tokens.shape[-1] - 1}")
        shown, asked = sum_before(_moments(tokens)), _moments(tokens[..., :-1])
        names = np.unique(self.labels)
        log_prior = -np.log([(self.labels == label).sum() for label in self.labels])
        coefficients = _log_density(self.means, self.covariances)
        of_asked = _log_density(self.means[:, :-1], self.covariances[:, :-1, :-1])
        slopes = np.linalg.solve(self.covariances[:, :-1, :-1], self.covariances[:, :-1, -1:])[..., 0]
        offsets = self.means[:, -1] - (slopes * self.means[:, :-1]).sum(axis=-1)
        shape = tokens.shape[:2]
        shown, asked, p = (values.reshape(-1, values.shape[-1]) for values in (shown, asked, tokens[..., :-1]))
        of_name = (self.labels[:, None] == names).astype(float)
        probabilities, means = [], []
        for at in range(0, len(p), ROWS):
            part = slice(at, at + ROWS)
            logs = shown[part] @ coefficients.T + asked[part] @ of_asked.T + log_prior
            weights = np.exp(logs - logs.max(axis=1, keepdims=True))
            total = weights.sum(axis=1)
            probabilities.append(weights @ of_name / total[:, None])
            means.append((weights @ offsets + ((weights @ slopes) * p[part]).sum(axis=-1)) / total)
        found = np.log(np.maximum(np.concatenate(probabilities), np.finfo(float).tiny))
        return Posterior([float(name) for name in names], found.reshape(*shape, -1), np.concatenate(means).reshape(shape))


def hard_choice(xs: ArrayLike, posterior: Posterior) -> Float[np.ndarray, "prompt point"]:
    """What the predictor of the likelier hypothesis says, predictor i belonging to hypothesis i: [prompt, point]."""
    xs = _matched(xs, posterior)
    return np.take_along_axis(xs, posterior.log_probability.argmax(axis=-1)[..., None], axis=-1)[..., 0]


def averaging(xs: ArrayLike, posterior: Posterior) -> Float[np.ndarray, "prompt point"]:
    """The predictors' mean under the posterior, predictor i belonging to hypothesis i: [prompt, point]."""
    return (_matched(xs, posterior) * np.exp(posterior.log_probability)).sum(axis=-1)


@dataclass(frozen=True)
class Stacking:
    r"""Bayesian linear regression of y on the predictors, $y = b \cdot p$ plus noise, with one normal prior of b for all prompts.

    Attributes
    ----------
    mean : float64 [m]
        What b is before any point is seen.
    covariance : float64 [m, m]
    noise_variance : float
    """

    mean: np.ndarray
    covariance: np.ndarray
    noise_variance: float

    @classmethod
    def from_prompts(cls, xs: ArrayLike, ys: ArrayLike) -> "Stacking":
        """Prior and noise from simulated prompts: the mean and covariance of each prompt's own least-squares weights.

        Parameters
        ----------
        xs, ys : array [prompt, point, m], [prompt, point]
            m + 1 prompts or more, with ten points or more for each of the m predictors and for y.

        Raises
        ------
        ValueError
            Too few prompts or points, predictors that depend on each other, measurements without noise.
        """
        tokens = _tokens(xs, ys)
        _check_many_points(tokens)
        n_prompts, n_points, width = tokens.shape
        if n_prompts < width:
            raise ValueError(f"xs: expected {width} prompts or more, found {n_prompts}")
        p, y = tokens[..., :-1], tokens[..., -1:]
        gram = p.transpose(0, 2, 1) @ p
        if np.linalg.matrix_rank(gram, hermitian=True).min() < width - 1:
            raise ValueError("xs: expected predictors that do not depend on each other, found a prompt where they do")
        weights = np.linalg.solve(gram, p.transpose(0, 2, 1) @ y)
        noise = ((y - p @ weights) ** 2).sum() / (n_prompts * (n_points - (width - 1)))
        if noise <= 1e-12 * (y**2).mean():
            raise ValueError("ys: expected measurements with noise, found the predictors' own combinations")
        # Each prompt's weights err by what its noise does to them; what is left of their covariance is that of b.
        covariance = np.atleast_2d(np.cov(weights[..., 0].T))
        values, axes = np.linalg.eigh(covariance - noise * np.linalg.inv(gram).mean(axis=0))
        kept = np.maximum(values, 1e-3 * np.trace(covariance) / len(values))  # sampling may leave less than nothing in a direction
        return cls(weights[..., 0].mean(axis=0), axes * kept @ axes.T, float(noise))

    def weights(self, xs: ArrayLike, ys: ArrayLike) -> np.ndarray:
        """Posterior mean of b from the points before each point: [prompt, point, m]."""
        tokens = _tokens(xs, ys)
        p, y = tokens[..., :-1], tokens[..., -1]
        if p.shape[-1] != len(self.mean):
            raise ValueError(f"xs: expected {len(self.mean)} predictors a point, found {p.shape[-1]}")
        precision = self.noise_variance * np.linalg.inv(self.covariance)
        gram = sum_before(p[..., :, None] * p[..., None, :]) + precision
        return np.linalg.solve(gram, (sum_before(p * y[..., None]) + precision @ self.mean)[..., None])[..., 0]

    def predict(self, xs: ArrayLike, ys: ArrayLike) -> np.ndarray:
        """Predictions from the points before: [prompt, point]."""
        return (self.weights(xs, ys) * np.asarray(xs, dtype=float)).sum(axis=-1)


def _moments(tokens: np.ndarray) -> np.ndarray:
    """What a normal density needs of each point: products, values and 1, [prompt, point, ...]."""
    products = tokens[..., :, None] * tokens[..., None, :]
    return np.concatenate((products.reshape(*tokens.shape[:2], -1), tokens, np.ones((*tokens.shape[:2], 1))), axis=-1)


def _log_density(means: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """Coefficients of `_moments` in each component's log density, without the constant that all share: [component, ...]."""
    precision = np.linalg.inv(covariances)
    linear = (precision @ means[..., None])[..., 0]
    constant = -0.5 * ((means * linear).sum(axis=-1) + np.linalg.slogdet(covariances)[1])
    return np.concatenate((-0.5 * precision.reshape(len(means), -1), linear, constant[:, None]), axis=-1)


def _tokens(xs: ArrayLike, ys: ArrayLike) -> np.ndarray:
    """Predictors and measurement of each point: [prompt, point, m + 1]."""
    xs, ys = as_prompts(xs, ys)
    return np.concatenate((xs, ys[..., None]), axis=-1)


def _check_many_points(tokens: np.ndarray) -> None:
    if tokens.shape[1] < 10 * tokens.shape[2]:
        raise ValueError(f"xs: expected {10 * tokens.shape[2]} points a prompt or more for its moments, found {tokens.shape[1]}")


def _matched(xs: ArrayLike, posterior: Posterior) -> np.ndarray:
    xs = np.asarray(xs, dtype=float)
    if xs.shape != posterior.log_probability.shape:
        raise ValueError(f"posterior: expected one hypothesis for each predictor, {xs.shape}, found {posterior.log_probability.shape}")
    return xs
