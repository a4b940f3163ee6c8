import csv
import io
import zipfile

import pandas as pd
import pyreadr
import pytest

from training.corpus import lines, markup, tei_cnxml
from training.corpus.paragraphs import GAP, clean, whole_sentences

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


def test_a_novels_body_without_notes_references_and_title_pages():
    assert tei_cnxml.tei_paragraphs(NOVEL.encode()) == [
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
    assert tei_cnxml.cnxml_paragraphs(MODULE.encode()) == [
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
    assert clean(raw) == expected
    assert clean(expected) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Wynik podano (@). Reszta jest znana.", "Wynik podano. Reszta jest znana."),
        ("Z równania @ wynika, że rośnie. Reszta jest znana. Patrz @.", "Reszta jest znana."),
        ("Wzrost (patrz @) trwa.", "Wzrost trwa."),
        ("Bez luk. Całość zostaje.", "Bez luk. Całość zostaje."),
        ("Tylko @ i nic więcej.", ""),
    ],
)
def test_sentences_with_a_gap_are_left_out(raw, expected):
    assert whole_sentences(raw.replace("@", GAP)) == expected


# --- physics ---

PHYSICS = """<document xmlns="http://cnx.rice.edu/cnxml" xmlns:m="http://www.w3.org/1998/Math/MathML"><content>
  <para>Siła <m:math><m:mi>F</m:mi></m:math> działa na ciało o masie <m:math><m:mi>m</m:mi></m:math>. Wobec tego
    <m:math><m:mi>F</m:mi><m:mo>=</m:mo><m:mi>m</m:mi><m:mi>a</m:mi></m:math> obowiązuje zawsze. Ciało przyspiesza.</para>
  <para>Pęd (ang. <foreign>momentum</foreign>) jest zachowany, o czym mówi <link url="x">osobny rozdział</link>
    (<link target-id="r1"/>).</para>
  <para>Pokazano to na <link target-id="r2"/>.</para>
</content></document>"""


def test_physics_keeps_single_letters_and_leaves_out_sentences_with_formulas():
    documents = tei_cnxml.cnxml_formulas([("osbooks-fizyka/modules/m1/index.cnxml", PHYSICS.encode())])
    assert documents == [
        (
            "osbooks-fizyka/m1",
            ["Siła F działa na ciało o masie m. Ciało przyspiesza.", "Pęd jest zachowany, o czym mówi osobny rozdział."],
        )
    ]


# --- Markdown ---

PAGE = """---
title: Zamówienia
ms.date: 05/27/2020
---
# <a name="orders"></a>Zamówienia
[!include [banner](../../includes/banner.md)]

W **oknie** dialogowym wpisz `kod`,
a potem wybierz [Zapisz](save.md "zapis").

> [!NOTE]
> Zapis trwa _chwilę_ &amp; nie można go cofnąć.

1. Kliknij pozycję **Nowy**.
    * Otworzy się okno.
2. Zamknij je\\.

![Zrzut ekranu](../media/a.png)
[![Miniatura](b.png)](c.png)

| Pole | Opis |
|---|---|
| Kod | Tekst w tabeli |

```sql
SELECT kod FROM zamowienia
```

W programie [!INCLUDE[name](../includes/name.md)] jest więcej opcji. Opcje są opcjonalne.

- [Tylko odnośnik](inny.md)

[ref]: https://example.org
<!-- uwaga -->
"""


def test_a_markdown_page_without_front_matter_tables_code_images_and_bare_links():
    assert markup.markdown([("repo/articles/zamowienia.md", PAGE.encode())]) == [
        (
            "repo/articles/zamowienia",
            [
                "Zamówienia",
                "W oknie dialogowym wpisz kod, a potem wybierz Zapisz.",
                "Zapis trwa chwilę & nie można go cofnąć.",
                "Kliknij pozycję Nowy.",
                "Otworzy się okno.",
                "Zamknij je.",
                "Opcje są opcjonalne.",
            ],
        )
    ]


# --- judgments ---

