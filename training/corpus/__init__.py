"""Polish training text from public archives, the same bytes every time.

    python -m training.corpus --archives FOLDER --out training/runs

``sources`` lists the archives, with a reader each (``tei_cnxml``, ``markup``,
``lines``); ``rules`` and ``repeats`` decide what stays; ``build`` puts it together.
``training/README.md`` says where the archives come from. The output is
``train.jsonl``, ``heldout.jsonl`` and ``heldout_new.jsonl`` (one document a line:
``id``, ``source`` except in ``heldout.jsonl``, ``text`` with one paragraph a line)
and ``manifest.json`` (counts, what each rule removed).
"""

from training.corpus.build import main

__all__ = ["main"]
