"""Relations and minimal pairs: each pair holds in Morfeusz, and blocks are what they are said to be."""

from fnmatch import fnmatchcase

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("morfeusz2")

from analysis_lib import models, texts
from analysis_lib.projections import grammar, minimal_pairs
from analysis_lib.projections.minimal_pairs import Phenomenon
from analysis_lib.projections.readers import Reader
from analysis_lib.vocabulary.lexicon import morfeusz
from analysis_lib.vocabulary.paradigms import cells_of, paradigm_cells


@pytest.fixture(scope="module")
def words():
    reader = Reader.of(models.load("polish-gpt2", source="embedded"))
    return set(reader.vocabulary.text[reader.keep])


@pytest.fixture(scope="module")
def pairs(words):
    return grammar.relation_pairs(words)


@pytest.fixture(scope="module")
def cells_by_form(words):
    """(lemma, cell) of every reading of a form, straight from the analyser."""
    dictionary = morfeusz()
    return {word: {(lemma, cell) for _, _, (_, lemma, tag, _, _) in dictionary.analyse(word) for cell in cells_of(tag)} for word in words}


def test_there_are_enough_relations_of_enough_pairs(pairs):
    assert len(pairs) >= 24
    assert all(20 <= len(own) <= 60 for own in pairs.values())
    assert list(pairs) == [name for name in grammar.RELATIONS if name in pairs]


def test_each_target_is_the_form_of_the_source_that_the_rule_states(pairs, cells_by_form):
    for name in grammar.RULES.keys() & pairs.keys():
        for source, target in pairs[name]:
            assert any(
                of_source == of_target and fnmatchcase(first, rule[0]) and fnmatchcase(second, rule[1])
                for rule in grammar.RULES[name]
                for of_source, first in cells_by_form[source]
                for of_target, second in cells_by_form[target]
            ), (name, source, target)


def test_prepositions_govern_the_nouns_they_are_with(pairs, cells_by_form):
    own = pairs[grammar.GOVERNMENT]
    seen = set()
    for preposition, noun in own:
        governed = {cell.split(":")[1] for _, cell in cells_by_form[preposition] if cell.startswith("prep:")}
        cases = {cell.split(":")[2] for _, cell in cells_by_form[noun] if cell.startswith("subst:")}
        assert governed & cases, (preposition, noun)
        seen |= governed & cases
    assert {"gen", "dat", "acc", "inst", "loc"} <= seen


def test_aspect_goes_from_imperfective_to_perfective(pairs, cells_by_form):
    for source, target in pairs["aspect"]:
        assert any("imperf" in cell for _, cell in cells_by_form[source]), source
        assert any(cell.split(":")[-1] == "perf" or ":perf:" in cell for _, cell in cells_by_form[target]), target


def test_no_pair_is_in_two_relations_and_no_word_twice_on_a_side(pairs):
    everything = [pair for own in pairs.values() for pair in own]
    assert len(everything) == len(set(everything))
    for name, own in pairs.items():
        sources, targets = zip(*own, strict=True)
        assert len(set(targets)) == len(own)
        assert name == grammar.GOVERNMENT or len(set(sources)) == len(own)
        assert all(source != target for source, target in own)


def test_a_seed_gives_one_draw_and_caps_hold(words):
    some = sorted(words)[::2]
    few, again = (grammar.relation_pairs(some, min_pairs=5, max_pairs=10, seed=1) for _ in range(2))
    assert few == again
    assert len(few) > 10
    assert all(5 <= len(own) <= 10 for own in few.values())


def test_other_forms_are_of_the_same_lemma_and_another_form(pairs, words, cells_by_form):
    others = grammar.other_forms(pairs, words)
    assert set(others) <= set(grammar.RULES)
    for name, own in others.items():
        for (source, target), (same, other) in own:
            assert (source, target) in pairs[name]
            assert source == same
            assert other not in (source, target)
            assert {lemma for lemma, _ in cells_by_form[target]} & {lemma for lemma, _ in cells_by_form[other]}


def test_in_a_vocabulary_of_few_words_fewer_pairs_are_enough(words):
    some = grammar.relation_pairs(sorted(words)[::4], min_pairs=2)
    size, left = grammar.large_enough(some, sizes=(60, 10, 2))
    assert size < 60
    assert left == {name: own for name, own in some.items() if len(own) >= size}
    assert len(left) >= 3
    few = {name: [("a", "b")] * n for n, name in ((2, "x"), (5, "y"), (5, "z"))}
    assert grammar.large_enough(few) == (2, few)
    assert grammar.large_enough(few, n_relations=2) == (5, {name: few[name] for name in "yz"})
    with pytest.raises(ValueError, match="expected 4 relations of 2 pairs or more, found 3; the vocabulary has too few words"):
        grammar.large_enough(few, n_relations=4)


def test_bad_requests_are_named():
    with pytest.raises(ValueError, match="2 <= min_pairs <= max_pairs, found 1 and 60"):
        grammar.relation_pairs(["dom"], min_pairs=1)
    with pytest.raises(TypeError, match="found the string 'dom'"):
        grammar.relation_pairs("dom")
    with pytest.raises(ValueError, match="found zzz"):
        grammar.pair_ids({"a": [("dom", "zzz")]}, ["dom"], [True])


def test_listed_pairs_are_words_and_no_line_is_wrong(tmp_path):
    table = texts.word_pairs()
    assert set(table["relation"]) == set(grammar.LISTED)
    assert not table.duplicated().any()
    known = paradigm_cells(table["source"].str.lower().tolist() + table["target"].str.lower().tolist())
    assert len(known)
    for text, message in (
        ("a\tb", "line 1"),
        ("r\ta\ta", "expected a relation and two words"),
        ("r\ta\tb\nr\ta\tb", "line 2.*second time"),
    ):
        path = tmp_path / "pairs.tsv"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            texts.word_pairs(path)


