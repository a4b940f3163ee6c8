"""What is on record of a recipe's runs: the models of all its seeds, and the induction toy along its training.

The recipes in `training/` write these files into the checkpoint's folder: `seeds.json` (what was measured for every seed), `seeds/` (the
weights of each) and, for the toy, `snapshots/`. The weights lie in the repository and not in the installed package (the wheel).
"""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
from safetensors.torch import load_file

from analysis_lib.models import checkpoint_files, loading
from analysis_lib.models.loading import LoadedModel

STUDY = "minigpt"


def seed_models(name: str = STUDY) -> dict[int, LoadedModel]:
    """The trained model of every seed, by seed; the shipped one is among them.

    Parameters
    ----------
    name : str
        A study name whose recipe keeps the weights of all seeds: `minigpt` or one of the regressors.

    Raises
    ------
    ValueError
        An unknown study, or a checkpoint without `seeds/`.
    """
    return {int(path.stem.removeprefix("seed-")): _with_weights(name, path) for path in _weights_in(name, "seeds")}


def seed_figures(name: str) -> dict[int, dict]:
    """What was measured for every seed of a regressor, by seed, as `training/regressor_export.py` stores it."""
    return {int(seed): figures for seed, figures in _stored(name).items()}


def snapshots() -> dict[int, LoadedModel]:
    """The shipped model at several steps of its training, by step: from 0, untrained, to the last."""
    found = {int(path.stem.removeprefix("step-")): _with_weights(STUDY, path) for path in _weights_in(STUDY, "snapshots")}
    return found | {int(course()["step"].max()): loading.load(STUDY, "embedded")}


def records() -> list[dict]:
    """What was measured for each seed: `seed`, `seconds`, `device`, and the measures `trained` and `untrained` of `training/minigpt.py`.

    In both, `previous_token` and `induction` are [layer][head], and `background`, `new`, `repeated` and `repeated_known_2` are losses
    in nats a token on fresh sequences.
    """
    return [{key: value for key, value in run.items() if key != "log"} for run in _stored()["runs"]]


def course() -> pd.DataFrame:
    """Measures of all runs at several steps, each on 64 fresh sequences.

    Returns
    -------
    DataFrame
        `seed`, `step`, `train_loss` (mean since the row before; NaN at step 0), the best head's `previous_token` (layer 0) and
        `induction` (layer 1), losses `background`, `new`, `repeated`, `repeated_known_2` in nats a token, `seconds`.
    """
    return pd.concat([pd.DataFrame(run["log"]).assign(seed=run["seed"]) for run in _stored()["runs"]], ignore_index=True)


def shipped_seed() -> int:
    """The seed of the checkpoint itself, which is the median of all seeds by induction score."""
    return _stored()["shipped"]


def _folder(name: str) -> Path:
    embedded = {study: places.embedded for study, places in loading.STUDIES.items() if places.embedded}
    if name not in embedded:
        raise ValueError(f"name: expected a study name with an embedded checkpoint ({', '.join(embedded)}), found {name!r}")
    return loading.EMBEDDED_FOLDER / embedded[name]


def _stored(name: str = STUDY) -> dict:
    path = _folder(name) / "seeds.json"
    if not path.is_file():
        raise ValueError(f"{name}: expected {path.name} beside its checkpoint, found none in {path.parent}; `make train` writes it")
    return json.loads(path.read_text(encoding="utf-8"))


def _weights_in(name: str, kind: str) -> list[Path]:
    paths = sorted((_folder(name) / kind).glob("*.safetensors"))
    if not paths:
        raise ValueError(
            f"{name}: expected weights in {_folder(name) / kind}, found none; the book's repository has them, the installed package"
            " does not, and `make train` writes them"
        )
    return paths


def _with_weights(name: str, path: Path) -> LoadedModel:
    """The embedded model with other weights of the same recipe."""
    loaded = loading.load(name, "embedded")
    with loading.seeded(0):
        model = type(loaded.model)(loaded.model.config)
    model.load_state_dict({key: weight.float() for key, weight in load_file(path).items()})
    identifier = f"{loaded.identifier}/{path.parent.name}/{path.stem}"
    return replace(loaded, model=model.eval(), identifier=identifier, revision=checkpoint_files.sha256([path]))
