"""What a model computes on texts: hidden states of every layer, attention patterns, module outputs.

One forward pass for each batch serves all layers and everything that is asked for. Values are recorded at the blocks themselves
(`hooks.recording`), because what transformers calls `hidden_states[-1]` of a GPT-2 has already been through ln_f: here the last block's
output is layer "L", and what ln_f makes of it is "L+ln_f". (`output_hidden_states=True` also leaves hooks of transformers on the model,
and recording does not.)

Batches are padded on the right with an attention mask, so that no tokenizer needs a padding token, positions count from the first token,
and no padded position is ever returned. `text_windows` says what a word is and how a long text is cut.
"""

import operator
import reprlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from analysis_lib.activations import hooks, sites
from analysis_lib.activations.text_windows import Encoded, Window, checked_texts, listed, token_table, windows_of
from analysis_lib.models import LoadedModel
from analysis_lib.sweeps.progress import shown


@dataclass(frozen=True)
class Activations:
    """Activations of all tokens of all texts, texts one after the other.

    Attributes
    ----------
    states : float32 [len(layers), token, d_model], or None
        Residual stream: "embed" is what the first block reads, "1" ... "L" what the blocks give, and for a
        model with a final layer norm "L+ln_f" what that makes of "L".
    layers : list of str
        Labels of the first axis of `states`.
    tokens : DataFrame [token]
        `text` (index), `position` (in the text's token sequence, special tokens counted), `word` (index of the word in
        the text, -1 for none), `word_form` (the whole word), `token_id`, `form` (characters that the token covers; a
        byte-level token that holds part of a character shows the character, an added token its name), `start`, `end`
        (their offsets in the text), `special` (added by the tokenizer, or a control token such as `<mask>` that the text itself holds),
        `first` (the model saw it at its first position), `window` (which window of a split text).
    passes : int
        Forward passes made.
    patterns : list of float32 [layer, head, query, key], or None
        Attention per text, on the text's positions. For a split text, keys outside a query's window have 0.
    attention, mlp, mlp_pre, mlp_hidden : float32 [L, token, d_model or d_mlp], or None
        Outputs of the attention and feed-forward modules before they are added to the residual stream, and
        neurons before and after the nonlinearity.
    """

    states: np.ndarray | None
    layers: list[str]
    tokens: pd.DataFrame
    passes: int
    patterns: list[np.ndarray] | None = None
    attention: np.ndarray | None = None
    mlp: np.ndarray | None = None
    mlp_pre: np.ndarray | None = None
    mlp_hidden: np.ndarray | None = None

    def layer(self, label: str) -> np.ndarray:
        """States of one layer, [token, d_model], by its label."""
        if str(label) not in self.layers:
            raise KeyError(f"label is {label!r}; expected one of {', '.join(self.layers)}")
        return self._kept()[self.layers.index(str(label))]

    def output(self, name: str) -> Any:
        """`states`, `patterns`, `attention`, `mlp`, `mlp_pre` or `mlp_hidden`; ValueError where the run was made without it."""
        found = getattr(self, name)
        if found is None:
            raise ValueError(f"{name}: expected a run that kept it, found one that did not")
        return found

    def words(self) -> tuple[np.ndarray, pd.DataFrame]:
        """Words: the mean over each word's tokens, and what they are.

        Returns
        -------
        states : float32 [len(layers), word, d_model]
        table : DataFrame [word] with `text word word_form start end n_tokens first`, in order of the texts;
            `first` where a token of the word stands at the model's first position.
        """
        rows = np.flatnonzero(self.tokens["word"].to_numpy() >= 0)
        groups = self.tokens.iloc[rows].groupby(["text", "word"], sort=False)
        table = groups.agg(
            word_form=("word_form", "first"),
            start=("start", "min"),
            end=("end", "max"),
            n_tokens=("position", "size"),
            first=("first", "any"),
        ).reset_index()
        count = table["n_tokens"].to_numpy()
        begin, states = np.cumsum(count) - count, self._kept()
        means = np.empty((len(states), len(table), states.shape[-1]), dtype=np.float32)
        if len(rows):
            for mean, layer in zip(means, states, strict=True):  # one at a time: of large models a copy of all layers is a gigabyte
                np.divide(np.add.reduceat(layer[rows], begin, axis=0), count[:, None].astype(np.float32), out=mean)
        return means, table

    def _kept(self) -> np.ndarray:
        if self.states is None:
            raise ValueError("states: expected the residual stream, found none, since the run was made with states=False")
        return self.states


