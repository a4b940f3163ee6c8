"""Transformer weights and activations in terms that a reader can check.

Five studies stand side by side: `projections`, `geometry`, `circuits`, `incontext`, `norms`. Each is a folder that says in its first
lines what it asks. Below them are the foundations: `models`, `weights`, `activations`, `vocabulary`, `statistics`, and the data `texts`
and `recorded`.

Dependencies point one way: chapters use `plots` and the studies, a study uses the foundations, and no study uses another.
"""
