"""What the tokens step writes beside the tokenizers: shuffled training ids, ranges of sources, counts of words."""

import json
import re
import shutil
from collections import Counter

import numpy as np
import pytest
from transformers import AutoTokenizer

from analysis_lib import models
from analysis_lib.vocabulary import TokenCounts, Vocabulary
from training import counts, loop, tokens

TEXTS = {
    "las": ["Sosna rosła w lesie.", "W lesie rosła sosna i brzoza, a „sosna” była wysoka."],
    "rzeka": ["Rzeka płynęła przez las: rzeka, rzeczka, Rzeczna.", "Brzozowy most stał nad rzeką nr 12."],
}
TEXT = " ".join(text for texts in TEXTS.values() for text in texts)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    for split, copies in (("train", 12), ("heldout", 2), ("heldout_new", 3)):
        rows = [
            {"id": f"{source}/{i:02d}", "source": source, "text": "\n".join([f"Dokument {i}.", *texts])}
            for i in range(copies)
            for source, texts in TEXTS.items()
        ]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    tokens.prepare("polish-gpt2-mini", folder, 420)
    tokens.prepare("herbert-mini", folder, 110)
    return folder


def load(work, name):
    return AutoTokenizer.from_pretrained(work / name / "tokenizer")


@pytest.mark.parametrize("name", tokens.MODELS)
def test_ranges_of_the_second_held_out_set_hold_their_sources_alone(work, name):
    tokenizer = load(work, name)
    ids = loop.load_ids(work / name / "heldout_new.bin")
    ranges = json.loads((work / name / "heldout_new.json").read_text())
    assert list(ranges) == ["las", "rzeka"]
    assert ranges["las"][0] == 0
    assert ranges["las"][1] == ranges["rzeka"][0]
    assert ranges["rzeka"][1] == len(ids)
    texts = {source: tokenizer.decode(ids[start:end]) for source, (start, end) in ranges.items()}
    assert texts["las"].count("lesie") == 2 * 3
    assert "most" not in texts["las"]
    assert texts["rzeka"].count("most") == 3
    assert "lesie" not in texts["rzeka"]


def test_training_documents_are_whole_shuffled_and_in_the_same_order_again(work):
    tokenizer = load(work, "polish-gpt2-mini")
    ids = loop.load_ids(work / "polish-gpt2-mini" / "train.bin")
    order = re.findall(r"Dokument (\d+)\.\s+(Sosna|Rzeka)", tokenizer.decode(ids))
    assert sorted(order) == sorted((str(i), first) for i in range(12) for first in ("Sosna", "Rzeka"))
    assert order != sorted(order, key=lambda found: (int(found[0]), found[1] == "Rzeka"))
    tokens.prepare("polish-gpt2-mini", work, 420)
    assert np.array_equal(loop.load_ids(work / "polish-gpt2-mini" / "train.bin"), ids)


def test_herberts_vocabulary_has_an_order_of_its_own(work):
    vocabulary = load(work, "herbert-mini").get_vocab()
    pieces = sorted(vocabulary, key=vocabulary.get)
    assert pieces[:5] == tokens.HERBERT_SPECIAL
    characters = [piece for piece in pieces[5:] if len(piece.removesuffix("</w>")) == 1]
    assert characters == sorted(characters, key=lambda piece: (piece.endswith("</w>"), piece))
    assert pieces[5 : 5 + len(characters)] == characters
    assert len(pieces) == 110


def test_the_rarest_characters_are_left_out_the_later_ones_of_equals_first():
    tokenizer = tokens.herbert(["aaa bbb ccc zd", "ą ą"], 40, n_characters=5)
    assert {piece for piece in tokenizer.get_vocab() if len(piece) == 1} == {"a", "b", "c", "d", "ą"}