@pytest.fixture(scope="module")
def minimal(words):
    return minimal_pairs.minimal_pairs(minimal_pairs.phenomena(words))


def test_a_right_form_is_right_by_the_word_that_a_reader_takes_it_for():
    words = ["słaby", "słabe", "słabego", "badanie", "badania", "badaniu", "dom", "domu", "domem", "lesie", "las", "lasu", "lasy"]
    rule = next(rule for rule in minimal_pairs.phenomena(words) if rule.name == "case after an adjective")
    fitting = {form for forms in rule.forms.values() for form in forms if rule.cues["słaby"] & forms[form]}
    assert fitting == {"dom", "las"}  # not badanie, a vocative of badan, nor domie, lesie and the other vocatives
    assert rule.may_fit("słaby", "badanie")  # so that it is no wrong form either
    assert not rule.may_fit("słaby", "domem")


def test_there_are_three_thousand_minimal_pairs_of_all_rules(minimal):
    assert len(minimal) >= 3000
    assert minimal["phenomenon"].nunique() == 7


def test_the_two_sentences_of_a_pair_differ_in_one_token(minimal, words):
    loaded = models.load("polish-gpt2", source="embedded")
    for row in minimal.sample(200, random_state=0).itertuples():
        right, wrong = (loaded.tokenizer(f" {row.prefix} {form}")["input_ids"] for form in (row.right, row.wrong))
        assert right[:-1] == wrong[:-1] == loaded.tokenizer(f" {row.prefix}")["input_ids"]
        assert right[-1] != wrong[-1]
        assert row.prefix.split()[-1] == row.cue


def test_each_form_of_a_block_is_right_once_and_wrong_once(minimal):
    for _, block in minimal.groupby(["phenomenon", "block"]):
        (first, second) = block.itertuples()
        assert (first.right, first.wrong) == (second.wrong, second.right)
        assert first.cue != second.cue
        assert (first.lemma, first.carrier) == (second.lemma, second.carrier)
    assert not minimal.duplicated(["phenomenon", "prefix", "right", "wrong"]).any()


def test_right_forms_fit_their_cues_and_wrong_ones_do_not(minimal, cells_by_form):
    """Case after prepositions and agreement after adjectives, from the analyser's readings."""

    def values(word, word_class, fields):
        cells = [cell.split(":") for _, cell in cells_by_form[word] if cell.startswith(f"{word_class}:")]
        return {tuple(cell[field] for field in fields) for cell in cells}

    for rule, word_class, asked, offered in (
        ("case after a preposition", "prep", (1,), (2,)),
        ("case after an adjective", "adj", (1, 2, 3), (1, 2, 3)),
        ("case after swój", "adj", (1, 2, 3), (1, 2, 3)),
    ):
        for row in minimal[minimal["phenomenon"] == rule].itertuples():
            wanted = values(row.cue, word_class, asked)
            assert wanted & values(row.right, "subst", offered), row
            assert not wanted & values(row.wrong, "subst", offered), row


def test_frequency_alone_is_right_in_exactly_half(minimal):
    rng = np.random.default_rng(0)
    liking = {word: rng.normal() for word in sorted(set(minimal["right"]))}
    margins = minimal["right"].map(liking) - minimal["wrong"].map(liking)
    assert (margins > 0).mean() == 0.5
    assert margins.sum() == pytest.approx(0, abs=1e-9)


def test_a_rule_without_blocks_and_bad_numbers_are_named():
    rule = Phenomenon("toy", {"a": {"x"}, "b": {"y"}}, {"l": {"f": {"x"}, "g": {"y"}}})
    assert rule.fits("a", "f")
    assert not rule.may_fit("b", "f")
    alike = Phenomenon("alike", rule.cues, {"l": {"f": {"x"}}, "m": {"f": {"y"}}}, {"f": {"x", "y", "z"}})
    assert not alike.fits("a", "f")  # right by one of two words only
    assert alike.may_fit("a", "f")
    found = minimal_pairs.minimal_pairs([rule], carriers=["C"], n_blocks=5)
    assert sorted(found[["prefix", "right", "wrong"]].to_numpy().tolist()) == [["C a", "f", "g"], ["C b", "g", "f"]]
    empty = Phenomenon("empty", {"a": {"x"}}, {"l": {"f": {"x"}, "g": {"x"}}})
    with pytest.raises(ValueError, match="found none in 'empty'"):
        minimal_pairs.minimal_pairs([empty])
    with pytest.raises(ValueError, match="of 2 lemmas or more, found none in 'toy'"):
        minimal_pairs.minimal_pairs([rule], min_lemmas=2)
    pd.testing.assert_frame_equal(minimal_pairs.minimal_pairs([rule, empty], carriers=["C"], n_blocks=5), found)  # it is left out
    with pytest.raises(ValueError, match="one or more each, found 1, 3 and 0"):
        minimal_pairs.minimal_pairs([rule], n_blocks=0)


def test_words_that_are_no_strings_are_named_and_caps_hold():
    with pytest.raises(TypeError, match=r"words\[0\] is int; expected str"):
        grammar.relation_pairs([1, 2])
    cells = paradigm_cells(["do", "domu", "przed", "domem"])
    assert grammar.governed_nouns(cells, 0, np.random.default_rng(0)) == []
    assert len(grammar.governed_nouns(cells, 1, np.random.default_rng(0))) == 1
