import hashlib
import io
import json
import tarfile
from collections import Counter

import pytest

from training import corpus

MODERN = "Nie wiem, czym się to skończy, bo z tym człowiekiem i z tymi ludźmi nikt nie może pomóc stąd do Warszawy. " * 5
OLD = "Nie wiem, czem się to skończy, bo z tym człowiekiem i z temi ludźmi nikt nie może pomódz ztąd do Warszawy. " * 5

NOVEL = """<?xml version="1.0" encoding="utf-8"?>
<?xml-model href="schema.rng"?>
<TEI xmlns="http://www.tei-c.org/ns/1.0">
  <teiHeader><fileDesc><titleStmt><title>Dom nad rzeką</title></titleStmt>
    <sourceDesc><p>Wydanie wymyślone.</p></sourceDesc></fileDesc></teiHeader>
  <text>
    <front><div type="titlepage"><p>Dom nad rzeką. Powieść</p></div></front>
    <body>
      <div type="chapter">
        <head>Rozdział <hi>pierwszy</hi></head>
        <p>Rzeka   stała
           cicho<note n="1"><p>Przypis wydawcy.</p></note>, a <ref target="#n1">1</ref> dom <!-- uwaga -->spał.</p>
        <p>_ Kto tam? _ spytała __ cicho.</p>
        <p>--- Nikt --- odrzekł... . .</p>
        <p>***</p>
        <lg><l>Szumi rzeka,</l><l>szumi las.</l></lg>
        <quote><p>List z miasta.</p></quote>
        <p>Powiedział: <quote><l>śpij,</l> <l>dziecię</l></quote> i wyszedł.</p>
      </div>
      <div type="notes"><p>Objaśnienia.</p></div>
    </body>
    <back><p>Spis rozdziałów.</p></back>
  </text>
</TEI>
"""

MODULE = """<document xmlns="http://cnx.rice.edu/cnxml" xmlns:m="http://www.w3.org/1998/Math/MathML">
  <title>Popyt</title>
  <metadata><title>Popyt</title><abstract><para>Streszczenie.</para></abstract></metadata>
  <content>
    <para>Popyt <term>maleje</term>, gdy cena rośnie<footnote>Przypis dolny.</footnote>.</para>
    <para>Więcej na https://example.org/popyt?a=1 i www.example.org oraz w tekście<link document="m1">rozdziału</link> [12].</para>
    <para>Wzór <m:math><m:mi>abc</m:mi></m:math> opisuje cenę.</para>
    <equation><m:math><m:mi>równanie</m:mi></m:math></equation>
    <figure><media><image src="a.png"/></media><caption>Podpis rysunku.</caption></figure>
    <table><row><entry>Komórka tabeli.</entry></row></table>
    <note><title>Uwaga</title><para>Cena to ________ za towar.</para></note>
    <list><item>pierwszy punkt</item><item><para>drugi punkt</para></item></list>
    <exercise><problem><para>Dlaczego? <list><item>bo tak</item></list></para></problem></exercise>
    <section class="references"><title>Bibliografia</title><para>Kowalski, J. (1999).</para></section>
  </content>
  <glossary><definition><term>podaż</term><meaning>ilość dóbr</meaning></definition></glossary>
</document>
"""


def novel(*paragraphs):
    """A TEI document that holds just these paragraphs."""
    body = "".join(f"<p>{p}</p>" for p in paragraphs)
    return f'<TEI xmlns="http://www.tei-c.org/ns/1.0"><text><body>{body}</body></text></TEI>'.encode()


def module(*paragraphs):
    """A CNXML document that holds just these paragraphs."""
    body = "".join(f"<para>{p}</para>" for p in paragraphs)
    return f'<document xmlns="http://cnx.rice.edu/cnxml"><content>{body}</content></document>'.encode()


def archive(path, files):
    """A tar.xz of (name, bytes), in that order."""
    with tarfile.open(path, "w:xz") as tar:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def test_a_novels_body_without_notes_references_and_title_pages():
    assert corpus.tei_paragraphs(NOVEL.encode()) == [
        "Rozdział pierwszy",
        "Rzeka stała cicho, a dom spał.",
        "– Kto tam? – spytała cicho.",
        "– Nikt – odrzekł…",
        "Szumi rzeka,",
        "szumi las.",
        "List z miasta.",
        "Powiedział: śpij, dziecię i wyszedł.",
    ]


