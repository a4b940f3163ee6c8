"""Pair lists with planted relations, and nulls whose value is known by counting."""

import itertools
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("morfeusz2")

from analysis_lib.projections import relations, similarity
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


def test_relations_do_not_depend_on_the_side(lexicon, groups):
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, len(FORMS), (2, 60))
    pd.testing.assert_frame_equal(shares_of(left, right, lexicon, groups), shares_of(right, left, lexicon, groups))


def test_shares_are_the_means_over_pairs(lexicon, groups):
    rng = np.random.default_rng(1)
    left, right = rng.integers(0, len(FORMS), (2, 80))
    pairs = pd.DataFrame([relation_of(FORMS[a], FORMS[b], lexicon, groups) for a, b in zip(left, right, strict=True)])
    shares = shares_of(left, right, lexicon, groups)
    assert list(shares.index) == list(relations.RELATIONS)
    for name in relations.RELATIONS:
        assert shares.loc[name, "n"] == pairs[name].notna().sum()
        assert shares.loc[name, "share"] == pytest.approx(pairs[name].mean())


def test_null_agrees_with_a_loop_over_its_permutations(lexicon, groups):
    left, right = np.random.default_rng(2).integers(0, len(FORMS), (2, 20))
    null = relations.permuted_null(left, right, lexicon, groups, max_draws=15, seed=5)
    rng = np.random.default_rng(5)
    order = rng.permuted(np.tile(np.arange(20, dtype=np.int32), (15, 1)), axis=1)
    looped = pd.DataFrame([shares_of(left, right[o], lexicon, groups)["share"] for o in order])
    for name in relations.RELATIONS:
        if null.loc[name, "n"]:
            assert null.loc[name, "null_mean"] == pytest.approx(looped[name].mean())
            expected = (1 + (looped[name] >= null.loc[name, "share"]).sum()) / (1 + looped[name].notna().sum())
            assert null.loc[name, "p"] == pytest.approx(expected)


@pytest.mark.parametrize("name", ["same_lemma", "same_case"])
def test_p_agrees_with_all_permutations(lexicon, groups, name):
    """Five pairs, three of them planted, and every one of the 120 permutations."""
    left = ids("dom", "kot", "czytam", "domami", "ogród")
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
    """Families of six lists and eight relations: at most one in twenty has a finding, which correcting each relation alone exceeds."""
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
    assert found["together"] <= found["relation by relation"]


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


def brute_force_similarity(tokens, embedding, keep):
    centred = embedding - embedding[keep].mean(axis=0)
    units = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    tokens = sorted(set(tokens))
    return np.mean([units[a] @ units[b] for a in tokens for b in tokens if a != b])


def mean_similarity(tokens, embedding, keep=None):
    space = similarity.TokenSpace.build(embedding, keep)
    return space.mean_cosine(space.ranks(tokens))


def similarity_null(tokens, embedding, max_draws, seed=0, **options):
    space = similarity.TokenSpace.build(embedding)
    return space.against_random(space.ranks(tokens), np.random.default_rng(seed), max_draws, **options)


def test_mean_similarity_is_the_mean_over_distinct_pairs():
    rng = np.random.default_rng(4)
    embedding = rng.normal(size=(50, 8)).astype(np.float32) + 3
    keep = rng.random(50) < 0.8
    tokens = rng.choice(np.flatnonzero(keep), 12)
    found = mean_similarity(tokens, embedding, keep)
    assert found == pytest.approx(brute_force_similarity(tokens, embedding, keep), abs=1e-6)
    assert mean_similarity(np.repeat(tokens, 3), embedding, keep) == pytest.approx(found)
    assert mean_similarity(tokens, 7 * embedding + 100, keep) == pytest.approx(found, abs=1e-4)


def test_a_planted_cluster_is_found():
    rng = np.random.default_rng(5)
    embedding = rng.normal(size=(400, 16))
    cluster = np.arange(100, 110)
    embedding[cluster] += 2 * np.ones(16)
    share, null = similarity_null(cluster, embedding, max_draws=500)
    assert share > null.mean + 0.3
    assert null.p == 1 / 501
    assert similarity_null(cluster, embedding, max_draws=4000)[1].p < 1e-5


