"""The training of `minigpt-induction` on record: five seeds, and the shipped one along its way.

`training/minigpt.py` writes these files into the checkpoint's folder: `seeds.json` (scores of every head and losses for all seeds,
trained and untrained, and the course of each run), `seeds/` and `snapshots/` (weights).
"""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import load_file

from analysis_lib.models import checkpoint_files, loading
from analysis_lib.models.loading import LoadedModel
from analysis_lib.models.minigpt import MiniGPT

STUDY = "minigpt"


def seed_models() -> dict[int, LoadedModel]:
    """The trained model of every seed, by seed; the shipped one is among them."""
    return {int(path.stem.removeprefix("seed-")): _with_weights(path) for path in sorted((_folder() / "seeds").iterdir())}


def snapshots() -> dict[int, LoadedModel]:
    """The shipped model along its training, by steps taken: from 0, untrained, to the end."""
    found = {int(path.stem.removeprefix("step-")): _with_weights(path) for path in sorted((_folder() / "snapshots").iterdir())}
    return found | {int(course()["step"].max()): loading.load(STUDY, "embedded")}


def records() -> list[dict]:
    """What was measured for each seed: `seed`, `seconds`, `device`, and `trained` and `untrained` as `training/minigpt.py` gives them.

    In either, `previous_token` and `induction` are [layer][head], and `background`, `new`, `repeated` and `repeated_known_2` are losses
    in nats a token on fresh sequences.
    """
    return [{key: value for key, value in run.items() if key != "log"} for run in _stored()["runs"]]


def course() -> pd.DataFrame:
    """All runs along their training, 64 fresh sequences a row.

    Returns
    -------
    DataFrame
        `seed`, `step`, `train_loss` (mean since the row before; NaN at step 0), the best head's `previous_token` (layer 0) and
        `induction` (layer 1), losses `background`, `new`, `repeated`, `repeated_known_2` in nats a token, `seconds`.
    """
    return pd.concat([pd.DataFrame(run["log"]).assign(seed=run["seed"]) for run in _stored()["runs"]], ignore_index=True)


def shipped_seed() -> int:
    """The seed of the checkpoint itself: the median of all by induction score."""
    return _stored()["shipped"]


def _folder() -> Path:
    return loading.EMBEDDED_FOLDER / loading.STUDIES[STUDY].embedded


def _stored() -> dict:
    path = _folder() / "seeds.json"
    if not path.is_file():
        raise ValueError(f"{STUDY}: expected {path.name} beside its checkpoint, found none in {path.parent}; `make train` writes it")
    return json.loads(path.read_text(encoding="utf-8"))


def _with_weights(path: Path) -> LoadedModel:
    """The embedded model with other weights of the same run."""
    loaded = loading.load(STUDY, "embedded")
    with torch.random.fork_rng():
        model = MiniGPT(loaded.model.config)
    model.load_state_dict({name: weight.float() for name, weight in load_file(path).items()})
    identifier = f"{loaded.identifier}/{path.parent.name}/{path.stem}"
    return replace(loaded, model=model.eval(), identifier=identifier, revision=checkpoint_files.sha256([path]))
