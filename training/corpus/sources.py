"""The sources: where each comes from, how it is known, read and weighed."""

import hashlib
import lzma
import re
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from training.corpus import lines, markup, rules, tei_cnxml


@dataclass(frozen=True)
class Source:
    """One archive of text.

    Attributes
    ----------
    archive, suffix : str
        The archive's file name and the ends of the names of the files that are read.
    sha256, files_sha256 : str
        Of the archive as it was packed, and of its files however packed.
    reader : callable
        Files, as (name, bytes), to documents, as (name, paragraphs).
    register : str
        The kind of text, for the mix and for what counts as a repeat.
    licence, origin : str
        Under what terms, and from which repository and commit.
    spelling : re.Pattern, optional
        Old spellings, where documents that have them are left out.
    most_words : int, optional
        Documents beyond so many words, in the order of their names' sha256, are left out.
    refuse : callable, optional
        Why a document (its paragraphs) is left out, or None.
    earlier : bool
        Whether the source was in the text of the first models, whose split and rules stay as they were.
    """

    name: str
    archive: str
    suffix: str
    sha256: str
    files_sha256: str
    reader: Callable
    register: str
    licence: str
    origin: str
    spelling: object = None
    most_words: int | None = None
    refuse: Callable | None = None
    earlier: bool = False


def amending(paragraphs):
    """Statutes that only change others are lists of formulas."""
    title = " ".join(paragraphs[:4]).lower()
    return "amending act" if "o zmianie" in title or "zmieniająca" in title or "o uchyleniu" in title else None


def later_book(paragraphs):
    """Books that speak of 1930 or a later year are at least as late; the years in the table do not belong to their pages."""
    return "speaks of 1930 or later" if re.search(r"\b(?:19[3-9]|20[0-2])\d\b", "\n".join(paragraphs)) else None