def run(
    loaded: LoadedModel,
    texts: Sequence[str],
    *,
    batch_size: int = 16,
    stride: int | None = None,
    outputs: Sequence[str] = (),
    states: bool = True,
) -> Activations:
    """Run a model on texts and keep what its layers compute.

    Parameters
    ----------
    loaded : LoadedModel
        With a fast tokenizer. `models.wrap` makes one of a model that is in memory.
    texts : sequence of str
        At least one; none empty.
    batch_size : int
        Sequences per forward pass; those of similar length go together.
    stride : int, optional
        For texts longer than the model's context: tokens (special ones not counted) by which each window is ahead of
        the one before. Windows overlap by what is left of the context, and each token is reported once, from the
        window that gives it most left context. Without a stride an over-long text raises.
    outputs : sequence of str
        Any of "patterns", "attention", "mlp", "mlp_pre", "mlp_hidden".
    states : bool
        Keep the residual stream. Without it a pass stops where the last output asked for has been computed.

    Returns
    -------
    Activations

    Raises
    ------
    TypeError
        `loaded` is a bare model, or `texts` a string or a table.
    ValueError
        Empty or over-long text (index and lengths named), unknown output, unknown architecture, model in training
        mode, tokenizer without offsets, attention implementation that returns no patterns.
    """
    outputs = _checked_settings(loaded, batch_size, outputs)
    model = loaded.model
    encoded, windows = _encoded(loaded, texts, stride)
    store = _Store([len(text.ids) for text in encoded], outputs)
    passes = _fill(store, model, windows, batch_size, outputs, states)
    tokens = token_table(encoded, windows, store.offsets)
    return Activations(layers=sites.sites_of(model).layers, tokens=tokens, passes=passes, **store.arrays)


def run_ids(
    loaded: LoadedModel,
    sequences: Sequence[Sequence[int]] | np.ndarray,
    *,
    batch_size: int = 64,
    outputs: Sequence[str] = (),
    states: bool = True,
) -> Activations:
    """Run a model on sequences of token ids, as they are: no text, no special tokens added.

    Parameters
    ----------
    loaded : LoadedModel
        Its tokenizer is not asked.
    sequences : sequence of sequences of int, or integer array [sequence, position]
        At least one; none empty or longer than the model's context. Lengths may differ.
    batch_size : int
        Sequences per forward pass.
    outputs, states
        As for `run`.

    Returns
    -------
    Activations
        `tokens` has `text` (index of the sequence), `position`, `token_id` and `first`.

    Raises
    ------
    ValueError
        A sequence that is empty, too long or holds an id outside the vocabulary (its index named); and as for `run`.
    """
    outputs = _checked_settings(loaded, batch_size, outputs)
    model = loaded.model
    sequences = _checked_sequences(sequences, model.config)
    places = [np.arange(len(ids)) for ids in sequences]
    windows = [Window(index, 0, ids, place, place) for index, (ids, place) in enumerate(zip(sequences, places, strict=True))]
    store = _Store([len(ids) for ids in sequences], outputs)
    passes = _fill(store, model, windows, batch_size, outputs, states)
    return Activations(layers=sites.sites_of(model).layers, tokens=_id_table(sequences), passes=passes, **store.arrays)


def tokens_of(loaded: LoadedModel, texts: Sequence) -> pd.DataFrame:
    """The table of tokens that `run` gives for texts, or `run_ids` for sequences of ids, without running the model.

    Parameters
    ----------
    loaded : LoadedModel
    texts : sequence of str, or of sequences of token ids
        None longer than the context.

    Returns
    -------
    DataFrame [token]

    Raises
    ------
    ValueError
        As `run` and `run_ids`.
    """
    given = listed(texts)
    if given and not isinstance(given[0], str):
        return _id_table(_checked_sequences(given, loaded.model.config))
    encoded, windows = _encoded(loaded, given, None)
    return token_table(encoded, windows, np.r_[0, np.cumsum([len(text.ids) for text in encoded])])


def _encoded(loaded: LoadedModel, texts: Sequence[str], stride: int | None) -> tuple[list[Encoded], list[Window]]:
    """Texts as tokens, and the windows that they are read in."""
    tokenizer = loaded.tokenizer
    if not getattr(tokenizer, "is_fast", False):
        raise ValueError(f"loaded.tokenizer is {type(tokenizer).__name__} without offsets; expected a fast tokenizer")
    encoded = [Encoded.of(text, index, tokenizer) for index, text in enumerate(checked_texts(texts))]
    return encoded, [w for text in encoded for w in windows_of(text, _context(loaded.model, tokenizer), stride)]


def _id_table(sequences: list[list[int]]) -> pd.DataFrame:
    """The tokens of sequences of ids."""
    lengths = [len(ids) for ids in sequences]
    position = np.concatenate([np.arange(length) for length in lengths])
    text = np.repeat(np.arange(len(sequences)), lengths)
    return pd.DataFrame({"text": text, "position": position, "token_id": np.concatenate(sequences), "first": position == 0})