def test_p_values_of_random_tokens_are_uniform():
    p = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        tokens = rng.choice(300, 10, replace=False)
        p.append(similarity_null(tokens, rng.normal(size=(300, 12)), max_draws=400, rank_window=40)[1].p)
    # Largest gap to the uniform distribution: Kolmogorov-Smirnov bound for 100 values at level .001.
    gaps = np.abs(np.sort(p) - np.arange(1, 101) / 100)
    assert gaps.max() < 1.95 / np.sqrt(100)


def test_null_follows_frequency_rank():
    """Embeddings that differ by rank alone: neighbours in rank are as alike as the list, distant tokens are not."""
    angle = np.linspace(0, np.pi, 1000)
    embedding = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    tokens = np.arange(0, 60, 5)
    near = similarity_null(tokens, embedding, rank_window=20, max_draws=300)[1]
    anywhere = similarity_null(tokens, embedding, rank_window=1000, max_draws=300)[1]
    assert near.p > 0.05
    assert anywhere.p < 0.01


def test_repeated_draws_never_count_as_similar():
    """Orthogonal tokens, three to draw four from: every draw repeats, and no different pair is alike."""
    embedding = np.vstack([np.eye(3), -np.eye(3)])  # mean zero
    keep = np.ones(6, dtype=bool)
    space = similarity.TokenSpace.build(embedding, keep)
    repeated = np.array([[0, 0, 1, 2], [0, 0, 0, 1], [0, 1, 1, 0]])
    assert np.allclose(space.mean_cosines(repeated), 0)
    assert np.allclose(space.mean_cosines(np.array([[0, 0, 3, 3]])), -1)
    assert np.isnan(space.mean_cosines(np.array([[2, 2, 2, 2]]))).all()


def test_heads_are_tidy_and_independent_of_each_other(lexicon, groups):
    rng = np.random.default_rng(6)
    embedding = rng.normal(size=(len(FORMS), 8))

    def pairs():
        left, right = rng.integers(0, len(FORMS), (2, 25))
        return SimpleNamespace(left_ids=left, right_ids=right)

    heads = {(layer, head): pairs() for layer in range(2) for head in range(3)}
    settings = {"embedding": embedding, "max_draws": 40, "max_similarity_draws": 40, "seed": 9}
    table = relations.head_relations(heads, lexicon, groups, **settings)
    names = relations.RELATIONS + relations.SIMILARITIES
    assert len(table) == len(heads) * len(names)
    assert table["relation"].tolist() == list(names) * len(heads)
    alone = relations.head_relations({(1, 2): heads[1, 2]}, lexicon, groups, **settings)
    both = table.query("layer == 1 and head == 2").reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, both)
    pd.testing.assert_frame_equal(table, relations.head_relations(heads, lexicon, groups, **settings))
    direct = shares_of(heads[0, 1].left_ids, heads[0, 1].right_ids, lexicon, groups)
    shown = table.query("layer == 0 and head == 1").set_index("relation").loc[list(relations.RELATIONS), ["share", "n"]]
    pd.testing.assert_frame_equal(shown, direct, check_dtype=False)
    right = table.query("layer == 1 and head == 0 and relation == 'right_similarity'").iloc[0]
    assert right["share"] == pytest.approx(mean_similarity(heads[1, 0].right_ids, embedding))
    assert right["excess"] == pytest.approx(right["share"] - right["null_mean"])
    assert right["n_distinct_right"] == right["n"]


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
    embedding = np.ones((4, 2))
    with pytest.raises(ValueError, match="ids hold token 3"):
        mean_similarity([0, 3], embedding, np.array([True, True, True, False]))
    with pytest.raises(ValueError, match="keep is int64"):
        mean_similarity([0, 3], embedding, np.array([0, 1, 2, 3]))
    with pytest.raises(ValueError, match="NaN or infinity"):
        mean_similarity([0, 1], embedding * np.nan)
    with pytest.raises(ValueError, match="rank_window is 0"):
        similarity_null([0, 1], embedding, max_draws=10, rank_window=0)
