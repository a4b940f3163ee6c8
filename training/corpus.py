"""Polish training text from two public archives, the same bytes every time.

    python -m training.corpus --eltec ELTeC-pol-level1.tar.xz --openstax openstax-pl.tar.xz --out training/runs

ELTeC-pol (100 TEI novels, 1840-1939) gives the novels in modern spelling; three
OpenStax textbooks (psychology, micro- and macroeconomics, CNXML) give modern
prose. ``training/README.md`` says where the archives come from. The output is
``train.jsonl`` and ``heldout.jsonl`` (one document a line: ``id``, ``text`` with
one paragraph a line) and ``manifest.json`` (counts, what each rule removed).
"""

import argparse
import hashlib
import json
import lzma
import os
import re
import tarfile
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

SHA256 = {
    "eltec": "0f72d7eca3b687e4d746e86723fa940b8c4bf3f515ab080bcb60cfb030c074a4",
    "openstax": "6068368c1a4573a563972bb90412d1f77591622f07080524522db6d64e70b6fd",
}
FILES_SHA256 = {
    "eltec": "8fd73facaf72e0b71aa941b903b2ea2e065bf0aa8a7779ae42dcabc94c927719",
    "openstax": "20d0ab4e64f3162e2f5ec3cc00a2d83b54a2b36a4ca18e47df617b7dad019a9c",
}
OLD_SPELLINGS_PER_10K = 6  # the rate is bimodal: at most 2.7 in 63 novels, at least 12.2 in 37
OCR_FAULTS_PER_10K = 0.5  # digits inside words: 1.5 in the one bad scan, at most 0.1 elsewhere
HELD_OUT_SHARE = 0.03  # of words, in whole documents, for novels and for textbooks alike

TEI_BLOCKS = {"p", "head", "l"}
TEI_DROPPED = {"note", "ref"}
CNXML_BLOCKS = {"para", "title", "item", "meaning", "term"}
CNXML_DROPPED = {"media", "figure", "table", "equation", "math", "footnote", "metadata", "link"}
CNXML_DROPPED_SECTIONS = {"references"}

WORD = re.compile(r"[^\W\d_]+")
OLD_SPELLING = re.compile(
    r"\b(?:tem|czem|temi|czemi|z[tk]ąd|módz|pomódz|\w{2,}[crd]y(?:ą|ę|i)|\w{2,}[cr]ya)\b", re.IGNORECASE
)
OCR_FAULT = re.compile(r"[^\W\d_]\d[^\W\d_]|\b\d[^\W\d_]{2,}|[^\W\d_]\(\)")
SPLIT_WORD = re.compile(r"\b([^\W\d_]+)- ([^\W\d_]+)\b")
CONJUNCTIONS = {"a", "albo", "bądź", "czy", "i", "lub", "oraz"}


