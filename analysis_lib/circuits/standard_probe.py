"""Head scores of any model in one call, on a probe that is drawn the same way for every model.

The probe is that of the chapter on induction: sequences of random frequent words, in which a block of 16 words comes twice at a random
distance (`probes`). A chapter that needs other sequences, scores per sequence or intervals calls `probes` and `scoreboard` itself.
"""

import numpy as np
from jaxtyping import Float

from analysis_lib.circuits.induction import SCORES, probe_patterns, probe_scores
from analysis_lib.circuits.probes import RepeatedTokens, repeated_random_tokens
from analysis_lib.models import LoadedModel

BLOCK, GAPS = 16, (0, 24)
FREQUENT = 2000  # words to draw from: tokenizers number tokens roughly by frequency
DISTINCT = BLOCK + GAPS[1]  # so many different ids are needed if nothing but the block is to repeat


def standard_probe(loaded: LoadedModel, n_sequences: int = 48, seed: int = 0) -> RepeatedTokens:
    """The probe for one model: random frequent whole words of three letters or more, or random ids where the model reads no text.

    Parameters
    ----------
    loaded : LoadedModel
    n_sequences, seed : int

    Returns
    -------
    RepeatedTokens
        Every sequence begins with the token that begins a text for the model. Words are drawn without replacement where there are
        enough of them.

    Raises
    ------
    ValueError
        A model with too few tokens to draw from.
    """
    if loaded.tokenizer is None:
        start: int | None = 0
        pool = np.arange(1, loaded.model.config.vocab_size)
    else:
        tokenizer = loaded.tokenizer
        found = (tokenizer.cls_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id)
        start = next((token for token in found if token is not None), None)
        pool = np.flatnonzero(loaded.vocabulary.keep(words=True, whole_words=True, min_length=3))[:FREQUENT]
    if len(pool) < 2:
        raise ValueError(f"loaded: expected a model with two tokens or more to draw from, found {len(pool)} in {loaded.name}")
    distinct = len(pool[pool != start]) >= DISTINCT
    return repeated_random_tokens(pool.tolist(), n_sequences, BLOCK, GAPS, start=start, distinct=distinct, seed=seed)


def model_head_scores(
    loaded: LoadedModel, kind: str = "induction", n_sequences: int = 48, seed: int = 0
) -> Float[np.ndarray, "layer head"]:
    """What share of its attention each head gives to one kind of key, on the standard probe: `head_scores` of the library's face.

    Parameters
    ----------
    loaded : LoadedModel
        Any language model; with a context of 57 tokens or more.
    kind : {"induction", "previous token", "two back", "duplicate token", "first position"}
        As `scoreboard` defines them. A head that always attends to such a key scores 1.
    n_sequences, seed : int
        Of the probe.

    Returns
    -------
    numpy.ndarray of float64 [layer, head]
        Layers and heads count from 0. The mean over sequences; the largest of many scores is larger than that head's score on another
        draw, so choose a head with one seed and measure it with another.

    Raises
    ------
    ValueError
        An unknown kind, or a model that the probe does not fit.

    Examples
    --------
    >>> from analysis_lib import models
    >>> scores = model_head_scores(models.load("minigpt"), "induction", n_sequences=8)
    >>> scores.shape, bool(scores[1].max() > 0.5)
    ((2, 8), True)
    """
    if kind not in SCORES:
        raise ValueError(f"kind: expected one of {', '.join(SCORES)}, found {kind!r}")
    probe = standard_probe(loaded, n_sequences, seed)
    return probe_scores(probe_patterns(loaded, probe), probe)[kind].mean(axis=0)