JUDGMENT = """<p><strong><!-- -->Sygn. akt I C 7/14</strong></p>
<div><h2>WYROK</h2><p>      Dnia 30 lipca   2014 r.</p>
<table><tr><td><p>Przewodniczący:</p></td><td><p>SSR Jan Nowak</p></td></tr></table>
<p>zasądza od <span class="anon-block"> (...) Spółki</span> na rzecz <span class="anon-block">E. R.</span><br/>kwotę 100&nbsp;zł</p>
<p>na podstawie <a href="http://x" title="Ustawa">art. 98 k.p.c.</a></p></div>"""


def test_a_judgments_paragraphs_without_tables_and_file_numbers():
    assert markup.judgment_paragraphs(JUDGMENT) == [
        "WYROK",
        "Dnia 30 lipca 2014 r.",
        "zasądza od… Spółki na rzecz E. R. kwotę 100 zł",
        "na podstawie art. 98 k.p.c.",
    ]


def test_judgments_come_from_a_zipped_table():
    table = io.StringIO()
    writer = csv.DictWriter(table, ["id", "summary", "textcontent"])
    writer.writeheader()
    writer.writerows([{"id": "12", "textcontent": "<p>Drugi wyrok.</p>"}, {"id": "11", "textcontent": "<p>Pierwszy\nwyrok.</p>"}])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("data.csv", table.getvalue())
        archive.writestr("README", "nic")
    assert markup.judgments([("a.zip", packed.getvalue())]) == [("11", ["Pierwszy wyrok."]), ("12", ["Drugi wyrok."])]


# --- statutes ---

STATUTE = """

Dz.U. z 1999 r. Nr 72, poz. 802
                                    USTAWA
                            z dnia 24 lipca 1999 r.

                               o Służbie Celnej

                                    Art. 1.
1. Tworzy się jednolitą formację w celu zapewnienia zgod-
  ności z prawem przywozu towarów.
2. Zadania:
   1) kontrola przestrzegania
     przepisów,
   a) wymiar ceł.

                                    Art. 2.
Ustawa wchodzi w życie po upływie
14 dni od dnia ogłoszenia.
"""


def test_wrapped_lines_of_a_statute_become_articles_sections_and_points():
    assert lines.statutes([("pjn/ustawy/1999_802.txt", STATUTE.encode())]) == [
        (
            "1999_802",
            [
                "USTAWA z dnia 24 lipca 1999 r.",
                "o Służbie Celnej",
                "Art. 1. 1. Tworzy się jednolitą formację w celu zapewnienia zgodności z prawem przywozu towarów.",
                "2. Zadania:",
                "1) kontrola przestrzegania przepisów,",
                "a) wymiar ceł.",
                "Art. 2. Ustawa wchodzi w życie po upływie 14 dni od dnia ogłoszenia.",
            ],
        )
    ]


# --- speeches ---

TITLE = "Sprawozdanie komisji o projekcie ustawy (druk nr 10)."
SPEECH = (
    TITLE + " Panie Marszałku! Wysoka Izbo! Budżet na ten rok jest wyjątkowo napięty i każdy, kto go \r\n"
    "czytał, wie o tym. (Oklaski) Dziękuję za uwagę. Proszę o pytania, bo nasz wspólny czas \r\n"
    "biegnie. (Poseł Jan Nowak: Ile to kosztuje?) ...tyle, ile ˝trzeba˝."
)


def test_a_speech_without_its_title_and_with_heckling_by_itself():
    assert lines.speech_paragraphs(SPEECH, TITLE) == [
        "Panie Marszałku! Wysoka Izbo!",
        "Budżet na ten rok jest wyjątkowo napięty i każdy, kto go czytał, wie o tym.",
        "(Oklaski)",
        "Dziękuję za uwagę.",
        "Proszę o pytania, bo nasz wspólny czas biegnie.",
        "(Poseł Jan Nowak: Ile to kosztuje?)",
        'tyle, ile "trzeba".',
    ]


