"""Clouds of vectors for the tests of geometry and statistics."""

import numpy as np

LAYERS, N, WIDTH = 3, 60, 7


def cosine(a, b):
    """Cosine of two vectors, by its definition."""
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def cloud(seed=0, n=N, width=WIDTH, layers=LAYERS):
    """Normal states [layer, n, width] around a mean of their own in each layer."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(layers, n, width)) + rng.normal(size=(layers, 1, width))


def labelled():
    """States with words (few, so that each is in many texts) and texts of uneven length."""
    rng = np.random.default_rng(1)
    words = rng.choice(["a", "b", "c", "rare"], size=N, p=[0.4, 0.3, 0.25, 0.05])
    return cloud(), words, rng.integers(0, 12, size=N)
