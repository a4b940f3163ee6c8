"""A model beside everything that reads its weights as words."""

from dataclasses import dataclass
from functools import cached_property

import joblib
import numpy as np

from analysis_lib import models, texts
from analysis_lib.models import LoadedModel
from analysis_lib.projections.shared_features import word_tokens
from analysis_lib.vocabulary import Lexicon, TokenCounts, Vocabulary
from analysis_lib.weights import TransformerWeights, extract

LARGE = 100_000


@dataclass(frozen=True, eq=False)
class Reader:
    """A model's weights with its own vocabulary and what the dictionary says of each token.

    Attributes
    ----------
    loaded : LoadedModel
    weights : TransformerWeights
    vocabulary : Vocabulary
    lexicon : Lexicon
        Row = token id. Of a large vocabulary only tokens that a text holds and that can be words are looked up.
    counts : TokenCounts
        How often each token stands as a whole word in a text.
    keep : bool array [vocab]
        Tokens that lists are made of: those that are mostly whole words and that the dictionary knows, with or without numbers.
    """

    loaded: LoadedModel
    weights: TransformerWeights
    vocabulary: Vocabulary
    lexicon: Lexicon
    counts: TokenCounts
    keep: np.ndarray

    @classmethod
    def of(cls, loaded: LoadedModel, numbers: bool = False, counts: TokenCounts | None = None) -> "Reader":
        """Extract a model's weights and look up every token.

        Parameters
        ----------
        loaded : LoadedModel
            With a tokenizer.
        numbers : bool
            Keep numbers (*1863*, *XIX*) beside words.
        counts : TokenCounts, optional
            By default those that came with the model, else those of the book's own texts, which are short: they leave few tokens.

        Raises
        ------
        ValueError
            Counts of another number of tokens.
        """
        weights = extract(loaded)
        vocabulary = loaded.vocabulary
        counts = counts or loaded.counts or TokenCounts.of_texts(vocabulary, texts.all_texts(), "the texts written for this book")
        if len(counts.total) != len(vocabulary):
            raise ValueError(
                f"counts: expected an entry for each of {len(vocabulary)} rows of the embedding, found {len(counts.total)};"
                " `counts.resized` fits them to a padded one"
            )
        # The dictionary takes ten seconds for a quarter of a million tokens, most of which are not asked about.
        asked = vocabulary.keep(words=False, whole_words=True) & (counts.total > 0) if len(vocabulary) > LARGE else vocabulary.is_token
        lexicon = Lexicon.from_forms(np.where(asked, vocabulary.text, ""))
        words = vocabulary.keep(whole_words=True, counts=counts, lexicon=lexicon)
        return cls(loaded, weights, vocabulary, lexicon, counts, word_tokens(vocabulary, lexicon, counts) if numbers else words)

    @cached_property
    def revision(self) -> str | None:
        """What a sweep keeps results under: the model's key, the tokens' texts and which are kept; None for a model that has no key."""
        key = self.loaded.key
        return None if key is None else f"{key} {joblib.hash((list(self.vocabulary.text), self.keep))}"

    def untrained(self, seed: int = 0) -> TransformerWeights:
        """Weights of the same configuration before training, embeddings included."""
        return extract(models.untrained_like(self.loaded, seed=seed))
