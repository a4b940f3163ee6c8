"""Tokens as a reader sees them: surface forms, filters and word look-up.

Subword tokenizers write their pieces in alphabets of their own. GPT-2's byte-level BPE spells `żeby` after a space
as `ĠÅ¼eby`; SentencePiece writes `▁żeby`; HerBERT's BPE ends a word with `</w>`; BERT's WordPiece begins a continuation
with `##`. Here each token has its decoded text, and what its marker says about words:

============  ======================================  =====================================================
marker        says                                    leaves open
============  ======================================  =====================================================
`Ġ` (bytes)   this piece begins a word                whether the word ends here (`Ġszczeg` goes on)
`▁`           this piece begins a word                whether the word ends here (`▁szczeg` goes on)
`</w>`        this piece ends a word                  whether it began here (`nie</w>` also ends `pięknie`)
`##`          this piece continues a word             whether the word ends here
============  ======================================  =====================================================

`starts_word` and `ends_word` therefore say what a token *can* do: they are false where the marker rules it out, and true where
the marker says so or leaves it open. A token that can do both can be a whole word (`whole_words`).
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import PreTrainedTokenizerBase
from transformers.convert_slow_tokenizer import bytes_to_unicode

if TYPE_CHECKING:
    from analysis_lib.vocabulary.counts import TokenCounts
    from analysis_lib.vocabulary.lexicon import Lexicon

BYTE_OF = {letter: byte for byte, letter in bytes_to_unicode().items()}
"""The letters in which byte-level BPE writes bytes (Radford et al. 2019): 256 of them; `Ġ` is the space."""

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
METASPACE = "▁"
SPACE_MARKS = "Ġ" + METASPACE
_BYTE = re.compile("<0x[0-9A-F]{2}>")  # how pieces spell a byte of a character without a piece


@dataclass(frozen=True)
class FilterStep:
    """What one filter does to a vocabulary.

    Attributes
    ----------
    name : str
        The filter.
    removed : int
        Tokens it removes from those that the filters before it left.
    removed_alone : int
        Tokens it would remove from the whole vocabulary.
    left : int
        Tokens left after it.
    """

    name: str
    removed: int
    removed_alone: int
    left: int


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The tokens of one tokenizer, one entry per embedding row.

    Attributes
    ----------
    kind : str
        `byte-level` (`Ġ`), `metaspace` (`▁`), `end-of-word` (`</w>`) or `word-piece` (`##`).
    raw : array of str [vocab]
        Tokens as the tokenizer writes them; empty for embedding rows without a token.
    text : array of str [vocab]
        Decoded, without markers and without the one leading space of a byte-level token; every diacritic intact.
        A token that holds only a part of a character's bytes has U+FFFD in its place.
    starts_word, ends_word : array of bool [vocab]
        Whether a token can begin, or end, a word (see the module's table). False for special tokens.
    is_special : array of bool [vocab]
        Tokens that stand for no text: `<s>`, `<mask>`, `<|endoftext|>`.
    is_token : array of bool [vocab]
        False for rows that pad the embedding to a round number.
    form_groups : array of int [vocab]
        Equal where lower-cased texts are equal, to exclude pairs of the same word. Every row without a token,
        and every token with a broken character, is a group of its own.
    tokenizer : PreTrainedTokenizerBase
        What the vocabulary was read from; `word_id` asks it.
    """

    kind: str
    raw: np.ndarray = field(repr=False)
    text: np.ndarray = field(repr=False)
    starts_word: np.ndarray = field(repr=False)
    ends_word: np.ndarray = field(repr=False)
    is_special: np.ndarray = field(repr=False)
    is_token: np.ndarray = field(repr=False)
    form_groups: np.ndarray = field(repr=False)
    tokenizer: PreTrainedTokenizerBase = field(repr=False)

    @classmethod
    def from_tokenizer(cls, tokenizer: PreTrainedTokenizerBase, vocab_size: int | None = None) -> "Vocabulary":
        """Read a tokenizer's vocabulary.

        Parameters
        ----------
        tokenizer : PreTrainedTokenizerBase
            Byte-level BPE, SentencePiece's pieces (`▁`), BPE with `</w>`, or WordPiece.
        vocab_size : int, optional
            Rows of the embedding, where it is padded beyond the tokenizer's ids.

        Returns
        -------
        Vocabulary

        Raises
        ------
        ValueError
            A tokenizer of another kind, or more tokens than `vocab_size`.
        """
        kind = _kind_of(tokenizer)
        ids = tokenizer.get_vocab()
        rows = max(ids.values()) + 1
        if vocab_size is not None and vocab_size < rows:
            raise ValueError(f"vocab_size: expected at least {rows}, the tokenizer's ids, found {vocab_size}")
        raw = np.full(vocab_size or rows, "", dtype=object)
        is_token = np.zeros(len(raw), dtype=bool)
        for token, index in ids.items():
            raw[index], is_token[index] = token, True
        is_added = np.zeros(len(raw), dtype=bool)
        is_added[list(tokenizer.added_tokens_decoder)] = True
        is_special = np.zeros(len(raw), dtype=bool)
        special = {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}
        is_special[sorted(special | set(tokenizer.all_special_ids))] = True
        # Added tokens are spelt as they are read, whatever the alphabet of the others.
        read = [(token, True, True) if added else _READERS[kind](token) for token, added in zip(raw, is_added, strict=True)]
        text = np.array([surface for surface, _, _ in read], dtype=object)
        starts = np.array([can_start for _, can_start, _ in read], dtype=bool)
        ends = np.array([can_end for _, _, can_end in read], dtype=bool)
        plain = is_token & ~is_special
        return cls(
            kind=kind,
            raw=raw,
            text=text,
            starts_word=starts & plain,
            ends_word=ends & plain,
            is_special=is_special,
            is_token=is_token,
            form_groups=_form_groups(text, is_token),
            tokenizer=tokenizer,
        )

    def __len__(self) -> int:
        return len(self.raw)

    def keep(
        self,
        words: bool = True,
        whole_words: bool = False,
        min_length: int = 1,
        counts: "TokenCounts | None" = None,
        lexicon: "Lexicon | None" = None,
        ascii_only: bool = False,
    ) -> np.ndarray:
        """Which tokens pass a set of filters.

        Polish words are what `keep(whole_words=True, counts=counts, lexicon=lexicon)` leaves.

        Parameters
        ----------
        words : bool
            Tokens of letters only, of any alphabet; no special tokens. Pieces of words pass.
        whole_words : bool
            Tokens that can be a whole word: `Ġnie`, `nie</w>`. A piece of a longer word passes too where the
            marker cannot tell (see the table of the module); counts can tell.
        min_length : int
            Least number of characters of the text.
        counts : TokenCounts, optional
            Tokens that stand as a whole word in more than half of their occurrences in a text. A token that the text does not hold fails.
        lexicon : Lexicon, optional
            Of the vocabulary's `text`, row for token id: tokens that the dictionary knows.
        ascii_only : bool
            The filter of the original notebooks, applied to the tokenizer's own spelling: byte-level `Ġnie` passes and
            `ĠjeÅĽli` (jeśli) does not. It removes every token with a Polish letter.

        Returns
        -------
        array of bool [vocab]
            A new array; always false for rows without a token.

        Raises
        ------
        ValueError
            `min_length` is not a whole number of at least 0, or the counts or the lexicon belong to another vocabulary.
        """
        kept = np.ones(len(self), dtype=bool)
        for _, passed in self._filters(words, whole_words, min_length, counts, lexicon, ascii_only):
            kept &= passed
        return kept

    def filter_report(
        self,
        words: bool = True,
        whole_words: bool = False,
        min_length: int = 1,
        counts: "TokenCounts | None" = None,
        lexicon: "Lexicon | None" = None,
        ascii_only: bool = False,
    ) -> tuple[FilterStep, ...]:
        """How many tokens each filter of `keep` removes, in the order in which they are applied.

        Parameters
        ----------
        words, whole_words, min_length, counts, lexicon, ascii_only
            As for `keep`.

        Returns
        -------
        tuple of FilterStep
            One for each filter that is on; the first is `rows without a token` where there are some.
        """
        kept = np.ones(len(self), dtype=bool)
        steps = []
        for name, passed in self._filters(words, whole_words, min_length, counts, lexicon, ascii_only):
            removed = int((kept & ~passed).sum())
            kept = kept & passed
            alone = ~passed if passed is self.is_token else self.is_token & ~passed
            steps.append(FilterStep(name, removed, int(alone.sum()), int(kept.sum())))
        return tuple(steps)

    def word_id(self, word: str) -> int:
        """The id of the token that stands for a whole word inside a text.

        Parameters
        ----------
        word : str
            As it is written in a text: `nie` is `Ġnie` to GPT-2 and `nie</w>` to HerBERT, never the piece `nie`.

        Returns
        -------
        int

        Raises
        ------
        ValueError
            `word` is not one word, or not one token; the message shows its pieces.
        """
        if not isinstance(word, str) or not word or any(character.isspace() for character in word):
            raise ValueError(f"word: expected one word without spaces, found {word!r}")
        in_text = f" {word}" if self.kind == "byte-level" else word
        ids = self.tokenizer.encode(in_text, add_special_tokens=False)
        normalizer = self.tokenizer.backend_tokenizer.normalizer if self.kind == "word-piece" else None
        spelt = normalizer.normalize_str(word) if normalizer is not None else word  # some drop case or accents
        if len(ids) == 1 and self.text[ids[0]] == spelt and self.starts_word[ids[0]] and self.ends_word[ids[0]]:
            return ids[0]
        pieces = ", ".join(repr(label) for label in self.labels(ids))
        raise ValueError(f"word: expected a word that is one token, found {word!r}, which is cut into {pieces}")

    def labels(self, ids: Iterable[int] | None = None) -> list[str]:
        """Tokens as tables show them: a hyphen where a marker says that a word goes on.

        Parameters
        ----------
        ids : iterable of int, optional
            All by default.

        Returns
        -------
        list of str
            `nie`; `-nie` for a byte-level piece inside a word; `nie-` for a piece that `</w>` does not end; signs for
            white space; the tokenizer's own spelling for a broken character; `[row 7]` for a row without a token.
        """
        return [self._label(int(index)) for index in (range(len(self)) if ids is None else ids)]

    def _label(self, index: int) -> str:
        text = self.text[index]
        if not self.is_token[index]:
            return f"[row {index}]"
        if self.is_special[index]:
            return text
        if REPLACEMENT in text:
            return self.raw[index]
        if text.isspace():
            return text.translate(str.maketrans({" ": "␣", "\n": "⏎", "\t": "⇥"}))
        inside = "-" if text[:1].isalnum() and not self.starts_word[index] else ""
        goes_on = "-" if text[-1:].isalnum() and not self.ends_word[index] else ""
        return f"{inside}{text}{goes_on}"

    def _filters(
        self,
        words: bool,
        whole_words: bool,
        min_length: int,
        counts: "TokenCounts | None",
        lexicon: "Lexicon | None",
        ascii_only: bool,
    ) -> Iterable[tuple[str, np.ndarray]]:
        """The filters that are on, as a name and what passes, in their order."""
        for name, given in (("counts", None if counts is None else counts.total), ("lexicon", lexicon)):
            if given is not None and len(given) != len(self):
                raise ValueError(f"{name}: expected an entry for each of {len(self)} tokens, found {len(given)}")
        if isinstance(min_length, bool) or not isinstance(min_length, int) or min_length < 0:
            raise ValueError(f"min_length: expected a whole number from 0, found {min_length!r}")
        filters = []
        if not self.is_token.all():
            filters.append(("rows without a token", self.is_token))
        if words:
            filters.append(("words", self._each(str.isalpha, self.text) & ~self.is_special))
        if whole_words:
            filters.append(("whole words", self.starts_word & self.ends_word))
        if min_length > 1:
            filters.append((f"at least {min_length} characters", self._each(len, self.text) >= min_length))
        if counts is not None:
            filters.append(("mostly whole words in a text", counts.mostly_whole_words()))
        if lexicon is not None:
            filters.append(("in the dictionary", lexicon.known))
        if ascii_only:
            filters.append(("ASCII only", self._each(lambda token: token.strip(SPACE_MARKS).isascii(), self.raw)))
        return filters

    @staticmethod
    def _each(question: Callable[[str], Any], strings: np.ndarray) -> np.ndarray:
        return np.array([question(string) for string in strings])


