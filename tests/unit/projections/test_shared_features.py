"""Planted lists with known answers, exact tails, and lists of chance that must not pass."""

from math import comb
from types import SimpleNamespace

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

pytest.importorskip("morfeusz2")

from analysis_lib.projections import shared_features
from analysis_lib.vocabulary import Lexicon, TokenCounts, Vocabulary

STEMS = ("kot", "pies", "las", "okno", "woda", "szkoła", "ulica", "głos", "ręka", "człowiek", "matka", "wojna")
FORMS = {
    "być": ("jestem", "jesteś", "jest", "jesteśmy", "są", "był", "była", "było", "byli", "będzie"),
    "instrumental": ("kotami", "psami", "lasami", "oknami", "wodami", "szkołami", "ulicami", "głosami", "rękami", "matkami"),
    "numbers": ("dwa", "trzy", "cztery", "pięć", "sześć", "siedem", "osiem", "dziewięć", "1863", "XIX"),
    "names": ("Kraków", "Jan", "Warszawa", "Anna", "Piotr", "Polska", "Paryż", "Ewa", "Maria", "Wisła"),
    "prepositions": ("do", "na", "przez", "przy", "dla", "pod", "nad", "bez", "od", "ku"),
}
FILLER = [
    "szybko", "dobrze", "zielony", "czerwona", "piszę", "robisz", "mówią", "idź", "dom", "stół", "książka",
    "ołówek", "drzewo", "rzeka", "góra", "pole", "niebo", "ziemia", "ogień", "powietrze", "dzień", "noc",
    "rano", "wieczór", "śpiewać", "tańczyć", "pracować", "uczyć", "dobry", "zły", "mały", "wielki", "nowy",
    "stary", "młody", "ale", "więc", "jednak",
]  # fmt: skip


@pytest.fixture(scope="module")
def small():
    """A vocabulary in which planted words are rare: everything else is there many times, under different ids."""
    planted = [form for forms in FORMS.values() for form in forms]
    texts = [*planted, *STEMS, *FILLER * 20]
    rng = np.random.default_rng(0)
    texts = [texts[i] for i in rng.permutation(len(texts))]
    lexicon = Lexicon.from_forms(texts)
    keep = np.ones(len(texts), dtype=bool)
    groups = np.arange(len(texts))  # repeated fillers are different tokens here
    return SimpleNamespace(texts=texts, lexicon=lexicon, keep=keep, groups=groups, kinds=shared_features.token_kinds(lexicon, keep))


def ids_of(small, forms):
    return [small.texts.index(form) for form in forms]


def one_list(small, planted, size=14):
    fill = [i for i, text in enumerate(small.texts) if text in {"ale", "więc", "jednak", "szybko", "dobrze"}]
    return np.array([(ids_of(small, planted) + fill)[:size]])


def alike(small, lists, **options):
    return shared_features.alike_lists(lists, small.kinds, small.keep, small.groups, **options)


@pytest.mark.parametrize(
    ("forms", "kind", "feature"),
    [
        ("być", "lemma", "być"),
        ("instrumental", "case", "instrumental"),
        ("instrumental", "ending", "-ami"),
        ("numbers", "number", "numbers"),
        ("names", "name", "names"),
        ("names", "capital", "capitalised"),
        ("prepositions", "part of speech", "preposition"),
    ],
)
def test_planted_lists_are_found(small, forms, kind, feature):
    row = alike(small, one_list(small, FORMS[forms])).set_index("kind").loc[kind]
    assert row["feature"] == feature
    assert row["count"] >= 8
    assert row["size"] == 14
    assert row["expected"] < 3
    assert row["p_holm"] < 1e-3


def test_forms_that_are_alike_in_all_cases_have_no_case():
    texts = ["BBC", "USA", "kotami", "psami", "dom"]
    lexicon = Lexicon.from_forms(texts)
    assert lexicon.case[:2].all()  # the dictionary gives them every case
    case = next(kind for kind in shared_features.token_kinds(lexicon, np.ones(5, dtype=bool)) if kind.name == "case")
    assert case.table.toarray()[:2].sum() == 0
    assert case.table.toarray()[2:4, case.labels.index("instrumental")].tolist() == [1, 1]


def test_a_form_that_can_be_a_particle_has_no_person():
    """*Nie* is the accusative of *oni* and *one*, too, but hardly ever in a text."""
    lexicon = Lexicon.from_forms(["nie", "idą", "mówią"])
    third = shared_features.PERSON_NAMES.index("third person")
    assert lexicon.person[:, third].all()
    assert lexicon.has_pos("particle").tolist() == [True, False, False]
    person = next(kind for kind in shared_features.token_kinds(lexicon, np.ones(3, dtype=bool)) if kind.name == "person")
    assert person.table.toarray()[:, person.labels.index("third person")].tolist() == [0, 1, 1]


def test_a_list_without_anything_in_common_has_p_one(small):
    row = alike(small, np.array([ids_of(small, ["Kraków", "dwa", "kotami"])])).set_index("kind").loc["lemma"]
    assert (row["feature"], row["count"], row["p"], row["p_holm"]) == ("", 0, 1, 1)


def test_spellings_of_one_word_count_once(small):
    groups = small.groups.copy()
    forms = ids_of(small, FORMS["być"])
    groups[forms] = groups[forms[0]]
    row = shared_features.alike_lists(one_list(small, FORMS["być"]), small.kinds, small.keep, groups).set_index("kind").loc["lemma"]
    assert row["feature"] != "być"
    assert row["size"] == 5


