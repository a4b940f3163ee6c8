import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import BertTokenizer, PreTrainedTokenizerFast

from analysis_lib.vocabulary import Vocabulary
from analysis_lib.vocabulary import tokens as vocabulary
from tests.support import tiny
from tests.support.examples import examples


@pytest.fixture(scope="module")
def gpt():
    return Vocabulary.from_tokenizer(tiny.byte_level_tokenizer())


@pytest.fixture(scope="module")
def herbert():
    return Vocabulary.from_tokenizer(tiny.herbert_tokenizer())


@pytest.fixture(scope="module", params=["byte-level", "end-of-word"])
def either(request):
    build = {"byte-level": tiny.byte_level_tokenizer, "end-of-word": tiny.herbert_tokenizer}[request.param]
    return Vocabulary.from_tokenizer(build())


def spelt_in_bytes(text):
    """As the tokenizers library spells it."""
    return "".join(piece for piece, _ in pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text))


def byte_level_of(tokens):
    """A byte-level vocabulary that holds just these tokens."""
    tokenizer = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(tokens)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


@examples(200)
@given(st.text(min_size=1))
def test_byte_level_decoding_undoes_the_spelling(text):
    surface, starts, _ = vocabulary._read_byte_level(spelt_in_bytes(text))
    assert surface == (text[1:] if text.startswith(" ") and len(text) > 1 else text)
    assert starts == (text.startswith(" ") and len(text) > 1)


def test_text_is_what_the_tokenizer_decodes(either):
    for index in np.flatnonzero(either.is_token & ~either.is_special):
        assert either.text[index].strip() == either.tokenizer.decode([int(index)]).strip()


@pytest.mark.parametrize("letter", tiny.POLISH_LETTERS)
def test_every_polish_letter_survives_both_tokenizers_and_the_word_filter(letter):
    spelt = [spelt_in_bytes(f" {letter}"), spelt_in_bytes(f" jeśli{letter}")]
    gpt = Vocabulary.from_tokenizer(byte_level_of(spelt))
    assert list(gpt.text) == [letter, f"jeśli{letter}"]
    assert gpt.keep().all()
    text, _, ends = vocabulary._read_end_of_word(f"żół{letter}</w>")
    assert text == f"żół{letter}"
    assert ends


def test_markers_say_where_words_begin_and_end(gpt, herbert):
    gpt_id, herbert_id = gpt.tokenizer.convert_tokens_to_ids, herbert.tokenizer.convert_tokens_to_ids
    assert gpt.starts_word[gpt_id("Ġnie")]
    assert not gpt.starts_word[gpt_id("Nie")]
    assert herbert.ends_word[herbert_id("nie</w>")]
    assert not herbert.ends_word[herbert_id("Zażół")]
    plain = herbert.is_token & ~herbert.is_special
    assert herbert.ends_word[plain].tolist() == [token.endswith("</w>") for token in herbert.raw[plain]]
    # What a marker leaves open counts as possible.
    assert gpt.ends_word[gpt_id("Ġnie")]
    assert herbert.starts_word[herbert_id("nie</w>")]


def test_word_id_is_the_whole_word_and_not_the_piece(gpt, herbert):
    assert gpt.raw[gpt.word_id("nie")] == "Ġnie"
    assert herbert.raw[herbert.word_id("nie")] == "nie</w>"
    assert gpt.text[gpt.word_id("nie")] == herbert.text[herbert.word_id("nie")] == "nie"


def test_word_id_shows_the_pieces_of_a_longer_word(either):
    with pytest.raises(ValueError, match="'szłonie', which is cut into '.+', '.+'"):
        either.word_id("szłonie")


@pytest.mark.parametrize("word", ["", "nie wiem", "a\tb", None, 7])
def test_word_id_refuses_what_is_not_one_word(either, word):
    with pytest.raises(ValueError, match="one word"):
        either.word_id(word)


def test_word_id_refuses_special_tokens(herbert):
    with pytest.raises(ValueError, match="one token"):
        herbert.word_id("<mask>")