def _kind_of(tokenizer: PreTrainedTokenizerBase) -> str:
    """Which alphabet and marker a tokenizer writes its tokens in."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ValueError(f"tokenizer: expected one with a `tokenizers` backend, found {type(tokenizer).__name__}")
    pipeline = json.loads(backend.to_str())
    model = pipeline["model"]
    suffix = model.get("end_of_word_suffix")
    if suffix and "ByteLevel" in json.dumps(pipeline["pre_tokenizer"]):
        raise ValueError(
            f"tokenizer: expected words marked in one way, found {type(tokenizer).__name__}, byte-level BPE whose words end in {suffix!r}"
        )
    if '"ByteLevel"' in json.dumps([pipeline["pre_tokenizer"], pipeline["decoder"]]):
        return "byte-level"
    if '"Metaspace"' in json.dumps([pipeline["pre_tokenizer"], pipeline["decoder"]]):
        return "metaspace"
    if _replaces_spaces(pipeline["normalizer"]):
        return "metaspace"
    if model.get("end_of_word_suffix") == "</w>":
        return "end-of-word"
    if model.get("type") == "WordPiece" and model.get("continuing_subword_prefix") == "##":
        return "word-piece"
    raise ValueError(
        "tokenizer: expected byte-level BPE (`Ġ`), pieces with `▁`, BPE with `</w>` or WordPiece (`##`), found"
        f" {type(tokenizer).__name__} with a {model.get('type')} model of another kind"
    )


def _replaces_spaces(normalizer: dict | None) -> bool:
    """Whether a normalizer writes `▁` before a text and for every space, as that of LLaMA does."""
    steps = [normalizer, *(normalizer.get("normalizers") or [])] if normalizer else []
    replaces = any(step["type"] == "Replace" and step["pattern"] == {"String": " "} and step["content"] == METASPACE for step in steps)
    return replaces and any(step["type"] == "Prepend" and step["prepend"] == METASPACE for step in steps)


def _read_byte_level(token: str) -> tuple[str, bool, bool]:
    """Text, can start a word, can end a word."""
    surface = bytes(BYTE_OF[letter] for letter in token).decode("utf-8", errors="replace")
    spaced = len(surface) > 1 and surface[0] == " "
    return surface[1:] if spaced else surface, spaced, True


def _read_metaspace(token: str) -> tuple[str, bool, bool]:
    """Text, can start a word, can end a word; `▁` alone is a space."""
    if token == METASPACE:
        return " ", False, True
    if _BYTE.fullmatch(token):
        return bytes([int(token[3:5], 16)]).decode("utf-8", errors="replace"), False, True
    return token.removeprefix(METASPACE).replace(METASPACE, " "), token.startswith(METASPACE), True


def _read_end_of_word(token: str) -> tuple[str, bool, bool]:
    """Text, can start a word, can end a word."""
    return token.removesuffix("</w>"), True, token.endswith("</w>")


def _read_word_piece(token: str) -> tuple[str, bool, bool]:
    """Text, can start a word, can end a word."""
    inside = token.startswith("##") and len(token) > 2
    return token[2:] if inside else token, not inside, True


_READERS = {"byte-level": _read_byte_level, "metaspace": _read_metaspace, "end-of-word": _read_end_of_word, "word-piece": _read_word_piece}


def _form_groups(text: np.ndarray, is_token: np.ndarray) -> np.ndarray:
    """Equal numbers for equal texts, stripped and lower-cased; a row without a token or with a broken text is a group of its own."""
    groups: dict[object, int] = {}
    numbers = np.empty(len(text), dtype=np.int64)
    for index, surface in enumerate(text):
        told = is_token[index] and REPLACEMENT not in surface
        numbers[index] = groups.setdefault(surface.strip().lower() or surface if told else (index,), len(groups))
    return numbers
