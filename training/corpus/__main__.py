"""``python -m training.corpus``."""

from training.corpus.build import main

main()
