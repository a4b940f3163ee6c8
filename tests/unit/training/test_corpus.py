import dataclasses
import hashlib
import json

import pytest

from tests.support.small_archives import OLD, SHARED, archive, files, novel, pack
from training.corpus import build, sources
from training.corpus.paragraphs import WORD


def run(folder, monkeypatch, packed):
    """The command on archives whose sums it expects; returns the folder that it wrote."""
    folder.mkdir()
    monkeypatch.setattr(build, "SOURCES", pack(folder, packed))
    build.main(["--archives", str(folder), "--out", str(folder / "out")])
    return folder / "out"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Documents by split, and the manifest, of the small archives."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        out = run(tmp_path_factory.mktemp("corpus") / "a", monkeypatch, files())
    read = {
        name: [json.loads(line) for line in (out / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
        for name in ("train", "heldout", "heldout_new")
    }
    return out, read, json.loads((out / "manifest.json").read_text(encoding="utf-8"))


def test_documents_are_split_whole_and_without_overlap(made):
    out, read, report = made
    ids = {name: [d["id"] for d in documents] for name, documents in read.items()}
    assert all(own == sorted(own) for own in ids.values())
    everything = [i for own in ids.values() for i in own]
    assert len(everything) == len(set(everything)) == 40 + 80 + 40 + 40 + 40
    assert report["heldout_documents"] == ids["heldout"]
    assert report["heldout_new_documents"] == ids["heldout_new"]
    assert {"osbooks" in i for i in ids["heldout"]} == {True, False}  # of novels and of textbooks alike
    assert {d["source"] for d in read["heldout_new"]} == {"dynamics365", "ustawy", "novels-1900"}
    assert set(read["heldout"][0]) == {"id", "text"}
    for name, documents in read.items():
        assert report[f"{name}_words"] == sum(len(WORD.findall(d["text"])) for d in documents)
        assert report[f"{name}_sha256"] == hashlib.sha256((out / f"{name}.jsonl").read_bytes()).hexdigest()
    assert sorted(p.name for p in out.iterdir()) == ["heldout.jsonl", "heldout_new.jsonl", "manifest.json", "train.jsonl"]


def test_no_paragraph_of_five_words_stands_in_training_and_held_out_text(made):
    _, read, _ = made
    train = {p for d in read["train"] for p in d["text"].split("\n")}
    held = {p for name in ("heldout", "heldout_new") for d in read[name] for p in d["text"].split("\n")}
    assert not {p for p in train & held if len(WORD.findall(p)) >= 5}


def test_every_word_read_is_kept_or_removed_by_a_rule(made):
    _, read, report = made
    for row in report["sources"]:
        kept = row["train_words"] + row["heldout_words"] + row["heldout_new_words"]
        assert row["read_words"] == kept + sum(row["removed_words"].values()) + row["split_words_joined"]
        assert row["train_words"] == sum(len(WORD.findall(d["text"])) for d in read["train"] if d["source"] == row["source"])
    assert sum(report["words_by_register"].values()) == report["train_words"]


def test_what_was_left_out_is_counted_by_rule(made):
    _, read, report = made
    rows = {row["source"]: row for row in report["sources"]}
    assert rows["eltec"]["left_out_documents"] == {"old spelling": 1}
    assert list(report["novels_left_out"]) == ["POL9999_old"]
    assert (report["novels"], report["modules"]) == (40, 80)
    assert rows["openstax"]["removed_words"]["repeated"] == 79 * len(WORD.findall(SHARED))
    assert rows["ustawy"]["left_out_documents"] == {"amending act": 3}
    assert rows["novels-1900"]["left_out_documents"] == {"stands in another source": 1}
    texts = "\n".join(d["text"] for documents in read.values() for d in documents)
    assert texts.count(SHARED) == texts.count("Ten akapit stoi na każdej stronie.") == 1
    assert texts.count("Wstęp") == 20  # a short paragraph may come so often in a register


def test_a_source_is_thinned_to_so_many_words(tmp_path, monkeypatch):
    limited = [dataclasses.replace(s, most_words=3000) if s.name == "ustawy" else s for s in sources.SOURCES]
    monkeypatch.setattr(sources, "SOURCES", tuple(limited))
    out = run(tmp_path / "a", monkeypatch, files())
    row = next(r for r in json.loads((out / "manifest.json").read_text(encoding="utf-8"))["sources"] if r["source"] == "ustawy")
    each = 40 * 8 + 4
    assert 3000 <= row["train_words"] + row["heldout_new_words"] < 3000 + each
    assert row["left_out_documents"]["thinned"] + row["train_documents"] + row["heldout_new_documents"] == 40


def test_the_same_bytes_twice_whatever_the_order_in_the_archives(tmp_path, monkeypatch):
    packed = files(12)
    first = run(tmp_path / "a", monkeypatch, packed)
    again = run(tmp_path / "b", monkeypatch, {name: own[::-1] for name, own in packed.items()})
    for name in ("train.jsonl", "heldout.jsonl", "heldout_new.jsonl", "manifest.json"):
        assert (first / name).read_bytes() == (again / name).read_bytes()


@pytest.mark.parametrize("source", sources.SOURCES, ids=lambda source: source.name)
def test_another_archive_is_refused_with_both_sums(tmp_path, source):
    path = archive(tmp_path / source.archive, [(f"a{source.suffix}", b"x")])
    own = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(ValueError, match=f"{source.archive} has sha256 {own}, expected {source.sha256}, and its 1 files"):
        sources.read_archive(tmp_path, source)
    path.write_bytes(path.read_bytes()[:60])  # cut off
    with pytest.raises(ValueError, match=f"expected {source.sha256}, and its 0 files"):
        sources.read_archive(tmp_path, source)


def test_an_archive_packed_anew_is_known_by_its_files(tmp_path):
    held = [("level1/a.xml", novel("Dom.")), ("level1/b.xml", novel(OLD))]
    listing = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in held)  # as sha256sum prints it
    source = dataclasses.replace(sources.SOURCES[0], files_sha256=hashlib.sha256(listing.encode()).hexdigest())
    archive(tmp_path / source.archive, [("README.md", b"also here"), *held[::-1]])
    assert sources.read_archive(tmp_path, source) == held
    for other in ([held[0]], [held[0], ("level1/b.xml", held[1][1] + b" ")], [held[0], ("level1/c.xml", held[1][1])]):
        archive(tmp_path / source.archive, other)
        with pytest.raises(ValueError, match="has sha256"):
            sources.read_archive(tmp_path, source)


def test_a_missing_archive_is_named_and_nothing_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"no file .*ELTeC-pol-level1.tar.xz; training/README.md says"):
        build.main(["--archives", str(tmp_path), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_a_second_run_that_is_stopped_leaves_no_manifest(tmp_path, monkeypatch):
    packed = files(12)
    out = run(tmp_path / "a", monkeypatch, packed)

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "write", stopped)
    with pytest.raises(KeyboardInterrupt):
        build.main(["--archives", str(tmp_path / "a"), "--out", str(out)])
    assert not (out / "manifest.json").exists()


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "train.jsonl"
    build.write(path, "old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(build.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        build.write(path, "new")
    assert path.read_text() == "old"