def _checked_sequences(sequences: Sequence[Sequence[int]] | np.ndarray, config: Any) -> list[list[int]]:
    """Sequences as lists of int, or an error that names the first that will not do."""
    checked = []
    for index, ids in enumerate(sequences):
        try:
            checked.append([operator.index(i) for i in ids])
        except TypeError as error:
            raise TypeError(f"sequences[{index}]: expected a sequence of whole numbers, found {reprlib.repr(ids)}") from error
    if not checked:
        raise ValueError("sequences is empty; expected at least one sequence of token ids")
    for index, ids in enumerate(checked):
        if not 1 <= len(ids) <= config.max_position_embeddings:
            raise ValueError(f"sequences[{index}] has {len(ids)} tokens; expected 1 to {config.max_position_embeddings}, the context")
        outside = next((i for i in ids if not 0 <= i < config.vocab_size), None)
        if outside is not None:
            raise ValueError(f"sequences[{index}] holds id {outside}; expected ids from 0 to {config.vocab_size - 1}")
    return checked


def _context(model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> int:
    """Longest sequence: what the positions hold, or less where the tokenizer says so (HerBERT: 512 of 514)."""
    return min(model.config.max_position_embeddings, tokenizer.model_max_length)


def _fill(store: "_Store", model: nn.Module, windows: list[Window], batch_size: int, outputs: tuple[str, ...], states: bool) -> int:
    """Run all windows, those of similar length together; returns the number of passes."""
    order = sorted(range(len(windows)), key=lambda i: len(windows[i].ids))
    batches = [[windows[i] for i in order[at : at + batch_size]] for at in range(0, len(order), batch_size)]

    def read(batch: list[Window]) -> int:
        store.put(_forward(model, batch, outputs, states), batch)  # one record at a time is in memory
        return len(batch)

    return len(list(shown(map(read, batches), len(batches), f"{type(model).__name__}, batches of texts")))


@torch.no_grad()
def _forward(model: nn.Module, batch: list[Window], outputs: tuple[str, ...], states: bool) -> dict[tuple[str, int], Tensor]:
    """The record of one pass: ("states", i) [sequence, position, d_model] if wanted, and each output [sequence, ...] of each layer."""
    width = max(len(window.ids) for window in batch)
    ids = torch.zeros((len(batch), width), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, window in enumerate(batch):
        ids[row, : len(window.ids)] = torch.tensor(window.ids)
        mask[row, : len(window.ids)] = 1
    device = next(model.parameters()).device
    with hooks.recording(model, outputs, states) as record:
        model.base_model(input_ids=ids.to(device), attention_mask=mask.to(device))
    return record


class _Store:
    """Arrays over all tokens, filled window by window."""

    def __init__(self, lengths: list[int], outputs: tuple[str, ...]) -> None:
        self.offsets, self.lengths = np.r_[0, np.cumsum(lengths)], lengths
        self.arrays: dict = {"states": None} | ({"patterns": [None] * len(lengths)} if "patterns" in outputs else {})

    def put(self, record: dict[tuple[str, int], Tensor], batch: list[Window]) -> None:
        """Keep what one pass recorded, layer by layer: of a large batch a copy of all layers would double the memory."""
        n_layers = Counter(name for name, _ in record)
        for (name, layer), recorded in record.items():
            values = recorded.float().cpu().numpy()
            if name != "patterns" and self.arrays.get(name) is None:
                self.arrays[name] = np.empty((n_layers[name], self.offsets[-1], values.shape[-1]), dtype=np.float32)
            for row, window in enumerate(batch):
                if name == "patterns":
                    self._put_pattern(layer, n_layers[name], values[row], window)
                else:
                    rows = self.offsets[window.text] + window.positions[window.report]
                    self.arrays[name][layer, rows] = values[row, window.report]

    def _put_pattern(self, layer: int, n_layers: int, values: np.ndarray, window: Window) -> None:
        patterns, n = self.arrays["patterns"], self.lengths[window.text]
        if patterns[window.text] is None:
            patterns[window.text] = np.zeros((n_layers, len(values), n, n), dtype=np.float32)
        queries = window.positions[window.report]
        patterns[window.text][layer][:, queries[:, None], window.positions] = values[:, window.report, : len(window.ids)]


def _checked_settings(loaded: LoadedModel, batch_size: int, outputs: Sequence[str]) -> tuple[str, ...]:
    if isinstance(loaded, PreTrainedModel):
        raise TypeError(f"loaded: expected a LoadedModel, found a bare {type(loaded).__name__}; models.wrap(model, tokenizer) makes one")
    outputs = hooks.checked_outputs(outputs)
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; expected at least 1")
    if loaded.model.training:
        raise ValueError("loaded.model is in training mode, where dropout changes states; expected model.eval()")
    sites.sites_of(loaded.model)  # refuses an unknown architecture before anything is encoded
    return outputs
