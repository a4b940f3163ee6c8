"""Sources to training and held-out text, and the table of what each rule removed."""

import argparse
import hashlib
import json
import os
from collections import Counter, defaultdict
from pathlib import Path

from training.corpus import repeats, rules
from training.corpus.paragraphs import WORD
from training.corpus.sources import SOURCES, read_archive

HELD_OUT_SHARE = 0.03  # of words, in whole documents, for novels and for textbooks alike
NEW_HELD_OUT_SHARE, NEW_HELD_OUT_WORDS = 0.025, 25_000  # of each newer source, whichever is less
LEAST_WORDS = 20  # of a document after the rules
OVERLAP = 0.1  # a book that shares so much of its runs of five words with earlier ones is left out


def words(paragraphs):
    """Words of a document."""
    return sum(len(WORD.findall(p)) for p in paragraphs)


class Ledger:
    """What each source had and lost: words read, words removed by rule, split words joined, documents left out by rule."""

    def __init__(self):
        self.read: Counter[str] = Counter()
        self.joined: Counter[str] = Counter()
        self.removed: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.left_out: defaultdict[str, dict[str, str]] = defaultdict(dict)

    def leave_out(self, source, name, reason, size):
        """Note a document that was left out; what follows a comma in the reason is detail."""
        self.left_out[source][name] = reason
        self.removed[source][reason.split(",")[0]] += size


def earlier_documents(archives, ledger):
    """Novels and textbooks that the first models were trained on, by the rules of then.

    Returns
    -------
    (dict, set)
        Source and paragraphs by name, and the names of the held-out documents.
    """
    source_of, documents = {}, []
    for source in (s for s in SOURCES if s.earlier):
        for name, paragraphs in source.reader(read_archive(archives, source)):
            size = words(paragraphs)
            ledger.read[source.name] += size
            fault = source.spelling and rules.spelling_fault(paragraphs, source.spelling, scanned=True)
            if fault:
                ledger.leave_out(source.name, name, fault, size)
            else:
                source_of[name] = source.name
                documents.append((name, paragraphs))
    kept = repeats.drop_repeated(documents)
    for (name, before), (_, after) in zip(documents, kept, strict=True):
        ledger.removed[source_of[name]]["repeated"] += words(before) - words(after)
    found = {name: (source_of[name], paragraphs) for name, paragraphs in kept if paragraphs}
    found = join_split_words(found, word_counts(found), ledger)
    held = set()
    for own in sorted(set(source_of.values())):
        held |= repeats.hold_out({n: words(p) for n, (s, p) in found.items() if s == own}, HELD_OUT_SHARE)
    return found, held


def word_counts(documents):
    """Frequencies of lower-cased words."""
    return Counter(w.lower() for _, paragraphs in documents.values() for p in paragraphs for w in WORD.findall(p))


def join_split_words(documents, counts, ledger):
    """Documents with the words mended that a page's or line's end had cut."""
    mended = {}
    for name, (source, paragraphs) in documents.items():
        pairs = [rules.join_split_words(p, counts) for p in paragraphs]
        ledger.joined[source] += sum(joined for _, joined in pairs)
        mended[name] = source, [p for p, _ in pairs]
    return mended


def paragraph_fault(paragraph, before):
    """The rule that removes a paragraph, or None; ``before`` are the register's repeats."""
    if rules.is_boilerplate(paragraph):
        return "boilerplate"
    if not rules.is_prose(paragraph):
        return "not prose"
    if not rules.is_polish(paragraph):
        return "not Polish"
    return before.fault(paragraph)


def document_fault(paragraphs, source, books):
    """The rule that leaves out a whole document, or None; ``books`` are sampled runs of words, to which a kept book's are added."""
    fault = source.spelling and rules.spelling_fault(paragraphs, source.spelling)
    fault = fault or source.refuse and source.refuse(paragraphs)
    if fault or source.register != "fiction":
        return fault
    own = repeats.sampled(paragraphs)
    if len(own & books) > OVERLAP * len(own):
        return "stands in another source"
    books |= own
    return None


def newer_documents(documents, source, before, books, ledger):
    """Documents of a newer source after all rules.

    Parameters
    ----------
    documents : dict of str to list of str
        Paragraphs by name.
    before : repeats.Repeats
        What stood in the register before.
    books : set of int
        Sampled runs of words of the fiction kept so far.

    Returns
    -------
    dict of str to list of str
        Paragraphs by name.
    """
    found, taken, removed = {}, 0, ledger.removed[source.name]
    for name in repeats.by_sha256(documents) if source.most_words else documents:
        size = words(documents[name])
        ledger.read[source.name] += size
        fault = document_fault(documents[name], source, books)
        if not fault and source.most_words and taken >= source.most_words:
            fault = "thinned"
        if fault:
            ledger.leave_out(source.name, name, fault, size)
            continue
        kept = []
        for paragraph in documents[name]:
            bare = rules.without_citations(paragraph)
            removed["boilerplate"] += words([paragraph]) - words([bare])
            fault = paragraph_fault(bare, before)
            if fault:
                removed[fault] += words([bare])
            else:
                kept.append(bare)
        if words(kept) < LEAST_WORDS:
            ledger.leave_out(source.name, name, "short documents", words(kept))
        else:
            found[name] = kept
            taken += words(kept)
    return found


