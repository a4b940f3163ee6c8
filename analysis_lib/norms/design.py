"""Which tokens and which terms enter a regression of a series on its own past: the specification and its design matrices.

The rows are tokens that have all their neighbours in the same text. The terms are lags, leads, covariates, and levels of texts and of
positions. `regression` estimates the coefficients.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import scipy.linalg
import scipy.sparse

ERRORS = ("ordinary", "hac", "cluster")


@dataclass(frozen=True)
class Specification:
    """What enters the regression beside the lags, and how its standard errors are estimated.

    Attributes
    ----------
    lags, leads : int
        How many earlier and later tokens' log norms are regressors. Leads make sense where a token sees what follows it.
    covariates : tuple of str
        Covariates of the outcome's token: columns of `tokens`, one for all layers or one a layer (`name_0`, `name_1`, ...), or
        `log_position` (the log of 1 + position), or `position_mean` (the mean log norm of the *other* texts at that position; the mean
        of all texts would contain the outcome).
    lagged_covariates : tuple of str
        Columns of `tokens` that enter for the token at every lag and lead. They say what the neighbours are, beside how large their
        updates were. One that is the same before every outcome is left out, as `word_internal` is where a tokenizer cuts no word.
    text_effects, position_effects : bool
        Whether each text, and each position, has a level of its own.
    errors : {"ordinary", "hac", "cluster"}
        Ordinary least squares; Newey and West's (Bartlett kernel within texts, $4 (T/100)^{2/9}$ lags); or the jackknife over texts (CRV3).
    first : int
        The first position, from 0, that may be an outcome. Position 0 attends to nothing but itself, and the next few to very little.
    word_starts : bool
        Use only outcomes whose token begins a word (column `word_internal`). The pieces of one word share a level, and a regression
        across that level reports a dependence on the past where there is only the word.
    correct_bias : bool
        Subtract the small-sample bias that text levels bring; needs `text_effects`.
    layers_up : int
        With 1, the outcomes are the log norms of the *next* layer, and the token itself is a regressor too, at lag 0. That is what an
        intervention on an update can be compared with, since within a layer no update acts on another. The bias of `correct_bias` is
        that of lagged outcomes and does not arise.

    Raises
    ------
    ValueError
        Counts that are no whole numbers or too small, unknown `errors`, `correct_bias` without `text_effects` or with `layers_up`.
    TypeError
        A single name where a tuple of names is expected.
    """

    lags: int = 2
    leads: int = 0
    covariates: tuple[str, ...] = ()
    lagged_covariates: tuple[str, ...] = ()
    text_effects: bool = True
    position_effects: bool = True
    errors: str = "cluster"
    first: int = 8
    word_starts: bool = False
    correct_bias: bool = True
    layers_up: int = 0

    def __post_init__(self) -> None:
        for name, least in (("lags", 1), ("leads", 0), ("first", 0), ("layers_up", 0)):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
                raise ValueError(f"{name}: expected a whole number of at least {least}, got {value!r}")
        for name in ("covariates", "lagged_covariates"):
            if isinstance(getattr(self, name), str):
                raise TypeError(f"{name}: expected a tuple of names, got the string {getattr(self, name)!r}")
        if self.errors not in ERRORS:
            raise ValueError(f"errors: expected one of {', '.join(ERRORS)}, got {self.errors!r}")
        if self.correct_bias and not self.text_effects:
            raise ValueError("correct_bias: expected text_effects=True, since the bias comes from the text levels; got text_effects=False")
        if self.correct_bias and self.layers_up:
            raise ValueError(f"correct_bias: expected False where outcomes are of a later layer, got True with layers_up={self.layers_up}")

    @property
    def shifts(self) -> list[int]:
        """How many tokens back the regressors are: the token itself where outcomes are of a later layer, lags, leads."""
        own = [0] if self.layers_up else []
        return [*own, *range(1, self.lags + 1), *range(-1, -self.leads - 1, -1)]


ORIGINAL = Specification(text_effects=False, position_effects=False, errors="ordinary", first=3, correct_bias=False)
IDENTITY = ("log_frequency", "log_rank", "no_word")  # what a token is, without its context
FULL = Specification(covariates=IDENTITY, lagged_covariates=(*IDENTITY, "word_internal"), word_starts=True)


@dataclass(frozen=True)
class Effects:
    """Levels of texts (or an intercept) and of positions.

    Attributes
    ----------
    dummies : sparse array [n, level]
    inverse : float64 [level, level]
        Pseudo-inverse of the levels' inner products.
    rank : int
    """

    dummies: scipy.sparse.csr_array
    inverse: np.ndarray
    rank: int

    def taken_out(self, values: np.ndarray) -> np.ndarray:
        """Columns [n, column] minus their projection on the levels."""
        return values - self.dummies @ (self.inverse @ (self.dummies.T @ values))


@dataclass(frozen=True)
class Design:
    """Outcomes and regressors of all layers on the same rows.

    Attributes
    ----------
    y : float64 [layer, n]
    x : float64 [layer, n, term]
        Lags and leads come first.
    terms : list of (name, lag)
    n_past : int
        How many of the terms are lags and leads.
    text : int [n]
        Codes from 0; the rows of a text stand together.
    n_texts : int
    positions : float64 [n, distinct position - 1]
        Dummies.
    effects : Effects
        What is projected out of both sides.
    pairs : float64 [distance]
        At d, the ordered pairs of outcomes that are d tokens apart in one text, divided by the outcomes of that text, summed over texts.
    place : int [n]
        The row of each outcome in the table of tokens.
    specification : Specification
    """

    y: np.ndarray
    x: np.ndarray
    terms: list[tuple[str, int]]
    n_past: int
    text: np.ndarray
    n_texts: int
    positions: np.ndarray
    effects: Effects
    pairs: np.ndarray
    place: np.ndarray
    specification: Specification

    @cached_property
    def levels(self) -> np.ndarray:
        """The levels that texts share, [n, level]: positions, without their means in each text; an intercept where texts have no level."""
        shared = self.positions if self.specification.position_effects else np.empty((len(self.text), 0))
        return self.within_texts(shared) if self.specification.text_effects else np.c_[np.ones(len(self.text)), shared]

    @cached_property
    def rows(self) -> list[slice]:
        """The rows of each text."""
        ends = np.cumsum(np.bincount(self.text))
        return [slice(start, end) for start, end in zip(np.r_[0, ends[:-1]], ends, strict=True)]

    @cached_property
    def leverage(self) -> list[np.ndarray]:
        r"""For each text $I + L_g (L_{-g}^\top L_{-g})^+ L_g^\top$, with $L$ the shared levels; what the jackknife needs of them."""
        products = [self.levels[rows].T @ self.levels[rows] for rows in self.rows]
        total = sum(products)
        others = (np.linalg.pinv(total - own, rcond=1e-10, hermitian=True) for own in products)
        return [
            np.eye(rows.stop - rows.start) + self.levels[rows] @ inverse @ self.levels[rows].T
            for rows, inverse in zip(self.rows, others, strict=True)
        ]

    def within_texts(self, values: np.ndarray) -> np.ndarray:
        """Columns [n, column] minus their means in each text."""
        count = np.bincount(self.text)
        sums = np.add.reduceat(values, [rows.start for rows in self.rows], axis=0)
        return values - (sums / count[:, None])[self.text]


def design_of(norms: np.ndarray, tokens: pd.DataFrame, specification: Specification) -> Design:
    """The design of a regression; parameters and errors as in `regression.lagged_regression`."""
    values = _log_norms(norms, tokens)
    text, position = (tokens[name].to_numpy() for name in ("text", "position"))
    codes, n_texts = _text_codes(text, position)
    if n_texts < 2 and (specification.position_effects or specification.errors == "cluster"):
        raise ValueError(
            "specification: position levels and errors='cluster' need two texts or more (clusters about forty, to be trusted), got 1;"
            " expected position_effects=False and errors='hac'"
        )
    if len(values) <= specification.layers_up:
        raise ValueError(f"layers_up: expected less than the {len(values)} layers of norms, got {specification.layers_up}")
    place = _outcomes(tokens, codes, specification.shifts, specification)
    _check_lengths(text, codes, place, specification)
    below, above = slice(0, len(values) - specification.layers_up), slice(specification.layers_up, None)
    columns = {("lag" if k >= 0 else "lead", k): values[below, place - k] for k in specification.shifts}
    for name in specification.covariates:
        columns[name, 0] = _of_layers(_covariate(name, tokens, values, codes), above)[..., place]
    for name in specification.lagged_covariates:
        neighbour = _of_layers(_covariate(name, tokens, values, codes), below)
        entering = {(name, k): neighbour[..., place - k] for k in specification.shifts if k}
        columns |= {term: column for term, column in entering.items() if np.ptp(column) != 0}  # NaN is refused below
    y = values[above, place]
    constant = np.flatnonzero(np.ptp(y, axis=1) < 1e-9)
    if constant.size:
        raise ValueError(f"norms: layer {constant[0]} is constant over the outcomes; expected norms that vary")
    x = np.stack([np.broadcast_to(column, y.shape) for column in columns.values()], axis=-1)
    bad = np.flatnonzero(~np.isfinite(x).all(axis=(0, 1)))
    if bad.size:
        name, lag = list(columns)[bad[0]]
        raise ValueError(f"tokens: {name} (lag {lag}) is not finite at some outcome; expected finite numbers")
    dummies = (np.unique(position[place])[1:] == position[place][:, None]).astype(float)
    codes = codes[place]
    effects, pairs = _effects(codes, dummies, specification), _pairs_by_distance(codes, place)
    return Design(y, x, list(columns), len(specification.shifts), codes, n_texts, dummies, effects, pairs, place, specification)


def _of_layers(values: np.ndarray, layers: slice) -> np.ndarray:
    """The chosen layers of a covariate, if it differs by layer."""
    return values[layers] if values.ndim > 1 else values


def _log_norms(norms: np.ndarray, tokens: pd.DataFrame) -> np.ndarray:
    values = np.atleast_2d(np.asarray(norms, dtype=float))
    if values.ndim != 2 or values.shape[1] != len(tokens):
        raise ValueError(f"norms: expected [layer, token] with {len(tokens)} tokens, got shape {np.shape(norms)}")
    if not (np.isfinite(values) & (values > 0)).all():
        bad = np.argwhere(~(np.isfinite(values) & (values > 0)))[0]
        raise ValueError(f"norms: expected positive finite numbers, got {values[tuple(bad)]} at layer {bad[0]}, token {bad[1]}")
    return np.log(values)


def _text_codes(text: np.ndarray, position: np.ndarray) -> tuple[np.ndarray, int]:
    """Texts as 0, 1, ... in their order; refuses a table whose texts are mixed or whose positions skip."""
    new = np.r_[True, text[1:] != text[:-1]]
    codes = np.cumsum(new) - 1
    if len(np.unique(text)) != codes[-1] + 1 or (np.diff(position)[~new[1:]] != 1).any():
        raise ValueError("tokens: expected texts one after the other, with positions that go up by one")
    return codes, int(codes[-1]) + 1


def _outcomes(tokens: pd.DataFrame, codes: np.ndarray, shifts: list[int], specification: Specification) -> np.ndarray:
    """Rows that can be outcomes: late enough, no special token, and with a neighbour at every lag and lead."""
    place = np.arange(len(tokens))
    usable = _usable(tokens)
    keep = usable & (tokens["position"].to_numpy() >= specification.first)
    for k in shifts:
        there = np.clip(place - k, 0, len(place) - 1)
        keep &= (place - k == there) & (codes[there] == codes) & usable[there]
    if specification.word_starts:
        keep &= ~_column(tokens, "word_internal").astype(bool)
    return place[keep]


def _check_lengths(text: np.ndarray, codes: np.ndarray, place: np.ndarray, specification: Specification) -> None:
    """Refuse a text that gives fewer than five outcomes."""
    outcomes = np.bincount(codes[place], minlength=codes[-1] + 1)
    if outcomes.min() < 5:
        short = int(np.argmin(outcomes))
        need = max(specification.lags, specification.first) + specification.leads + 5
        raise ValueError(
            f"tokens: text {text[np.argmax(codes == short)]} is too short, it gives {outcomes[short]} outcomes; expected 5 or more,"
            f" so at least {need} tokens (lags {specification.lags}, leads {specification.leads}, first {specification.first})"
        )


def _column(tokens: pd.DataFrame, name: str) -> np.ndarray:
    if name not in tokens:
        raise ValueError(f"tokens: expected a column {name!r}, got {', '.join(map(str, tokens.columns))}")
    return tokens[name].to_numpy(dtype=float)


def _covariate(name: str, tokens: pd.DataFrame, values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """A covariate of every token, [token] or, where it differs by layer, [layer, token]."""
    position = tokens["position"].to_numpy()
    if name == "log_position":
        return np.log1p(position)
    by_layer = [f"{name}_{layer}" for layer in range(len(values))]
    if name not in tokens and by_layer[0] in tokens:
        return np.stack([_column(tokens, column) for column in by_layer])
    if name != "position_mean":
        return _column(tokens, name)
    usable: np.ndarray = _usable(tokens).astype(float)
    if len(np.unique(codes[usable > 0])) < 2:
        raise ValueError("covariates: 'position_mean' is the mean over the other texts; expected two texts or more, got 1")
    there = np.unique(position, return_inverse=True)[1]
    count = np.bincount(there, usable)[there] - usable
    sums = np.stack([np.bincount(there, usable * row)[there] - usable * row for row in values])
    # Where no other text is as long, the mean over all positions of the other texts stands in.
    n_others = usable.sum() - np.bincount(codes, usable)[codes]
    means = np.stack([(usable @ row - np.bincount(codes, usable * row)[codes]) / n_others for row in values])
    return np.where(count > 0, sums / np.maximum(1, count), means)


def _usable(tokens: pd.DataFrame) -> np.ndarray:
    return ~tokens["special"].to_numpy(dtype=bool) if "special" in tokens else np.ones(len(tokens), dtype=bool)


def _effects(text: np.ndarray, positions: np.ndarray, specification: Specification) -> Effects:
    """The levels that a specification asks for."""
    levels = np.eye(int(text[-1]) + 1)[text] if specification.text_effects else np.ones((len(text), 1))
    dummies = scipy.sparse.csr_array(np.c_[levels, positions] if specification.position_effects else levels)
    values, vectors = scipy.linalg.eigh((dummies.T @ dummies).toarray())
    kept = values > 1e-10 * values[-1]  # the others belong to levels that further levels determine: rounding leaves 1e-14 of them
    return Effects(dummies, (vectors[:, kept] / values[kept]) @ vectors[:, kept].T, int(kept.sum()))


def _pairs_by_distance(text: np.ndarray, place: np.ndarray) -> np.ndarray:
    """`Design.pairs`."""
    groups = np.split(place, np.flatnonzero(np.diff(text)) + 1)
    pairs = np.zeros(max(8, *(np.ptp(group) + 1 for group in groups)))
    for group in groups:
        there = np.bincount(group - group[0]).astype(float)
        pairs[: len(there)] += np.correlate(there, there, "full")[len(there) - 1 :] / len(group)
    return pairs
