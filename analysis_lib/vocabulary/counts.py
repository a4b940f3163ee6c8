"""How often each token occurs in a text, and how often it stands there as a whole word.

The beginning of one word is often the whole of another: *Skrze-* of Skrzetuski is a form of *skra* to a dictionary, *seku-* of *sekunda* a
form of *sek*. Markers and dictionaries cannot tell them apart, but a text can: there *seku-* is followed by the rest of a word.
"""

import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from analysis_lib.vocabulary.tokens import REPLACEMENT, Vocabulary


@dataclass(frozen=True, eq=False)
class TokenCounts:
    """Counts of tokens in a text.

    Attributes
    ----------
    total : int array [vocab]
        Occurrences.
    whole_word : int array [vocab]
        Occurrences as a whole word: the token consists of letters, and neither it nor the token after it goes on with a word that the token
        before began.
    source : str
        What was counted, for captions.
    """

    total: np.ndarray = field(repr=False)
    whole_word: np.ndarray = field(repr=False)
    source: str = ""

    @classmethod
    def of_ids(cls, vocabulary: Vocabulary, rows: Iterable[ArrayLike], source: str = "") -> "TokenCounts":
        """Count the tokens of texts that are encoded already.

        Parameters
        ----------
        vocabulary : Vocabulary
        rows : iterable of int arrays [n]
            The ids of a text each. No word goes on from one row into the next.
        source : str
            What the texts are.

        Raises
        ------
        ValueError
            An id that the vocabulary does not have.
        """
        size = len(vocabulary)
        letters, goes_on, opens = _joints(vocabulary)
        total, whole_word = np.zeros(size, np.int64), np.zeros(size, np.int64)
        for row in rows:
            ids = np.asarray(row, dtype=np.int64)
            if not len(ids):
                continue
            if ids.min() < 0 or ids.max() >= size:
                raise ValueError(f"rows: expected ids from 0 to {size - 1}, found {ids.min()} to {ids.max()}")
            joined = np.zeros(len(ids) + 1, bool)
            joined[1:-1] = opens[ids[:-1]] & goes_on[ids[1:]]
            np.add.at(total, ids, 1)
            np.add.at(whole_word, ids[letters[ids] & ~joined[:-1] & ~joined[1:]], 1)
        return cls(total, whole_word, source)

    @classmethod
    def of_texts(cls, vocabulary: Vocabulary, texts: Iterable[str], source: str = "") -> "TokenCounts":
        """Encode texts with the vocabulary's own tokenizer and count their tokens.

        Parameters
        ----------
        vocabulary : Vocabulary
        texts : iterable of str
        source : str
            What the texts are.

        Raises
        ------
        TypeError
            `texts` is one string.
        """
        if isinstance(texts, str):
            raise TypeError(f"texts: expected an iterable of texts, found the string {texts[:40]!r}")
        # A byte-level tokenizer marks a word by the space before it, which the first word of a text lacks.
        space = " " if vocabulary.kind == "byte-level" else ""
        rows = (vocabulary.tokenizer(space + text.lstrip(), add_special_tokens=False, verbose=False)["input_ids"] for text in texts)
        return cls.of_ids(vocabulary, rows, source)

    @classmethod
    def read(cls, path: str | Path) -> "TokenCounts":
        """Read what `save` wrote.

        Raises
        ------
        ValueError
            The file holds no counts, or counts that cannot be.
        """
        try:
            opened = np.load(io.BytesIO(Path(path).read_bytes()), allow_pickle=False)
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path}: expected an .npz file of counts, found a file of another kind or a damaged one ({error})") from error
        if not isinstance(opened, np.lib.npyio.NpzFile):
            raise ValueError(f"{path}: expected an .npz file of counts, found a single array")
        with opened as file:
            missing = sorted({"total", "whole_word"} - set(file.files))
            if missing:
                raise ValueError(f"{path}: expected the arrays total and whole_word, found none named {' and '.join(missing)}")
            total, whole_word = (file[name].astype(np.int64) for name in ("total", "whole_word"))
            source = str(file["source"]) if "source" in file.files else ""
        if total.shape != whole_word.shape or total.ndim != 1 or (whole_word < 0).any() or (whole_word > total).any():
            raise ValueError(f"{path}: expected from 0 to `total` whole words of each token, found counts that cannot be")
        return cls(total, whole_word, source)

    def save(self, path: str | Path) -> None:
        """Write the counts as a compressed `.npz` file."""
        with open(path, "wb") as file:  # a path would get the ending `.npz` where it has none
            np.savez_compressed(file, total=self.total.astype(np.int64), whole_word=self.whole_word.astype(np.int64), source=self.source)

    def resized(self, rows: int) -> "TokenCounts":
        """The same counts for an embedding of `rows` rows; rows beyond the tokenizer's tokens occur never.

        Raises
        ------
        ValueError
            There are counts of more tokens than rows.
        """
        if len(self.total) > rows:
            raise ValueError(f"rows: expected at least {len(self.total)}, the tokens that were counted, found {rows}")
        missing = (0, rows - len(self.total))
        return TokenCounts(np.pad(self.total, missing), np.pad(self.whole_word, missing), self.source)

    def mostly_whole_words(self) -> np.ndarray:
        """Bool [vocab]: tokens that are a whole word in more than half of their occurrences; false where there are none."""
        return 2 * self.whole_word > self.total


def _joints(vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each token, whether it consists of letters, can go on with a word, can leave a word open: bool [vocab] each."""
    plain = vocabulary.is_token & ~vocabulary.is_special
    unknown = np.zeros(len(vocabulary), bool)
    if vocabulary.kind in ("metaspace", "end-of-word") and vocabulary.tokenizer.unk_token_id is not None:
        unknown[vocabulary.tokenizer.unk_token_id] = True  # a character without a token, which may be a letter
    first, last = (np.array([_is_letter(text[place]) for text in vocabulary.text]) for place in (slice(0, 1), slice(-1, None)))
    letters = np.array([text.isalpha() for text in vocabulary.text]) & plain
    if vocabulary.kind == "end-of-word":  # the marker says whether a word goes on after the token
        return letters & vocabulary.ends_word, plain | unknown, plain & ~vocabulary.ends_word | unknown
    return letters, plain & first & ~vocabulary.starts_word | unknown, plain & last | unknown  # it says whether a word went on before it


def _is_letter(character: str) -> bool:
    """Whether it is a letter, or a part of one."""
    return character.isalpha() or character == REPLACEMENT
