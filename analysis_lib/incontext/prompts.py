r"""Prompts for regression in context: points of a function that is drawn anew for every prompt.

There are two kinds. Linear functions are as in Garg et al. 2022, in distribution and out of it: $x_i \sim N(0, I_d)$,
$w \sim N(0, I_d)$ and $y_i = w^\top x_i + \varepsilon_i$, with $\varepsilon_i \sim N(0, \sigma^2)$ where there is noise. The data of the
model selector are as the original notebook 003 makes them: points whose x are the predictions of two ridge regressions.

Every sampler takes a seed or a `torch.Generator`. The same seed gives the same prompts; a generator goes on from where it is.

Sources: Garg et al. 2022 (arXiv 2208.01066), section 3 and appendix B; berkott/modelSelectInterp, `data_gen.py`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

Seed: TypeAlias = int | torch.Generator

ALPHAS = (0.1, 0.8)
NOISE_PER_ALPHA = 0.8


@dataclass(frozen=True)
class Prompts:
    """Prompts of a linear function.

    Attributes
    ----------
    xs : Tensor [prompt, point, d]
    ys : Tensor [prompt, point]
        With noise where there is any.
    queries : Tensor [prompt, point, d]
        `queries[:, k]` is what is asked after the first k points. In distribution it is `xs[:, k]` itself.
    answers : Tensor [prompt, point]
        y of the queries, with noise of its own.
    w : Tensor [prompt, d]
        The function.
    noise : float
        Standard deviation of the noise in y.
    """

    xs: Tensor
    ys: Tensor
    queries: Tensor
    answers: Tensor
    w: Tensor
    noise: float = 0.0

    def asked(self, k: int) -> tuple[Tensor, Tensor]:
        """The prompts that ask query k: its first k points, then the query.

        Parameters
        ----------
        k : int
            Points shown, from 0.

        Returns
        -------
        xs : Tensor [prompt, k + 1, d]
        ys : Tensor [prompt, k + 1]
            The last one is the answer.
        """
        if not 0 <= k < self.xs.shape[1]:
            raise ValueError(f"k: expected 0 to {self.xs.shape[1] - 1} points shown, found {k}")
        xs = torch.cat((self.xs[:, :k], self.queries[:, k : k + 1]), dim=1)
        return xs, torch.cat((self.ys[:, :k], self.answers[:, k : k + 1]), dim=1)

    def first(self, n: int) -> "Prompts":
        """The first n prompts; where the queries are the points, they stay so."""
        if not 1 <= n <= len(self.xs):
            raise ValueError(f"n: expected 1 to {len(self.xs)} prompts, found {n}")
        xs, ys = self.xs[:n], self.ys[:n]
        own = self.queries is self.xs
        return Prompts(xs, ys, xs if own else self.queries[:n], ys if own else self.answers[:n], self.w[:n], self.noise)


@dataclass(frozen=True)
class SelectorPrompts:
    r"""Prompts of the model selector: two ridge regressions fitted once for each prompt, and fresh points at which both predict.

    Attributes
    ----------
    xs : Tensor [prompt, point, 2]
        Predictions of ridge(0.1) and ridge(0.8) at fresh points.
    ys : Tensor [prompt, point]
        What was measured there: $w^\top z_i + \varepsilon_i$.
    alphas : Tensor [prompt]
        The one of `ALPHAS` that made the prompt: the noise in all its y has standard deviation 0.8 alpha.
    """

    xs: Tensor
    ys: Tensor
    alphas: Tensor


def linear_prompts(
    n_prompts: int,
    n_points: int,
    n_dims: int,
    seed: Seed,
    noise: float = 0.0,
    scale: float = 1.0,
    transform: Tensor | None = None,
) -> Prompts:
    r"""Gaussian linear functions: what the regressor is trained on, and ways to leave that distribution.

    Parameters
    ----------
    n_prompts, n_points, n_dims : int
    seed : int or torch.Generator
    noise : float
        Standard deviation of the noise in y.
    scale : float
        Every x is multiplied by it.
    transform : Tensor [n_dims, n_dims], optional
        Every x goes through it, $x \mapsto T x$: the covariance is $T T^\top$. See `skewed_transform`.

    Returns
    -------
    Prompts
        Queries are the points themselves.

    Raises
    ------
    ValueError
        A size below one, negative noise, a scale that is not positive, a transform of another shape.
    """
    _check_sizes(n_prompts=n_prompts, n_points=n_points, n_dims=n_dims)
    if scale <= 0 or not math.isfinite(scale):
        raise ValueError(f"scale: expected a positive number, found {scale!r}")
    transform = None if transform is None else torch.as_tensor(transform)
    if transform is not None and transform.shape != (n_dims, n_dims):
        raise ValueError(f"transform: expected {(n_dims, n_dims)}, found {tuple(transform.shape)}")
    generator = _generator(seed)
    xs = scale * torch.randn(n_prompts, n_points, n_dims, generator=generator)
    return _measured(xs if transform is None else xs @ transform.to(xs).T, None, noise, generator)


def prompts_of_tasks(tasks: Tensor, n_prompts: int, n_points: int, seed: Seed, noise: float = 0.0) -> Prompts:
    r"""Linear functions of a list: for each prompt one of them, each as often as any other.

    Parameters
    ----------
    tasks : Tensor [task, d]
        The weights w of the functions.
    n_prompts, n_points : int
    seed : int or torch.Generator
    noise : float
        Standard deviation of the noise in y.

    Returns
    -------
    Prompts
        Queries are the points themselves.

    Raises
    ------
    ValueError
        Tasks that are no matrix or that are none, a size below one, negative noise.

    Notes
    -----
    Raventós et al. 2023 (arXiv 2306.15063), section 2: the pretraining distribution of a limited number of tasks.
    """
    _check_sizes(n_prompts=n_prompts, n_points=n_points)
    if tasks.ndim != 2 or 0 in tasks.shape:
        raise ValueError(f"tasks: expected [task, d], none of them 0, found shape {tuple(tasks.shape)}")
    generator = _generator(seed)
    xs = torch.randn(n_prompts, n_points, tasks.shape[1], generator=generator)
    return _measured(xs, None, noise, generator, tasks.to(xs)[torch.randint(len(tasks), (n_prompts,), generator=generator)])


def opposite_quadrants(n_prompts: int, n_points: int, n_dims: int, seed: Seed, noise: float = 0.0) -> Prompts:
    """Points that all lie in one quadrant, drawn for each prompt, and queries that all lie in the opposite one.

    The arguments are those of `linear_prompts`. Garg et al. 2022, appendix B ("orthants"): all points have the signs of one random vector,
    the queries the opposite signs.
    """
    _check_sizes(n_prompts=n_prompts, n_points=n_points, n_dims=n_dims)
    generator = _generator(seed)
    signs = torch.randint(2, (n_prompts, 1, n_dims), generator=generator) * 2.0 - 1
    xs = torch.randn(n_prompts, n_points, n_dims, generator=generator).abs() * signs
    queries = -torch.randn(n_prompts, n_points, n_dims, generator=generator).abs() * signs
    return _measured(xs, queries, noise, generator)


def orthogonal_queries(n_prompts: int, n_points: int, n_dims: int, seed: Seed, noise: float = 0.0) -> Prompts:
    """Queries that are orthogonal to all points shown before them, so that the best prediction is zero.

    The arguments are those of `linear_prompts`, with at most `n_dims` points, since nothing is orthogonal to more. Each query is as long as
    a point drawn from N(0, I). Garg et al. 2022, appendix B.
    """
    _check_sizes(n_prompts=n_prompts, n_points=n_points, n_dims=n_dims)
    if n_points > n_dims:
        raise ValueError(f"n_points: expected at most n_dims {n_dims}, where something is orthogonal to all points, found {n_points}")
    generator = _generator(seed)
    xs = torch.randn(n_prompts, n_points, n_dims, generator=generator)
    drawn = torch.randn(n_prompts, n_points, n_dims, generator=generator)
    basis = torch.linalg.qr(xs.double().transpose(1, 2)).Q  # [prompt, d, point]: column k lies in the span of the first k + 1 points
    queries = drawn.double()
    for k in range(1, n_points):
        shown = basis[:, :, :k]
        queries[:, k] -= (shown @ (shown.transpose(1, 2) @ drawn[:, k, :, None].double()))[..., 0]
    queries = queries / queries.norm(dim=-1, keepdim=True) * drawn.norm(dim=-1, keepdim=True)
    return _measured(xs, queries.float(), noise, generator)


def skewed_transform(n_dims: int, seed: Seed) -> Float[Tensor, "{n_dims} {n_dims}"]:
    r"""A transform that makes x's covariance fall off as $1/i^2$ along random orthogonal axes, $E\lVert x \rVert^2$ still d.

    Parameters
    ----------
    n_dims : int
    seed : int or torch.Generator

    Returns
    -------
    Tensor [n_dims, n_dims]
        Symmetric; for `linear_prompts(transform=...)`.

    Notes
    -----
    Garg et al. 2022, section 4.
    """
    _check_sizes(n_dims=n_dims)
    axes = torch.linalg.qr(torch.randn(n_dims, n_dims, generator=_generator(seed))).Q
    sizes = 1 / torch.arange(1, n_dims + 1)
    sizes = sizes * (n_dims / sizes.square().sum()).sqrt()
    return axes * sizes @ axes.T


def ridge_predictions(xs: Tensor, ys: Tensor, queries: Tensor, penalty: float, intercept: bool = False) -> Float[Tensor, "prompt query"]:
    r"""Predictions of ridge regressions fitted to whole prompts, in closed form: $\hat w = (X^\top X + \lambda I)^{-1} X^\top y$.

    Parameters
    ----------
    xs : Tensor [prompt, point, d]
    ys : Tensor [prompt, point]
    queries : Tensor [prompt, query, d]
        Of as many prompts.
    penalty : float
        $\lambda$, above 0.
    intercept : bool
        Fit an unpenalised intercept too, as scikit-learn's `Ridge` does by default.

    Returns
    -------
    Tensor [prompt, query]
        Computed in float64, given in the type of xs.

    Raises
    ------
    ValueError
        A penalty that is not positive, or shapes that do not fit.
    """
    if not penalty > 0:
        raise ValueError(f"penalty: expected a number above 0, found {penalty!r}")
    if xs.ndim != 3 or ys.shape != xs.shape[:2]:
        raise ValueError(f"xs, ys: expected [prompt, point, d] and [prompt, point], found {tuple(xs.shape)} and {tuple(ys.shape)}")
    if queries.ndim != 3 or (queries.shape[0], queries.shape[2]) != (xs.shape[0], xs.shape[2]):
        raise ValueError(f"queries: expected [{xs.shape[0]}, query, {xs.shape[2]}], found {tuple(queries.shape)}")
    x, y, q = xs.double(), ys.double()[..., None], queries.double()
    x_mean, y_mean = (x.mean(dim=1, keepdim=True), y.mean(dim=1, keepdim=True)) if intercept else (0.0, 0.0)
    x, y, q = x - x_mean, y - y_mean, q - x_mean
    gram = x.transpose(1, 2) @ x + penalty * torch.eye(x.shape[2], dtype=x.dtype, device=x.device)
    return (q @ torch.linalg.solve(gram, x.transpose(1, 2) @ y) + y_mean)[..., 0].to(xs.dtype)


def selector_prompts(
    n_prompts: int,
    seed: Seed,
    n_points: int = 21,
    n_fitted: int = 21,
    n_dims: int = 5,
    alphas: Sequence[float] = ALPHAS,
    noise_per_alpha: float = NOISE_PER_ALPHA,
) -> SelectorPrompts:
    r"""The model selector's data: which of two ridge regressions should one trust?

    For each prompt one of the alphas is drawn, all equally likely, and a function $w \sim N(0, I)$. Both ridge regressions (penalties
    `alphas`, with an unpenalised intercept as in the original) are fitted to the same `n_fitted` points with noise of standard deviation
    `noise_per_alpha` times alpha. They predict at `n_points` fresh points, whose y have noise of the same size.

    Parameters
    ----------
    n_prompts : int
    seed : int or torch.Generator
    n_points : int
        Fresh points: the prompt's length.
    n_fitted : int
        Points that both regressions see, 2 or more; the original has 21. With fewer the two regressions differ more.
    n_dims : int
    alphas : sequence of float
        The penalties, and what sets the noise.
    noise_per_alpha : float

    Returns
    -------
    SelectorPrompts

    Raises
    ------
    ValueError
        A size below one, fewer than two points fitted, an alpha that is not positive, or negative noise.

    Notes
    -----
    The prompt holds no x of a fitted or fresh point, only what the regressions predict there.
    """
    _check_sizes(n_prompts=n_prompts, n_points=n_points, n_dims=n_dims, n_fitted=n_fitted)
    if n_fitted < 2:
        raise ValueError(f"n_fitted: expected 2 or more points to fit an intercept and a slope, found {n_fitted}")
    alphas = tuple(map(float, alphas))
    if not alphas or min(alphas) <= 0:
        raise ValueError(f"alphas: expected positive numbers, found {alphas!r}")
    _check_noise("noise_per_alpha", noise_per_alpha)
    generator = _generator(seed)
    drawn = torch.tensor(alphas)[torch.randint(len(alphas), (n_prompts,), generator=generator)]
    w = torch.randn(n_prompts, n_dims, generator=generator)
    places = torch.randn(n_prompts, n_fitted + n_points, n_dims, generator=generator)
    noise = noise_per_alpha * drawn[:, None] * torch.randn(n_prompts, n_fitted + n_points, generator=generator)
    measured = (places @ w[..., None])[..., 0] + noise
    fitted = places[:, :n_fitted], measured[:, :n_fitted]
    xs = torch.stack([ridge_predictions(*fitted, places[:, n_fitted:], alpha, intercept=True) for alpha in alphas], dim=-1)
    return SelectorPrompts(xs, measured[:, n_fitted:], drawn)


def _measured(xs: Tensor, queries: Tensor | None, noise: float, generator: torch.Generator, w: Tensor | None = None) -> Prompts:
    """Measure a function for each prompt, drawn unless given, at the points and queries; without queries the points are asked."""
    _check_noise("noise", noise)
    if w is None:
        w = torch.randn(len(xs), xs.shape[2], generator=generator)

    def measure(places: Tensor) -> Tensor:
        values = (places @ w[..., None])[..., 0]
        return values + noise * torch.randn(values.shape, generator=generator) if noise else values

    ys = measure(xs)
    return Prompts(xs, ys, xs, ys, w, noise) if queries is None else Prompts(xs, ys, queries, measure(queries), w, noise)


def _generator(seed: Seed) -> torch.Generator:
    """A generator, from a seed or as it is."""
    if isinstance(seed, torch.Generator):
        return seed
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise TypeError(f"seed: expected a whole number or a torch.Generator, found {seed!r}")
    return torch.Generator().manual_seed(int(seed))


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, Integral) or size < 1:
            raise ValueError(f"{name}: expected a whole number of 1 or more, found {size!r}")


def _check_noise(name: str, noise: float) -> None:
    if not (noise >= 0 and math.isfinite(noise)):
        raise ValueError(f"{name}: expected a standard deviation of 0 or more, found {noise!r}")