def test_the_ascii_filter_is_the_original_notebooks(either):
    """Notebooks 000 and 001 keep a token when `token.strip("Ġ▁").isascii()`, on the tokenizer's own spelling."""
    original = {index for token, index in either.tokenizer.get_vocab().items() if token.strip("Ġ▁").isascii()}
    assert set(np.flatnonzero(either.keep(words=False, ascii_only=True))) == original


def test_the_ascii_filter_throws_away_polish_words_and_the_default_does_not():
    tokens = ["Ġnie", spelt_in_bytes(" jeśli"), spelt_in_bytes(" który"), "Ġ", "Ġ12", "ĠÄ"]
    vocab = Vocabulary.from_tokenizer(byte_level_of(tokens))
    assert list(vocab.keep()) == [True, True, True, False, False, False]
    assert list(vocab.keep(ascii_only=True)) == [True, False, False, False, False, False]


def test_words_leave_out_special_tokens_broken_characters_digits_and_punctuation(either):
    kept = either.keep()
    assert not (kept & either.is_special).any()
    assert all(text.isalpha() for text in either.text[kept])
    assert not any(vocabulary.REPLACEMENT in text for text in either.text[kept])


def test_partial_characters_are_marked_and_alone_in_their_group(gpt):
    broken = np.flatnonzero([vocabulary.REPLACEMENT in text for text in gpt.text])
    assert len(broken) > 2
    assert len(set(gpt.form_groups[broken])) == len(broken)


def test_whole_words_can_start_and_end_a_word(gpt, herbert):
    whole = gpt.keep(whole_words=True)
    assert whole.any()
    assert all(token.startswith("Ġ") for token in gpt.raw[whole])
    whole = herbert.keep(whole_words=True)
    assert whole.any()
    assert all(token.endswith("</w>") for token in herbert.raw[whole])


def test_min_length_counts_characters_of_the_text(either):
    assert min(len(text) for text in either.text[either.keep(min_length=4)]) == 4


@pytest.mark.parametrize("wrong", [-1, 1.5, True, "2"])
def test_min_length_must_be_a_whole_number(gpt, wrong):
    with pytest.raises(ValueError, match="min_length"):
        gpt.keep(min_length=wrong)


def test_form_groups_join_cases_and_markers():
    tokens = ["Ġnie", "nie", "ĠNie", spelt_in_bytes(" ŻEBY"), spelt_in_bytes("żeby"), "Ġ", "Ċ"]
    groups = Vocabulary.from_tokenizer(byte_level_of(tokens)).form_groups
    assert groups[0] == groups[1] == groups[2]
    assert groups[3] == groups[4] != groups[0]
    assert len(set(groups)) == 4


def test_form_groups_are_exactly_the_lower_cased_forms(either):
    whole = [index for index in range(len(either)) if vocabulary.REPLACEMENT not in either.text[index]]
    for one in whole[::3]:
        for other in whole[::5]:
            same = either.text[one].strip().lower() == either.text[other].strip().lower()
            assert same == (either.form_groups[one] == either.form_groups[other]) or not either.text[one].strip()


@examples(50)
@given(st.booleans(), st.booleans(), st.integers(0, 6), st.booleans())
def test_the_report_counts_what_keep_removes(gpt, words, whole_words, min_length, ascii_only):
    options = {"words": words, "whole_words": whole_words, "min_length": min_length, "ascii_only": ascii_only}
    steps, kept = gpt.filter_report(**options), gpt.keep(**options)
    assert sum(step.removed for step in steps) == len(gpt) - kept.sum()
    assert all(step.removed <= step.removed_alone for step in steps)
    assert (steps[-1].left if steps else len(gpt)) == kept.sum()


def test_rows_that_pad_the_embedding_are_never_kept():
    tokenizer = tiny.byte_level_tokenizer()
    vocab = Vocabulary.from_tokenizer(tokenizer, vocab_size=len(tokenizer) + 7)
    assert len(vocab) == len(vocab.keep()) == len(tokenizer) + 7
    assert not vocab.keep(words=False)[-7:].any()
    assert vocab.keep(words=False)[:-7].all()
    assert len(set(vocab.form_groups[-7:])) == 7
    assert vocab.filter_report()[0].removed == 7
    assert vocab.labels([len(tokenizer)]) == [f"[row {len(tokenizer)}]"]


