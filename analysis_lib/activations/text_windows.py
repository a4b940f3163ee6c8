"""Texts as the sequences a model sees: special tokens, words by offsets, windows of over-long texts.

A word is a maximal run of letters and digits, with single hyphens or apostrophes between them
(*biało-czerwony*, *Rousseau'a*); tokens belong to words by character offsets, whatever the alphabet
of the tokenizer.

A text that does not fit the model's context is cut into windows, each `stride` tokens ahead of the
one before and each with the special tokens of a whole text. Every token is reported once, from the
window that gives it most left context, which is the first that holds it.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd
from transformers import PreTrainedTokenizerBase

_LETTERS = r"(?:[^\W_][\u0300-\u036f]*)+"
WORD = re.compile(rf"{_LETTERS}(?:[-'’]{_LETTERS})*")


def listed(texts: Iterable[Any]) -> list[Any]:
    """Texts, or their ids, as a list; TypeError for a single string and for a table, which are no sequence of texts."""
    if isinstance(texts, str):
        raise TypeError(f"texts is the string {texts[:40]!r}; expected a sequence of strings")
    if isinstance(texts, (pd.DataFrame, Mapping)):  # going through them gives the names of columns or keys
        raise TypeError(f"texts is a {type(texts).__name__}; expected a sequence of strings, for example one of its columns")
    return list(texts)


def checked_texts(texts: Iterable[str]) -> list[str]:
    """The texts as a list. An empty text, or something that is not a text, raises an error with its index. See `listed`, too."""
    texts = listed(texts)
    if not texts:
        raise ValueError("texts is empty; expected at least one text")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"texts[{index}] is {type(text).__name__}; expected str")
        if not text.strip():
            raise ValueError(f"texts[{index}] is empty ({text!r}); expected a text with at least one token")
    return texts


def without_end(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Token ids of a text that goes on: what the tokenizer puts after a whole text is left out."""
    encoded = tokenizer(text, return_special_tokens_mask=True)
    ids, added = list(encoded["input_ids"]), list(encoded["special_tokens_mask"])
    while added and added[-1]:
        added.pop()
    return ids[: len(added)]


@dataclass(frozen=True)
class Encoded:
    """A text as tokens: `n_prefix` special tokens, then the content, then `n_suffix` special tokens."""

    index: int
    text: str
    ids: list[int]
    spans: list[tuple[int, int]]
    special: list[bool]
    forms: list[str]
    n_prefix: int
    n_suffix: int

    @classmethod
    def of(cls, text: str, index: int, tokenizer: PreTrainedTokenizerBase) -> "Encoded":
        """Tokenize a text and note which part of it each token covers."""
        full = tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True, verbose=False)
        added = np.array(full["special_tokens_mask"], dtype=bool)
        content = np.flatnonzero(~added)
        if len(content) == 0:
            raise ValueError(f"texts[{index}] is {text!r}, which has no tokens; expected a text with at least one")
        control = _control_ids(tokenizer)
        ids = list(full["input_ids"])
        spans = [_without_space(text, *span) for span in full["offset_mapping"]]
        names = tokenizer.convert_ids_to_tokens(ids)
        return cls(
            index=index,
            text=text,
            ids=ids,
            spans=spans,
            special=[bool(a) or token in control for a, token in zip(added, ids, strict=True)],
            forms=[name if a else text[slice(*span)] for name, a, span in zip(names, added, spans, strict=True)],
            n_prefix=int(content[0]),
            n_suffix=int(len(ids) - 1 - content[-1]),
        )


@dataclass(frozen=True)
class Window:
    """A sequence that fits the context, and where its tokens stand in the text."""

    text: int
    number: int  # in the text
    ids: list[int]
    positions: np.ndarray  # position in the text of each token
    report: np.ndarray  # places in the window that are reported from it


def windows_of(encoded: Encoded, context: int, stride: int | None) -> Iterator[Window]:
    """Windows of one text, none longer than `context` tokens; one window if the text fits.

    Raises ValueError for an over-long text without a stride, and for a stride that leaves tokens out.
    """
    n, prefix, suffix = len(encoded.ids), encoded.n_prefix, encoded.n_suffix
    if n <= context:
        yield Window(encoded.index, 0, encoded.ids, np.arange(n), np.arange(n))
        return
    room = context - prefix - suffix
    if stride is None:
        raise ValueError(
            f"texts[{encoded.index}] has {n} tokens and the model's context is {context}; expected a shorter text, or "
            f"a stride (1 to {room}) by which to split it"
        )
    if not 1 <= stride <= room:
        raise ValueError(f"stride is {stride}; expected 1 to {room}, the context of {context} less {prefix + suffix} special tokens")
    n_content = n - prefix - suffix
    reported = 0
    for number, start in enumerate(range(0, n_content - room + stride, stride)):
        stop = min(start + room, n_content)
        positions = np.r_[np.arange(prefix), prefix + np.arange(start, stop), n - suffix + np.arange(suffix)]
        begin = prefix + reported - start if number else 0
        end = len(positions) if stop == n_content else prefix + stop - start
        yield Window(encoded.index, number, [encoded.ids[p] for p in positions], positions, np.arange(begin, end))
        reported = stop


def token_table(encoded: list[Encoded], windows: list[Window], offsets: np.ndarray) -> pd.DataFrame:
    """A row for each token of each text, in order; `offsets[i]` is the first row of text i.

    Columns as in `activations.Activations.tokens`.
    """
    number, place = (np.empty(offsets[-1], dtype=np.int64) for _ in range(2))
    for window in windows:
        rows = offsets[window.text] + window.positions[window.report]
        number[rows], place[rows] = window.number, window.report
    tables = []
    for text in encoded:
        words = [match.span() for match in WORD.finditer(text.text)]
        word = [-1 if special else _word_of(span, words) for span, special in zip(text.spans, text.special, strict=True)]
        tables.append(
            {
                "text": [text.index] * len(text.ids),
                "position": range(len(text.ids)),
                "word": word,
                "word_form": ["" if w < 0 else text.text[slice(*words[w])] for w in word],
                "token_id": text.ids,
                "form": text.forms,
                "start": [span[0] for span in text.spans],
                "end": [span[1] for span in text.spans],
                "special": text.special,
            }
        )
    table = pd.DataFrame({name: [v for t in tables for v in t[name]] for name in tables[0]})
    return table.assign(first=place == 0, window=number)


def _control_ids(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Special tokens, but for the one of unknown words, unless it has another role: GPT-2's is its end of text."""
    roles = {getattr(tokenizer, f"{role}_token_id", None) for role in ("bos", "eos", "sep", "pad", "cls", "mask")}
    return set(tokenizer.all_special_ids) - ({tokenizer.unk_token_id} - roles)


def _without_space(text: str, start: int, end: int) -> tuple[int, int]:
    """The span without white space at its ends; byte-level tokens may cover the space before a word."""
    form = text[start:end]
    if not form.strip():
        return start, end
    return start + len(form) - len(form.lstrip()), end - len(form) + len(form.rstrip())


def _word_of(span: tuple[int, int], words: list[tuple[int, int]]) -> int:
    """Index of the first word that the span overlaps, -1 for none."""
    first = bisect_right(words, span[0], key=itemgetter(1))  # the first word that ends after the span starts
    overlaps = first < len(words) and words[first][0] < span[1] and span[1] > span[0]
    return first if overlaps else -1
