"""Texts that fit, and random tokens."""

import numpy as np
import pandas as pd
import pytest

from analysis_lib import norms
from analysis_lib.norms import inputs
from tests.support import tiny


def test_texts_are_cut_after_the_last_sentence_that_fits_both_models(gpt2, bert):
    long = " ".join(tiny.SENTENCES * 3)
    short, cut = inputs.cut_to_fit([gpt2, bert], [tiny.SENTENCES[0], long])
    assert short == tiny.SENTENCES[0]
    assert long.startswith(cut)
    assert cut[-1] in ".?!"
    lengths = [len(m.tokenizer(cut)["input_ids"]) for m in (gpt2, bert)]
    contexts = [min(m.tokenizer.model_max_length, m.model.config.max_position_embeddings) for m in (gpt2, bert)]
    assert all(length <= context for length, context in zip(lengths, contexts, strict=True))
    following = long[: len(cut) + 1 + long[len(cut) + 1 :].index(".") + 1]
    assert any(len(m.tokenizer(following)["input_ids"]) > c for m, c in zip((gpt2, bert), contexts, strict=True))


def test_a_first_sentence_that_is_too_long_is_named(gpt2):
    with pytest.raises(ValueError, match=r"texts\[1\]: expected a first sentence of at most"):
        inputs.cut_to_fit([gpt2], ["Nie.", "nie " * 200])


def test_random_tokens_keep_lengths_and_special_tokens(bert):
    tokens = norms.update_norms(bert, list(tiny.SENTENCES)).tokens
    drawn = inputs.random_tokens(bert, tokens, seed=3)
    assert [len(ids) for ids in drawn] == tokens.groupby("text").size().tolist()
    flat, special = np.concatenate(drawn), tokens["special"].to_numpy()
    np.testing.assert_array_equal(flat[special], tokens.loc[special, "token_id"])
    assert not set(flat[~special]) & set(bert.tokenizer.all_special_ids)
    assert (flat[~special] != tokens.loc[~special, "token_id"]).mean() > 0.9
    assert inputs.random_tokens(bert, tokens, seed=3) == drawn


def test_a_summary_leaves_special_tokens_out():
    tokens = pd.DataFrame(
        {"text": [0, 0, 0, 0, 1, 1], "special": [True, False, False, False, False, False],
         "word_internal": [False, False, True, False, False, False], "no_word": [True, False, False, True, False, True]}
    )  # fmt: skip
    assert inputs.summary(tokens).tolist() == [2, 5, 2, 20, 40]
