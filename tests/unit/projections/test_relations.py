"""Pair lists with planted relations, and nulls whose value is known by counting."""

import itertools
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("morfeusz2")

from analysis_lib.projections import relations
from analysis_lib.statistics import holm
from analysis_lib.vocabulary import Lexicon

FORMS = [
    "dom", "domami", "Dom", "kot", "kotami", "ogrodami", "ogród", "czytam", "czytasz", "piszę", "piszesz",
    "do", "domu", "przez", "szybko", "szczeg", "ponieważ", "zamkiem",
]  # fmt: skip
ID = {form: i for i, form in enumerate(FORMS)}


@pytest.fixture(scope="module")
def lexicon():
    return Lexicon.from_forms(FORMS)


@pytest.fixture(scope="module")
def groups():
    lowered = [form.lower() for form in FORMS]
    return np.array([lowered.index(form) for form in lowered])


def ids(*forms):
    return np.array([ID[form] for form in forms], dtype=np.int64)


def shares_of(left, right, lexicon, groups):
    return relations.permuted_null(left, right, lexicon, groups, max_draws=1)[["share", "n"]]


def relation_of(left, right, lexicon, groups):
    """1 where a relation holds between two forms, 0 where it does not, NaN where it does not apply."""
    return shares_of(ids(left), ids(right), lexicon, groups)["share"]


def test_forms_of_a_lemma(lexicon, groups):
    row = relation_of("dom", "domami", lexicon, groups)
    assert row["same_lemma"]
    assert row["same_pos"]
    assert not row["same_form"]
    assert not row["same_case"]
    assert not row["same_number"]
    assert np.isnan(row["same_person"])


def test_one_form_counts_for_same_form_alone(lexicon, groups):
    row = relation_of("dom", "Dom", lexicon, groups)
    assert row["same_form"]
    assert row.drop("same_form").isna().all()


def test_agreement_of_case_and_person(lexicon, groups):
    assert relation_of("domami", "kotami", lexicon, groups)["same_case"]
    assert not relation_of("domami", "kot", lexicon, groups)["same_case"]
    assert relation_of("domami", "kotami", lexicon, groups)["same_number"]
    assert relation_of("czytam", "piszę", lexicon, groups)["same_person"]
    assert not relation_of("czytam", "piszesz", lexicon, groups)["same_person"]
    assert relation_of("czytam", "czytasz", lexicon, groups)["same_lemma"]


@pytest.mark.parametrize("flip", [False, True])
def test_prepositions_and_what_they_govern_on_either_side(lexicon, groups, flip):
    def row(preposition, noun):
        sides = (noun, preposition) if flip else (preposition, noun)
        return relation_of(*sides, lexicon, groups)

    assert row("do", "domu")["preposition_noun"]
    assert row("do", "domu")["governed_case"]
    assert row("przez", "ogród")["governed_case"]
    assert row("do", "ogród")["preposition_noun"]
    assert not row("do", "ogród")["governed_case"]
    assert not row("do", "czytam")["preposition_noun"]
    assert np.isnan(row("do", "czytam")["governed_case"])
    assert np.isnan(row("do", "domu")["same_case"])  # a preposition has no case of its own


def test_what_does_not_apply_is_left_out_and_counted(lexicon, groups):
    left = ids("dom", "kot", "szczeg", "ponieważ")
    right = ids("domami", "piszę", "dom", "kot")
    shares = shares_of(left, right, lexicon, groups)
    assert shares.loc["same_form"].tolist() == [0.0, 4]
    assert shares.loc["same_lemma"].tolist() == pytest.approx([1 / 3, 3])
    assert shares.loc["same_case"].tolist() == [0.0, 1]
    assert shares.loc["same_number"].tolist() == [0.5, 2]  # sg-pl, sg-sg
    assert shares.loc["same_person", "n"] == 0
    assert np.isnan(shares.loc["same_person", "share"])


def without_mirrors(left, right):
    """The pairs, but for those whose mirror image stands before them."""
    pairs = list(zip(left.tolist(), right.tolist(), strict=True))
    return [(a, b) for place, (a, b) in enumerate(pairs) if a == b or (b, a) not in pairs[:place]]