OFFICIAL = "official texts, no copyright (Polish copyright act of 4 February 1994, art. 4)"
SOURCES = (
    Source(
        "eltec",
        "ELTeC-pol-level1.tar.xz",
        ".xml",
        "0f72d7eca3b687e4d746e86723fa940b8c4bf3f515ab080bcb60cfb030c074a4",
        "8fd73facaf72e0b71aa941b903b2ea2e065bf0aa8a7779ae42dcabc94c927719",
        tei_cnxml.tei,
        "fiction",
        "texts in the public domain, edition CC BY 4.0: Polish Novel Collection (ELTeC-pol), edited by Joanna Byszuk, "
        "version 1.0.0, 2021, DOI 10.5281/zenodo.4662725",
        "COST-ELTeC/ELTeC-pol 95fe196e35720b3de9644ef3ef1d1bb242bae99a",
        spelling=rules.OLD_SPELLING,
        earlier=True,
    ),
    Source(
        "openstax",
        "openstax-pl.tar.xz",
        "index.cnxml",
        "6068368c1a4573a563972bb90412d1f77591622f07080524522db6d64e70b6fd",
        "20d0ab4e64f3162e2f5ec3cc00a2d83b54a2b36a4ca18e47df617b7dad019a9c",
        tei_cnxml.cnxml,
        "textbook",
        "CC BY 4.0",
        "openstax/osbooks-psychologia 2010b2f265ec99f8f24766d54d621f7736d827d8, "
        "openstax/osbooks-mikroekonomia b527719f8f710e73efcaf8344e23c4efb2e9657b, "
        "openstax/osbooks-makroekonomia 36f59aa574f0177f9cc78b59b6beb632a5b9d067",
        earlier=True,
    ),
    Source(
        "fizyka",
        "fizyka-pl.tar.xz",
        "index.cnxml",
        "39f0618b794e352e90049eb1b3c7844d0c795301f52eea34da2a4f7087d4364d",
        "867e381e388f82a0cb547b2b686ddfe34de23487bf025b063f77aa2655692278",
        tei_cnxml.cnxml_formulas,
        "textbook",
        "CC BY 4.0",
        "openstax/osbooks-fizyka-bundle bdf3158ca1f9ed7516626e7b0f39047d37b43719",
    ),
    Source(
        "dynamics365",
        "dynamics365-pl.tar.xz",
        ".md",
        "ef67cc5c819f16aa1f2db66f01516e7e96773b8b258dbaac3c2020494fea0e8c",
        "bed39d28cefb830f72b3a69e5fde8990af12c0da1b6cb251bae4209ca8ad4086",
        markup.markdown,
        "documentation",
        "CC BY 4.0",
        "MicrosoftDocs/Dynamics-365-Operations.pl-pl e13facd5d98bae43b6e7c1fd4f906d2f0c1f3b32",
    ),
    Source(
        "powerbi",
        "powerbi-pl.tar.xz",
        ".md",
        "d21a1010f9dee112141313fc040579c1fbb63646991035b2a9f6a48f6eb58eec",
        "ab685bd4c3f9071498d81f916790375268d2d7816be6df03fa23b4999aeded11",
        markup.markdown,
        "documentation",
        "CC BY 4.0",
        "seydel1847/powerbi-docs.pl-pl ba9ede112895180e596f2bd890adc9e049761ea0",
    ),
    Source(
        "orzeczenia",
        "orzeczenia.tar.xz",
        ".zip",
        "36ba868c58a3a0ecb2bf4655cb283b241e6012b1c383736a732fcc4533602a5a",
        "1361be6ebe27b8ce910b63d02ff0ed5da0da411a086482694460ad3389b6aa96",
        markup.judgments,
        "judgment",
        OFFICIAL,
        "czescmateusz/analiza-orzeczen-sadowych d95906dd05185207d90def6a40ca6284d0da08c5",
    ),
    Source(
        "ustawy",
        "ustawy.tar.xz",
        ".txt",
        "6fd7054ed1850c09ef3b1fa88019bc7699b5d74a5e2eb5353eea49b95e0bea80",
        "86dca2351e1a8d9669e5b709ff99b472d3c2d307c5279874d0c34aa73b6a9686",
        lines.statutes,
        "statute",
        OFFICIAL,
        "mereszeta/pjn b9b346c851030f321ea71ce54ba202c7dcfeafbf",
        refuse=amending,
        most_words=1_500_000,
    ),
    Source(
        "sejm",
        "sejm.tar.xz",
        ".rda",
        "16c94bc29e9de828121422f7e2b0acd0720c9fde3b37567636a7363502f38356",
        "fbaf5d0fe9b4588e83218c8c3640f562c814761da0e67309527ddb49301c646d",
        lines.speeches,
        "parliament",
        OFFICIAL,
        "mi2-warsaw/sejmRP 4c7a629d375be9c22add22d3b65a1f425746a3a9",
    ),
    Source(
        "novels-1900",
        "novels-1900.tar.xz",
        ".txt",
        "534e362dcedc629801f847b6b66ddfdc27243d414e0888b71329f3c61071ca87",
        "45d7f9cdb328c90b81a9610b5a1d29ea1f259d541b70a7422113cd6ca617ee4e",
        lines.novels,
        "fiction",
        "texts in the public domain",
        "computationalstylistics/100_polish_novels a76c221efdc66e13b7ab0a7c6d0c24f952a7263a",
        spelling=rules.OLD_SPELLING,
    ),
    Source(
        "wikisource",
        "wikisource-pages.tar.xz",
        ".tsv",
        "79eb12f777f23b6d06f376961e2546c17ceb56d64d2f696ad7f81e18a70cf6ed",
        "c50b44b83270a57ed80a5b73dfb378be0808e8383a00c2648f06dd0659db67c5",
        lines.pages,
        "fiction",
        "freely licensed pages of Polish Wikisource",
        "poleval/2021-ocr-correction ffa9156a3acc46d2d57517c13eb4cb692d183626",
        spelling=rules.INTERWAR_SPELLING,
        refuse=later_book,
    ),
)


def archived_files(path, suffix):
    """Files of a tar archive with a suffix, as (name, bytes) sorted by name; none where it cannot be read."""
    try:
        with tarfile.open(path) as archive:
            # read in the archive's order: going back would unpack it from the start again
            read = ((m.name, archive.extractfile(m)) for m in archive if m.isfile() and m.name.endswith(suffix))
            return sorted((name, file.read()) for name, file in read if file)  # of a regular file there is always one
    except (tarfile.TarError, lzma.LZMAError, EOFError):
        return []


def files_sha256(files):
    """One sha256 for (name, bytes) pairs, which does not depend on how they were packed."""
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def read_archive(folder, source):
    """Files of a source's archive, sorted by name, after their sha256 was checked.

    The archive is known by its own sha256 or, packed anew, by that of its files.

    Raises
    ------
    ValueError
        When these are not the files that the recipes were written for.
    """
    path = Path(folder) / source.archive
    if not path.is_file():
        raise ValueError(f"no file {path}; training/README.md says where the archive comes from")
    digest, files = hashlib.sha256(path.read_bytes()).hexdigest(), archived_files(path, source.suffix)
    if digest != source.sha256 and files_sha256(files) != source.files_sha256:
        raise ValueError(
            f"{path.name} has sha256 {digest}, expected {source.sha256}, "
            f"and its {len(files)} files *{source.suffix} have {files_sha256(files)}, expected {source.files_sha256}"
        )
    return files
