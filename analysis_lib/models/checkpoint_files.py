"""What a checkpoint folder must hold, read before any model is built.

A checkpoint is a folder as `save_pretrained` writes it: `config.json`,
`model.safetensors` (or shards with an index) and the tokenizer's files. Weights
are read as safetensors only. A pickle can run code when it is opened, so a folder
that holds nothing else is refused, and its pickle is never opened (from the hub, `models.pickles`
reads one as tensors alone). So are files that ask for code of their own, links that lead out of the
folder, and configurations with more layers than the weights have tensors.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers.utils import logging as transformers_logging

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
TOKENIZER_SETS = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("vocab.txt",))
PICKLES = (
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "pytorch_model.pt",
    "model.pt",
    "model.pth",
    "model.ckpt",
)
OTHER_FORMATS = ("tf_model.h5", "flax_model.msgpack")


_OF_A_CLUSTER = re.compile(r"shard-\d{5}-model-\d{5}-of-\d{5}\.safetensors")


@dataclass
class _Silence:
    """How many loads keep transformers quiet, and how talkative it was before the first."""

    lock: Lock = field(default_factory=Lock)
    loads: int = 0
    found: tuple[int, bool] = (0, True)


_SILENCE = _Silence()


class CheckpointError(ValueError):
    """A checkpoint is not what this library can read; says what was found and what was expected."""


def found_in(folder: Path) -> str:
    """The names of a folder's files as one phrase, for error messages."""
    names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "") if names else "nothing"


def read_config(folder: Path) -> dict:
    """Read `config.json`.

    Parameters
    ----------
    folder : Path
        The checkpoint.

    Returns
    -------
    dict
        With at least `model_type`.

    Raises
    ------
    CheckpointError
        The file is missing, is not JSON, or names no model type.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise CheckpointError(f"{folder}: expected {CONFIG}, found {found_in(folder)}")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CheckpointError(f"{path}: expected JSON, found text that does not parse ({error})") from error
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise CheckpointError(f"{path}: expected an object with 'model_type', found none")
    if config.get("transformers_weights"):  # transformers would read that file instead of the one that is checked
        raise CheckpointError(
            f"{path}: expected the weights in {WEIGHTS}, found {config['transformers_weights']!r} in 'transformers_weights'"
        )
    refuse_code(path)
    return config


def refuse_code(path: Path) -> None:
    """Refuse a configuration, of a model or a tokenizer, that asks for code of its own: what it means cannot be read without that code."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        return  # the reader of the file says what is wrong with it
    for key in ("auto_map", "custom_pipelines"):
        if isinstance(found, dict) and found.get(key):
            raise CheckpointError(f"{path}: expected a checkpoint that needs no code of its own, found {key!r}; code is never run")