def test_more_tokens_than_rows_are_refused():
    with pytest.raises(ValueError, match="vocab_size: expected at least 400"):
        Vocabulary.from_tokenizer(tiny.byte_level_tokenizer(), vocab_size=399)


def test_special_tokens(gpt, herbert):
    assert list(np.flatnonzero(gpt.is_special)) == [gpt.tokenizer.eos_token_id]
    assert list(herbert.text[:5]) == ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    assert list(np.flatnonzero(herbert.is_special)) == [0, 1, 2, 3, 4]


def test_labels_show_where_words_go_on(gpt, herbert):
    assert gpt.labels([gpt.word_id("nie")]) == ["nie"]
    assert gpt.labels(gpt.tokenizer.convert_tokens_to_ids(["iem", "Ġ", "Ċ", ","])) == ["-iem", "␣", "⏎", ","]
    assert herbert.labels(herbert.tokenizer.convert_tokens_to_ids(["Zażół", "nie</w>"])) == ["Zażół-", "nie"]
    assert len(gpt.labels()) == len(gpt)


def test_keep_gives_a_fresh_array(gpt):
    first = gpt.keep()
    first[:] = False
    assert gpt.keep().any()


def test_word_pieces():
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "nie", "##by", "jest"]
    tokenizer = BertTokenizer(vocab={token: index for index, token in enumerate(tokens)}, do_lower_case=False)
    vocab = Vocabulary.from_tokenizer(tokenizer)
    assert vocab.kind == "word-piece"
    assert list(vocab.text[5:]) == ["nie", "by", "jest"]
    assert list(vocab.starts_word[5:]) == [True, False, True]
    assert vocab.word_id("jest") == 7
    with pytest.raises(ValueError, match="'nie', '-by'"):
        vocab.word_id("nieby")


def test_word_id_of_a_tokenizer_that_drops_case_and_accents():
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "zrebak", "##by"]
    vocab = Vocabulary.from_tokenizer(BertTokenizer(vocab={token: index for index, token in enumerate(tokens)}, do_lower_case=True))
    assert vocab.word_id("Źrebak") == vocab.word_id("zrebak") == 5
    with pytest.raises(ValueError, match="found 'Źrebakby', which is cut into 'zrebak', '-by'"):
        vocab.word_id("Źrebakby")


def test_pieces_whose_spaces_a_normalizer_writes():
    """LLaMA's converted tokenizers have no pre-tokenizer: a normalizer puts `▁` before the text and in the place of each space."""
    tokens = ["<unk>", "▁", "n", "i", "e", "ni", "nie", "▁nie"]
    vocab = {token: index for index, token in enumerate(tokens)}
    core = Tokenizer(models.BPE(vocab=vocab, merges=[("n", "i"), ("ni", "e"), ("▁", "nie")], unk_token="<unk>"))
    core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse()])
    found = Vocabulary.from_tokenizer(PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>"))
    assert found.kind == "metaspace"
    assert list(found.text[6:]) == ["nie", "nie"]
    assert list(found.starts_word[6:]) == [False, True]
    assert found.word_id("nie") == 7


def test_words_that_are_marked_in_two_ways_are_refused():
    """CLIP's tokens are spelt in bytes and end a word with `</w>`."""
    core = Tokenizer(models.BPE(vocab={"nie": 0, "nie</w>": 1}, merges=[], end_of_word_suffix="</w>"))
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    with pytest.raises(ValueError, match="expected words marked in one way, found .*byte-level BPE whose words end in '</w>'"):
        Vocabulary.from_tokenizer(PreTrainedTokenizerFast(tokenizer_object=core))


def test_other_tokenizers_are_refused():
    with pytest.raises(ValueError, match="expected byte-level BPE"):
        Vocabulary.from_tokenizer(PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"nie": 0}, unk_token="nie"))))
    with pytest.raises(ValueError, match="backend"):
        Vocabulary.from_tokenizer("gpt2")