def test_text_can_be_encoded_with_a_tokenizer_of_before(work, tmp_path):
    for split in ("train", "heldout", "heldout_new"):
        shutil.copy(work / f"{split}.jsonl", tmp_path)
    folder = work / "herbert-mini" / "tokenizer"
    tokens.main(["--work", str(tmp_path), "--model", "herbert-mini", "--tokenizer", str(folder)])
    for name in ("train.bin", "heldout.bin", "heldout_new.bin", "heldout_new.json"):
        assert (tmp_path / "herbert-mini" / name).read_bytes() == (work / "herbert-mini" / name).read_bytes()
    assert load(tmp_path, "herbert-mini").get_vocab() == load(work, "herbert-mini").get_vocab()
    with pytest.raises(SystemExit):
        tokens.main(["--work", str(tmp_path), "--tokenizer", str(folder)])


@pytest.mark.parametrize("stage", ["save_pretrained", "encode"])
def test_a_second_run_that_is_stopped_does_not_look_whole(work, tmp_path, monkeypatch, stage):
    for split in ("train", "heldout", "heldout_new"):
        shutil.copy(work / f"{split}.jsonl", tmp_path)
    tokenizer = load(work, "herbert-mini")
    tokens.prepare("herbert-mini", tmp_path, 110, tokenizer=tokenizer)
    assert (tmp_path / "herbert-mini" / "heldout.bin").exists()

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(*{"save_pretrained": (tokenizer, stage, stopped), "encode": (tokens, stage, stopped)}[stage])
    with pytest.raises(KeyboardInterrupt):
        tokens.prepare("herbert-mini", tmp_path, 110, tokenizer=tokenizer)
    assert not (tmp_path / "herbert-mini" / "heldout.bin").exists()


@pytest.mark.parametrize("name", tokens.MODELS)
def test_whole_words_are_counted_as_a_reader_would(work, name):
    tokenizer = load(work, name)
    recorded = np.load(work / name / "token_counts.npz")
    ids = loop.load_ids(work / name / "train.bin")
    assert recorded["total"].tolist() == np.bincount(ids, minlength=len(tokenizer)).tolist()
    assert (recorded["whole_word"] <= recorded["total"]).all()
    everything = " ".join(text for texts in TEXTS.values() for text in ["Dokument", *texts])
    words = {word: 12 * count for word, count in Counter(re.findall(r"[^\W\d_]+", everything)).items()}
    whole = Counter()
    for token, count in enumerate(recorded["whole_word"].tolist()):
        whole[tokenizer.convert_tokens_to_string([tokenizer.convert_ids_to_tokens(token)]).strip()] += count
    found = {word: count for word, count in whole.items() if count}
    assert len(found) > 8
    assert found == {word: words[word] for word in found}
    assert {"sosna", "w", "i"} <= set(found)


def test_pieces_of_words_are_not_whole_words(work):
    tokenizer = load(work, "polish-gpt2-mini")
    ids = np.array(tokenizer("Sosna rosła")["input_ids"] + tokenizer.convert_tokens_to_ids(["Ġw", "Ġw", "i"]), np.uint16)
    counts = TokenCounts.of_ids(Vocabulary.from_tokenizer(tokenizer), [ids])
    once = tokenizer.convert_tokens_to_ids("Ġw")
    assert counts.total[once] == 2
    assert counts.whole_word[once] == 1  # the second is followed by a letter
    assert counts.whole_word[tokenizer.convert_tokens_to_ids("i")] == 0


def test_text_is_counted_with_the_tokenizer_of_a_model_of_before(work, tmp_path, capsys):
    shutil.copy(work / "train.jsonl", tmp_path)
    counts.main(["--work", str(tmp_path), "--model", "herbert", "--to", str(tmp_path)])
    loaded = models.load("herbert", source="embedded")
    found = TokenCounts.read(tmp_path / "herbert-mini" / "token_counts.npz")
    assert found.whole_word[loaded.vocabulary.word_id("lesie")] == 12 * TEXT.count("lesie")
    assert found.whole_word[loaded.vocabulary.word_id("las")] == 12 * TEXT.count(" las:")
    assert f"{found.total.sum():,} tokens" in capsys.readouterr().out