def test_a_mirror_image_says_nothing_new(lexicon, groups):
    left, right = ids("dom", "kot", "czytam", "do", "ogród"), ids("domami", "kotami", "piszesz", "domu", "kot")
    once = relations.permuted_null(left, right, lexicon, groups, max_draws=300)
    twice = relations.permuted_null(np.r_[left, right], np.r_[right, left], lexicon, groups, max_draws=300)
    pd.testing.assert_frame_equal(once, twice)
    order = [0, 5, 1, 6, 2, 7, 3, 8, 4, 9]
    mixed = relations.permuted_null(np.r_[left, right][order], np.r_[right, left][order], lexicon, groups, max_draws=300)
    pd.testing.assert_frame_equal(once, mixed)


def test_relations_do_not_depend_on_the_side(lexicon, groups):
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, len(FORMS), (2, 60))
    pd.testing.assert_frame_equal(shares_of(left, right, lexicon, groups), shares_of(right, left, lexicon, groups))


def test_shares_are_the_means_over_pairs(lexicon, groups):
    rng = np.random.default_rng(1)
    left, right = rng.integers(0, len(FORMS), (2, 80))
    once = without_mirrors(left, right)
    pairs = pd.DataFrame([relation_of(FORMS[a], FORMS[b], lexicon, groups) for a, b in once])
    shares = shares_of(left, right, lexicon, groups)
    assert list(shares.index) == list(relations.RELATIONS)
    for name in relations.RELATIONS:
        assert shares.loc[name, "n"] == pairs[name].notna().sum()
        assert shares.loc[name, "share"] == pytest.approx(pairs[name].mean())


def test_null_agrees_with_a_loop_over_its_permutations(lexicon, groups):
    left, right = np.random.default_rng(2).integers(0, len(FORMS), (2, 20))
    left, right = np.array(without_mirrors(left, right)).T
    n = len(left)
    null = relations.permuted_null(left, right, lexicon, groups, max_draws=15, seed=5)
    rng = np.random.default_rng(5)
    order = rng.permuted(np.tile(np.arange(n, dtype=np.int32), (15, 1)), axis=1)
    single = {(a, b): relation_of(FORMS[a], FORMS[b], lexicon, groups) for a in set(left) for b in set(right)}
    looped = pd.DataFrame([pd.DataFrame([single[pair] for pair in zip(left, right[o], strict=True)]).mean() for o in order])
    for name in relations.RELATIONS:
        if null.loc[name, "n"]:
            assert null.loc[name, "null_mean"] == pytest.approx(looped[name].mean())
            expected = (1 + (looped[name] >= null.loc[name, "share"]).sum()) / (1 + looped[name].notna().sum())
            assert null.loc[name, "p"] == pytest.approx(expected)


@pytest.mark.parametrize("name", ["same_lemma", "same_case"])
def test_p_agrees_with_all_permutations(lexicon, groups, name):
    """Five pairs, three of them planted, and every one of the 120 permutations."""
    left = ids("dom", "kot", "czytam", "zamkiem", "ogród")
    right = ids("domami", "kotami", "czytasz", "kotami", "dom")
    observed = shares_of(left, right, lexicon, groups).loc[name, "share"]
    every = [shares_of(left, right[list(o)], lexicon, groups).loc[name, "share"] for o in itertools.permutations(range(5))]
    exact = (np.array(every) >= observed).sum() / np.isfinite(every).sum()
    p = [relations.permuted_null(left, right, lexicon, groups, names=[name], seed=seed).loc[name, "p"] for seed in range(20)]
    assert np.mean(p) == pytest.approx(exact, rel=0.2)  # each is off by a fifth, their mean by a twentieth


