"""The book's own Polish."""

import re
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from analysis_lib import texts
from analysis_lib.texts import (
    KINDS,
    all_texts,
    glossary,
    paragraphs,
    passages,
    senses,
    sentences,
    split_sentences,
    translations,
    two_forms,
)
from analysis_lib.vocabulary import Lexicon

FUNCTION_WORDS = ["nie", "się", "jest", "na", "w", "i", "z", "do", "to", "że", "o", "jak", "ale", "po", "tak", "za", "od", "tylko", "już"]
WORD = re.compile(r"[^\W\d_]+")


@pytest.fixture(scope="module")
def table():
    return senses()


@pytest.fixture(scope="module")
def running():
    return paragraphs()


def words(text: str) -> list[str]:
    return WORD.findall(text.lower())


def test_plain_sentences_are_forty_and_every_sentence_ends_as_one(table):
    lines = sentences()
    assert len(lines) == 40
    for line in [*lines, *table.sentence]:
        assert line[0].isupper(), line
        assert line[-1] in ".?!", line


def test_no_sentence_stands_twice_in_all_the_texts():
    found = Counter(part.strip() for text in all_texts() for part in re.split(r"(?<=[.?!])\s", text))
    assert [part for part, count in found.items() if count > 1 and len(part.split()) > 3] == []


def test_the_texts_hold_letters_of_polish_and_plain_punctuation_only():
    allowed = set("aąbcćdeęfghijklłmnńoóprsśtuwyzźż") | set(" .,:?!")
    assert {text for text in all_texts() if set(text.lower()) - allowed or "  " in text} == set()


def test_every_word_of_the_texts_is_in_the_dictionary():
    forms = sorted({form for text in all_texts() for form in WORD.findall(text)})
    unknown = [form for form, known in zip(forms, Lexicon.from_forms(forms).known, strict=True) if not known]
    assert Lexicon.from_forms([form.lower() for form in unknown]).known.all()  # proper names need their capital, first words lose it


def test_the_glossary_glosses_words_of_the_dictionary_once():
    glosses = glossary()
    assert all(form == form.lower() and gloss.strip() for form, gloss in glosses.items())
    lexicon = Lexicon.from_forms(list(glosses))
    assert lexicon.known.all()


def test_marked_words_stand_where_the_table_says_and_are_whole(table):
    for row in table.itertuples():
        assert row.sentence[row.start : row.end] == row.form, row.sentence
        spans = [match.span() for match in WORD.finditer(row.sentence)]
        assert (row.start, row.end) in spans, row.sentence
        assert row.start > 0, row.sentence  # the first position is special in both models


def test_marked_forms_belong_to_their_lemma(table):
    lexicon = Lexicon.from_forms(table.form)
    strangers = [(form, lemma) for form, lemma, known in zip(table.form, table.lemma, lexicon.lemmas, strict=True) if lemma not in known]
    assert strangers == []


def test_lemmas_have_two_senses_and_senses_eight_sentences(table):
    assert table.lemma.nunique() >= 24
    assert len(table) >= 430
    by_sense = table.groupby(["lemma", "sense"])
    assert (table.groupby("lemma").sense.nunique() >= 2).all()
    assert (by_sense.size() >= 8).all()
    assert (by_sense.gloss.nunique() == 1).all()


def test_a_marked_lemma_stands_once_in_its_sentence(table):
    forms = table.groupby("lemma").form.agg(lambda column: {form.lower() for form in column})
    twice = [row.sentence for row in table.itertuples() if sum(word in forms[row.lemma] for word in words(row.sentence)) != 1]
    assert twice == []


def test_the_form_alone_does_not_tell_the_sense(table):
    for lemma, rows in table.groupby("lemma"):
        for sense, own in rows.groupby("sense"):
            others = set(rows[rows.sense != sense].form)
            assert own.form.isin(others).sum() >= 6, (lemma, sense)


def test_the_place_in_the_sentence_does_not_tell_the_sense(table):
    place = [len(words(sentence[:start])) for sentence, start in zip(table.sentence, table.start, strict=True)]
    means = table.assign(place=place).groupby(["lemma", "sense"]).place.mean().unstack()
    assert (means.max(axis=1) - means.min(axis=1) < 2).all()  # in words; a sentence has nine or so


def test_paragraphs_are_of_three_kinds_and_sixty_to_120_words_long(running):
    counts = running.kind.value_counts()
    assert set(counts.index) == set(KINDS)
    assert counts.min() >= 15
    assert running.text.map(lambda text: 60 <= len(words(text)) <= 120).all()
    assert running.id.is_unique


@pytest.mark.parametrize("word", FUNCTION_WORDS)
def test_function_words_have_thirty_contexts(word):
    assert sum(words(text).count(word) for text in all_texts()) >= 30


@pytest.mark.parametrize("word", ["nie", "się", "jest", "na"])
def test_the_most_watched_words_have_thirty_contexts_in_twenty_paragraphs(running, word):
    counts = running.text.map(lambda text: words(text).count(word))
    assert counts.sum() >= 30
    assert (counts > 0).sum() >= 20


