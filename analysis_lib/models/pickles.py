"""Pickled weights as safetensors: tensors and nothing else.

A pickle is a program for a small machine, and can call any function of any module. Torch's restricted unpickler calls none but those that
build tensors, and this module refuses a file before that if it would unpack to more than its own size, and after that if anything but
tensors came out.
"""

import json
import pickle
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from analysis_lib.models import checkpoint_files
from analysis_lib.models.checkpoint_files import CheckpointError

WEIGHTS = "pytorch_model.bin"
WEIGHTS_INDEX = "pytorch_model.bin.index.json"


def is_weights(name: str) -> bool:
    """Whether a file of a repository is one of its pickled weights, or their index."""
    return re.fullmatch(r"pytorch_model(-\d+-of-\d+)?\.bin(\.index\.json)?", name) is not None


def convert(paths: Sequence[Path], folder: Path, place: str) -> None:
    """Write the tensors of pickles into a folder, one safetensors file for each, with an index where there are several.

    Parameters
    ----------
    paths : sequence of Path
        The pickle, or its shards.
    folder : Path
        Exists already. What is in it after an error is of no use.
    place : str
        What error messages call the checkpoint.

    Raises
    ------
    CheckpointError
        A pickle is refused (see `read`).
    """
    names = [f"model-{n:05}-of-{len(paths):05}.safetensors" for n in range(1, len(paths) + 1)] if len(paths) > 1 else ["model.safetensors"]
    weight_map: dict[str, str] = {}
    for path, name in zip(paths, names, strict=True):
        tensors = read(path, f"{place}: {path.name}")
        save_file(_apart(tensors), folder / name, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(tensors, name)
    if len(paths) > 1:
        index = {"metadata": {}, "weight_map": weight_map}
        (folder / checkpoint_files.WEIGHTS_INDEX).write_text(json.dumps(index), encoding="utf-8")


def read(path: Path, place: str) -> dict[str, Tensor]:
    """The tensors of a file that `torch.save` wrote, by name.

    Parameters
    ----------
    path : Path
        In today's format (a zip archive, which is mapped into memory) or in that of torch before 1.6.
    place : str
        What error messages call the file.

    Returns
    -------
    dict
        Name to tensor, on the processor, in the file's precision.

    Raises
    ------
    CheckpointError
        The file is damaged, would unpack to more than it is, or holds anything but tensors: the message names what.
    """
    archive = zipfile.is_zipfile(path)
    if archive:
        _refuse_bombs(path, place)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{place} is a pickle that holds {_culprit(error)}; expected tensors alone. Nothing of it was run."
        ) from error
    # A damaged file raises many kinds: RuntimeError, EOFError, KeyError, UnicodeDecodeError, MemoryError.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{place}: expected a whole file of torch.save, found one that cannot be read ({reason})") from error
    return _tensors_alone(found, path.stat().st_size, place)


def _refuse_bombs(path: Path, place: str) -> None:
    """Refuse an archive whose parts are compressed or overlap; torch.save writes them as they are, one after another."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise CheckpointError(f"{place}: expected a whole file as torch.save writes it, found a damaged archive ({error})") from error
    compressed = next((part.filename for part in parts if part.compress_type != zipfile.ZIP_STORED), None)
    unpacked, size = sum(part.file_size for part in parts), path.stat().st_size
    if compressed is not None:
        raise CheckpointError(f"{place}: expected parts as torch.save writes them, found {compressed!r} compressed, which has any size")
    if unpacked > size:
        raise CheckpointError(f"{place}: expected parts that fit in the file's {size} bytes, found parts of {unpacked} bytes")


def _culprit(error: pickle.UnpicklingError) -> str:
    """What the restricted unpickler stumbled over, out of its long message."""
    message = str(error)
    named = re.search(r"GLOBAL ([\w.]+)", message) or re.search(r"[Tt]rying to (?:load|instantiate|call)[^\n]*?([\w]+\.[\w.]+)", message)
    if named:
        return f"the function or class {named.group(1)!r}"
    plain = re.search(r"(?:WeightsUnpickler error|weights_only\S*)[:,]?\s*([^\n]+)", message)
    return f"what tensors do not need ({(plain.group(1) if plain else message.splitlines()[0])[:160]})"


def _tensors_alone(found: object, size: int, place: str) -> dict[str, Tensor]:
    """Refuse what is no dict of tensors, and tensors that are larger than what was stored."""
    if not isinstance(found, dict):
        raise CheckpointError(f"{place} is a pickle that holds a {type(found).__name__}; expected tensors by name and nothing else")
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(
                f"{place} is a pickle that holds a {type(value).__name__} under {str(name)[:60]!r}; expected tensors by name"
                " and nothing else"
            )
        if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
            raise CheckpointError(f"{place}: expected plain tensors, found {name!r} of layout {value.layout} on {value.device.type}")
    # A tensor may be stored under two names (an output matrix tied to the embedding), but one number cannot stand for a thousand.
    stretched = next((name for name, value in found.items() if value.nbytes > value.untyped_storage().nbytes()), None)
    total = sum(value.nbytes for value in found.values())
    if stretched is not None or total > 2 * size + 4096:
        raise CheckpointError(
            f"{place}: expected tensors that fit in the file's {size} bytes, found {stretched or 'tensors'!r} larger than that"
        )
    return found


def _apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors that share no memory, as safetensors wants them."""
    seen: set[int] = set()
    apart = {}
    for name, value in tensors.items():
        start = value.untyped_storage().data_ptr()
        apart[name] = value.clone(memory_format=torch.contiguous_format) if start in seen else value.contiguous()
        seen.add(start)
    return apart
