import hashlib
import subprocess
import sys
from collections import Counter

import pytest

from training.corpus import repeats, rules, sources
from training.corpus.paragraphs import WORD

MODERN = "Nie wiem, czym się to skończy, bo z tym człowiekiem i z tymi ludźmi nikt nie może pomóc stąd do Warszawy. " * 5
OLD = "Nie wiem, czem się to skończy, bo z tym człowiekiem i z temi ludźmi nikt nie może pomódz ztąd do Warszawy. " * 5


def test_old_spellings_are_counted_per_ten_thousand_words():
    assert rules.rate_per_10k(rules.OLD_SPELLING, MODERN) == 0
    # czem, temi, pomódz and ztąd among 21 words
    assert len(WORD.findall(OLD)) == 5 * 21
    assert rules.rate_per_10k(rules.OLD_SPELLING, OLD) == pytest.approx(1e4 * 4 / 21)
    assert rules.rate_per_10k(rules.OLD_SPELLING, "") == 0


@pytest.mark.parametrize(
    "word",
    [
        "tem",
        "Czem",
        "temi",
        "ztąd",
        "módz",
        "pomódz",
        "redakcyę",
        "racyą",
        "komedyi",
        "teoryi",
        "Francya",
        "teorya",
    ],
)
def test_old_spellings(word):
    assert rules.OLD_SPELLING.search(f"a {word} b")


@pytest.mark.parametrize(
    "word",
    [
        "tempo",
        "tym",
        "temat",
        "czemu",
        "stąd",
        "móc",
        "cyrk",
        "redakcję",
        "racją",
        "komedii",
        "Francja",
        "system",
    ],
)
def test_modern_spellings(word):
    assert not rules.OLD_SPELLING.search(f"a {word} b")


@pytest.mark.parametrize("word", ["pięknemi", "temi", "historja", "Hiszpanji", "materję", "tem"])
def test_interwar_spellings(word):
    assert rules.INTERWAR_SPELLING.search(f"a {word} b")


@pytest.mark.parametrize("word", ["ziemi", "podziemi", "pięknymi", "historia", "Hiszpanii", "racja", "komisji", "objął", "zjazd"])
def test_spellings_since_1936(word):
    assert not rules.INTERWAR_SPELLING.search(f"a {word} b")


def test_documents_in_old_spelling_or_full_of_scanning_faults_are_left_out_with_the_reason():
    noisy = MODERN * 20 + "Sz3dł do m1asta i 7robił to() znowu."
    dated = MODERN * 20 + "W 1863 roku miał 3 konie, a w 1864 już 12."
    assert rules.spelling_fault([OLD]) == "old spelling, 1904.8 per 10,000 words"
    assert rules.spelling_fault([noisy], scanned=True).startswith("scanning faults, ")
    assert rules.spelling_fault([noisy]) is None
    assert rules.spelling_fault([dated], scanned=True) is None


def test_a_few_old_spellings_do_not_exclude_a_document():
    # one in 2,001 words is 5.0 per 10,000, under the limit of 6; one in 1,001 is 10
    words = "dom " * 1000
    assert rules.spelling_fault([words * 2, "tem"]) is None
    assert rules.spelling_fault([words, "tem"]) == "old spelling, 10.0 per 10,000 words"


@pytest.mark.parametrize(
    ("raw", "expected", "joined"),
    [
        ("to nie- możliwością było", "to niemożliwością było", 1),
        ("Nie- możliwością", "Niemożliwością", 1),
        ("nie- możliwością, nie- możliwością", "niemożliwością, niemożliwością", 2),
        ("czternasto- czy piętnastoletnia", "czternasto- czy piętnastoletnia", 0),
        ("mało- i wielkoduszny", "mało- i wielkoduszny", 0),
        ("nie- znanymsłowem", "nie- znanymsłowem", 0),
        ("raz- jeden", "raz- jeden", 0),
        ("Kraków- Warszawa", "Kraków- Warszawa", 0),
        ("nie -możliwością", "nie -możliwością", 0),
        ("nie-\nmożliwością", "nie-\nmożliwością", 0),
    ],
)
def test_split_words_are_joined_only_when_the_whole_is_attested(raw, expected, joined):
    counts = Counter({"niemożliwością": 2, "czternastoczy": 9, "małoi": 9, "razjeden": 1, "krakówwarszawa": 9})
    assert rules.join_split_words(raw, counts) == (expected, joined)