def test_chance_counts_the_window_by_hand(small):
    lists = one_list(small, FORMS["numbers"], size=12)
    row = alike(small, lists, rank_window=30).set_index("kind").loc["number"]
    is_number = np.array([text in FORMS["numbers"] for text in small.texts])
    low = np.clip(lists[0] - 30, 0, len(small.texts) - 61)
    expected = sum(is_number[start : start + 61].mean() for start in low)
    assert row["expected"] == pytest.approx(expected)


def test_passing_lists_by_kind(small):
    lists = np.concatenate([one_list(small, FORMS["być"]), one_list(small, FORMS["numbers"])])
    found = shared_features.passing(alike(small, lists))
    assert list(found.columns) == [kind.name for kind in small.kinds]
    assert found["lemma"].tolist() == [True, False]
    assert found["number"].tolist() == [False, True]


def test_the_most_of_a_feature_in_any_list(small):
    lists = np.concatenate([one_list(small, FORMS["numbers"]), one_list(small, FORMS["instrumental"])])
    most = shared_features.most_in_a_list(lists, small.kinds, small.groups, "ending", "-mi")
    assert most == sum(form.endswith("mi") for form in FORMS["instrumental"])
    with pytest.raises(ValueError, match="features of 'ending'"):
        shared_features.most_in_a_list(lists, small.kinds, small.groups, "ending", "-xyz")


def test_lists_are_made_of_words_and_numbers():
    forms = ["dom", "szczeg", "1863", "XIX", "&", ",", "żółw", "Skrze"]
    tokenizer = Tokenizer(models.WordLevel({f"▁{form}": place for place, form in enumerate(forms)}))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    vocabulary = Vocabulary.from_tokenizer(PreTrainedTokenizerFast(tokenizer_object=tokenizer))
    total, whole = np.full(len(forms), 10), np.array([10, 10, 0, 9, 0, 0, 6, 0])
    kept = shared_features.word_tokens(vocabulary, Lexicon.from_forms(forms), TokenCounts(total, whole))
    assert list(vocabulary.text[kept]) == ["dom", "1863", "XIX", "żółw"]


def test_tail_is_the_binomial_one_for_equal_chances():
    chances = np.full((21, 20), 0.3)
    expected = [sum(comb(20, j) * 0.3**j * 0.7 ** (20 - j) for j in range(c, 21)) for c in range(21)]
    np.testing.assert_allclose(shared_features.count_tail(chances, np.arange(21)), expected, rtol=1e-12)


def test_tail_of_unequal_chances_by_enumeration():
    chances = np.array([0.1, 0.5, 0.9, 0.0])
    outcomes = np.array(np.meshgrid(*[[0, 1]] * 4)).reshape(4, -1).T
    weight = np.prod(np.where(outcomes == 1, chances, 1 - chances), axis=1)
    expected = [weight[outcomes.sum(axis=1) >= c].sum() for c in range(5)]
    np.testing.assert_allclose(shared_features.count_tail(np.tile(chances, (5, 1)), np.arange(5)), expected, atol=1e-15)


def test_tails_keep_their_precision_far_out():
    """Twenty draws that all hit: the product of their chances, which 1 - P(fewer) would round to zero."""
    chances = np.linspace(0.001, 0.02, 20)[None]
    assert shared_features.count_tail(chances, np.array([20]))[0] == pytest.approx(chances.prod(), rel=1e-9)
    assert shared_features.count_tail(np.zeros((0, 20)), np.zeros(0, int)).shape == (0,)


def test_random_lists_do_not_pass(small):
    rng = np.random.default_rng(1)
    lists = np.array([rng.choice(len(small.texts), 20, replace=False) for _ in range(2000)])
    table = alike(small, lists)
    assert (table["p_holm"] < 0.05).sum() <= 1
    for _, part in table.groupby("kind"):  # uncorrected over lists, each kind keeps its level
        assert (part["p"] < 0.05).mean() < 0.06


def test_blocks_change_nothing(small, monkeypatch):
    rng = np.random.default_rng(2)
    lists = np.array([rng.choice(len(small.texts), 8, replace=False) for _ in range(25)])
    whole = alike(small, lists)
    monkeypatch.setattr(shared_features, "LISTS_AT_ONCE", 7)
    assert alike(small, lists).equals(whole)


def test_features_of_unkept_tokens_are_left_out(small):
    keep = small.keep.copy()
    keep[ids_of(small, FORMS["numbers"])] = False
    assert "number" not in {kind.name for kind in shared_features.token_kinds(small.lexicon, keep)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": np.zeros((0, 3), int)}, "ids: expected lists"),
        ({"ids": np.array([[10_000]])}, "ids: expected kept tokens"),
        ({"keep": np.zeros(3, bool)}, "keep: expected bool"),
        ({"rank_window": 0}, "rank_window: expected 1 or more"),
        ({"kinds": ()}, "kinds: expected one or more"),
    ],
)
def test_arguments_are_checked(small, change, message):
    arguments = {"ids": np.array([[0, 1]]), "kinds": small.kinds, "keep": small.keep, "form_groups": small.groups, "rank_window": 5}
    with pytest.raises(ValueError, match=message):
        shared_features.alike_lists(**(arguments | change))