def test_a_modules_text_without_what_is_not_prose():
    assert corpus.cnxml_paragraphs(MODULE.encode()) == [
        "Popyt",
        "Popyt maleje, gdy cena rośnie.",
        "Więcej na i oraz w tekście.",
        "Wzór opisuje cenę.",
        "Uwaga",
        "Cena to za towar.",
        "pierwszy punkt",
        "drugi punkt",
        "bo tak",
        "podaż",
        "ilość dóbr",
    ]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("_ Tak, _ rzekł.", "– Tak, – rzekł."),
        ("—Tak — rzekł – nie - wiem.", "– Tak – rzekł – nie – wiem."),
        ("biało-czerwony", "biało-czerwony"),
        ("Wpisz ________ lub ____.", "Wpisz lub."),
        ("Zob. https://a.pl/b_c?d=e, dalej www.x.pl/y koniec", "Zob. dalej koniec"),
        ("Teza [3] jest [14] znana[15].", "Teza jest znana."),
        ("ja\u00adbłko \u00a0 i\tgruszka\n", "jabłko i gruszka"),
        ("Czekał. . . Potem.... Cisza", "Czekał… Potem… Cisza"),
        ("dobrze , rzekł ( cicho ) !", "dobrze, rzekł ( cicho)!"),
    ],
)
def test_one_form_of_spaces_dashes_and_dots(raw, expected):
    assert corpus.clean(raw) == expected
    assert corpus.clean(expected) == expected


def test_old_spellings_are_counted_per_ten_thousand_words():
    assert corpus.rate_per_10k(corpus.OLD_SPELLING, MODERN) == 0
    # czem, temi, pomódz and ztąd among 21 words
    assert len(corpus.WORD.findall(OLD)) == 5 * 21
    assert corpus.rate_per_10k(corpus.OLD_SPELLING, OLD) == pytest.approx(1e4 * 4 / 21)
    assert corpus.rate_per_10k(corpus.OLD_SPELLING, "") == 0


@pytest.mark.parametrize(
    "word",
    [
        "tem", "Czem", "temi", "ztąd", "módz", "pomódz", "redakcyę", "racyą", "komedyi", "teoryi", "Francya", "teorya",
    ],
)
def test_old_spellings(word):
    assert corpus.OLD_SPELLING.search(f"a {word} b")


@pytest.mark.parametrize(
    "word",
    [
        "tempo", "tym", "temat", "czemu", "stąd", "móc", "cyrk", "redakcję", "racją", "komedii", "Francja", "system",
    ],
)
def test_modern_spellings(word):
    assert not corpus.OLD_SPELLING.search(f"a {word} b")


def test_novels_in_old_spelling_or_full_of_scanning_faults_are_left_out_with_the_reason():
    noisy = MODERN * 20 + "Sz3dł do m1asta i 7robił to() znowu."
    dated = MODERN * 20 + "W 1863 roku miał 3 konie, a w 1864 już 12."
    files = [("level1/old.xml", novel(OLD)), ("level1/noisy.xml", novel(noisy)), ("level1/dated.xml", novel(dated))]
    kept, refused = corpus.modern_novels(files)
    assert [name for name, _ in kept] == ["dated"]
    assert refused["old"] == "old spelling, 1904.8 per 10,000 words"
    assert refused["noisy"].startswith("scanning faults, ")


def test_a_few_old_spellings_do_not_exclude_a_novel():
    # one in 2,001 words is 5.0 per 10,000, under the limit of 6; one in 1,001 is 10
    words = "dom " * 1000
    assert corpus.modern_novels([("a.xml", novel(words * 2 + "tem"))])[0]
    assert not corpus.modern_novels([("a.xml", novel(words + "tem"))])[0]


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
    assert corpus.join_split_words(raw, counts) == (expected, joined)


def test_long_paragraphs_are_kept_once_and_short_ones_always():
    long = "Gdy cena dobra rośnie, popyt na nie zwykle maleje."
    assert len(corpus.WORD.findall(long)) == 9
    documents = [("mikro/m1", ["Wstęp", long]), ("makro/m1", ["Wstęp", long, "Dalej."]), ("makro/m2", [long, long])]
    assert corpus.drop_repeated(documents) == (
        [("mikro/m1", ["Wstęp", long]), ("makro/m1", ["Wstęp", "Dalej."]), ("makro/m2", [])],
        3,
    )
    assert corpus.drop_repeated(documents, min_words=10) == (documents, 0)


def test_held_out_documents_stay_within_their_share_and_do_not_depend_on_order():
    sizes = {f"POL{i:04d}": 1000 + 37 * i for i in range(100)}
    held = corpus.hold_out(sizes)
    assert held == corpus.hold_out(dict(reversed(sizes.items())))
    words = sum(sizes[name] for name in held)
    # the next document in line is passed over only when it no longer fits: less than the smallest is left
    assert 0.03 * sum(sizes.values()) - 1000 < words <= 0.03 * sum(sizes.values())
    assert corpus.hold_out({"one": 100}) == set()
    # among equals the names decide, not the order in which they come
    names = [f"m{i:05d}" for i in range(100)]
    first = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())[:3]
    assert corpus.hold_out(dict.fromkeys(names, 10)) == set(first) == corpus.hold_out(dict.fromkeys(names[::-1], 10))


def documents(n=40):
    """Novels and modules with words of their own, and one long paragraph in both economics books."""
    shared = "Ten sam akapit stoi w obu podręcznikach ekonomii, słowo w słowo."
    spelled = ["".join("abcdefghij"[int(d)] for d in f"{i:03d}") for i in range(n)]
    novels = [
        (f"level1/POL{i:04d}_x.xml", novel(*[f"Powieść {w} ma zdanie {w}{v} o domu." for v in spelled]))
        for i, w in enumerate(spelled)
    ]
    books = [
        (f"osbooks-{book}ekonomia/modules/m{i:05d}/index.cnxml", module(shared, *[f"Moduł {book} {w} ma zdanie {v}." for v in spelled]))
        for book in ("mikro", "makro")
        for i, w in enumerate(spelled)
    ]
    return novels, books


