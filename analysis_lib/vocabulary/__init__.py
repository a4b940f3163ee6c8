"""Tokens as a reader sees them: their text, their place in a word, and what Morfeusz knows of them as Polish forms.

A `Vocabulary` is made from a tokenizer, a `Lexicon` from a list of forms, `TokenCounts` from texts.
"""

from analysis_lib.vocabulary.counts import TokenCounts
from analysis_lib.vocabulary.lexicon import Lexicon
from analysis_lib.vocabulary.tokens import Vocabulary

__all__ = [
    "Lexicon",
    "TokenCounts",
    "Vocabulary",
]
