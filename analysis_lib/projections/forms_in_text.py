"""Two words of a sentence: how much heads attend from one to the other, how alike their states are, and what a head has to do with it.

`texts.two_forms` has sentences in which a noun stands in two forms, each beside a sentence with another noun in the second place. What
heads do there and not in the control cannot come from the places of the words, nor from the word that is attended to.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike
from torch import Tensor

from analysis_lib import activations
from analysis_lib.activations import Activations
from analysis_lib.activations.interventions import head_means, put
from analysis_lib.models import LoadedModel


def word_attention(run: Activations, queries: ArrayLike, keys: ArrayLike) -> np.ndarray:
    """Attention from one word of each text to another.

    Parameters
    ----------
    run : Activations
        With patterns.
    queries, keys : int array [text]
        Where the words begin, in characters.

    Returns
    -------
    float64 [text, layer, head]
        Summed over the tokens of the key word and averaged over those of the query word, so that it lies between 0 and 1.

    Raises
    ------
    ValueError
        A run without patterns, other numbers of places than texts, or a place where no word begins.
    """
    if run.patterns is None:
        raise ValueError("run: expected patterns, found none; make it with outputs=['patterns']")
    pairs = zip(run.patterns, _tokens_of_words(run, "queries", queries), _tokens_of_words(run, "keys", keys), strict=True)
    return np.stack([pattern[:, :, query][..., key].sum(axis=3).mean(axis=2, dtype=np.float64) for pattern, query, key in pairs])


def word_patterns(run: Activations, text: int) -> tuple[np.ndarray, list[str]]:
    """Attention between all words of one text.

    Parameters
    ----------
    run : Activations
        With patterns.
    text : int

    Returns
    -------
    patterns : float64 [layer, head, word, word]
        Summed over the tokens of the word attended to and averaged over those of the word that attends. A row's sum is less than 1 where
        signs and special tokens get attention.
    words : list of str
    """
    if run.patterns is None:
        raise ValueError("run: expected patterns, found none; make it with outputs=['patterns']")
    own = run.tokens[(run.tokens["text"] == text) & (run.tokens["word"] >= 0)]
    words = own.drop_duplicates("word")["word_form"].tolist()
    member = (own["word"].to_numpy() == own["word"].unique()[:, None]).astype(np.float64)  # [word, token]
    places = own["position"].to_numpy()
    pattern = run.patterns[text][:, :, places[:, None], places]
    return (member / member.sum(axis=1, keepdims=True)) @ pattern @ member.T, words


def word_cosines(run: Activations, firsts: ArrayLike, seconds: ArrayLike, centre: ArrayLike | None = None) -> np.ndarray:
    """Cosine between the states of two words of each text.

    Parameters
    ----------
    run : Activations
        With states.
    firsts, seconds : int array [text]
        Where the words begin, in characters; a word's state is the mean over its tokens.
    centre : float array [layer, d_model], optional
        Taken away from all states beforehand, for instance their mean: states of one layer may all lie in one direction.

    Returns
    -------
    float64 [text, layer]
        Layers as in `run.layers`.

    Raises
    ------
    ValueError
        As for `word_attention`.
    """
    states = run.output("states").astype(np.float64)
    if centre is not None:
        states -= np.asarray(centre, dtype=np.float64)[:, None]
    text_starts = np.searchsorted(run.tokens["text"].to_numpy(), np.arange(len(_checked_places(run, "firsts", firsts))))
    sides = []
    for name, places in (("firsts", firsts), ("seconds", seconds)):
        means = [states[:, start + own].mean(axis=1) for start, own in zip(text_starts, _tokens_of_words(run, name, places), strict=True)]
        sides.append(np.stack(means))
    a, b = (side / np.linalg.norm(side, axis=-1, keepdims=True) for side in sides)
    return (a * b).sum(axis=-1)


@contextmanager
def without_heads(loaded: LoadedModel, heads: Iterable[tuple[int, int]], means: Tensor) -> Iterator[None]:
    """Passes in which some heads write the same at every token: their mean over the tokens of some texts.

    Parameters
    ----------
    loaded : LoadedModel
    heads : iterable of (layer, head)
    means : Tensor [layer, head, d_head]
        As `head_means_in` gives them.
    """
    by_layer: dict[int, list[int]] = {}
    for layer, head in heads:
        by_layer.setdefault(layer, []).append(head)
    with activations.edited(
        loaded.model, {("heads", layer): put(means[layer, chosen], heads=chosen) for layer, chosen in by_layer.items()}
    ):
        yield


def head_means_in(loaded: LoadedModel, texts: Sequence[str]) -> Float[Tensor, "layer head d_head"]:
    """Mean of what every head writes before the output matrix, over all tokens of some texts, [layer, head, d_head]; texts as for `run`."""
    by_text = activations.tokens_of(loaded, texts).groupby("text")["token_id"]
    return head_means(loaded.model, (torch.tensor(own.to_numpy(copy=True)[None], device=loaded.model.device) for _, own in by_text))


def _checked_places(run: Activations, name: str, places: ArrayLike) -> np.ndarray:
    places = np.asarray(places)
    n_texts = int(run.tokens["text"].max()) + 1
    if places.shape != (n_texts,):
        raise ValueError(f"{name}: expected one place for each of {n_texts} texts, found shape {places.shape}")
    return places


def _tokens_of_words(run: Activations, name: str, places: ArrayLike) -> list[np.ndarray]:
    """Positions of the tokens of the word that begins at a place of each text."""
    tokens: pd.DataFrame = run.tokens
    found = []
    for text, (place, own) in enumerate(zip(_checked_places(run, name, places), (part for _, part in tokens.groupby("text")), strict=True)):
        begins = own[own["word"] >= 0].drop_duplicates("word")
        words = begins.loc[begins["start"] == place, "word"]
        if not len(words):
            raise ValueError(f"{name}[{text}]: expected a place where a word begins, found {place}")
        found.append(own.loc[own["word"] == words.iloc[0], "position"].to_numpy())
    return found
