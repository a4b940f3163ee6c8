"""Transformer weights and activations in terms that a reader can check.

Dependencies point one way: chapters use plots and the study modules; the study
modules use the foundations (models, weights, vocabulary, statistics).
"""
