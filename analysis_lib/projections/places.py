"""Where a model predicts in a text: the places, the states of every layer there, and the token that is to be predicted.

A causal model predicts the next token at every place. A masked model is asked where a token is hidden, since at a token that it sees it
has nothing to predict: whole words are hidden, one in `every`, and a text is read `every` times, so that each token is hidden once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis_lib.activations import run_ids, tokens_of
from analysis_lib.activations.sites import sites_of
from analysis_lib.models import LoadedModel, is_causal

AT_ONCE = 512
"""Sequences whose states of all layers are in memory together, at most."""

HELD = 1 << 28
"""Numbers of such states (1 GiB); a large model reads fewer sequences at once."""


@dataclass(frozen=True, eq=False)
class Places:
    """Places of texts, and what a model computes there.

    Attributes
    ----------
    sequences : list of list of int
        Token ids as the model read them, hidden tokens replaced.
    table : DataFrame [place]
        `text` (index), `sequence` (index), `position` (in the sequence), `token_id` (of the text, not of the mask), `form` (of that token),
        and `target`, the token to be predicted: in a causal model the next one, -1 after the last; in a masked model the hidden one.
    states : float32 [layer, place, d_model]
        Residual stream, "embed" to the last block's output, before any final norm.
    layers : list of str
        Labels of the first axis: "embed", "1" ... "L", or some of them.
    """

    sequences: list[list[int]]
    table: pd.DataFrame
    states: np.ndarray
    layers: list[str]

    @classmethod
    def of(cls, loaded: LoadedModel, texts: Sequence[str], every: int = 5, batch_size: int = 64, most: int | None = None) -> "Places":
        """Read texts and keep the states of all places where the model predicts.

        Parameters
        ----------
        loaded : LoadedModel
            That predicts tokens.
        texts : sequence of str
            None longer than the context.
        every : int
            Of a masked model: one word in so many is hidden, from 2. A causal model has no use for it.
        batch_size : int
        most : int, optional
            Keep the states of so many layers at most, from 4: the first two and the last two, and others evenly spread between them.

        Returns
        -------
        Places
            Special tokens are no places, and neither is the first token of a causal model, which has nothing before it to read.

        Raises
        ------
        ValueError
            A model that predicts no tokens, or a masked one whose tokenizer has no mask; `every` below 2; `most` below 4; texts as in
            `activations.run`.
        """
        if not loaded.predicts:
            raise ValueError(f"loaded: expected a model that predicts tokens, found the bare encoder {loaded.name}")
        if every < 2:
            raise ValueError(f"every is {every}; expected 2 or more, so that some words can be read")
        if most is not None and most < 4:
            raise ValueError(f"most is {most}; expected 4 layers or more, or None for all")
        tokens = tokens_of(loaded, texts)
        whole = [group.tolist() for _, group in tokens.groupby("text")["token_id"]]
        if is_causal(loaded.model):
            usable = ~tokens["special"] & ~tokens["first"]
            following = tokens["token_id"].shift(-1, fill_value=-1).where(tokens["text"] == tokens["text"].shift(-1), -1)
            table = tokens[["text", "position", "token_id", "form"]].assign(sequence=tokens["text"], target=following)[usable]
            return cls._read(loaded, whole, table.reset_index(drop=True), batch_size, most)
        sequences, table = _hidden_in_turn(whole, tokens, loaded.reader.mask_token_id, every)
        return cls._read(loaded, sequences, table, batch_size, most)

    @classmethod
    def _read(cls, loaded: LoadedModel, sequences: list[list[int]], table: pd.DataFrame, batch_size: int, most: int | None) -> "Places":
        """Run the model on the sequences and keep the states of the places."""
        kept = _spread(sites_of(loaded.model).n_layers, most)
        layers = ["embed" if layer == 0 else str(layer) for layer in kept]
        states = np.empty((len(layers), len(table), loaded.model.config.hidden_size), dtype=np.float32)
        number, position = table["sequence"].to_numpy(), table["position"].to_numpy()
        of_longest = sites_of(loaded.model).n_layers * states.shape[-1] * max(map(len, sequences))
        at_once = min(AT_ONCE, max(batch_size, HELD // of_longest))
        for at in range(0, len(sequences), at_once):  # the states of all other tokens are not kept
            part = sequences[at : at + at_once]
            begin = np.r_[0, np.cumsum([len(ids) for ids in part])]
            own = (number >= at) & (number < at + len(part))
            found = run_ids(loaded, part, batch_size=batch_size).output("states")
            states[:, own] = found[np.ix_(kept, begin[number[own] - at] + position[own])]
        return cls(sequences, table, states, layers)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def layer_numbers(self) -> list[int]:
        """Numbers of the layers, 0 for "embed"."""
        return [0 if label == "embed" else int(label) for label in self.layers]

    def at(self, rows: np.ndarray | list[int] | slice) -> "Places":
        """Some of the places, by a bool or int array or a slice."""
        rows = np.arange(len(self))[rows]
        return Places(self.sequences, self.table.iloc[rows].reset_index(drop=True), self.states[:, rows], self.layers)


def _spread(n_layers: int, most: int | None) -> list[int]:
    """Numbers of the states that are kept: 0 to `n_layers`, or the first and the last two of each and others between them."""
    if most is None or most > n_layers:
        return list(range(n_layers + 1))
    return [0, *np.linspace(1, n_layers - 1, most - 2).round().astype(int).tolist(), n_layers]


def _hidden_in_turn(whole: list[list[int]], tokens: pd.DataFrame, mask: int | None, every: int) -> tuple[list[list[int]], pd.DataFrame]:
    """Each text `every` times, with other words hidden each time; a mark that belongs to no word counts as one."""
    if mask is None:
        raise ValueError("loaded: expected a masked model with a mask token, found a tokenizer without one")
    begins = (tokens["word"] != tokens["word"].shift()) | (tokens["word"] < 0) | (tokens["position"] == 0)
    turn = begins.groupby(tokens["text"]).cumsum() % every
    usable = tokens[~tokens["special"]].assign(turn=turn)
    sequences: list[list[int]] = []
    tables = []
    for (text, _), group in usable.groupby(["text", "turn"], sort=True):
        ids = list(whole[text])
        for position in group["position"]:
            ids[position] = mask
        tables.append(group[["text", "position", "token_id", "form"]].assign(sequence=len(sequences), target=group["token_id"]))
        sequences.append(ids)
    return sequences, pd.concat(tables, ignore_index=True)