def test_speeches_come_from_an_r_table(tmp_path):
    rows = [("2.1", TITLE, SPEECH), ("1.1", "Wybór marszałka.", "Wybór marszałka. Dziękuję.")]
    table = pd.DataFrame(rows, columns=["id_statement", "titles_order_points", "statement"])
    pyreadr.write_rdata(str(tmp_path / "a.rda"), table, df_name="allStatements")
    documents = lines.speeches([("a.rda", (tmp_path / "a.rda").read_bytes())])
    assert [name for name, _ in documents] == ["1.1", "2.1"]
    assert documents[0][1] == ["Dziękuję."]
    assert len(documents[1][1]) == 7


# --- novels in plain text ---

WRAPPED = """JAN NOWAK
DOM
I
Szedł drogą długo, a wokół niego cisnęły się cienie drzew, które znał1 od
dzieciństwa,2 a których nigdy nie lubił.
Zatrzymał się wreszcie przed furtką ogrodu i spojrzał na okna, ciemne tego wie-
czoru jak nigdy dotąd, puste i nieme.
— Kto tam? — zapytał, nie spodziewając się wcale, że ktokolwiek odpowie mu z
głębi domu.
— Ja.
"""


def test_wrapped_lines_of_a_novel_become_paragraphs_and_lose_footnote_numbers():
    assert lines.novels([("novels/nowak_dom.txt", WRAPPED.encode())]) == [
        (
            "nowak_dom",
            [
                "JAN NOWAK",
                "DOM",
                "I",
                "Szedł drogą długo, a wokół niego cisnęły się cienie drzew, które znał od dzieciństwa, a których nigdy nie lubił.",
                "Zatrzymał się wreszcie przed furtką ogrodu i spojrzał na okna, ciemne tego wieczoru jak nigdy dotąd, puste i nieme.",
                "– Kto tam? – zapytał, nie spodziewając się wcale, że ktokolwiek odpowie mu z głębi domu.",
                "– Ja.",
            ],
        )
    ]


def test_a_novel_with_a_paragraph_a_line_keeps_its_lines():
    long = "To jest zdanie, które ciągnie się przez całą szerokość strony i jeszcze dalej, bo nikt go nie złamał na wiersze, jak bywało."
    assert lines.novel_paragraphs(f"{long}\nKrótko\n{long}") == [long, "Krótko", long]


def test_a_paragraph_of_hundreds_of_words_is_cut_where_dialogue_begins_and_at_sentences():
    sentence = "Jedno zdanie ma pięć słów."
    parts = lines.cut_long(" ".join([sentence] * 60) + " — Co? — spytał. " + sentence)
    assert [p.strip().split()[0] for p in parts] == ["Jedno", "Jedno", "Jedno", "—"]
    assert " ".join(p.strip() for p in parts) == " ".join([sentence] * 60) + " — Co? — spytał. " + sentence
    assert lines.cut_long(sentence * 50) == [sentence * 50]


def test_a_file_read_with_the_wrong_code_page_is_mended():
    text = "Jan powiedział íe paŽdziernik jest ładny. ťowicz leży nad rzeką."
    mended = "Jan powiedział Że październik jest ładny. Łowicz leży nad rzeką."
    assert lines.novels([("n/mostowicz_murek_1936.txt", text.encode())])[0][1] == [mended]
    assert lines.novels([("n/inna.txt", text.encode())])[0][1] == [text]


# --- pages ---


def test_pages_are_cut_to_whole_sentences():
    page = (
        r"— 4 —\nkoniec zdania z poprzedniej strony. Nowe zdanie jest całe.\n Akapit z po-\ndziałem i odsyłaczem.3\n"
        r"↑ Przypis dolny.\n Ostatnie. Zdanie urw"
    )
    assert lines.page_paragraphs(page) == ["Nowe zdanie jest całe.", "Akapit z podziałem i odsyłaczem.", "Ostatnie."]


def test_books_are_put_together_from_tables_of_pages():
    first = "7\t12\t1907\tStrona dwunasta.\n8\t1\t1930\tInna książka.\nuszkodzony wiersz\n"
    second = "7\t3\t1915\tStrona trzecia.\n"
    assert lines.pages([("a.tsv", first.encode()), ("b.tsv", second.encode())]) == [
        ("7", ["Strona trzecia.", "Strona dwunasta."]),
        ("8", ["Inna książka."]),
    ]