def test_a_planted_list_has_a_p_value_that_survives_many_tests(lexicon, groups):
    """Forty pairs of one lemma each: 1,500 permutations could not tell them from p = .0007, which is nothing among 768 tests."""
    left = np.repeat(ids("dom", "kot", "ogród", "czytam", "piszę"), 8)
    right = np.repeat(ids("domami", "kotami", "ogrodami", "czytasz", "piszesz"), 8)
    row = relations.permuted_null(left, right, lexicon, groups, names=["same_lemma"]).loc["same_lemma"]
    assert row["n_draws"] == 20_000
    assert row["p"] < 1e-6


def test_corrected_over_everything_that_was_looked_at():
    """One small p among 8 relations of 96 lists: relation by relation it would pass, over all of them it does not."""
    p = np.full((96, 8), 0.5)
    p[7, 3] = 2e-4
    tables = {
        model: pd.DataFrame({"relation": np.tile(np.arange(8), 48), "p": p[rows].ravel()})
        for model, rows in (("GPT-2", slice(0, 48)), ("HerBERT", slice(48, 96)))
    }
    one_relation = tables["GPT-2"].loc[tables["GPT-2"]["relation"] == 3, "p"]
    assert holm(one_relation).min() < 0.05
    table = relations.correct_together(tables)
    assert len(table) == 768
    assert table["p_holm"].min() == pytest.approx(768 * 2e-4)
    assert not table["passes"].any()
    tables["HerBERT"].loc[0, "p"] = 1e-6
    hits = relations.correct_together(tables).query("passes")
    assert hits[["model", "relation"]].to_numpy().tolist() == [["HerBERT", 0]]


def test_a_family_of_random_pairings_has_a_false_finding_as_seldom_as_it_says(lexicon, groups):
    """Families of six lists and eight relations: at most one in twenty has a finding; more have one if each relation is corrected alone."""
    rng = np.random.default_rng(3)
    found = {"together": 0, "relation by relation": 0}
    for family in range(50):
        lists = rng.integers(0, len(FORMS), (6, 2, 30))
        heads = {(0, head): SimpleNamespace(left_ids=left, right_ids=right) for head, (left, right) in enumerate(lists)}
        table = relations.head_relations(heads, lexicon, groups, max_draws=1000, seed=family)
        found["together"] += relations.correct_together({"": table})["passes"].any()
        apart = table.groupby("relation")["p"].transform(lambda p: holm(p.fillna(1.0)))
        found["relation by relation"] += (apart < 0.05).any()
    assert found["together"] <= 2.5 + 4 * np.sqrt(50 * 0.05 * 0.95)  # four standard errors
    assert found["together"] < found["relation by relation"]


def test_untested_relations_count_as_tests_without_effect():
    table = relations.correct_together({"a": pd.DataFrame({"p": [0.01, np.nan, np.nan, np.nan]})})
    assert table["p_holm"].tolist() == [pytest.approx(0.04), 1, 1, 1]


def test_planted_lemma_pairs_stand_out_and_shuffled_ones_do_not(lexicon, groups):
    left = ids("dom", "kot", "ogród", "czytam", "piszę")
    right = ids("domami", "kotami", "ogrodami", "czytasz", "piszesz")
    null = relations.permuted_null(left, right, lexicon, groups, max_draws=2000)
    assert null.loc["same_lemma", "share"] == 1
    assert null.loc["same_lemma", "p"] < 0.03  # 1 of 5! = 120 permutations
    assert null.loc["same_lemma", "null_mean"] == pytest.approx(1 / 5, abs=0.02)  # one fixed point expected
    turned = relations.permuted_null(left, np.roll(right, 1), lexicon, groups, max_draws=2000)
    assert turned.loc["same_lemma", "share"] == 0
    assert turned.loc["same_lemma", "p"] == 1


def test_a_list_of_one_kind_is_no_finding(lexicon, groups):
    """All nouns: the share is 1 and so is every permuted share."""
    left, right = ids("dom", "kot", "ogród"), ids("kotami", "ogrodami", "zamkiem")
    null = relations.permuted_null(left, right, lexicon, groups, max_draws=50)
    assert null.loc["same_pos", ["share", "null_mean", "p"]].tolist() == [1, 1, 1]