def run(tmp_path, monkeypatch, name, novels, modules):
    """The command on two archives whose sums it expects; returns the folder that it wrote."""
    folder = tmp_path / name
    folder.mkdir()
    paths = {"eltec": archive(folder / "novels.tar.xz", novels), "openstax": archive(folder / "modules.tar.xz", modules)}
    monkeypatch.setattr(corpus, "SHA256", {k: hashlib.sha256(p.read_bytes()).hexdigest() for k, p in paths.items()})
    corpus.main(["--eltec", str(paths["eltec"]), "--openstax", str(paths["openstax"]), "--out", str(folder / "out")])
    return folder / "out"


def test_the_command_writes_whole_documents_split_without_overlap(tmp_path, monkeypatch):
    novels, modules = documents()
    novels.append(("level1/POL9999_old.xml", novel(OLD)))
    out = run(tmp_path, monkeypatch, "a", novels, [*modules, ("osbooks-x/README.md", b"not a module")])
    train, held = (
        [json.loads(line) for line in (out / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()] for split in ("train", "heldout")
    )
    report = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    ids = [d["id"] for d in train], [d["id"] for d in held]
    assert not set(ids[0]) & set(ids[1])
    assert len(ids[0]) + len(ids[1]) == 120 == len(set(ids[0]) | set(ids[1]))
    assert ids[0] == sorted(ids[0])
    assert report["heldout_documents"] == ids[1]
    assert {"/" in i for i in ids[1]} == {True, False}  # of novels and of textbooks alike
    for split, rows in (("train", train), ("heldout", held)):
        assert report[f"{split}_words"] == sum(len(corpus.WORD.findall(d["text"])) for d in rows)
        assert report[f"{split}_sha256"] == hashlib.sha256((out / f"{split}.jsonl").read_bytes()).hexdigest()
    assert report["novels"] == 40
    assert report["modules"] == 80
    assert list(report["novels_left_out"]) == ["POL9999_old"]
    texts = "\n".join(d["text"] for d in train + held)
    assert texts.count("Ten sam akapit") == 1
    assert report["repeated_paragraphs_left_out"] == 79
    assert sorted(p.name for p in out.iterdir()) == ["heldout.jsonl", "manifest.json", "train.jsonl"]


def test_the_same_bytes_twice_whatever_the_order_in_the_archives(tmp_path, monkeypatch):
    novels, modules = documents(12)
    first = run(tmp_path, monkeypatch, "a", novels, modules)
    again = run(tmp_path, monkeypatch, "b", novels[::-1], modules[::-1])
    for name in ("train.jsonl", "heldout.jsonl", "manifest.json"):
        assert (first / name).read_bytes() == (again / name).read_bytes()


@pytest.mark.parametrize("kind", ["eltec", "openstax"])
def test_another_archive_is_refused_with_both_sums(tmp_path, kind):
    path = archive(tmp_path / "other.tar.xz", [("level1/a.xml", novel(MODERN))])
    own = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(ValueError, match=f"--{kind}: other.tar.xz has sha256 {own}, expected {corpus.SHA256[kind]}, and its 1 files"):
        corpus.read_archive(path, kind, ".xml")
    path.write_bytes(path.read_bytes()[:100])  # cut off
    with pytest.raises(ValueError, match=f"expected {corpus.SHA256[kind]}, and its 0 files"):
        corpus.read_archive(path, kind, ".xml")


def test_an_archive_packed_anew_is_known_by_its_files(tmp_path, monkeypatch):
    files = [("level1/a.xml", novel(MODERN)), ("level1/b.xml", novel(OLD))]
    listing = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files)  # as sha256sum prints it
    monkeypatch.setitem(corpus.FILES_SHA256, "eltec", hashlib.sha256(listing.encode()).hexdigest())
    again = archive(tmp_path / "again.tar.xz", [("README.md", b"also here"), *files[::-1]])
    assert corpus.read_archive(again, "eltec", ".xml") == files
    for other in ([files[0]], [files[0], ("level1/b.xml", files[1][1] + b" ")], [files[0], ("level1/c.xml", files[1][1])]):
        with pytest.raises(ValueError, match="--eltec"):
            corpus.read_archive(archive(tmp_path / "other.tar.xz", other), "eltec", ".xml")


def test_a_missing_archive_is_named_and_nothing_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"--eltec: no file .*absent.tar.xz; training/README.md says"):
        corpus.main(["--eltec", str(tmp_path / "absent.tar.xz"), "--openstax", str(tmp_path / "b"), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "train.jsonl"
    corpus.write(path, "old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(corpus.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        corpus.write(path, "new")
    assert path.read_text() == "old"
