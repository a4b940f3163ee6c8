"""Tokenizers of the two Polish models, and the corpus as token ids.

    python -m training.tokens --work training/runs --vocab 16384

writes for ``polish-gpt2-mini`` and ``herbert-mini`` a folder with ``tokenizer/``,
``train.bin`` (training documents in shuffled order), ``heldout.bin`` and
``heldout_new.bin`` (uint16), ``train_documents.csv`` (source and tokens of each
document of ``train.bin``), ``heldout_new.json`` (where each source begins and
ends in ``heldout_new.bin``) and ``token_counts.npz``.
"""

import argparse
import csv
import json
import os
import random
from collections import Counter
from itertools import groupby
from pathlib import Path

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer, GPT2TokenizerFast, HerbertTokenizer

from analysis_lib.vocabulary import TokenCounts, Vocabulary

MODELS = ("polish-gpt2-mini", "herbert-mini")
HERBERT_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
END_OF_TEXT = "<|endoftext|>"
CONTEXT = {"polish-gpt2-mini": 256, "herbert-mini": 128}


def source_of(work):
    """What was counted, with its size where the corpus step has noted it."""
    manifest = work / "manifest.json"
    words = json.loads(manifest.read_text(encoding="utf-8"))["train_words"] if manifest.exists() else None
    return f"training text of {words / 1e6:.1f} million words" if words else "training text"


def read_field(path, field):
    """One field of every document of a ``.jsonl`` file of ``training.corpus``, in the order of the file."""
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line)[field] for line in lines]


def read_documents(path):
    """Documents of a ``.jsonl`` file of ``training.corpus``, each a list of paragraphs."""
    return [text.split("\n") for text in read_field(path, "text")]


def read_sources(path):
    """Documents of a ``.jsonl`` file by source, in the order of the sources' names."""
    with open(path, encoding="utf-8") as lines:
        rows = sorted((json.loads(line) for line in lines), key=lambda row: (row["source"], row["id"]))
    return {source: [row["text"].split("\n") for row in own] for source, own in groupby(rows, key=lambda row: row["source"])}


def byte_level(paragraphs, vocab_size):
    """GPT-2's tokenizer: byte-level BPE, a space before each paragraph's first word."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT],
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    core.train_from_iterator(paragraphs, trainer)
    state = json.loads(core.to_str())["model"]
    merges = [tuple(m) for m in state["merges"]]
    return GPT2TokenizerFast(
        vocab=state["vocab"],
        merges=merges,
        unk_token=END_OF_TEXT,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        add_prefix_space=True,
        model_max_length=CONTEXT["polish-gpt2-mini"],
    )


def herbert(paragraphs, vocab_size, n_characters=200):
    """HerBERT's tokenizer: BPE over characters, ``</w>`` at the end of a word, cased.

    The trainer meets words in an order that changes from run to run: left to itself it
    numbers the characters at ends of words, and so decides between equally frequent
    merges, by chance. So a first training without merges finds them, and a second
    has them in order.
    """
    core = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    core.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    counts = Counter(c for p in paragraphs for c in core.normalizer.normalize_str(p) if not c.isspace())
    characters = sorted(counts, key=lambda c: (-counts[c], c))[:n_characters]

    def train(first, size):
        trainer = trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=first,
            end_of_word_suffix="</w>",
            initial_alphabet=characters,
            limit_alphabet=len(characters),
            show_progress=False,
        )
        core.train_from_iterator(paragraphs, trainer)
        return json.loads(core.to_str())["model"]

    found = train(HERBERT_SPECIAL, 0)["vocab"].keys() - HERBERT_SPECIAL
    state = train(HERBERT_SPECIAL + sorted(found, key=lambda piece: (piece.endswith("</w>"), piece)), vocab_size)
    merges = [tuple(m) for m in state["merges"]]
    return HerbertTokenizer(
        vocab=state["vocab"],
        merges=merges,
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token=AddedToken("<mask>", lstrip=False),
        model_max_length=CONTEXT["herbert-mini"],
    )


def encode(tokenizer, documents, paragraph_end, document_end):
    """Token ids of each document; ``paragraph_end`` and ``document_end`` are lists of ids."""
    parts = []
    for paragraphs in documents:
        encoded = tokenizer(paragraphs, add_special_tokens=False, verbose=False)["input_ids"]
        row = [i for ids in encoded for i in ids + paragraph_end] + document_end
        if max(row) >= 2**16:
            raise ValueError(f"token ids reach {max(row)}, expected to fit in 16 bits")
        parts.append(np.array(row, dtype=np.uint16))
    return parts


def write_ids(path, ids):
    """Write ids whole or not at all."""
    scratch = path.with_suffix(".part")
    ids.tofile(scratch)
    os.replace(scratch, path)


def write_lengths(path, sources, documents):
    """Source and tokens of each document, in the order in which ``train.bin`` has them."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["source", "tokens"])
        rows.writerows((source, len(ids)) for source, ids in zip(sources, documents, strict=True))