def test_a_hub_makes_the_null_the_list_itself(lexicon, groups):
    left, right = ids("dom", "dom", "dom"), ids("domami", "kot", "domu")
    null = relations.permuted_null(left, right, lexicon, groups, max_draws=50)
    assert null["n_distinct_left"].eq(1).all()
    assert null["n_distinct_right"].eq(3).all()
    applied = null[null["n"] > 0]
    assert np.allclose(applied["null_mean"], applied["share"])
    assert applied["p"].eq(1).all()


def test_p_values_of_random_pairings_are_not_small_too_often(lexicon, groups):
    rng = np.random.default_rng(3)
    p = []
    for seed in range(200):
        left, right = rng.integers(0, len(FORMS), (2, 30))
        p.append(relations.permuted_null(left, right, lexicon, groups, names=["same_pos"], max_draws=99, seed=seed).loc["same_pos", "p"])
    # Valid p-values: at most 5 % below .05, here with four standard errors of a binomial share.
    assert np.mean(np.array(p) <= 0.05) <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 200)


def test_empty_lists_give_no_share_and_no_null(lexicon, groups):
    null = relations.permuted_null(ids(), ids(), lexicon, groups, max_draws=10)
    assert null["n"].eq(0).all()
    assert null[["share", "null_mean", "p"]].isna().all(axis=None)


def test_heads_are_tidy_and_independent_of_each_other(lexicon, groups):
    rng = np.random.default_rng(6)

    def pairs():
        left, right = rng.integers(0, len(FORMS), (2, 25))
        return SimpleNamespace(left_ids=left, right_ids=right)

    heads = {(layer, head): pairs() for layer in range(2) for head in range(3)}
    settings = {"max_draws": 40, "seed": 9}
    table = relations.head_relations(heads, lexicon, groups, **settings)
    names = relations.RELATIONS
    assert len(table) == len(heads) * len(names)
    assert table["relation"].tolist() == list(names) * len(heads)
    alone = relations.head_relations({(1, 2): heads[1, 2]}, lexicon, groups, **settings)
    both = table.query("layer == 1 and head == 2").reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, both)
    pd.testing.assert_frame_equal(table, relations.head_relations(heads, lexicon, groups, **settings))
    direct = shares_of(heads[0, 1].left_ids, heads[0, 1].right_ids, lexicon, groups)
    shown = table.query("layer == 0 and head == 1").set_index("relation").loc[list(relations.RELATIONS), ["share", "n"]]
    pd.testing.assert_frame_equal(shown, direct, check_dtype=False)
    np.testing.assert_allclose(table["excess"], table["share"] - table["null_mean"])


def test_nothing_given_is_changed(lexicon, groups):
    left, right = ids("dom", "kot", "do"), ids("domami", "domu", "ogród")
    before = left.copy(), right.copy(), groups.copy()
    relations.permuted_null(left, right, lexicon, groups, max_draws=20)
    for given, copy in zip((left, right, groups), before, strict=True):
        assert np.array_equal(given, copy)


def test_errors_name_the_argument(lexicon, groups):
    good = ids("dom", "kot")
    with pytest.raises(ValueError, match="left_ids has 2 tokens and right_ids 1"):
        shares_of(good, good[:1], lexicon, groups)
    with pytest.raises(ValueError, match=f"right_ids ranges over 0 to {len(FORMS)}"):
        shares_of(good, np.array([0, len(FORMS)]), lexicon, groups)
    with pytest.raises(ValueError, match="left_ids is float64"):
        shares_of(good.astype(float), good, lexicon, groups)
    with pytest.raises(ValueError, match=r"groups has shape \(3,\)"):
        shares_of(good, good, lexicon, groups[:3])
    with pytest.raises(ValueError, match="max_draws .* found 0"):
        relations.permuted_null(good, good, lexicon, groups, max_draws=0)
    with pytest.raises(ValueError, match="names: expected some of same_form, .* found 'rhyme'"):
        relations.permuted_null(good, good, lexicon, groups, names=["rhyme"])
    with pytest.raises(ValueError, match="pairs_by_head is empty"):
        relations.head_relations({}, lexicon, groups)
