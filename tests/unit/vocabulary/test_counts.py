"""Whole words are told from beginnings of words: counted by hand, by a regular expression, and on planted texts."""

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from analysis_lib.vocabulary import Lexicon, TokenCounts, Vocabulary
from tests.support import tiny
from tests.support.examples import examples

ACCIDENTS = {"Woku": "Wokulski", "Skrze": "Skrzetuski", "seku": "sekunda", "Jaku": "Jakub", "bru": "brudny"}
"""Beginnings of words that are in the dictionary by accident, as forms of wok, skra, sek, jak and bru, and what they begin."""
SHORT = ("nie", "się", "ich", "pan", "dom", "wok", "on", "w", "o")
LETTERS = "abcdefghijklmnopqrstuwxyząćęłńóśźżABCDEFGHIJKLMNOPRSTUWZŁŚŻ"


def pieces_of(word):
    return next(((start, word[len(start) :]) for start in ACCIDENTS if word.startswith(start) and word != start), (word,))


def metaspace():
    """A Unigram tokenizer, as multilingual-e5's."""
    pieces = {f"▁{start}": -5.0 for start in (*ACCIDENTS, *SHORT)} | {
        rest: -5.0 for word in ACCIDENTS.values() for rest in pieces_of(word)[1:]
    }
    pieces |= dict.fromkeys("▁.," + LETTERS, -20.0)
    core = Tokenizer(models.Unigram([("<unk>", 0.0), *pieces.items()], unk_id=0))
    core.pre_tokenizer, core.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>")


def word_piece():
    vocab = [*ACCIDENTS, *SHORT, *(f"##{pieces_of(word)[1]}" for word in ACCIDENTS.values()), ".", ",", "[UNK]"]
    core = Tokenizer(models.WordPiece({piece: place for place, piece in enumerate(vocab)}, unk_token="[UNK]"))
    core.pre_tokenizer, core.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="[UNK]")


def byte_pairs(end):
    """Byte-level BPE (`end` is empty) or BPE with `</w>`, whose merges make each planted piece out of its characters."""
    vocab, merges = {}, []

    def merge(symbols):
        while len(symbols) > 1:
            merges.append((symbols[0], symbols[1]))
            symbols = [symbols[0] + symbols[1], *symbols[2:]]

    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    for word in (*SHORT, *ACCIDENTS.values()):
        *start, last = pieces_of(word)
        for piece, closed in [*((piece, False) for piece in start), (last, True)]:
            first = " " if not end and word.startswith(piece) else ""
            text = first + piece if end else byte_level.pre_tokenize_str(first + piece)[0][0]
            merge([*text[:-1], text[-1] + (end if closed else "")])
    alphabet = [*pre_tokenizers.ByteLevel.alphabet()] if not end else [*(LETTERS + ".,"), *(c + end for c in LETTERS + ".,")]
    for piece in [*sorted(alphabet), *(left + right for left, right in merges), "<unk>"]:
        vocab.setdefault(piece, len(vocab))
    merges = list(dict.fromkeys(merges))
    suffix = {"end_of_word_suffix": end} if end else {}
    core = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", **suffix))
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer() if end else pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.BPEDecoder() if end else decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>")


KINDS = {
    "byte-level": lambda: byte_pairs(""),
    "end-of-word": lambda: byte_pairs("</w>"),
    "metaspace": metaspace,
    "word-piece": word_piece,
}


@pytest.fixture(scope="module", params=KINDS)
def vocabulary(request):
    found = Vocabulary.from_tokenizer(KINDS[request.param]())
    assert found.kind == request.param
    return found


PLANTED = ["nie, on w dom.", "Wokulski, Skrzetuski się brudny", "sekunda Jakub ich wok pan.", "Wokulski o Jakub brudny, Skrzetuski sekunda"]


def test_beginnings_of_words_that_the_dictionary_knows_by_accident_are_out_and_short_words_stay(vocabulary):
    pytest.importorskip("morfeusz2")
    lexicon = Lexicon.from_forms(vocabulary.text)
    counts = TokenCounts.of_texts(vocabulary, [*PLANTED, *PLANTED, "Woku nie"])  # even where it stands alone once
    whole, starts = vocabulary.keep(whole_words=True), set(ACCIDENTS)
    by_marker_and_dictionary = set(vocabulary.text[whole & lexicon.known])
    if vocabulary.kind != "end-of-word":  # there the marker tells
        assert starts <= by_marker_and_dictionary
    kept = set(vocabulary.text[vocabulary.keep(whole_words=True, counts=counts, lexicon=lexicon)])
    assert set(SHORT) <= kept
    assert not starts & kept


def test_counts_are_those_of_a_reader(vocabulary):
    counts = TokenCounts.of_texts(vocabulary, PLANTED)
    words = Counter(re.findall(r"\w+", " ".join(PLANTED)))
    for word in SHORT:
        token = vocabulary.word_id(word)
        assert (counts.total[token], counts.whole_word[token]) == (words[word], words[word])
    for start, word in ACCIDENTS.items():
        tokens = np.flatnonzero((vocabulary.text == start) & (counts.total > 0))
        assert counts.total[tokens].sum() == words[word]
        assert counts.whole_word[tokens].sum() == 0


