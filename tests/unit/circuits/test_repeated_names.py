"""Repeated names: a model that copies is told from one that knows the surnames' frequencies only."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, processors
from torch import nn
from transformers import PreTrainedTokenizerFast

from analysis_lib import models
from analysis_lib.circuits import repeated_names
from tests.support import tiny, tiny_circuits


@pytest.fixture(scope="module")
def gpt2():
    return models.load("polish-gpt2")


class Stub(nn.Module):
    """Answers with what followed the earlier occurrences of a token, or with a fixed preference for each token."""

    def __init__(self, n_tokens, copies):
        super().__init__()
        self.n_tokens, self.copies = n_tokens, copies

    def forward(self, ids):
        logits = torch.zeros(*ids.shape, self.n_tokens)
        if not self.copies:
            return SimpleNamespace(logits=logits + torch.randn(self.n_tokens, generator=torch.Generator().manual_seed(0)))
        for row, tokens in enumerate(ids.tolist()):
            for at, token in enumerate(tokens):
                for earlier in range(at):
                    if tokens[earlier] == token:
                        logits[row, at, tokens[earlier + 1]] += 5
        return SimpleNamespace(logits=logits)


def answered(gpt2, monkeypatch, copies):
    people = repeated_names.named_people(gpt2.vocabulary, 40, seed=1)
    stub = Stub(len(gpt2.vocabulary), copies)
    monkeypatch.setattr(repeated_names, "checked_model", lambda loaded: stub)
    return repeated_names.name_preferences(gpt2, people)


def test_a_model_that_copies_prefers_the_right_surname_everywhere(gpt2, monkeypatch):
    np.testing.assert_allclose(answered(gpt2, monkeypatch, copies=True), 5)


def test_a_liking_for_single_surnames_cancels(gpt2, monkeypatch):
    np.testing.assert_allclose(answered(gpt2, monkeypatch, copies=False), 0, atol=1e-6)


def test_batches_do_not_matter(gpt2, monkeypatch):
    people = repeated_names.named_people(gpt2.vocabulary, 7, seed=2)
    together = repeated_names.name_preferences(gpt2, people)
    monkeypatch.setattr(repeated_names, "BATCH", 1)
    np.testing.assert_allclose(repeated_names.name_preferences(gpt2, people), together, atol=1e-4)


def test_sentences_name_two_people_and_ask_about_each(gpt2):
    people = repeated_names.named_people(gpt2.vocabulary, 30, seed=3)
    for (first, second), surnames in zip(people.texts, people.surnames, strict=True):
        assert first.rsplit(" ", 1)[0] == second.rsplit(" ", 1)[0]
        for text, surname in zip((first, second), surnames, strict=True):
            asked = text.rsplit(" ", 1)[1]
            assert text.count(f"{asked} {gpt2.vocabulary.text[surname]}") == 1
        assert surnames[0] != surnames[1]
    again = repeated_names.named_people(gpt2.vocabulary, 30, seed=3)
    assert again.texts == people.texts


def test_bad_input_is_named(gpt2, monkeypatch):
    with pytest.raises(ValueError, match="n: expected 1 or more, found 0"):
        repeated_names.named_people(gpt2.vocabulary, 0)
    monkeypatch.setattr(repeated_names, "SURNAMES", ["Solski"])
    with pytest.raises(ValueError, match="at least two of the surnames"):
        repeated_names.named_people(gpt2.vocabulary, 3)
    with pytest.raises(ValueError, match="loaded: expected a causal language model, found BertForMaskedLM"):
        repeated_names.name_preferences(tiny_circuits.loaded(tiny.bert()), repeated_names.NamedPeople([], np.zeros((0, 2))))


def with_end(loaded):
    """The same model with a tokenizer that puts a special token after every text, as some tokenizers do."""
    core = Tokenizer.from_str(loaded.reader.backend_tokenizer.to_str())
    end = loaded.reader.eos_token
    core.post_processor = processors.TemplateProcessing(single=f"$A {end}", special_tokens=[(end, loaded.reader.eos_token_id)])
    return replace(loaded, tokenizer=PreTrainedTokenizerFast(tokenizer_object=core, bos_token=end, eos_token=end))


def test_what_a_tokenizer_puts_after_a_text_is_not_read(gpt2):
    people, ended = repeated_names.named_people(gpt2.vocabulary, 7, seed=2), with_end(gpt2)
    text = people.texts[0][0]
    assert ended.reader(text)["input_ids"] == [*gpt2.reader(text)["input_ids"], gpt2.reader.eos_token_id]
    np.testing.assert_array_equal(repeated_names.name_preferences(ended, people), repeated_names.name_preferences(gpt2, people))