def build(archives):
    """All sources to documents by split, with the manifest.

    Parameters
    ----------
    archives : path
        The folder of the archives.

    Returns
    -------
    (dict, dict)
        ``train``, ``heldout`` and ``heldout_new`` as lists of (name, source, paragraphs), and the manifest.
    """
    ledger = Ledger()
    earlier, held = earlier_documents(archives, ledger)
    books = set().union(*(repeats.sampled(p) for source, p in earlier.values() if source == "eltec"))
    registers: defaultdict[str, repeats.Repeats] = defaultdict(repeats.Repeats)
    newer: dict[str, tuple[str, list[str]]] = {}
    for source in (s for s in SOURCES if not s.earlier):
        documents = {f"{source.name}/{name}": paragraphs for name, paragraphs in source.reader(read_archive(archives, source))}
        found = newer_documents(documents, source, registers[source.register], books, ledger)
        newer |= {name: (source.name, paragraphs) for name, paragraphs in found.items()}
    newer = join_split_words(newer, word_counts(earlier | newer), ledger)
    held_new = set()
    for source in (s for s in SOURCES if not s.earlier):
        sizes = {name: words(p) for name, (s, p) in newer.items() if s == source.name}
        held_new |= repeats.hold_out(sizes, min(NEW_HELD_OUT_SHARE, NEW_HELD_OUT_WORDS / max(1, sum(sizes.values()))))
    splits = split(earlier | newer, held, held_new, ledger)
    return splits, manifest(splits, ledger)


def split(documents, held, held_new, ledger):
    """Documents by split; what stands in held-out documents, or nearly, is taken out of the training documents."""
    unseen = repeats.HeldOut(documents[name][1] for name in held | held_new)
    train = []
    for name in sorted(documents.keys() - held - held_new):
        source, paragraphs = documents[name]
        kept = [p for p in paragraphs if not unseen.holds(p)]
        ledger.removed[source]["held out"] += words(paragraphs) - words(kept)
        if kept:
            train.append((name, source, kept))
    return {
        "train": train,
        "heldout": [(name, *documents[name]) for name in sorted(held)],
        "heldout_new": [(name, *documents[name]) for name in sorted(held_new)],
    }


def manifest(splits, ledger):
    """Counts of documents and words by split, source and register, and what each rule removed."""
    table = []
    registers: Counter[str] = Counter()
    for source in SOURCES:
        row = {"source": source.name} | {key: getattr(source, key) for key in ("register", "licence", "origin")}
        row["read_words"] = ledger.read[source.name]
        for name, documents in splits.items():
            own = [p for _, s, p in documents if s == source.name]
            row[f"{name}_documents"], row[f"{name}_words"] = len(own), sum(map(words, own))
        row["removed_words"] = {rule: n for rule, n in sorted(ledger.removed[source.name].items()) if n}
        row["left_out_documents"] = dict(sorted(Counter(r.split(",")[0] for r in ledger.left_out[source.name].values()).items()))
        row["split_words_joined"] = ledger.joined[source.name]
        registers[source.register] += row["train_words"]
        table.append(row)
    rows = {row["source"]: row for row in table}
    return {
        **{f"{name}_words": sum(row[f"{name}_words"] for row in table) for name in splits},
        "words_by_register": dict(registers),
        "heldout_documents": [name for name, _, _ in splits["heldout"]],
        "heldout_new_documents": [name for name, _, _ in splits["heldout_new"]],
        "novels": rows["eltec"]["train_documents"] + rows["eltec"]["heldout_documents"],
        "modules": rows["openstax"]["train_documents"] + rows["openstax"]["heldout_documents"],
        "novels_left_out": ledger.left_out["eltec"],
        "sources": table,
    }


def json_lines(documents, with_source):
    """Documents as text, one in JSON a line."""
    rows = []
    for name, source, paragraphs in documents:
        row = {"id": name} | ({"source": source} if with_source else {}) | {"text": "\n".join(paragraphs)}
        rows.append(json.dumps(row, ensure_ascii=False) + "\n")
    return "".join(rows)


def write(path, text):
    """Write a text file whole or not at all."""
    scratch = path.with_suffix(".part")
    scratch.write_text(text, encoding="utf-8")
    os.replace(scratch, path)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m training.corpus", description=__doc__.split("\n")[0])
    parser.add_argument("--archives", required=True, type=Path, help="folder of the archives")
    parser.add_argument("--out", default=Path("training/runs"), type=Path)
    options = parser.parse_args(arguments)
    splits, report = build(options.archives)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "manifest.json").unlink(missing_ok=True)  # what is written last says that all is there
    for name, documents in splits.items():
        text = json_lines(documents, with_source=name != "heldout")  # the first held-out set keeps its bytes
        report[f"{name}_sha256"] = hashlib.sha256(text.encode()).hexdigest()
        write(options.out / f"{name}.jsonl", text)
    write(options.out / "manifest.json", json.dumps(report, ensure_ascii=False, indent=1) + "\n")
    for row in report["sources"]:
        print(*(row[key] for key in ("source", "train_words", "heldout_words", "heldout_new_words", "removed_words")))
    print({key: value for key, value in report.items() if key.endswith(("_words", "_sha256", "_register"))})


if __name__ == "__main__":
    main()
