"""The book's own Polish."""

from analysis_lib.lexicon import Lexicon
from analysis_lib.texts import glossary, sentences


def test_sentences_are_distinct_and_end_as_sentences():
    lines = sentences()
    assert len(lines) == len(set(lines)) == 40
    assert all(line[0].isupper() and line[-1] in ".?!" for line in lines)


def test_every_word_of_the_sentences_is_in_the_dictionary():
    words = sorted({word.strip(".,?!").lower() for line in sentences() for word in line.split()})
    lexicon = Lexicon.from_forms(words)
    unknown = [word for word, known in zip(words, lexicon.known, strict=True) if not known]
    assert set(unknown) <= {"krakowie"}  # a proper name: only with its capital


def test_the_glossary_glosses_words_of_the_dictionary_once():
    glosses = glossary()
    assert all(form == form.lower() and gloss.strip() for form, gloss in glosses.items())
    lexicon = Lexicon.from_forms(list(glosses))
    assert lexicon.known.all()
