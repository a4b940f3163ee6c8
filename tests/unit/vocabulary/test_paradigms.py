"""Cells of paradigms: what a grammar says of the forms."""

import pytest

pytest.importorskip("morfeusz2")

from analysis_lib.vocabulary.paradigms import cell_pairs, cells_of, of_fullest_lemma, paradigm_cells

WORDS = ["dom", "domu", "domem", "matka", "matki", "matce", "robić", "robi", "robił", "robiła", "miał", "dobry", "dobra", "ode", "od"]


def test_a_tag_with_dots_is_several_cells():
    assert cells_of("subst:sg:nom.acc:m3") == ["subst:sg:nom:m3", "subst:sg:acc:m3"]
    assert len(cells_of("adj:sg:nom.voc:m1.m2.m3:pos")) == 6
    assert cells_of("inf:imperf") == ["inf:imperf"]


def test_the_generator_gives_each_form_for_its_cell():
    """An oracle that runs the other way: from the lemma to its forms."""
    import morfeusz2

    generator = morfeusz2.Morfeusz(analyse=False, generate=True, praet="composite")
    cells = paradigm_cells(WORDS)
    assert len(cells) == len(cells.drop_duplicates())
    for lemma, part in cells.groupby("lemma"):
        generated = {(form, cell) for form, of_lemma, tag, _, _ in generator.generate(lemma) if of_lemma == lemma for cell in cells_of(tag)}
        assert set(zip(part["form"], part["cell"], strict=True)) <= generated


def test_forms_of_another_part_of_speech_are_left_out():
    cells = paradigm_cells(WORDS)
    assert "miał" not in set(cells["form"])  # had, or dust
    assert not cells.loc[cells["form"] == "dobry", "alone"].any()  # good, or a good man: kept as an adjective
    assert cells.loc[cells["form"] == "domu", "alone"].all()


def test_rules_lead_from_form_to_form():
    cells = paradigm_cells(WORDS)
    assert set(cell_pairs(cells, "subst:sg:nom:*", "subst:sg:gen:*")) == {("dom", "domu"), ("matka", "matki")}
    assert cell_pairs(cells, "inf:*", "praet:sg:f:ter:*") == [("robić", "robiła")]
    assert cell_pairs(cells, "subst:sg:nom:*", "subst:sg:nom:*") == []  # a form is not its own pair
    assert cell_pairs(cells, "subst:pl:gen:*", "inf:*") == []


def test_a_form_belongs_to_the_lemma_of_which_most_is_there():
    cells = paradigm_cells(["sztuk", "sztuka", "sztukę", "dom", "domu", "robi", "robią"])
    likely = of_fullest_lemma(cells)
    assert {"sztuk", "sztuka"} <= set(cells["lemma"])
    assert set(likely.loc[likely["form"].str.startswith("sztuk"), "lemma"]) == {"sztuka"}
    assert ("sztuk", "sztuka") not in cell_pairs(likely, "subst:sg:nom:*", "subst:sg:gen:*")
    assert set(likely["form"]) == set(cells["form"])  # every form keeps a lemma
    tied = paradigm_cells(["sztuk", "sztuka"])
    assert len(of_fullest_lemma(tied)) == len(tied)


def test_results_can_be_changed_without_harm():
    first = paradigm_cells(["dom"])
    first.loc[:, "form"] = "changed"
    assert set(paradigm_cells(["dom"])["form"]) == {"dom"}


def test_bad_forms_are_named():
    with pytest.raises(TypeError, match="string 'dom'"):
        paradigm_cells("dom")
