"""Readings of Polish forms: what a grammar says of them, not stored output."""

import numpy as np
import pytest

pytest.importorskip("morfeusz2")

from analysis_lib.vocabulary import Lexicon, lexicon
from analysis_lib.vocabulary.lexicon import CASES, GENDERS, NUMBERS, PARTS_OF_SPEECH, PERSONS


def values(table_row, names):
    return {name for name, present in zip(names, table_row, strict=True) if present}


def one(form):
    return Lexicon.from_forms([form])


@pytest.mark.parametrize(
    ("form", "lemma", "pos"),
    [
        ("zamku", "zamek", "noun"),
        ("czytał", "czytać", "verb"),
        ("czytałam", "czytać", "verb"),
        ("zrobiłby", "zrobić", "verb"),
        ("ładnej", "ładny", "adjective"),
        ("czytający", "czytać", "adjective"),
        ("szybko", "szybko", "adverb"),
        ("czytając", "czytać", "verb"),
        ("dwunastu", "dwanaście", "numeral"),
        ("mnie", "ja", "pronoun"),
        ("siebie", "siebie", "pronoun"),
        ("przez", "przez", "preposition"),
        ("ponieważ", "ponieważ", "conjunction"),
        ("się", "się", "particle"),
    ],
)
def test_part_of_speech_and_lemma(form, lemma, pos):
    found = one(form)
    assert found.known[0]
    assert lemma in found.lemmas[0]
    assert found.has_pos(pos)[0]


def test_lemmas_carry_no_homonym_marks():
    found = Lexicon.from_forms(["zamek", "on", "bez", "Warszawie"])
    assert found.lemmas[0] == {"zamek"}
    assert not any(":" in lemma for lemmas in found.lemmas for lemma in lemmas)


def test_categories_of_unambiguous_forms():
    found = Lexicon.from_forms(["domami", "kotka", "czytam", "czytaliście"])
    assert values(found.case[0], CASES) == {"inst"}
    assert values(found.number[0], NUMBERS) == {"pl"}
    assert "f" in values(found.gender[1], GENDERS)
    assert values(found.person[2], PERSONS) == {"pri"}
    assert values(found.person[3], PERSONS) == {"sec"}
    assert values(found.number[3], NUMBERS) == {"pl"}


def test_forms_without_a_category_have_an_empty_row():
    found = Lexicon.from_forms(["szybko", "ponieważ"])
    assert not found.case[1].any()
    assert not found.person.any()


def test_prepositions_govern_cases_but_have_none():
    found = Lexicon.from_forms(["do", "przez", "zamku"])
    assert values(found.government[0], CASES) == {"gen"}
    assert values(found.government[1], CASES) == {"acc"}
    assert not found.case[1].any()
    assert not found.government[2].any()
    assert (found.government[0] & found.case[2]).any()  # do zamku


def test_unknown_pieces_signs_and_empty_forms_are_not_known():
    found = Lexicon.from_forms(["szczeg", "xyzzyq", ".", "12", "", "  ", "�", "\x00", "dom"])
    assert found.known.tolist() == [False] * 8 + [True]
    assert found.lemmas[0] == frozenset()
    assert not found.pos[0].any()
    assert found.has_pos("sign")[2]


def test_pieces_of_characters_are_not_looked_up(capfd):
    assert not Lexicon.from_forms(["\N{REPLACEMENT CHARACTER}", "do\N{REPLACEMENT CHARACTER}"]).known.any()
    assert capfd.readouterr() == ("", "")  # the dictionary would complain on stderr


def test_capitalised_forms_are_read_as_words_and_as_names():
    found = Lexicon.from_forms(["Ponieważ", "ponieważ", "PONIEważ", "Warszawie"])
    assert found.known.all()
    assert found.lemmas[0] == found.lemmas[1] == found.lemmas[2]
    assert "Warszawa" in found.lemmas[3]


def test_lower_case_does_not_find_a_proper_name():
    found = Lexicon.from_forms(["Kraków", "kraków"])
    assert "Kraków" in found.lemmas[0]
    assert "Kraków" not in found.lemmas[1]


def test_surname_only_readings_give_way_to_ordinary_ones():
    # The surname Jan may be undeclined and feminine; the first name is nominative masculine.
    found = one("Jan")
    assert "m1" in values(found.gender[0], GENDERS)
    assert "inst" not in values(found.case[0], CASES)


def test_undeclined_nouns_give_way_to_ordinary_readings():
    found = Lexicon.from_forms(["do", "menu"])
    assert found.tags[0] == {"prep:gen"}  # not the musical note
    assert found.case[1].all()  # a noun and nothing else


def test_clitics_do_not_hide_their_host():
    found = Lexicon.from_forms(["kiedym", "kiedy"])
    assert found.known.all()
    assert found.lemmas[0] == found.lemmas[1]


def test_homonyms_hold_the_union_of_their_readings():
    found = one("mną")  # instrumental of "ja", or "they crumple"
    assert found.lemmas[0] == {"ja", "miąć"}
    assert found.has_pos("pronoun")[0]
    assert found.has_pos("verb")[0]


def test_rows_follow_the_given_forms_and_ignore_surrounding_space():
    forms = [" dom", "kot", "dom", "kot "]
    found = Lexicon.from_forms(forms)
    assert found.forms == tuple(forms)
    assert len(found) == 4
    assert found.lemmas[0] == found.lemmas[2] == {"dom"}
    assert found.tags[1] == found.tags[3]
    assert np.array_equal(found.case[0], found.case[2])


def test_same_input_gives_equal_tables_whatever_the_order():
    forms = ["zamek", "bez", "nie", "trzy"]
    forwards, backwards = Lexicon.from_forms(forms), Lexicon.from_forms(forms[::-1])
    for name in ("pos", "case", "number", "gender", "person", "government", "known"):
        assert np.array_equal(getattr(forwards, name), getattr(backwards, name)[::-1])
    assert forwards.lemmas == backwards.lemmas[::-1]


def test_every_class_belongs_to_one_part_of_speech():
    classes = [cls for group in PARTS_OF_SPEECH.values() for cls in group]
    assert len(classes) == len(set(classes))
    assert set(lexicon.POS_OF_CLASS) == set(classes)


def test_no_class_of_the_dictionary_is_left_out():
    resolver = lexicon.morfeusz()._morfeusz_obj.getIdResolver()
    classes = {resolver.getTag(i).split(":")[0] for i in range(2000)} - {"", "ign"}
    assert classes
    assert classes <= set(lexicon.POS_OF_CLASS)


def test_errors_name_what_was_given():
    with pytest.raises(TypeError, match="string 'dom'"):
        Lexicon.from_forms("dom")
    with pytest.raises(TypeError, match=r"forms\[1\] is int"):
        Lexicon.from_forms(["dom", 3])
    with pytest.raises(ValueError, match="'nouns'.*noun, verb"):
        one("dom").has_pos("nouns")


def test_arrays_of_strings_are_taken_as_they_are():
    found = Lexicon.from_forms(np.array(["dom", "zamku"]))
    assert found.lemmas == ({"dom"}, {"zamek"})


def test_no_forms_give_an_empty_lexicon():
    found = Lexicon.from_forms([])
    assert len(found) == 0
    assert found.case.shape == (0, len(CASES))