@pytest.mark.parametrize("build", [tiny.byte_level_tokenizer, tiny.herbert_tokenizer])
@examples(50)
@given(texts=st.lists(st.text(alphabet="aeijnosłwz ,.–\n", min_size=1, max_size=30), min_size=1, max_size=4))
def test_whole_words_of_any_text_are_words_of_it(build, texts):
    vocabulary = Vocabulary.from_tokenizer(build())
    counts = TokenCounts.of_texts(vocabulary, texts)
    words = Counter(re.findall(r"[^\W\d_]+", "\n".join(texts)))
    found = Counter()
    for token in np.flatnonzero(counts.whole_word):
        found[vocabulary.text[token]] += int(counts.whole_word[token])
    assert all(count <= words[word] for word, count in found.items())
    assert (counts.whole_word <= counts.total).all()


def test_a_word_does_not_go_on_from_one_text_into_the_next(vocabulary):
    start = np.flatnonzero(vocabulary.text == "bru")[0]
    rest = np.flatnonzero(vocabulary.text == "dny")[-1]
    assert TokenCounts.of_ids(vocabulary, [[start, rest]]).whole_word[start] == 0
    apart = TokenCounts.of_ids(vocabulary, [[start], [rest], []])
    assert apart.total[[start, rest]].tolist() == [1, 1]
    assert apart.whole_word[start] == (vocabulary.kind != "end-of-word")  # where the marker says that it goes on


def test_the_filters_report_what_they_remove():
    pytest.importorskip("morfeusz2")
    vocabulary = Vocabulary.from_tokenizer(metaspace())
    lexicon, counts = Lexicon.from_forms(vocabulary.text), TokenCounts.of_texts(vocabulary, PLANTED)
    steps = vocabulary.filter_report(whole_words=True, counts=counts, lexicon=lexicon)
    assert [step.name for step in steps] == ["words", "whole words", "mostly whole words in a text", "in the dictionary"]
    assert steps[2].removed == len(ACCIDENTS)
    assert steps[-1].left == len(SHORT) == vocabulary.keep(whole_words=True, counts=counts, lexicon=lexicon).sum()


def test_counts_come_back_from_a_file(tmp_path):
    counts = TokenCounts(np.array([3, 2, 0]), np.array([2, 1, 0]), "a text")
    counts.save(tmp_path / "counts.npz")
    found = TokenCounts.read(tmp_path / "counts.npz")
    assert (found.total.tolist(), found.whole_word.tolist(), found.source) == ([3, 2, 0], [2, 1, 0], "a text")
    assert found.mostly_whole_words().tolist() == [True, False, False]
    assert found.resized(5).total.tolist() == [3, 2, 0, 0, 0]
    with pytest.raises(ValueError, match="at least 3"):
        found.resized(2)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"total": [1]}, "none named whole_word"),
        ({"total": [1], "whole_word": [2]}, "cannot be"),
        ({"total": [1], "whole_word": [0, 0]}, "cannot be"),
    ],
)
def test_a_file_without_counts_is_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "counts.npz", **{name: np.array(values) for name, values in arrays.items()})
    with pytest.raises(ValueError, match=message):
        TokenCounts.read(tmp_path / "counts.npz")


def test_bad_input_is_named():
    vocabulary = Vocabulary.from_tokenizer(metaspace())
    with pytest.raises(ValueError, match="rows: expected ids from 0 to"):
        TokenCounts.of_ids(vocabulary, [[len(vocabulary)]])
    with pytest.raises(TypeError, match="texts: expected an iterable"):
        TokenCounts.of_texts(vocabulary, "nie")
    with pytest.raises(ValueError, match=f"counts: expected an entry for each of {len(vocabulary)} tokens, found 2"):
        vocabulary.keep(counts=TokenCounts(np.zeros(2), np.zeros(2)))


def test_large_counts_and_names_without_an_ending_survive_a_round_trip(tmp_path):
    counts = TokenCounts(np.array([4_500_000_000, 5]), np.array([3_000_000_000, 3]), "much")
    counts.save(tmp_path / "plain")
    found = TokenCounts.read(tmp_path / "plain")
    assert found.total.tolist() == [4_500_000_000, 5]
    assert found.whole_word.tolist() == [3_000_000_000, 3]


@pytest.mark.parametrize("content", [b"", b"no counts here", b"PK\x03\x04 cut off"])
def test_a_file_that_holds_no_counts_is_named(tmp_path, content):
    path = tmp_path / "counts.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"counts\.npz: expected an \.npz file of counts"):
        TokenCounts.read(path)
    np.save(tmp_path / "array.npy", np.arange(3))
    with pytest.raises(ValueError, match="found a single array"):
        TokenCounts.read(tmp_path / "array.npy")
