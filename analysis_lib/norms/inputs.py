"""What the models read: texts that fit every context, what they are made of, and random tokens in place of texts."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from analysis_lib.models import LoadedModel
from analysis_lib.texts import split_sentences


def cut_to_fit(models: Iterable[LoadedModel], texts: Sequence[str]) -> list[str]:
    """Each text up to the last sentence with which it still fits the context of every model.

    A token has a predecessor only within the context, so a longer text would have to be read in windows.

    Parameters
    ----------
    models : iterable of LoadedModel
    texts : sequence of str

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        A text whose first sentence fits nowhere (its index is named).
    """
    contexts = [(m.reader, min(m.model.config.max_position_embeddings, m.reader.model_max_length)) for m in models]

    def fits(text: str) -> bool:
        return all(len(tokenizer(text, verbose=False)["input_ids"]) <= context for tokenizer, context in contexts)

    kept = []
    for index, text in enumerate(texts):
        sentences = split_sentences(text)
        cuts = (" ".join(sentences[:n]) for n in range(len(sentences), 0, -1))
        cut = next((cut for cut in cuts if fits(cut)), None)
        if cut is None:
            raise ValueError(
                f"texts[{index}]: expected a first sentence of at most {min(c for _, c in contexts)} tokens, got {sentences[0]!r}"
            )
        kept.append(cut)
    return kept


def random_tokens(loaded: LoadedModel, tokens: pd.DataFrame, seed: int = 0) -> list[list[int]]:
    """Token ids drawn evenly from the vocabulary, in sequences as many and as long as the texts; special tokens keep their places.

    Parameters
    ----------
    loaded : LoadedModel
    tokens : DataFrame [token]
        `text token_id special`, as of `update_norms`.
    seed : int
    """
    pool = np.setdiff1d(np.arange(len(loaded.reader)), list(set(loaded.reader.all_special_ids)))
    drawn = np.random.default_rng(seed).choice(pool, len(tokens))
    ids = np.where(tokens["special"], tokens["token_id"], drawn)
    return [ids[rows].tolist() for rows in tokens.groupby("text", sort=False).indices.values()]


def summary(tokens: pd.DataFrame) -> pd.Series:
    """What texts are made of, special tokens not counted.

    Parameters
    ----------
    tokens : DataFrame [token]
        Of `update_norms`.

    Returns
    -------
    Series
        `texts`, `tokens`, `median tokens in a text`, `tokens that continue a word [%]`, `punctuation [%]`; whole numbers.
    """
    content = tokens[~tokens["special"]]
    lengths = content.groupby("text").size()
    return pd.Series(
        {
            "texts": len(lengths),
            "tokens": len(content),
            "median tokens in a text": int(lengths.median()),
            "tokens that continue a word [%]": round(100 * content["word_internal"].mean()),
            "punctuation [%]": round(100 * content["no_word"].mean()),
        }
    )
