"""Checks the shapes and types of arrays that functions are annotated with; other annotations are mypy's to check."""

import typing
from collections.abc import Callable

import jaxtyping
from beartype import beartype


def check(function: Callable) -> Callable:
    """For jaxtyping's import hook: checked by beartype at each call, but for what has nothing to do with arrays."""
    kept = {name: kind for name, kind in function.__annotations__.items() if _names_an_array(kind)}
    function.__annotations__ = dict.fromkeys(function.__annotations__, typing.Any) | kept
    return beartype(function)


def _names_an_array(annotation: typing.Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, jaxtyping.AbstractArray):
        return True
    return any(_names_an_array(part) for part in typing.get_args(annotation))
