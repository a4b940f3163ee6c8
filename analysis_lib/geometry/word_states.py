"""Words and their states, as the measures of geometry take them: without the first word of each text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from analysis_lib import models
from analysis_lib.activations import Activations, run
from analysis_lib.models import LoadedModel
from analysis_lib.sweeps import sweep


@dataclass(frozen=True)
class WordStates:
    """States of words by layer, and what the words are.

    Attributes
    ----------
    layers : list of str
        Labels of the layers.
    states : float32 [layer, word, d_model]
        Of all words but the first of each text.
    table : DataFrame [word]
        As `Activations.words` gives it.
    firsts : float32 [layer, text, d_model]
        States of the first words.
    """

    layers: list[str]
    states: np.ndarray
    table: pd.DataFrame
    firsts: np.ndarray

    @classmethod
    def of(cls, run: Activations) -> "WordStates":
        """The words of a run; the first of each text, which has no words before it, is kept apart."""
        states, table = run.words()
        kept = ((table["word"] > 0) & ~table["first"]).to_numpy()
        return cls(run.layers, states[:, kept], table[kept].reset_index(drop=True), states[:, (table["word"] == 0).to_numpy()])

    @property
    def texts(self) -> np.ndarray:
        """The text of each word, int [word]."""
        return self.table["text"].to_numpy()

    @property
    def forms(self) -> np.ndarray:
        """Each word as it is written, str [word]."""
        return self.table["word_form"].to_numpy(dtype=str)

    @property
    def last_block(self) -> int:
        """Place of the last block's output among the layers, before any final layer norm."""
        return max(place for place, label in enumerate(self.layers) if label.isdigit())

    def of_form(self, form: str) -> tuple[np.ndarray, np.ndarray]:
        """States [layer, occurrence, d_model] and texts of the words written so."""
        own = self.forms == form
        return self.states[:, own], self.texts[own]

    def without_dimensions(self, dimensions: np.ndarray) -> np.ndarray:
        """The states with some dimensions [layer, k] of each layer set to zero."""
        states = self.states.copy()
        np.put_along_axis(states, np.asarray(dimensions)[:, None, :], 0, axis=2)
        return states


def read_words(loaded: LoadedModel, texts: Sequence[str], seed: int | None = None, last: int | None = None) -> WordStates:
    """The words of texts as a model reads them; kept on disk, so that several chapters, or a build that was stopped, read them once.

    Parameters
    ----------
    loaded : LoadedModel
    texts : sequence of str
    seed : int, optional
        Ask a model of the same configuration with fresh weights of this seed instead.
    last : int, optional
        Keep the states of so many layers, counted from the end, at least 1; all by default.

    Returns
    -------
    WordStates

    Raises
    ------
    ValueError
        `last` below 1; texts as in `activations.run`.
    """
    if last is not None and last < 1:
        raise ValueError(f"last is {last}; expected 1 at least, or None for all layers")
    read = partial(_read, texts=tuple(texts), last=last)
    (found,) = sweep(read, [seed], loaded, revision=loaded.key, title=f"{loaded.name}, words of texts")
    return found


def _read(loaded: LoadedModel, seed: int | None, texts: tuple[str, ...], last: int | None) -> WordStates:
    """One reading; a fresh model is gone before its words are averaged."""
    found = run(loaded if seed is None else models.untrained_like(loaded, seed), texts)
    kept = slice(None if last is None else -last, None)
    return WordStates.of(replace(found, layers=found.layers[kept], states=found.output("states")[kept]))


def read_by_each(
    loaded: Mapping[str, LoadedModel], texts: Sequence[str], for_untrained: Mapping[str, int] | None = None, seed: int = 0
) -> dict[str, dict[str, WordStates]]:
    """The words of texts as models read them, and as untrained models of the same configurations do.

    One untrained model is held at a time, since large ones take much memory.

    Parameters
    ----------
    loaded : mapping of name to LoadedModel
    texts : sequence of str
    for_untrained : mapping of name to int, optional
        How many of the texts the untrained model of that name reads; all where it is not named.
    seed : int
        Of the fresh weights.

    Returns
    -------
    dict
        ``"trained"`` and ``"untrained"``: the words by the model's name.

    Raises
    ------
    ValueError
        When ``for_untrained`` names a model that is not in ``loaded``.
    """
    limits = dict(for_untrained or {})
    if unknown := sorted(set(limits) - set(loaded)):
        raise ValueError(f"for_untrained names {unknown}, expected names of loaded models: {sorted(loaded)}")
    fresh = {}
    for name, model in loaded.items():
        fresh[name] = read_words(model, texts[: limits.get(name)], seed)
    return {"trained": {name: read_words(model, texts) for name, model in loaded.items()}, "untrained": fresh}
