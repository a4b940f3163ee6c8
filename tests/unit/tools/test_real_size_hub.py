"""The hub with random checkpoints of the published sizes (tools/real_size_hub.py), at small sizes."""

import pytest
import real_size_hub
import torch

from analysis_lib import models, texts
from analysis_lib.models import cards

SMALL = {"gpt2": real_size_hub.Sizes(2, 32, 2, 700), "herbert": real_size_hub.Sizes(3, 32, 4, 600)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("hub")
    half = root / f"{real_size_hub.IDS['gpt2']}.unfinished"
    half.mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "tokenizer.json"):  # as a run leaves them that was stopped while it wrote
        (half / name).write_bytes(b"{")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(real_size_hub, "polish_lines", lambda: [*texts.sentences(), *texts.senses()["sentence"]])
        real_size_hub.make(root, SMALL)
    return root


@pytest.mark.parametrize("name", SMALL)
def test_checkpoints_have_the_sizes_that_were_asked_for(made, name):
    loaded = models.load(made / real_size_hub.IDS[name])
    config = loaded.model.config
    assert (config.num_hidden_layers, config.hidden_size, config.num_attention_heads, config.vocab_size) == SMALL[name]
    assert len(loaded.vocabulary.text) == SMALL[name].vocabulary
    text = "Zażółć gęślą jaźń"
    assert loaded.tokenizer.decode(loaded.tokenizer(text, add_special_tokens=False).input_ids).strip() == text


def test_embeddings_share_a_mean(made):
    rows = models.load(made / real_size_hub.IDS["gpt2"]).model.get_input_embeddings().weight.detach()
    mean = rows.mean(0)
    assert mean.norm() / (rows - mean).norm(dim=1).median() == pytest.approx(real_size_hub.MEAN, rel=0.1)


def test_what_is_there_is_kept_and_what_was_not_finished_is_made_again(made, monkeypatch):
    monkeypatch.setattr(real_size_hub, "polish_lines", lambda: pytest.fail("made again"))
    real_size_hub.make(made, SMALL)
    assert not list(made.rglob("*.unfinished"))
    assert models.load(made / real_size_hub.IDS["gpt2"]).source == "folder"  # nothing of what was cut short is left in it


def test_text_that_gives_too_few_tokens_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(real_size_hub, "polish_lines", lambda: ["a b c"])
    with pytest.raises(SystemExit, match="the text gives .* tokens, expected 700"):
        real_size_hub.make(tmp_path, SMALL)
    assert not (tmp_path / real_size_hub.IDS["gpt2"]).exists()


def test_published_sizes_are_those_of_the_published_configurations():
    for name, study in (("gpt2", "polish-gpt2"), ("herbert", "herbert")):
        config = cards.PUBLISHED[study]
        sizes = (config.num_hidden_layers, config.hidden_size, config.num_attention_heads, config.vocab_size)
        assert sizes == real_size_hub.PUBLISHED[name]
        assert models.STUDIES[study].repository == real_size_hub.IDS[name]


def test_torchs_random_state_is_left_alone():
    before = torch.random.get_rng_state()
    real_size_hub.herbert(SMALL["herbert"])
    assert torch.equal(before, torch.random.get_rng_state())
