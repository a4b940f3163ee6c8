"""A checkpoint's folder, checked from the cheapest file to the dearest, and the model that is built of it."""

import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from analysis_lib.models import checkpoint_files
from analysis_lib.models.architectures import ARCHITECTURES
from analysis_lib.models.checkpoint_files import CheckpointError, quiet_transformers, read_with_transformers
from analysis_lib.vocabulary import TokenCounts

COUNTS_FILE = "token_counts.npz"


ADAPTER = "adapter_config.json"


@dataclass(frozen=True)
class Parts:
    """What a checkpoint's folder holds, as far as it can be told without reading the weights."""

    files: tuple[Path, ...]
    shapes: dict[str, tuple[int, ...]]
    model_class: type[PreTrainedModel]
    tokenizer: PreTrainedTokenizerBase | None


def read(folder: Path) -> Parts:
    """Check everything in a checkpoint but the weights' values."""
    checkpoint_files.refuse_links_out(folder)
    if (folder / ADAPTER).is_file():  # transformers would add it to the weights that were checked
        raise CheckpointError(
            f"{folder}: expected a whole model, found an adapter ({ADAPTER}); merge it with its model and save the result"
        )
    model_type = checkpoint_files.read_config(folder)["model_type"]
    architecture = ARCHITECTURES.get(model_type)
    if architecture is None:
        known = ", ".join(sorted(ARCHITECTURES))
        raise CheckpointError(f"{folder}: unknown architecture; expected model_type one of {known}, found {model_type!r}")
    files = checkpoint_files.weight_files(folder)
    shapes = checkpoint_files.tensor_shapes(files)
    bare = architecture.bare_class is not None and not any(name.startswith(architecture.head) for name in shapes)
    model_class = architecture.resolve("bare_class" if bare else "model_class")
    with quiet_transformers():
        config = read_with_transformers(folder, "configuration", model_class.config_class.from_pretrained)
        layers = getattr(config, "num_hidden_layers", 0)
        if layers > len(shapes):
            raise CheckpointError(f"{folder}: expected at most as many layers as tensors ({len(shapes)}), found {layers} in config.json")
        has_tokenizer = architecture.tokenized or checkpoint_files.has_tokenizer(folder)
        tokenizer = _load_tokenizer(folder, config) if has_tokenizer else None
    return Parts(files, shapes, model_class, tokenizer)


def read_counts(folder: Path, rows: int) -> TokenCounts | None:
    """The counts of tokens that lie beside a checkpoint, if any; refused where they cannot be those of `rows` tokens."""
    path = folder / COUNTS_FILE
    if not path.is_file():
        return None
    try:
        return TokenCounts.read(path).resized(rows)
    except (OSError, ValueError, EOFError, AttributeError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise CheckpointError(f"{path}: expected counts of tokens, found a file that is damaged ({error})") from error


def _load_tokenizer(folder: Path, config: Any) -> PreTrainedTokenizerBase:
    """Load the tokenizer and check it against the number of embedding rows."""
    if not checkpoint_files.has_tokenizer(folder):
        expected = " or ".join(" with ".join(names) for names in checkpoint_files.TOKENIZER_SETS)
        raise CheckpointError(f"{folder}: expected a tokenizer ({expected}), found {checkpoint_files.found_in(folder)}")
    if (folder / "tokenizer_config.json").is_file():
        checkpoint_files.refuse_code(folder / "tokenizer_config.json")
    tokenizer = read_with_transformers(folder, "tokenizer", AutoTokenizer.from_pretrained, trust_remote_code=False)
    misfit = tokenizer_misfit(tokenizer, config.vocab_size)
    if misfit:
        raise CheckpointError(f"{folder}: {misfit}")
    return tokenizer


def tokenizer_misfit(tokenizer: PreTrainedTokenizerBase, rows: int) -> str | None:
    """Why a tokenizer cannot belong to an embedding of so many rows, or None if it can."""
    largest = max(tokenizer.get_vocab().values(), default=-1)
    if max(len(tokenizer), largest + 1) > rows:
        return (
            f"the tokenizer does not fit the embedding: expected ids below {rows} (vocab_size"
            f" in config.json), found {len(tokenizer)} tokens with ids up to {largest}"
        )
    # Embeddings are padded to round numbers (GPT-2's 50,257 tokens in 51,200 rows), but not by more than this.
    if rows - len(tokenizer) > max(1024, rows // 20):
        return f"the tokenizer does not fit the embedding: expected about {rows} tokens (vocab_size in config.json), found {len(tokenizer)}"
    return None


def build(folder: Path, parts: Parts) -> PreTrainedModel:
    """Build the model and refuse one whose weights are not all from the file, or not all used, or not finite."""
    with quiet_transformers():
        try:
            model, report = read_with_transformers(
                folder,
                "weights",
                parts.model_class.from_pretrained,
                use_safetensors=True,
                dtype=torch.float32,
                attn_implementation="eager",
                output_loading_info=True,
            )
        except CheckpointError as error:
            misfit = _shape_misfit(folder, parts)
            raise CheckpointError(f"{folder}: {misfit}") if misfit else error from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise CheckpointError(
            f"{folder}: expected every weight of a {parts.model_class.__name__} in the file, found {len(parts.shapes)} tensors"
            f" without {', '.join(missing[:5])}{' and others' if len(missing) > 5 else ''}"
        )
    layers = [key for key in report["unexpected_keys"] if re.search(r"(^|\.)(h|layers?|blocks?)\.\d+\.", key) and not key.endswith("bias")]
    if layers:
        raise CheckpointError(
            f"{folder}: the file holds layers that config.json does not have ({sorted(layers)[0]}):"
            f" expected {model.config.num_hidden_layers}"
        )
    broken = next((key for key, value in model.state_dict().items() if not torch.isfinite(value).all()), None)
    if broken:
        raise CheckpointError(f"{folder}: expected finite weights, found NaN or infinity in {broken}")
    return without_chunks(model).eval()


def without_chunks(model: PreTrainedModel) -> PreTrainedModel:
    """The model with feed-forward layers that take all tokens at once: hooks there then see all, and the output is the same."""
    model.config.chunk_size_feed_forward = 0
    for module in model.modules():
        if getattr(module, "chunk_size_feed_forward", 0):
            module.chunk_size_feed_forward = 0
    return model


def _shape_misfit(folder: Path, parts: Parts) -> str | None:
    """The first weight whose shape in the file is not what config.json says; transformers only logs which it was."""
    try:
        with torch.device("meta"):
            wanted = parts.model_class(
                parts.model_class.config_class.from_pretrained(folder, attn_implementation="eager", local_files_only=True)
            ).state_dict()
    except Exception:  # a configuration of which no model can be made has an error of its own
        return None
    prefix = f"{parts.model_class.base_model_prefix}."
    for name, shape in parts.shapes.items():
        value = wanted.get(name, wanted.get(prefix + name))
        if value is not None and tuple(value.shape) != shape:
            return f"expected weights of the sizes in config.json, {tuple(value.shape)} for {name}, found {shape}"
    return None
