"""Numbers and labels in words."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import pandas as pd

MINUS = "\N{MINUS SIGN}"
NOT_DEFINED = "n/a"


def number(x: float, digits: int = 2, signed: bool = False, scale: float = 1) -> str:
    """A number as the pages write it: true minus sign, no minus before a zero, commas between thousands.

    Parameters
    ----------
    x : float or int
        Integers are written without decimals, whatever `digits` says.
    digits : int
        Decimals.
    signed : bool
        Whether positive numbers get a plus, as differences should.
    scale : float
        Factor: 100 for shares in per cent, 1e-6 for millions.

    Returns
    -------
    str
        "n/a" where `x` is not a number.

    Raises
    ------
    TypeError
        `x` is no number at all.

    Examples
    --------
    >>> number(-1.5), number(1234567), number(0.031, 1, signed=True, scale=100)
    ('−1.50', '1,234,567', '+3.1')
    """
    if not isinstance(x, Real):
        x = scalar(x)
    if not isinstance(x, Real):
        raise TypeError(f"x: expected a number, got {type(x).__name__}")
    if math.isnan(x):
        return NOT_DEFINED
    x = x if scale == 1 else float(x) * scale
    text = f"{abs(x):,}" if isinstance(x, Integral) else f"{abs(x):,.{digits}f}".replace("inf", "∞")
    if not re.search("[1-9∞]", text):  # rounds to zero, which has no sign
        return text
    return (MINUS if x < 0 else "+" if signed else "") + text


def percent(share: float, digits: int = 0, signed: bool = False) -> str:
    """A share between 0 and 1 in per cent: `percent(0.374)` is "37%"."""
    text = number(float(share), digits, signed, scale=100)
    return text if text == NOT_DEFINED else text + "%"


def scientific(x: float, digits: int = 1) -> str:
    """A very small or large number: `scientific(1.2e-07)` is "1.2 × 10⁻⁷"; zero is "0"."""
    if x == 0 or not math.isfinite(x):
        return "0" if x == 0 else number(x)
    mantissa, exponent = f"{float(x):.{digits}e}".split("e")
    power = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa.replace('-', MINUS)} × 10{power}"


def interval(estimate: float, low: float, high: float, digits: int = 2, signed: bool = False, scale: float = 1, unit: str = "") -> str:
    """An estimate with its interval, "0.74 [0.73, 0.76]". The page says once which level its intervals have.

    Parameters
    ----------
    estimate, low, high : float
        A `statistics.Interval` is given as `*found`.
    digits, signed, scale
        As in `number`.
    unit : str
        Written behind the estimate, for instance "%" or " nats".

    Examples
    --------
    >>> interval(-0.012, -0.02, 0.001, digits=3)
    '−0.012 [−0.020, 0.001]'
    >>> interval(0.37, 0.3, 0.44, digits=0, scale=100, unit="%")
    '37% [30, 44]'
    """
    middle, *ends = (number(float(x), digits, signed, scale) for x in (estimate, low, high))
    return f"{middle}{'' if middle == NOT_DEFINED else unit} [{ends[0]}, {ends[1]}]"


def p_value(p: float, floor: float = 0.001, bare: bool = False) -> str:
    """A p value, "p = 0.007", or "p < 0.001" below `floor`; `bare` leaves out the "p =", for the cells of a table.

    The smallest p that a permutation test can give is one over the number of draws plus one: give that as `floor` if it is
    larger than 0.001.

    Examples
    --------
    >>> p_value(0.0071), p_value(0.2), p_value(1e-9), p_value(0.2, bare=True)
    ('p = 0.007', 'p = 0.200', 'p < 0.001', '0.200')
    """
    if math.isnan(p):
        return NOT_DEFINED
    if not 0 <= p <= 1:
        raise ValueError(f"p: expected a number between 0 and 1, got {p}")
    digits = max(3, math.ceil(-math.log10(floor)))
    if p < floor:
        above = math.ceil(floor * 10**digits - 1e-9) / 10**digits  # rounded down it would claim too much
        return f"{'' if bare else 'p '}< {above:.{digits}f}"
    return f"{'' if bare else 'p = '}{p:.{digits}f}"


def span(values: Iterable[float], digits: int = 2, signed: bool = False, scale: float = 1, unit: str = "") -> str:
    """Smallest to largest of some numbers: "0.12 to 0.45", or one number where both round to the same."""
    values = list(values)
    if not values:
        raise ValueError("values: expected one number or more, found none")
    if any(math.isnan(float(x)) for x in values):
        return NOT_DEFINED
    low, high = (number(float(x), digits, signed, scale) for x in (min(values), max(values)))
    return (low if low == high else f"{low} to {high}") + unit


def duration(seconds: float) -> str:
    """A time in words, to two digits.

    >>> duration(4), duration(150), duration(7200)
    ('4 s', '2.5 min', '2 h')
    """
    for unit, length in (("h", 3600), ("min", 60)):
        if float(f"{60 * seconds / length:.2g}") >= 60:  # 59.7 s are 60 s to two digits, which is a minute
            return f"{_two_digits(max(seconds / length, 1))} {unit}"
    return f"{_two_digits(seconds)} s"


def _two_digits(x: float) -> str:
    """A number rounded to two digits and written without an exponent."""
    return f"{float(f'{x:.2g}'):,.12g}"


def listed(words: Iterable[Any], none: str = "none") -> str:
    """Some words as a sentence lists them: "a, b and c"; `none` where there are none."""
    *first, last = [str(word) for word in words] or [none]
    return f"{', '.join(first)} and {last}" if first else last


def head_name(layer: int, head: int) -> str:
    """The label of a head, both counted from 0: `head_name(0, 3)` is "L0H3"."""
    return f"L{layer}H{head}"


def is_interval(value: Any) -> bool:
    """Whether something has an estimate and two ends."""
    return all(hasattr(value, end) for end in ("estimate", "low", "high"))


def word_interval(value: Any, digits: int) -> Any:
    """An interval in words, anything else as a plain Python value."""
    if is_interval(value):
        return interval(value.estimate, value.low, value.high, digits)
    return scalar(value)


def scalar(value: Any) -> Any:
    """A scalar of NumPy or torch as Python's own."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value


def is_missing(value: Any) -> bool:
    """Whether a cell of a frame is empty."""
    if value is None or value is pd.NA or value is pd.NaT:
        return True
    value = scalar(value) if not is_interval(value) else value
    return isinstance(value, float) and math.isnan(value)


def parts_of(label: Any) -> tuple:
    """A label as the tuple of its levels."""
    return label if isinstance(label, tuple) else (label,)


def slug(label: Any) -> str:
    """A label as a part of a key."""
    return re.sub(r"[^\w]+", "-", str(label)).strip("-")