def refuse_links_out(folder: Path) -> None:
    """Refuse links to files outside the folder, such as a tokenizer or a chat template that is somebody's private file.

    The hub's cache consists of links from `snapshots/COMMIT` to `blobs`, and these are followed.
    """
    real = folder.resolve()
    allowed = (real, real.parent.parent / "blobs") if real.parent.name == "snapshots" else (real,)
    for entry in sorted([*folder.glob("*"), *folder.glob("additional_chat_templates/*")]):
        if entry.is_symlink() and not any(entry.resolve().is_relative_to(place) for place in allowed):
            raise CheckpointError(f"{entry}: expected a file in this folder, found a link to {os.readlink(entry)}, outside of it")


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files of a checkpoint, in the order of their names.

    Parameters
    ----------
    folder : Path
        The checkpoint.

    Returns
    -------
    tuple of Path
        One file, or the shards that the index names.

    Raises
    ------
    CheckpointError
        There are none (the message says whether the folder holds a pickle instead),
        the index does not parse, or one of its shards is missing.
    """
    parts = sorted(entry.name for entry in folder.iterdir() if _OF_A_CLUSTER.fullmatch(entry.name)) if folder.is_dir() else []
    if parts:  # transformers would merge every file of the folder
        raise CheckpointError(f"{folder}: expected {WEIGHTS}, found a distributed checkpoint ({parts[0]})")
    if (folder / WEIGHTS).is_file():
        return (folder / WEIGHTS,)
    if (folder / WEIGHTS_INDEX).is_file():
        names = shard_names(folder / WEIGHTS_INDEX)
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise CheckpointError(f"{folder}: {WEIGHTS_INDEX} names shards that are not there: {', '.join(missing)}")
        return tuple(folder / name for name in names)
    raise CheckpointError(no_safetensors(str(folder), [entry.name for entry in folder.iterdir()], found_in(folder)))


def shard_names(index: Path, suffix: str = ".safetensors") -> tuple[str, ...]:
    """The shard files that an index names: plain names, inside the same folder, with this suffix."""
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()), key=str)
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{index}: expected an object with 'weight_map', found {error!r}") from error
    wrong = [name for name in names if not isinstance(name, str) or Path(name).name != name or not name.endswith(suffix)]
    if wrong or not names:
        raise CheckpointError(f"{index}: expected names of {suffix} files in the same folder, found {wrong or names}")
    return tuple(names)


def no_safetensors(place: str, names: Sequence[str], found: str) -> str:
    """The error message for a place without safetensors; it names the pickle or other format that is there instead."""
    pickles = sorted(name for name in names if name in PICKLES or name.endswith((".bin", ".pkl", ".pth", ".pt", ".ckpt")))
    others = sorted(set(names) & set(OTHER_FORMATS))
    message = f"{place}: expected weights in {WEIGHTS}, found {found}."
    if pickles:
        message += (
            f" {pickles[0]} is a pickle, which can run code when it is opened, and is not read here. Someone who trusts"
            " it can rewrite it with save_pretrained(folder, safe_serialization=True) and load that folder."
        )
    elif others:
        message += f" {others[0]} is not a PyTorch checkpoint in safetensors."
    return message


def tensor_shapes(files: Sequence[Path]) -> dict[str, tuple[int, ...]]:
    """Read the headers of safetensors files, which also proves that each file is whole.

    Parameters
    ----------
    files : sequence of Path

    Returns
    -------
    dict
        Tensor name to shape; no tensor is read.

    Raises
    ------
    CheckpointError
        A file is empty, truncated, a pickle under another name, or no safetensors at all.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for path in files:
        try:
            with safe_open(path, framework="pt") as handle:
                shapes |= {name: tuple(handle.get_slice(name).get_shape()) for name in handle.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"{path}: expected a whole safetensors file, found {_what_is(path)} of {path.stat().st_size} bytes ({error})"
            ) from error
    if not shapes:
        raise CheckpointError(f"{files[0]}: expected tensors, found a safetensors file with none")
    return shapes


def _what_is(path: Path) -> str:
    """Name what a file that is no safetensors looks like, from its first bytes."""
    with path.open("rb") as handle:
        head = handle.read(64)
    if not head:
        return "an empty file"
    if head.startswith(b"PK\x03\x04") or (head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05"):
        return "a pickle (as torch.save writes), which is never opened here,"
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer (run `git lfs pull`)"
    if len(head) > 8 and head[8:9] == b"{":
        return "a truncated or damaged safetensors file"
    return "a file of another kind"


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder holds the files of a tokenizer of any kind read here."""
    return any(all((folder / name).is_file() for name in names) for names in TOKENIZER_SETS)


def sha256(files: Sequence[Path]) -> str:
    """The sha256 of one file, or of several read one after another, as hexadecimal digits."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as handle:
            while block := handle.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def read_with_transformers(folder: Path, what: str, reader: Callable, **options: Any) -> Any:
    """Call a transformers reader on a folder without network, and raise its failures as `CheckpointError`."""
    try:
        return reader(folder, local_files_only=True, **options)
    except CheckpointError:
        raise
    # transformers raises many kinds here: OSError, ValueError, RuntimeError (sizes), the tokenizers' own Exception.
    except Exception as error:
        raise CheckpointError(f"{folder}: expected a {what} that transformers can read, found {type(error).__name__}: {error}") from error


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence progress bars and load reports during a load; what matters in the reports is raised as an error.

    Loads may overlap in threads: the first silences, and the last to end restores what the first found.
    """
    with _SILENCE.lock:
        if not _SILENCE.loads:
            _SILENCE.found = (transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled())
            transformers_logging.set_verbosity_error()
            transformers_logging.disable_progress_bar()
        _SILENCE.loads += 1
    try:
        yield
    finally:
        with _SILENCE.lock:
            _SILENCE.loads -= 1
            if not _SILENCE.loads:
                verbosity, bars = _SILENCE.found
                transformers_logging.set_verbosity(verbosity)
                if bars:
                    transformers_logging.enable_progress_bar()
