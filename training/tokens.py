"""Tokenizers of the two Polish models, and the corpus as token ids.

    python -m training.tokens --work training/runs --vocab 16384

writes ``training/runs/<model>/tokenizer/`` and ``train.bin``, ``heldout.bin``
(uint16) for ``polish-gpt2-mini`` and ``herbert-mini``.
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import GPT2TokenizerFast, HerbertTokenizer

MODELS = ("polish-gpt2-mini", "herbert-mini")
HERBERT_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
END_OF_TEXT = "<|endoftext|>"
CONTEXT = {"polish-gpt2-mini": 256, "herbert-mini": 128}


def read_documents(path):
    """Documents of a ``.jsonl`` file of ``training.corpus``, each a list of paragraphs."""
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line)["text"].split("\n") for line in lines]


def byte_level(paragraphs, vocab_size):
    """GPT-2's tokenizer: byte-level BPE, a space before each paragraph's first word."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=[END_OF_TEXT], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    core.train_from_iterator(paragraphs, trainer)
    state = json.loads(core.to_str())["model"]
    merges = [tuple(m) for m in state["merges"]]
    return GPT2TokenizerFast(
        vocab=state["vocab"], merges=merges, unk_token=END_OF_TEXT, bos_token=END_OF_TEXT, eos_token=END_OF_TEXT,
        add_prefix_space=True, model_max_length=CONTEXT["polish-gpt2-mini"],
    )


def herbert(paragraphs, vocab_size):
    """HerBERT's tokenizer: BPE over characters, ``</w>`` at the end of a word, cased."""
    core = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    core.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=HERBERT_SPECIAL, end_of_word_suffix="</w>",
        limit_alphabet=200, show_progress=False,
    )
    core.train_from_iterator(paragraphs, trainer)
    state = json.loads(core.to_str())["model"]
    merges = [tuple(m) for m in state["merges"]]
    return HerbertTokenizer(
        vocab=state["vocab"], merges=merges, cls_token="<s>", sep_token="</s>", pad_token="<pad>", unk_token="<unk>",
        mask_token=AddedToken("<mask>", lstrip=False), model_max_length=CONTEXT["herbert-mini"],
    )


def encode(tokenizer, documents, paragraph_end, document_end):
    """Token ids of documents in one row; ``paragraph_end`` and ``document_end`` are lists of ids."""
    row = []
    for paragraphs in documents:
        encoded = tokenizer(paragraphs, add_special_tokens=False, verbose=False)["input_ids"]
        for ids in encoded:
            row += ids + paragraph_end
        row += document_end
    ids = np.array(row)
    if ids.max() >= 2**16:
        raise ValueError(f"token ids reach {ids.max()}, expected to fit in 16 bits")
    return ids.astype(np.uint16)


def write_ids(path, ids):
    """Write ids whole or not at all."""
    scratch = path.with_suffix(".part")
    ids.tofile(scratch)
    os.replace(scratch, path)


def prepare(name, work, vocab_size):
    """Train one model's tokenizer on the training documents and encode both splits."""
    documents = {split: read_documents(work / f"{split}.jsonl") for split in ("train", "heldout")}
    paragraphs = [p for document in documents["train"] for p in document]
    tokenizer = (byte_level if name == "polish-gpt2-mini" else herbert)(paragraphs, vocab_size)
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder / "tokenizer")
    if name == "polish-gpt2-mini":
        ends = [tokenizer.convert_tokens_to_ids("Ċ")], [tokenizer.eos_token_id]
    else:
        ends = [], [tokenizer.sep_token_id]
    counts = {}
    for split, texts in documents.items():
        ids = encode(tokenizer, texts, *ends)
        write_ids(folder / f"{split}.bin", ids)
        counts[split] = len(ids)
    return tokenizer, counts


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", default=Path("training/runs"), type=Path)
    parser.add_argument("--vocab", default=16384, type=int)
    parser.add_argument("--model", choices=MODELS, help="one model only")
    options = parser.parse_args(arguments)
    for name in [options.model] if options.model else MODELS:
        tokenizer, counts = prepare(name, options.work, options.vocab)
        print(name, len(tokenizer), counts, tokenizer.tokenize("Wczoraj wieczorem źrebię skubało żółte trawy nad Wisłą."))


if __name__ == "__main__":
    main()
