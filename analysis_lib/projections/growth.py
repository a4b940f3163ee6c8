"""What searches cost on larger models: exponents fitted to measured times, and what they say of a model that was not measured.

Three things are counted for all heads of a model, both matrices: *factors*, the products that turn weights into thin factors
(`W_E W_V` and so on); *search*, of which the whole product is the upper bound; and *shipping*, the weights that every machine has to
receive before it can begin.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

HOUR = 3600.0


class Shape(NamedTuple):
    """What a model measures.

    Attributes
    ----------
    layers, heads : int
        Heads are those of a layer.
    keys : int
        Heads of a layer that have keys and values of their own; fewer than `heads` where these are shared.
    vocab, d_model, d_head : int
    """

    layers: int
    heads: int
    keys: int
    vocab: int
    d_model: int
    d_head: int


LARGE = Shape(layers=126, heads=128, keys=8, vocab=128_000, d_model=16_384, d_head=128)
"""A model of 405 billion parameters, after Llama 3.1's."""


def fitted_exponent(sizes: ArrayLike, seconds: ArrayLike) -> float:
    """The slope of log seconds over log sizes, by least squares.

    Raises
    ------
    ValueError
        Fewer than two sizes, or numbers that are not above zero.
    """
    x, y = np.asarray(sizes, float), np.asarray(seconds, float)
    if x.shape != y.shape or len(np.unique(x)) < 2 or not ((x > 0).all() and (y > 0).all()):
        raise ValueError(f"sizes, seconds: expected two sizes or more, all above zero, got {x.tolist()} and {y.tolist()}")
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def fitted_exponents(rows: pd.DataFrame, parts: Sequence[str] = ("search", "factors")) -> pd.DataFrame:
    """Exponents of each line of measurements.

    Parameters
    ----------
    rows : DataFrame
        `varied` (the name of the column that was varied), `subject`, that column, and seconds in a column for each part, empty where
        it was not measured.
    parts : sequence of str

    Returns
    -------
    DataFrame
        `varied subject part exponent`.
    """
    found = []
    for (varied, subject), line in rows.groupby(["varied", "subject"], sort=False):
        for part in parts:
            measured = line.dropna(subset=[part])
            if measured[varied].nunique() > 1:
                found.append((varied, subject, part, fitted_exponent(measured[varied], measured[part])))
    return pd.DataFrame(found, columns=["varied", "subject", "part", "exponent"])


def whole_model(
    shape: Shape, share: float, rate: float, machines: Sequence[int] = (1, 10, 100), cores: int = 16, link: float = 10.0
) -> pd.DataFrame:
    """Hours for the lists of all heads of a model, both matrices.

    Parameters
    ----------
    shape : Shape
    share : float
        Of the whole product, what a search takes.
    rate : float
        Products on one core, in billions of operations a second.
    machines : sequence of int
        How many share the heads.
    cores : int
        Of each machine.
    link : float
        Gigabits a second that the machine with the weights can send. Weights have two bytes a number.

    Returns
    -------
    DataFrame, a row for each number of machines
        `machines`, and in hours `factors`, `search`, `shipping`, and `together`, their sum; `bottleneck` names the largest.
    """
    # Queries and outputs of each head; keys and values of each that has its own.
    sides = shape.layers * 2 * (shape.heads + shape.keys)
    factors = 2.0 * sides * shape.vocab * shape.d_model * shape.d_head
    search = share * 2.0 * shape.layers * 2 * shape.heads * shape.vocab**2 * shape.d_head
    embeddings, attention = 2.0 * shape.vocab * shape.d_model, float(sides * shape.d_model * shape.d_head)
    rows: list[dict] = []
    for count in machines:
        speed = count * cores * rate * 1e9
        sent = 16 * (embeddings * count + attention) / (link * 1e9)  # all heads read the embeddings; a head's own weights go to one machine
        hours = {"factors": factors / speed / HOUR, "search": search / speed / HOUR, "shipping": sent / HOUR}
        rows.append({"machines": count, **hours, "together": sum(hours.values()), "bottleneck": max(hours, key=lambda part: hours[part])})
    return pd.DataFrame(rows)