def test_citations_of_journals_are_cut():
    text = "Ustawa o lasach (Dz. U. Nr 101, poz. 444, z 1992 r. Nr 54, poz. 254) obowiązuje (i to od dawna)."
    assert rules.without_citations(text) == "Ustawa o lasach obowiązuje (i to od dawna)."
    assert rules.without_citations("kodeks (tekst jedn. Dz.U. z 2014 r. poz. 121) i (j.t. Dz. U. z 2012, poz. 3).") == "kodeks i."


@pytest.mark.parametrize(
    ("paragraph", "expected"),
    [
        ("Zmiany ogłoszono w Dz.U. z 1991 r. Nr 104, poz. 450, z 1992 r. Nr 54, poz. 254 i Nr 63, poz. 314.", True),
        ("2) w art. 5 ust. 3 otrzymuje brzmienie:", True),
        ("b) w § 2 skreśla się wyrazy o wstrzymaniu;", True),
        ("Dowód: zeznania świadka, k. 14", True),
        ("Stan faktyczny ustalono na podstawie pozwu (k. 7), opinii (k. 58) i zeznań (k. 75).", True),
        ("Czy ciśnienie atmosferyczne dodaje się do ciśnienia gazu w pojemniku?", False),
        ("Dowody na istnienie czarnych dziur wciąż są poszlakowe.", False),
        ("Rada gminy uchwala budżet na podstawie art. 5 ustawy, o której mowa w ust. 1.", False),
    ],
)
def test_boilerplate(paragraph, expected):
    assert rules.is_boilerplate(paragraph) is expected


@pytest.mark.parametrize(
    ("paragraph", "expected"),
    [
        ("– Nie…", True),
        ("Art. 8. Ustawa wchodzi w życie 1 stycznia 2000 r.", True),
        ("Zadzwonili i z tej strony, w cerkwi.", True),
        ("24,3 J.", False),
        ("IV.", False),
        ("12 345 678 90 kod", False),
        ("gdzie m, n, k, V, T są znane", False),
        ("plik {a=b} oraz {c=d} \\\\serwer\\folder <x>", False),
    ],
)
def test_prose_is_told_from_numbers_formulas_and_code(paragraph, expected):
    assert rules.is_prose(paragraph) is expected


@pytest.mark.parametrize(
    ("paragraph", "expected"),
    [
        ("Apelacja strony pozwanej podlega odrzuceniu, a apelacja strony powodowej oddaleniu.", True),
        ("Wybierz przycisk OK.", True),
        ("Udostępnianie raportu w usłudze Power BI Desktop Preview", True),
        ("Select the option that you want to use.", False),
        ("Purchase order confirmation", False),
        ("Nunc dimitte servum tuum Domine secundum verbum tuum pace", False),
    ],
)
def test_polish_is_told_from_english_and_latin(paragraph, expected):
    assert rules.is_polish(paragraph) is expected


@pytest.mark.parametrize(
    ("title", "reason"),
    [
        (["USTAWA z dnia 4 grudnia 1997 r.", "o zmianie ustawy o usługach turystycznych"], "amending act"),
        (["USTAWA z dnia 4 grudnia 1997 r.", "o usługach turystycznych", "Art. 1. Określa się.", "2. Dalej.", "o zmianie ustawy"], None),
    ],
)
def test_amending_acts_are_known_by_their_titles(title, reason):
    assert sources.amending(title) == reason


def test_books_that_speak_of_later_years_are_left_out():
    assert sources.later_book(["W roku 1929 było inaczej.", "Liczba 19311."]) is None
    assert sources.later_book(["W roku 1929 było inaczej.", "Rok 1930 zmienił wszystko."]) == "speaks of 1930 or later"


# --- repeats ---


