"""Counts of tokens in the training text, for models that were not trained on it or have another tokenizer.

    python -m training.counts --work training/runs --model e5

counts ``train.jsonl`` with the model's own tokenizer and writes ``token_counts.npz`` into
its folder of ``analysis_lib/checkpoints``. Models that `training.export` writes have theirs already.
"""

import argparse
from pathlib import Path

from analysis_lib import models
from analysis_lib.models.folders import COUNTS_FILE
from analysis_lib.models.loading import STUDIES
from analysis_lib.vocabulary import TokenCounts
from training.tokens import read_documents, source_of

STUDY_NAMES = ("polish-gpt2", "herbert", "e5")


def count(vocabulary, work, batch=1000):
    """Counts of the paragraphs of ``train.jsonl``, each encoded alone."""
    paragraphs = [p for document in read_documents(work / "train.jsonl") for p in document]
    encoded = (
        row
        for start in range(0, len(paragraphs), batch)
        for row in vocabulary.tokenizer(paragraphs[start : start + batch], add_special_tokens=False, verbose=False)["input_ids"]
    )
    return TokenCounts.of_ids(vocabulary, encoded, source_of(work))


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", default=Path("training/runs"), type=Path)
    parser.add_argument("--model", choices=STUDY_NAMES, required=True, help="study name")
    parser.add_argument("--to", default=models.EMBEDDED_FOLDER, type=Path, help="folder of checkpoints")
    options = parser.parse_args(arguments)
    folder = options.to / (STUDIES[options.model].embedded or options.model)
    folder.mkdir(parents=True, exist_ok=True)
    counts = count(models.load(options.model, source="embedded").vocabulary, options.work)
    counts.save(folder / COUNTS_FILE)
    print(f"{folder / COUNTS_FILE}: {counts.total.sum():,} tokens, {counts.whole_word.sum():,} of them whole words; {counts.source}")


if __name__ == "__main__":
    main()