def local_name(element):
    """Tag of an element without its namespace; '' for comments."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def element_text(element, dropped):
    """Text of an element without the elements in ``dropped``; their tails stay."""
    parts = [element.text or ""]
    for child in element:
        if isinstance(child.tag, str) and local_name(child) not in dropped:
            parts.append(element_text(child, dropped))
        parts.append(child.tail or "")
    return "".join(parts)


def clean(text):
    """One paragraph: spaces, dashes, dots and footnote marks in one form."""
    text = re.sub(r"\[\d+\]|https?://\S+|www\.\S+", "", text)
    text = re.sub(r"_{2,}", " ", text)
    text = text.replace("\u00ad", "").replace("_", "—")
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r"(?:\. ?){3,}", "… ", text)
    text = re.sub(r"^[-–—]+ ?(?=\S)", "– ", text)
    text = re.sub(r" [-–—]+ ", " – ", text)
    text = re.sub(r" +([,.;:!?…)])", r"\1", text)
    return re.sub(r" +", " ", text).strip()


def tei_paragraphs(xml):
    """Paragraphs of a TEI novel's body.

    Parameters
    ----------
    xml : bytes
        A TEI document.

    Returns
    -------
    list of str
        Cleaned paragraphs, headings and verse lines; notes and references left out.
    """
    body = next(e for e in ET.fromstring(xml).iter() if local_name(e) == "body")
    found = []

    def visit(element):
        for child in element:
            name = local_name(child)
            if name in TEI_DROPPED or (name == "div" and child.get("type") == "notes"):
                continue
            if name in TEI_BLOCKS:
                found.append(clean(element_text(child, TEI_DROPPED)))
            else:
                visit(child)

    visit(body)
    return [p for p in found if WORD.search(p)]


def cnxml_paragraphs(xml):
    """Paragraphs of a textbook module in CNXML, headings and definitions included.

    Media, tables, equations, footnotes, links, reference sections and the gaps of
    exercises are left out; a block inside a block is written once.
    """
    root = ET.fromstring(xml)
    found = []

    def visit(element):
        for child in element:
            name = local_name(child)
            if name in CNXML_DROPPED or child.get("class") in CNXML_DROPPED_SECTIONS:
                continue
            holds_blocks = any(local_name(e) in CNXML_BLOCKS - {"term"} for e in child.iter() if e is not child)
            if name in CNXML_BLOCKS and not holds_blocks:
                found.append(clean(element_text(child, CNXML_DROPPED)))
            else:
                visit(child)

    visit(root)
    return [p for p in found if WORD.search(p)]


def rate_per_10k(pattern, text):
    """Matches of a pattern per 10,000 words of a text."""
    return 1e4 * len(pattern.findall(text)) / max(1, len(WORD.findall(text)))


def join_split_words(text, counts):
    """Mend words cut at a page's or line's end ("nie- możliwością").

    Joined only when the whole occurs elsewhere at least twice, and not before a
    conjunction ("czternasto- czy piętnastoletnia" stands as it is).

    Parameters
    ----------
    counts : Counter
        Frequencies of lower-cased words in the whole corpus.

    Returns
    -------
    (str, int)
        The text and how many words were joined.
    """
    joined = 0

    def mend(match):
        nonlocal joined
        left, right = match.groups()
        if right.lower() in CONJUNCTIONS or not right.islower() or counts[(left + right).lower()] < 2:
            return match.group(0)
        joined += 1
        return left + right

    return SPLIT_WORD.sub(mend, text), joined


def drop_repeated(documents, min_words=8):
    """Leave out paragraphs of ``min_words`` or more that stood before, in this or an earlier document."""
    seen, kept, dropped = set(), [], 0
    for name, paragraphs in documents:
        own = []
        for paragraph in paragraphs:
            if len(WORD.findall(paragraph)) >= min_words:
                if paragraph in seen:
                    dropped += 1
                    continue
                seen.add(paragraph)
            own.append(paragraph)
        kept.append((name, own))
    return kept, dropped


def hold_out(sizes, share=HELD_OUT_SHARE):
    """Names of the held-out documents: in the order of their names' sha256, up to ``share`` of words.

    Parameters
    ----------
    sizes : dict of str to int
        Words of each document.
    """
    budget, chosen = share * sum(sizes.values()), set()
    for name in sorted(sizes, key=lambda n: hashlib.sha256(n.encode()).hexdigest()):
        if sizes[name] <= budget:
            chosen.add(name)
            budget -= sizes[name]
    return chosen


def archived_files(path, suffix):
    """Files of a tar archive with a suffix, as (name, bytes) sorted by name; none where it cannot be read."""
    try:
        with tarfile.open(path) as archive:
            # read in the archive's order: going back would unpack it from the start again
            return sorted((m.name, archive.extractfile(m).read()) for m in archive if m.isfile() and m.name.endswith(suffix))
    except (tarfile.TarError, lzma.LZMAError, EOFError):
        return []


def files_sha256(files):
    """One sha256 for (name, bytes) pairs, which does not depend on how they were packed."""
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def read_archive(path, kind, suffix):
    """Files of an archive with a suffix, sorted by name, after their sha256 was checked.

    The archive is known by its own sha256 or, packed anew, by that of its files.

    Raises
    ------
    ValueError
        When these are not the files that the recipes were written for.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"--{kind}: no file {path}; training/README.md says where the archive comes from")
    digest, files = hashlib.sha256(path.read_bytes()).hexdigest(), archived_files(path, suffix)
    if digest != SHA256[kind] and files_sha256(files) != FILES_SHA256[kind]:
        raise ValueError(
            f"--{kind}: {path.name} has sha256 {digest}, expected {SHA256[kind]}, "
            f"and its {len(files)} files *{suffix} have {files_sha256(files)}, expected {FILES_SHA256[kind]}"
        )
    return files