def read_lengths(path):
    """What `write_lengths` wrote, a list of (source, tokens)."""
    with open(path, encoding="utf-8", newline="") as file:
        return [(row["source"], int(row["tokens"])) for row in csv.DictReader(file)]


def prepare(name, work, vocab_size, seed=0, tokenizer=None):
    """Train one model's tokenizer on the training documents, unless one is given, and encode all splits.

    Training documents are shuffled, so that the registers alternate along ``train.bin``.
    """
    train, sources = read_documents(work / "train.jsonl"), read_field(work / "train.jsonl", "source")
    if tokenizer is None:
        tokenizer = (byte_level if name == "polish-gpt2-mini" else herbert)([p for document in train for p in document], vocab_size)
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "heldout.bin").unlink(missing_ok=True)  # what is written last says that all is there
    tokenizer.save_pretrained(folder / "tokenizer")
    if name == "polish-gpt2-mini":
        ends = [tokenizer.convert_tokens_to_ids("Ċ")], [tokenizer.eos_token_id]
    else:
        ends = [], [tokenizer.sep_token_id]
    for rows in (train, sources):
        random.Random(seed).shuffle(rows)
    encoded = encode(tokenizer, train, *ends)
    write_lengths(folder / "train_documents.csv", sources, encoded)
    ids = {"train": np.concatenate(encoded), "heldout": np.concatenate(encode(tokenizer, read_documents(work / "heldout.jsonl"), *ends))}
    bounds, rows = {}, [np.zeros(0, np.uint16)]
    for source, documents in read_sources(work / "heldout_new.jsonl").items():
        start = sum(map(len, rows))
        rows.append(np.concatenate(encode(tokenizer, documents, *ends)))
        bounds[source] = [start, start + len(rows[-1])]
    (folder / "heldout_new.json").write_text(json.dumps(bounds, indent=1) + "\n")
    counts = TokenCounts.of_ids(Vocabulary.from_tokenizer(tokenizer), [ids["train"]], source_of(work))
    counts.save(folder / "token_counts.npz")
    for split, row in {"train": ids["train"], "heldout_new": np.concatenate(rows), "heldout": ids["heldout"]}.items():
        write_ids(folder / f"{split}.bin", row)
        ids[split] = row
    return tokenizer, {split: len(row) for split, row in ids.items()}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", default=Path("training/runs"), type=Path)
    parser.add_argument("--vocab", default=16384, type=int)
    parser.add_argument("--model", choices=MODELS, help="one model only")
    parser.add_argument("--tokenizer", type=Path, help="folder of a tokenizer to encode with, instead of training one; needs --model")
    options = parser.parse_args(arguments)
    if options.tokenizer and not options.model:
        parser.error("--tokenizer: --model says whose tokenizer it is")
    given = AutoTokenizer.from_pretrained(options.tokenizer) if options.tokenizer else None
    for name in [options.model] if options.model else MODELS:
        tokenizer, counts = prepare(name, options.work, options.vocab, tokenizer=given)
        print(name, len(tokenizer), counts, tokenizer.tokenize("Wczoraj wieczorem źrebię skubało żółte trawy nad Wisłą."))


if __name__ == "__main__":
    main()
