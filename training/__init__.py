"""Recipes that made the embedded checkpoints: corpus, tokenizers, one script a model."""