def modern_novels(files):
    """Novels in modern spelling and without scanning noise, and why the others were left out."""
    kept, refused = [], {}
    for path, xml in files:
        name = Path(path).stem
        paragraphs = tei_paragraphs(xml)
        text = "\n".join(paragraphs)
        old, noise = rate_per_10k(OLD_SPELLING, text), rate_per_10k(OCR_FAULT, text)
        if old > OLD_SPELLINGS_PER_10K:
            refused[name] = f"old spelling, {old:.1f} per 10,000 words"
        elif noise > OCR_FAULTS_PER_10K:
            refused[name] = f"scanning faults, {noise:.1f} per 10,000 words"
        else:
            kept.append((name, paragraphs))
    return kept, refused


def textbook_modules(files):
    """Modules of the three textbooks as (book/module, paragraphs)."""
    return [(f"{Path(p).parts[0]}/{Path(p).parts[-2]}", cnxml_paragraphs(xml)) for p, xml in files]


def write(path, text):
    """Write a text file whole or not at all."""
    scratch = path.with_suffix(".part")
    scratch.write_text(text, encoding="utf-8")
    os.replace(scratch, path)


def build(novels, modules):
    """Documents of both sources to (train, held out, report)."""
    documents, repeated = drop_repeated(novels + modules)
    texts = {name: "\n".join(paragraphs) for name, paragraphs in documents if paragraphs}
    counts = Counter(w.lower() for text in texts.values() for w in WORD.findall(text))
    joined = 0
    for name in texts:
        texts[name], n = join_split_words(texts[name], counts)
        joined += n
    words = {name: len(WORD.findall(text)) for name, text in texts.items()}
    held = hold_out({n: w for n, w in words.items() if "/" not in n})
    held |= hold_out({n: w for n, w in words.items() if "/" in n})
    report = {
        "repeated_paragraphs_left_out": repeated,
        "split_words_joined": joined,
        "train_words": sum(w for n, w in words.items() if n not in held),
        "heldout_words": sum(w for n, w in words.items() if n in held),
        "heldout_documents": sorted(held),
    }
    rows = {n: json.dumps({"id": n, "text": t}, ensure_ascii=False) + "\n" for n, t in sorted(texts.items())}
    train = "".join(row for n, row in rows.items() if n not in held)
    return train, "".join(row for n, row in rows.items() if n in held), report


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--eltec", required=True, type=Path)
    parser.add_argument("--openstax", required=True, type=Path)
    parser.add_argument("--out", default=Path("training/runs"), type=Path)
    options = parser.parse_args(arguments)
    novels, refused = modern_novels(read_archive(options.eltec, "eltec", ".xml"))
    modules = textbook_modules(read_archive(options.openstax, "openstax", "index.cnxml"))
    train, heldout, report = build(novels, modules)
    options.out.mkdir(parents=True, exist_ok=True)
    write(options.out / "train.jsonl", train)
    write(options.out / "heldout.jsonl", heldout)
    report |= {
        "novels": len(novels), "novels_left_out": refused, "modules": len(modules),
        "train_sha256": hashlib.sha256(train.encode()).hexdigest(),
        "heldout_sha256": hashlib.sha256(heldout.encode()).hexdigest(),
    }
    write(options.out / "manifest.json", json.dumps(report, ensure_ascii=False, indent=1) + "\n")
    print(json.dumps({k: v for k, v in report.items() if k != "novels_left_out"}, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