@pytest.mark.parametrize(
    ("lines", "wrong", "expected"),
    [
        (["Widać [zamek]."], 1, "before the first heading"),
        (["# zamek | castle", "Widać [zamek]."], 1, "# lemma | sense | gloss"),
        (["# zamek | castle | ", "Widać [zamek]."], 1, "# lemma | sense | gloss"),
        (["# zamek | castle | a", "Widać [zamek].", "", "# zamek | castle | b", "Oto [zamek]."], 4, "second heading"),
        (["# zamek | castle | a", "Oto [zamek].", "Widać zamek."], 3, "one word between brackets"),
        (["# zamek | castle | a", "", "[Zamek] to nie [zamek]."], 3, "one word between brackets"),
        (["# zamek | castle | a", "Widać [zamek na wzgórzu]."], 2, "one word between brackets"),
        (["# zamek | castle | a", "Widać [zamek]]."], 2, "one word between brackets"),
        (["# zamek | castle | a", "Widać [zam]ek."], 2, "whole word"),
    ],
)
def test_a_malformed_line_of_senses_is_named(tmp_path, lines, wrong, expected):
    path = tmp_path / "own.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"own\.txt, line {wrong}: .*{re.escape(expected)}"):
        senses(path)


@pytest.mark.parametrize(
    ("lines", "wrong", "expected"),
    [
        (["# storm | weather", "Wieje."], 2, "expected one of news, narrative, explanatory"),
        (["# storm | news", "Wieje.", "Pada."], 3, "one line a paragraph"),
        (["# storm | news", "Wieje.", "# storm | narrative", "Pada."], 3, "second heading"),
    ],
)
def test_a_malformed_line_of_paragraphs_is_named(tmp_path, lines, wrong, expected):
    path = tmp_path / "own.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"own\.txt, line {wrong}: .*{re.escape(expected)}"):
        paragraphs(path)


def test_a_file_of_the_reader_s_own_is_read(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("# zamek | castle | fortified residence\nOto [zamek], a tam most.\n", encoding="utf-8")
    row = senses(path).iloc[0]
    assert (row.lemma, row.sense, row.gloss, row.form) == ("zamek", "castle", "fortified residence", "zamek")
    assert (row.sentence, row.start, row.end) == ("Oto zamek, a tam most.", 4, 9)


def test_two_forms_are_of_one_noun_and_the_other_word_is_not():
    table = two_forms()
    assert len(table) >= 60
    assert table.sentence.is_unique
    for row in table.itertuples():
        for sentence, word in ((row.sentence, row.second), (row.control, row.other)):
            assert sentence[0].isupper(), sentence
            assert sentence[-1] == ".", sentence
            assert sentence[row.first_start :].startswith(row.first), sentence
            assert re.match(rf"{word}\b", sentence[row.second_start :]), sentence
        first, second, other = Lexicon.from_forms([row.first, row.second, row.other]).lemmas
        assert first & second, row.sentence
        assert not first & other, row.control
        assert row.first != row.second
        assert 0 < row.first_start < row.second_start


def test_the_other_noun_stands_in_the_same_case_and_number():
    table = two_forms()
    second, other = Lexicon.from_forms(table.second), Lexicon.from_forms(table.other)
    for i, row in enumerate(table.itertuples()):
        assert (second.case[i] & other.case[i]).any(), row.control
        assert (second.number[i] & other.number[i]).any(), row.control
    forms = sorted({form for text in [*table.sentence, *table.control] for form in WORD.findall(text)})
    unknown = [form.lower() for form, known in zip(forms, Lexicon.from_forms(forms).known, strict=True) if not known]
    assert not unknown or Lexicon.from_forms(unknown).known.all()


@pytest.mark.parametrize("line", ["Stał [dom], a za [domem] rzeka.", "Stał dom, a za [domem|lasem] rzeka.", "Stał [dom|las] i [dom]."])
def test_lines_without_two_marked_words_are_named(tmp_path, line):
    file = tmp_path / "forms.txt"
    file.write_text(f"Stał [dom], a za [domem|lasem] była rzeka.\n\n{line}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="forms.txt, line 3: .*expected two marked words"):
        two_forms(file)


def test_translations_are_of_sentences_of_the_table_and_cover_zamek(table):
    english = translations()
    assert set(english) == set(table.sentence[table.lemma == "zamek"])
    assert all(text.strip() and text[-1] in ".?!" for text in english.values())


def test_passages_are_the_paragraphs_in_pieces():
    whole, found = paragraphs(), passages(3)
    assert found.groupby("id", sort=False)["text"].agg(" ".join).tolist() == whole["text"].tolist()
    assert found["id"].unique().tolist() == whole["id"].tolist()
    assert max(len(split_sentences(text)) for text in found["text"]) == 3
    with pytest.raises(ValueError, match="n_sentences: expected 1 or more, found 0"):
        passages(0)


def test_sentences_end_where_a_space_follows_their_sign():
    assert split_sentences("Dokąd? Do lasu… Nie, 3.5 km stąd! Tak.") == ["Dokąd?", "Do lasu…", "Nie, 3.5 km stąd!", "Tak."]


def test_blank_lines_are_ignored_and_parts_of_words_refused(tmp_path):
    pairs = tmp_path / "pairs.tsv"
    whole = (Path(texts.__file__).parent / "word_pairs.tsv").read_text(encoding="utf-8")
    pairs.write_text(whole.replace("\n", "\n\n", 1), encoding="utf-8")
    pd.testing.assert_frame_equal(texts.word_pairs(pairs), texts.word_pairs())
    forms = tmp_path / "forms.txt"
    for line in ("Stał stary pod[dom], a za [domem|lasem] płynęła.", "Stał [dom]ek, a za [domem|lasem] rzeka."):
        forms.write_text(line, encoding="utf-8")
        with pytest.raises(ValueError, match="expected two marked words"):
            texts.two_forms(forms)
