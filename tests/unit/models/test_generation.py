"""Continuations and guesses: seeded, without traces, refused where they make no sense."""

import copy

import numpy as np
import pytest
import torch

from analysis_lib import models
from analysis_lib.models import LoadedModel, generation
from tests.support import tiny


def loaded(model, tokenizer):
    return LoadedModel(model, tokenizer, "tiny", "folder", "tiny", "none")


@pytest.fixture(scope="module")
def writer():
    tokenizer = tiny.byte_level_tokenizer()
    return loaded(tiny.gpt2(vocab=len(tokenizer)), tokenizer)


@pytest.fixture(scope="module")
def guesser():
    tokenizer = tiny.herbert_tokenizer()
    return loaded(tiny.bert(vocab=len(tokenizer)), tokenizer)


def test_the_seed_decides_and_nothing_else_changes(writer):
    before = torch.get_rng_state()
    first = generation.continue_text(writer, "Nie wiem", n_samples=3, new_tokens=12, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert first == generation.continue_text(writer, "Nie wiem", n_samples=3, new_tokens=12, seed=1)
    assert first != generation.continue_text(writer, "Nie wiem", n_samples=3, new_tokens=12, seed=2)
    assert len(first) == 3
    assert not any(text.startswith("Nie wiem") for text in first)


def test_with_one_candidate_the_likeliest_token_is_written(writer):
    ids = writer.tokenizer("Nie wiem", return_tensors="pt")["input_ids"]
    likeliest = writer.model(ids).logits[0, -1].argmax()
    text = generation.continue_text(writer, "Nie wiem", new_tokens=1, top_k=1)[0]
    assert text == writer.tokenizer.decode([likeliest], skip_special_tokens=True).replace("\N{REPLACEMENT CHARACTER}", "")


def test_a_checkpoints_own_settings_do_not_change_how_is_drawn(writer):
    plain = generation.continue_text(writer, "Nie wiem", n_samples=2, new_tokens=12)
    own = copy.deepcopy(writer.model)
    settings = {"top_p": 0.3, "repetition_penalty": 2.0, "num_beams": 3, "no_repeat_ngram_size": 2, "typical_p": 0.5, "min_p": 0.5}
    settings |= {"suppress_tokens": list(range(1, 200)), "return_dict_in_generate": True}
    for name, value in settings.items():
        setattr(own.generation_config, name, value)
    assert generation.continue_text(loaded(own, writer.tokenizer), "Nie wiem", n_samples=2, new_tokens=12) == plain
    assert all(getattr(own.generation_config, name) == value for name, value in settings.items())  # and they are left as they were


def test_prompts_that_do_not_fit(writer, guesser):
    with pytest.raises(ValueError, match="expected 1 to 24 tokens, found 0"):
        generation.continue_text(writer, "", new_tokens=40)
    with pytest.raises(ValueError, match="prompt: expected 1 to 4 tokens"):
        generation.continue_text(writer, "Nie wiem, czy jeśli żeby", new_tokens=60)
    with pytest.raises(ValueError, match="causal language model, found BertForMaskedLM"):
        generation.continue_text(guesser, "Nie wiem")


def test_guesses_are_the_models_own_probabilities(guesser):
    guesses = generation.fill_in(guesser, "Nie <mask>, czy nie.", k=4)
    ids = guesser.tokenizer("Nie <mask>, czy nie.", return_tensors="pt")["input_ids"]
    place = ids[0].tolist().index(guesser.tokenizer.mask_token_id)
    expected = guesser.model(ids).logits[0, place].softmax(-1).topk(4).values
    assert np.allclose([share for _, share in guesses], expected.tolist())
    assert all(isinstance(label, str) for label, _ in guesses)


def test_a_model_that_also_tells_next_sentences_guesses_alike(guesser):
    both = loaded(tiny.pretraining(guesser.model), guesser.tokenizer)
    found, expected = (dict(generation.fill_in(one, "Nie <mask>, czy nie.", k=4)) for one in (both, guesser))
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("text", ["Nie wiem.", "<mask> <mask>"])
def test_one_mask_is_needed(guesser, text):
    with pytest.raises(ValueError, match="expected <mask> once"):
        generation.fill_in(guesser, text)


def test_known_share_leaves_out_the_ends():
    shares = generation.known_share(["ał Dom stoi nad wodą zzz", "xx yyq dom qqx", "raz dwa", ""])
    assert shares[:2].tolist() == [1.0, 0.5]
    assert np.isnan(shares[2:]).all()


def test_what_has_no_head_or_does_not_fit_is_refused():
    tokenizer = tiny.herbert_tokenizer()
    bert = tiny.bert(vocab=len(tokenizer))
    with pytest.raises(ValueError, match="expected a model that predicts tokens, found the bare encoder"):
        generation.fill_in(models.wrap(bert.bert, tokenizer), "Kot [MASK] śpi.".replace("[MASK]", tokenizer.mask_token))
    with pytest.raises(ValueError, match=r"text: expected at most \d+ tokens, found \d+"):
        generation.fill_in(models.wrap(bert, tokenizer), f"Kot {tokenizer.mask_token} " + "śpi " * 200)
