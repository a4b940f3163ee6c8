"""What is on record about the embedded models: held-out figures, training logs, the corpus, sizes.

`training/` writes these files beside each checkpoint when it exports it, from the weights that are shipped. A
chapter reads them instead of the corpus, which is not part of the repository.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from transformers import BertConfig, GPT2Config, PreTrainedModel

from analysis_lib.models.architectures import ARCHITECTURES, architecture_of
from analysis_lib.models.loading import EMBEDDED_FOLDER, STUDIES
from analysis_lib.statistics import Interval

LOG_COLUMNS = ["step", "tokens", "train_loss", "heldout_loss", "lr_share", "seconds"]

# The configurations that the hub repositories publish, without what does not change the number of parameters.
PUBLISHED = {
    "polish-gpt2": GPT2Config(vocab_size=51_200, n_positions=2048, n_embd=1024, n_layer=24, n_head=16, activation_function="gelu_fast"),
    "herbert": BertConfig(
        vocab_size=50_000,
        max_position_embeddings=514,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
    ),
}


def figures(name: str) -> dict:
    """The figures of an embedded model's `evaluation.json`; see `training/evaluate.py` for what each is.

    Parameters
    ----------
    name : str
        A study name, such as `herbert`.

    Returns
    -------
    dict
        Numbers and lists; whatever was stored with `mean`, `low` and `high` is an `Interval`. `run` holds
        `tokens`, `train_tokens`, `seconds`, `seed` and `device`.

    Raises
    ------
    ValueError
        An unknown study name, or a checkpoint without the file.
    """
    stored = json.loads(_file_of(name, "evaluation.json").read_text(encoding="utf-8"))
    return {key: _as_interval(value) for key, value in stored.items()}


def training_log(name: str) -> pd.DataFrame:
    """Loss against tokens seen, for an embedded model.

    Parameters
    ----------
    name : str
        A study name.

    Returns
    -------
    DataFrame
        `step`, `tokens`, `train_loss` and `heldout_loss` (nats a token), `lr_share` (of the peak learning
        rate), `seconds`.

    Raises
    ------
    ValueError
        An unknown study name, a checkpoint without a log, or a log with other columns.
    """
    path = _file_of(name, "training_log.csv")
    log = pd.read_csv(path)
    if list(log.columns) != LOG_COLUMNS:
        raise ValueError(f"{path}: expected columns {', '.join(LOG_COLUMNS)}, found {', '.join(log.columns)}")
    return log


def comparison(names: Sequence[str], rows: Mapping[str, str]) -> pd.DataFrame:
    """Figures of several embedded models side by side.

    Parameters
    ----------
    names : sequence of str
        Study names: the columns.
    rows : mapping of str to str
        A row's label to the figure's key.

    Returns
    -------
    DataFrame
        Numbers and intervals.
    """
    stored = {name: figures(name) for name in names}
    return pd.DataFrame({name: [stored[name][key] for key in rows.values()] for name in names}, index=list(rows))


def loss_by_position(name: str) -> pd.DataFrame:
    """A causal model's held-out loss by position in the window, averaged from each power of two to the next.

    A last group that would be less than half full joins the one before it.

    Parameters
    ----------
    name : str
        The study name of a causal model.

    Returns
    -------
    DataFrame
        `first`, the first position of a group, counted from 1, and `loss` [nats a token].
    """
    losses = np.array(figures(name)["heldout_loss_by_position"])
    firsts = 2 ** np.arange(int(np.log2(len(losses) / 1.5)) + 1)
    sums = np.add.reduceat(losses, firsts - 1)
    return pd.DataFrame({"first": firsts, "loss": sums / np.diff([*firsts, len(losses) + 1])})


def masked_accuracy(name: str) -> dict[str, Interval]:
    """How often the hidden token is among a masked model's first guesses, beside guessing by frequency and an untrained model.

    Parameters
    ----------
    name : str
        The study name of a masked model.

    Returns
    -------
    dict
        Label to share. All intervals are bootstraps over windows of text, because the hidden tokens of one window are not
        independent. The untrained model has none.

    Raises
    ------
    ValueError
        A share that is stored without its interval over windows, by an older version of `training/evaluate.py`.
    """
    stored = figures(name)
    keys = {"model, 1 guess": "top1", "by frequency, 1 guess": "unigram_top1", "model, 10 guesses": "top10"}
    keys["by frequency, 10 guesses"] = "unigram_top10"
    bare = next((key for key in keys.values() if not isinstance(stored[key], Interval)), None)
    if bare is not None:
        raise ValueError(f"{name}: expected {bare} with an interval over windows, found {stored[bare]}; export the checkpoint anew")
    untrained = stored["untrained_top10"]
    return {label: stored[key] for label, key in keys.items()} | {"untrained, 10 guesses": Interval(untrained, untrained, untrained)}


def corpus() -> dict:
    """What the training text was made of: words, documents, and what was left out and why (`training/corpus/`)."""
    return json.loads((EMBEDDED_FOLDER / "corpus.json").read_text(encoding="utf-8"))


def sources() -> pd.DataFrame:
    """The sources of the training text, the largest first.

    Returns
    -------
    DataFrame
        Indexed by `source`: `register`, `words` to train on, `share` of the training text, `heldout`, words of whole documents
        held out, `licence`.
    """
    found = pd.DataFrame(corpus()["sources"]).set_index("source")
    held = found["heldout_words"] + found["heldout_new_words"]
    table = pd.DataFrame({"register": found["register"], "words": found["train_words"]})
    table["share"] = table["words"] / table["words"].sum()
    return table.assign(heldout=held, licence=found["licence"]).sort_values("words", ascending=False, kind="stable")


def losses_by_source(names: Sequence[str]) -> pd.DataFrame:
    """Held-out losses of embedded models by source, in nats a token.

    Parameters
    ----------
    names : sequence of str
        Study names: the columns.

    Returns
    -------
    DataFrame
        A row for each source; `old` is the held-out set of the two oldest sources, novels and textbooks, whose loss is also that of
        `figures`.
    """
    return pd.DataFrame({name: figures(name)["heldout_loss_by_source"] for name in names})


def development(name: str) -> pd.DataFrame:
    """What a model's snapshots measured along its training (`training/development.py`), a row for each snapshot.

    Parameters
    ----------
    name : str
        A study name.

    Returns
    -------
    DataFrame
        Indexed by `tokens` seen: `heldout_loss` on the oldest sources [nats a token], `anisotropy`, the largest over layers, and for the
        scores and shares of heads the largest over all heads.

    Raises
    ------
    ValueError
        An unknown study name, or a checkpoint without the file.
    """
    rows = pd.read_csv(_file_of(name, "development.csv"))
    rows = rows[rows["source"].isna() | (rows["source"] == "old")]
    return rows.pivot_table(index="tokens", columns="measure", values="value", aggfunc="max").rename_axis(columns=None)


def published_model(name: str) -> PreTrainedModel:
    """The published model of a study without its weights (on torch's `meta` device), for counting parameters.

    Parameters
    ----------
    name : str
        `polish-gpt2` or `herbert`.

    Returns
    -------
    PreTrainedModel

    Raises
    ------
    ValueError
        A study without a published configuration here.
    """
    if name not in PUBLISHED:
        raise ValueError(f"name: expected one of {', '.join(PUBLISHED)}, found {name!r}")
    config = PUBLISHED[name]
    with torch.device("meta"):
        return ARCHITECTURES[config.model_type].resolve("model_class")(config)


def sizes(model: PreTrainedModel) -> dict[str, int]:
    """Layers, heads, widths, and how many parameters each part of a model has.

    Parameters
    ----------
    model : PreTrainedModel
        Of an architecture whose registry entry names its `parts`, as GPT-2's and BERT's do. Tied weights are counted once.

    Returns
    -------
    dict
        `layers`, `heads`, `d_model`, `d_head`, `d_mlp`, `positions`, `vocabulary`; then parameters:
        `token embedding`, `position embedding`, `attention`, `feed-forward`, `the rest` (layer norms,
        output head) and `all parameters`.

    Raises
    ------
    ValueError
        An architecture that is not registered, or whose parts have no names.
    """
    config, architecture = model.config, architecture_of(model)
    if not architecture.parts:
        raise ValueError(f"model: expected an architecture whose parts have names in the registry, found {config.model_type!r}")
    d_model, heads = config.hidden_size, config.num_attention_heads
    neurons = architecture.resolve("sites")(model).mlp_pre[0].module
    counts = dict.fromkeys((*architecture.parts, "the rest"), 0)
    for key, parameter in model.named_parameters():
        part = next((part for part, names in architecture.parts.items() if any(name in key for name in names)), "the rest")
        counts[part] += math.prod(parameter.shape)
    shape = {
        "layers": config.num_hidden_layers,
        "heads": heads,
        "d_model": d_model,
        "d_head": d_model // heads,
        "d_mlp": len(neurons.bias),
        "positions": config.max_position_embeddings,
        "vocabulary": config.vocab_size,
    }
    return shape | counts | {"all parameters": sum(counts.values())}


def _file_of(name: str, file: str) -> Path:
    """A file beside an embedded checkpoint, or a ValueError that says what there is."""
    embedded = {study: places.embedded for study, places in STUDIES.items() if places.embedded}
    if name not in embedded:
        raise ValueError(f"name: expected a study name with an embedded checkpoint ({', '.join(embedded)}), found {name!r}")
    path = EMBEDDED_FOLDER / embedded[name] / file
    if not path.is_file():
        raise ValueError(f"{name}: expected {file} beside its checkpoint, found none in {path.parent}; `make train` writes it")
    return path


def _as_interval(value: object) -> object:
    """A stored interval as an `Interval`, anything else as it is."""
    if isinstance(value, dict) and set(value) == {"mean", "low", "high"}:
        return Interval(value["mean"], value["low"], value["high"])
    return value
