"""Checks the shapes and types of arrays that functions are annotated with; other annotations are mypy's to check."""

import functools
import typing
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from types import CodeType
from unittest import mock

import jaxtyping
from beartype import beartype
from jaxtyping import _import_hook


def check(function: Callable) -> Callable:
    """For jaxtyping's import hook: checked by beartype at each call, but for what has nothing to do with arrays."""
    kept = {name: kind for name, kind in function.__annotations__.items() if _names_an_array(kind)}
    function.__annotations__ = dict.fromkeys(function.__annotations__, typing.Any) | kept
    return beartype(function)


def _names_an_array(annotation: typing.Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, jaxtyping.AbstractArray):
        return True
    return any(_names_an_array(part) for part in typing.get_args(annotation))


def _own_code(loader: _import_hook._JaxtypingLoader, name: str) -> CodeType | None:
    """The compiled module, kept under a name of jaxtyping's."""
    kept_as = functools.partial(_import_hook._optimized_cache_from_source, loader._typechecker.get_hash())
    with mock.patch("importlib._bootstrap_external.cache_from_source", kept_as):
        return SourceFileLoader.get_code(loader, name)


# The hook keeps this name up while a module runs, so that PyTorch and whatever else it imports would be compiled anew in each process.
_import_hook._JaxtypingLoader.get_code = _own_code  # type: ignore[method-assign]
_import_hook._JaxtypingLoader.exec_module = SourceFileLoader.exec_module  # type: ignore[method-assign]