def test_long_paragraphs_are_kept_once_and_short_ones_always():
    long = "Gdy cena dobra rośnie, popyt na nie zwykle maleje."
    assert len(WORD.findall(long)) == 9
    documents = [("mikro/m1", ["Wstęp", long]), ("makro/m1", ["Wstęp", long, "Dalej."]), ("makro/m2", [long, long])]
    assert repeats.drop_repeated(documents) == [("mikro/m1", ["Wstęp", long]), ("makro/m1", ["Wstęp", "Dalej."]), ("makro/m2", [])]
    assert repeats.drop_repeated(documents, min_words=10) == documents


def test_held_out_documents_stay_within_their_share_and_do_not_depend_on_order():
    sizes = {f"POL{i:04d}": 1000 + 37 * i for i in range(100)}
    held = repeats.hold_out(sizes, 0.03)
    assert held == repeats.hold_out(dict(reversed(sizes.items())), 0.03)
    words = sum(sizes[name] for name in held)
    # the next document in line is passed over only when it no longer fits: less than the smallest is left
    assert 0.03 * sum(sizes.values()) - 1000 < words <= 0.03 * sum(sizes.values())
    assert repeats.hold_out({"one": 100}, 0.03) == set()
    # among equals the names decide, not the order in which they come
    names = [f"m{i:05d}" for i in range(100)]
    first = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())[:3]
    assert repeats.hold_out(dict.fromkeys(names, 10), 0.03) == set(first) == repeats.hold_out(dict.fromkeys(names[::-1], 10), 0.03)


def test_numbers_and_names_are_folded():
    assert repeats.folded("Dnia 3 maja Jan Nowak wypłacił 1500zł") == ["dnia", "0", "maja", "X", "X", "wypłacił", "0"]
    assert repeats.folded("Nowy rok") == ["nowy", "rok"]


def test_shingles_are_runs_of_five_words_and_the_same_in_every_process(root):
    words = ["raz", "dwa", "trzy", "cztery", "pięć", "sześć"]
    found = repeats.shingles(words)
    assert len(found) == 2
    assert repeats.shingles(words[1:]) == found[1:]
    assert len(repeats.shingles(words[:2])) == 1
    program = f"from training.corpus import repeats; print(repeats.shingles({words}))"
    again = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert again.stdout.strip() == str(found)


def test_repeats_stay_once_short_ones_some_times_and_alike_ones_twice():
    before = repeats.Repeats(min_words=4, short=3, alike=2)
    assert [before.fault("Kliknij przycisk Zapisz.") for _ in range(5)] == [None, None, None, "repeated", "repeated"]
    assert [before.fault("Kliknij teraz duży przycisk.") for _ in range(2)] == [None, "repeated"]
    steps = [f"W polu numer wpisz {n} sztuk." for n in (1, 2, 3)]
    assert [before.fault(step) for step in steps] == [None, None, "near-duplicate"]


def test_a_paragraph_made_of_what_stood_before_is_a_near_duplicate():
    before = repeats.Repeats()
    text = "Minister właściwy do spraw zdrowia określi w drodze rozporządzenia szczegółowe wymagania dotyczące środków transportu żywności"
    assert before.fault(text) is None
    assert before.fault(text + " oraz leków") == "near-duplicate"
    assert before.fault("Rada gminy może w drodze uchwały określić zasady korzystania z terenów zielonych położonych nad rzeką") is None
    assert repeats.Repeats().fault(text + " oraz leków") is None


def test_held_out_paragraphs_and_their_near_duplicates_are_found():
    paragraph = "Stary zegar na wieży wybił północ i wszyscy goście zamilkli, czekając na gospodarza, który nie nadchodził"
    unseen = repeats.HeldOut([["Rozdział drugi", paragraph, "Miał 5 koni i wóz."]])
    assert unseen.holds(paragraph)
    assert unseen.holds("Jak wiadomo, stary zegar na wieży wybił północ i wszyscy goście zamilkli, czekając na gospodarza domu")
    assert unseen.holds("Miał 7 koni i wóz.")
    assert not unseen.holds("Rozdział drugi")
    assert not unseen.holds("Stary zegar na wieży wybił północ, a potem przez długi czas nie działo się zupełnie nic ciekawego")
