import copy
import errno
import io
import json
import pickle
import random
import re
import shutil
import socket
import struct
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2LMHeadModel
from transformers.utils import logging as transformers_logging

from analysis_lib import models
from analysis_lib.models import CheckpointError, checkpoint_files, hub, hub_cache, loading
from analysis_lib.models.architectures import ARCHITECTURES
from analysis_lib.vocabulary import TokenCounts
from tests.support import tiny


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """One good checkpoint of each architecture; copied before it is spoilt."""
    root = tmp_path_factory.mktemp("checkpoints")
    tiny.save(root / "gpt2", tiny.gpt2(), tiny.byte_level_tokenizer())
    tiny.save(root / "bert", tiny.bert(), tiny.herbert_tokenizer())
    return root


@pytest.fixture(params=["gpt2", "bert"])
def folder(request, checkpoints, tmp_path):
    return Path(shutil.copytree(checkpoints / request.param, tmp_path / request.param))


@pytest.fixture
def embedded(checkpoints, tmp_path, monkeypatch):
    """An installation whose embedded checkpoints are the tiny ones."""
    shutil.copytree(checkpoints / "gpt2", tmp_path / "polish-gpt2-mini")
    shutil.copytree(checkpoints / "bert", tmp_path / "herbert-mini")
    monkeypatch.setattr(loading, "EMBEDDED_FOLDER", tmp_path)
    monkeypatch.delenv("ANALYSIS_MODELS", raising=False)
    return tmp_path


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_weights(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# What is loaded


def test_a_folder_gives_the_model_that_was_saved(folder):
    before = contents(folder)
    loaded = models.load(folder)
    assert contents(folder) == before
    saved = {"gpt2": tiny.gpt2, "bert": tiny.bert}[folder.name]()
    assert type(loaded.model) is type(saved)
    assert not loaded.model.training
    assert loaded.model.config._attn_implementation == "eager"
    for name, value in loaded.model.state_dict().items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, saved.state_dict()[name].half().float(), rtol=0, atol=0)
    assert (loaded.name, loaded.source, loaded.identifier) == (folder.name, "folder", str(folder))
    assert loaded.revision == checkpoint_files.sha256([folder / "model.safetensors"])
    assert loaded.revision[:12] in loaded.label
    ids = loaded.tokenizer("Zażółć gęślą jaźń", return_tensors="pt").input_ids
    with torch.no_grad():
        patterns = loaded.model(ids, output_attentions=True).attentions
    assert [pattern.shape for pattern in patterns] == [(1, 2, ids.shape[1], ids.shape[1])] * 2


@pytest.mark.parametrize(("name", "identifier"), [("polish-gpt2", "polish-gpt2-mini"), ("herbert", "herbert-mini")])
def test_study_names_are_embedded_by_default_and_open_no_socket(embedded, no_network, name, identifier):
    loaded = models.load(name)
    assert (loaded.name, loaded.source, loaded.identifier) == (name, "embedded", identifier)
    assert loaded.revision == models.load(identifier).revision
    assert models.load(name, source="embedded").revision == loaded.revision


def test_counts_of_tokens_come_with_a_checkpoint_that_has_them(folder):
    assert models.load(folder).counts is None
    size = len(models.load(folder).tokenizer)
    TokenCounts(np.arange(size), np.zeros(size, int), "a text").save(folder / "token_counts.npz")
    loaded = models.load(folder)
    assert loaded.counts.total[:size].tolist() == list(range(size))
    assert len(loaded.counts.total) == loaded.model.config.vocab_size
    assert models.untrained_like(loaded, seed=0).counts is loaded.counts


@pytest.mark.parametrize("damage", ["truncated", "too many"])
def test_damaged_counts_of_tokens_are_refused(folder, damage):
    path = folder / "token_counts.npz"
    TokenCounts(np.ones(5000, int), np.zeros(5000, int)).save(path)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=r"token_counts\.npz: expected counts of tokens"):
        models.load(folder)


def archive_of(content):
    """An archive with this in the place of both arrays."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("total.npy", "whole_word.npy"):
            archive.writestr(name, content)
    return written.getvalue()


def a_header_alone(n):
    """The first bytes of an array of n numbers."""
    written = io.BytesIO()
    np.lib.format.write_array_header_1_0(written, {"descr": "<i8", "fortran_order": False, "shape": (n,)})
    return written.getvalue()


def with_a_block_that_cannot_be_unpacked(archive):
    """The first compressed byte of the archive says that its block is of the kind that is not in use."""
    name, extra = struct.unpack("<HH", archive[26:30])
    place = 30 + name + extra
    return archive[:place] + b"\xff" + archive[place + 1 :]


@pytest.mark.parametrize(
    "content",
    [archive_of(b"no array"), archive_of(a_header_alone(10**15)), with_a_block_that_cannot_be_unpacked(archive_of(a_header_alone(3) * 9))],
    ids=["other files", "more than memory holds", "a damaged block"],
)
def test_archives_that_hold_no_counts_are_refused(folder, content):
    (folder / "token_counts.npz").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"token_counts\.npz: expected counts of tokens, found a file that is damaged"):
        models.load(folder)


def test_loading_says_nothing(folder, capfd):
    models.load(folder)
    assert capfd.readouterr() == ("", "")


def test_loads_that_overlap_leave_transformers_as_talkative_as_it_was():
    """The first to begin is the first to end, as it may be in threads."""
    before = transformers_logging.get_verbosity()
    with ExitStack() as second:
        with checkpoint_files.quiet_transformers():
            second.enter_context(checkpoint_files.quiet_transformers())
        assert transformers_logging.get_verbosity() == transformers_logging.ERROR
    assert transformers_logging.get_verbosity() == before


def test_folders_open_no_socket(folder, no_network):
    assert models.load(str(folder)).source == "folder"


def test_an_adapter_is_no_model(folder):
    (folder / "adapter_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(models.CheckpointError, match=r"expected a whole model, found an adapter \(adapter_config.json\)"):
        models.load(folder)


def test_sharded_weights(folder):
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    weight_map = {}
    for index, name in enumerate(sorted(tensors)):
        weight_map[name] = f"model-0000{index % 2 + 1}-of-00002.safetensors"
    for shard in sorted(set(weight_map.values())):
        part = {name: tensors[name] for name in tensors if weight_map[name] == shard}
        save_file(part, folder / shard, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert models.load(folder).model.num_parameters() > 0
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match="names shards that are not there: model-00002"):
        models.load(folder)


def test_old_gpt2_files_name_the_body_alone_and_hold_their_masks(checkpoints, tmp_path):
    """The hub's `gpt2` has `h.0...` for `transformer.h.0...` and stores each layer's causal mask."""
    folder = Path(shutil.copytree(checkpoints / "gpt2", tmp_path / "gpt2"))
    tensors = load_file(folder / "model.safetensors")
    old = {name.removeprefix("transformer."): value for name, value in tensors.items()}
    old |= {f"h.{layer}.attn.bias": torch.ones(1, 1, 64, 64) for layer in range(2)}
    save_file(old, folder / "model.safetensors", metadata={"format": "pt"})
    expected = models.load(checkpoints / "gpt2").model.state_dict()
    for name, value in models.load(folder).model.state_dict().items():
        assert torch.equal(value, expected[name])


def test_berts_with_other_heads_are_read_as_masked_models(checkpoints, tmp_path):
    """HerBERT's file has a pooler and a sentence-order head beside the masked one; they are left out."""
    folder = Path(shutil.copytree(checkpoints / "bert", tmp_path / "bert"))
    others = {"bert.pooler.dense.weight": torch.ones(16, 16), "cls.sso.sso_relationship.weight": torch.ones(2, 16)}
    change_weights(folder, lambda tensors: tensors.update(others))
    assert type(models.load(folder).model).__name__ == "BertForMaskedLM"


def test_what_is_available(embedded):
    assert models.available()["polish-gpt2"] == {"embedded": "polish-gpt2-mini", "hub": "sdadas/polish-gpt2-medium"}
    shutil.rmtree(embedded / "herbert-mini")
    assert models.available()["herbert"]["embedded"] is None
    with pytest.raises(CheckpointError, match="herbert: expected its embedded checkpoint .* found none"):
        models.load("herbert")


# Names, sources, devices


def test_gpt2_is_the_english_one_of_the_hub_and_nothing_else(embedded, monkeypatch):
    asked = []

    def fetch(repository):
        asked.append(repository)
        return hub.Snapshot(embedded / "polish-gpt2-mini", repository, "commit")

    monkeypatch.setattr(hub, "fetch", fetch)
    for source in (None, "hub"):
        loaded = models.load("gpt2", source=source)
        assert (loaded.name, loaded.source, loaded.identifier) == ("gpt2", "hub", "gpt2")
    assert asked == ["gpt2", "gpt2"]
    assert models.available()["gpt2"] == {"embedded": None, "hub": "gpt2"}
    with pytest.raises(ValueError, match="source: 'gpt2' is on the hub only"):
        models.load("gpt2", source="embedded")


@pytest.mark.parametrize("name", ["herbet", "no-such-model", "/no/such/folder", "./here", "a/b/c"])
def test_a_wrong_name_lists_what_exists(embedded, no_network, name):
    with pytest.raises(ValueError, match="is no study name and no folder") as caught:
        models.load(name)
    for known in ("polish-gpt2", "herbert", "gpt2", "polish-gpt2-mini", "herbert-mini"):
        assert known in str(caught.value)


@pytest.mark.parametrize("name", ["", None, 3, b"gpt2"])
def test_a_name_is_a_string_or_a_path(name):
    with pytest.raises(TypeError, match=re.escape(f"name: expected a study name, a folder or a hub id, found {name!r}")):
        models.load(name)


def test_only_the_sources_that_exist_are_taken(embedded, monkeypatch, no_network):
    for wrong in ("cloud", "", "Embedded"):
        with pytest.raises(ValueError, match="source: expected 'embedded' or 'hub'"):
            models.load("polish-gpt2", source=wrong)
    monkeypatch.setenv("ANALYSIS_MODELS", "cloud")
    with pytest.raises(ValueError, match="ANALYSIS_MODELS: expected 'embedded', 'hub' or .*, found 'cloud'"):
        models.load("polish-gpt2")
    assert models.load("polish-gpt2", source="embedded").source == "embedded"
    monkeypatch.setenv("ANALYSIS_MODELS", "")
    assert models.load("polish-gpt2").source == "embedded"
    with pytest.raises(ValueError, match="no study name"):
        models.load("owner/model", source="embedded")


@pytest.mark.parametrize("device", ["abacus", "cuda:99", "meta", "xpu:99"])
def test_a_device_that_can_hold_no_model_here_is_refused(folder, device):
    with pytest.raises(ValueError, match="device"):
        models.load(folder, device=device)


# Refused checkpoints


def test_missing_weights(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="expected weights in model.safetensors, found config.json"):
        models.load(folder)


@pytest.mark.parametrize("length", [0, 4, 100, -1, -1000])
def test_truncated_weights(folder, length):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(CheckpointError, match="expected a whole safetensors file, found (an empty|a truncated|a file)"):
        models.load(folder)


class Trap:
    """Leaves a trace when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors", "pytorch_model-00001-of-00002.bin"])
@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_pickles_are_never_opened(folder, tmp_path, name, writer):
    (folder / "model.safetensors").unlink()
    trace = tmp_path / "trace"
    with (folder / name).open("wb") as handle:
        (torch.save if writer == "torch" else pickle.dump)({"weights": Trap(trace)}, handle)
    with pytest.raises(CheckpointError, match="pickle"):
        models.load(folder)
    assert not trace.exists()


def test_a_git_lfs_pointer_is_named(folder):
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(CheckpointError, match="Git LFS pointer"):
        models.load(folder)


def test_an_absurd_header_is_refused(folder):
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 2**60) + b"{" * 100)
    with pytest.raises(CheckpointError, match="whole safetensors file"):
        models.load(folder)


def test_weights_that_are_not_in_the_file_are_not_made_up(folder):
    name = {"gpt2": "transformer.h.1.mlp.c_fc.weight", "bert": "bert.encoder.layer.1.output.dense.weight"}[folder.name]
    change_weights(folder, lambda tensors: tensors.pop(name))
    with pytest.raises(CheckpointError, match=f"expected every weight .* without .*{name}"):
        models.load(folder)


def test_layers_that_the_configuration_does_not_have(folder):
    change_config(folder, **{"gpt2": {"n_layer": 1}, "bert": {"num_hidden_layers": 1}}[folder.name])
    with pytest.raises(CheckpointError, match="holds layers that config.json does not have"):
        models.load(folder)


def test_shapes_that_do_not_fit_the_configuration(folder):
    change_config(folder, **{"gpt2": {"n_embd": 32}, "bert": {"hidden_size": 32}}[folder.name])
    with pytest.raises(CheckpointError, match=r"expected weights of the sizes in config.json, \(.*\) for .*, found \("):
        models.load(folder)


def test_weights_that_are_not_finite(folder):
    def spoil(tensors):
        tensors[sorted(tensors)[0]].view(-1)[0] = float("nan")

    change_weights(folder, spoil)
    with pytest.raises(CheckpointError, match="expected finite weights, found NaN"):
        models.load(folder)


def test_unknown_architectures(folder):
    change_config(folder, model_type="llama")
    with pytest.raises(CheckpointError, match="expected model_type one of .*bert, gpt2.*, found 'llama'"):
        models.load(folder)


@pytest.mark.parametrize("text", ["", "not json", "[]", "{}", '{"model_type": 3}', "\x00"])
def test_configurations_that_say_nothing(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match="config.json: expected"):
        models.load(folder)


def test_an_empty_folder(tmp_path):
    with pytest.raises(CheckpointError, match="expected config.json, found nothing"):
        models.load(tmp_path)


def test_a_tokenizer_with_more_tokens_than_the_embedding(folder):
    other = tiny.byte_level_tokenizer(vocab_size=420) if folder.name == "gpt2" else tiny.byte_level_tokenizer(300)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    other.save_pretrained(folder)
    rows = 400 if folder.name == "gpt2" else 250
    message = f"does not fit the embedding: expected ids below {rows} .*, found {len(other)} tokens"
    with pytest.raises(CheckpointError, match=message):
        models.load(folder)


def test_a_tokenizer_with_far_too_few_tokens(tmp_path):
    tiny.save(tmp_path, tiny.gpt2(vocab=30_000), tiny.byte_level_tokenizer())
    with pytest.raises(CheckpointError, match="does not fit the embedding: expected about 30000 tokens .*, found 400"):
        models.load(tmp_path)


def test_a_missing_or_broken_tokenizer(folder):
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(CheckpointError, match="expected a tokenizer that transformers can read"):
        models.load(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match="expected a tokenizer"):
        models.load(folder)


def test_code_in_a_checkpoint_is_not_run(folder, tmp_path):
    trace = tmp_path / "trace"
    (folder / "evil.py").write_text(f"from pathlib import Path\nPath({str(trace)!r}).touch()\n")
    change_config(folder, auto_map={"AutoConfig": "evil.Config", "AutoModel": "evil.Model"})
    with pytest.raises(CheckpointError, match="config.json: expected a checkpoint that needs no code of its own, found 'auto_map'"):
        models.load(folder)
    change_config(folder, auto_map=None)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": {"AutoTokenizer": ["evil.T", "evil.T"]}}))
    with pytest.raises(CheckpointError, match="tokenizer_config.json: expected a checkpoint that needs no code of its own"):
        models.load(folder)
    assert not trace.exists()


# The untrained null


def test_untrained_like_is_fresh_and_repeatable(checkpoints):
    loaded = models.load(checkpoints / "gpt2")
    before = copy.deepcopy(loaded.model.state_dict())
    first, again, other = (models.untrained_like(loaded, seed) for seed in (3, 3, 4))
    assert all(torch.equal(before[name], value) for name, value in loaded.model.state_dict().items())
    weights = [m.model.transformer.h[0].attn.c_attn.weight for m in (loaded, first, again, other)]
    assert torch.equal(weights[1], weights[2])
    assert not torch.equal(weights[1], weights[3])
    assert not torch.equal(weights[0], weights[1])
    assert first.model.lm_head.weight is first.model.transformer.wte.weight
    assert (first.name, first.source, first.revision) == (loaded.name, "untrained", "seed-3")
    assert first.tokenizer is loaded.tokenizer
    assert not first.model.training
    assert first.model.config._attn_implementation == "eager"
    assert first.model.config is not loaded.model.config


def test_untrained_like_leaves_the_random_states_alone(checkpoints):
    loaded = models.load(checkpoints / "bert")
    states = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    models.untrained_like(loaded, 0)
    assert torch.equal(states[0], torch.random.get_rng_state())
    assert states[1] == random.getstate()
    assert (states[2] == np.random.get_state()[1]).all()  # noqa: NPY002


def test_untrained_like_in_two_threads_gives_the_weights_of_its_seeds(checkpoints):
    """Each waits after its seed is set until the other has set its own, or for a moment where one has to come after the other."""
    loaded, both = models.load(checkpoints / "gpt2"), Barrier(2)

    class Slow(GPT2LMHeadModel):
        def __init__(self, config):
            with suppress(BrokenBarrierError):
                both.wait(timeout=0.3)
            super().__init__(config)

    expected = [models.untrained_like(loaded, seed).model.transformer.wte.weight for seed in (3, 4)]
    slow = replace(loaded, model=copy.copy(loaded.model))
    slow.model.__class__ = Slow
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda seed: models.untrained_like(slow, seed).model.transformer.wte.weight, (3, 4)))
    for own, alone in zip(found, expected, strict=True):
        assert torch.equal(own, alone)


def test_untrained_like_names_what_it_cannot_use(checkpoints):
    with pytest.raises(TypeError, match="loaded"):
        models.untrained_like(tiny.gpt2(), 0)
    with pytest.raises(TypeError, match="seed"):
        models.untrained_like(models.load(checkpoints / "gpt2"), "0")


# The hub


def test_a_hub_out_of_reach_says_how_to_fall_back(embedded, monkeypatch, tmp_path):
    def no_answer(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(hub.HfApi, "model_info", no_answer)
    monkeypatch.setattr(hub_cache, "try_to_load_from_cache", lambda *args, **kwargs: None)
    for arguments in (("polish-gpt2", "hub"), ("herbert", "hub"), ("owner/model", None), ("distilgpt2", "hub")):
        with pytest.raises(models.HubError, match="cannot be reached .*ANALYSIS_MODELS=embedded"):
            models.load(*arguments)
    monkeypatch.setenv("ANALYSIS_MODELS", "hub")
    with pytest.raises(models.HubError, match="sdadas/polish-gpt2-medium.*ANALYSIS_MODELS=embedded"):
        models.load("polish-gpt2")


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), PermissionError(errno.EACCES, "Permission denied")])
def test_a_cache_that_cannot_be_written_is_named(monkeypatch, error):
    files = [SimpleNamespace(rfilename="config.json", lfs=None, blob_id="0" * 40)]
    monkeypatch.setattr(hub.HfApi, "model_info", lambda *args, **kwargs: SimpleNamespace(sha="1" * 40, siblings=files))

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(hub_cache, "snapshot_download", fail)
    monkeypatch.setattr(hub_cache, "try_to_load_from_cache", lambda *args, **kwargs: None)
    with pytest.raises(models.HubError, match=f"owner/model: the cache cannot be written .*{error.strerror}.*HF_HOME"):
        models.load("owner/model")


# The book's own architectures


def test_a_model_that_reads_no_text_needs_no_tokenizer_and_has_no_hub_repository(no_network):
    assert not ARCHITECTURES["minigpt"].tokenized
    loaded = models.load("minigpt")
    assert (loaded.tokenizer, loaded.source, loaded.identifier) == (None, "embedded", "minigpt-induction")
    for name in ("minigpt", "minigpt-polish"):
        assert models.available()[name]["hub"] is None
        with pytest.raises(ValueError, match=f"'{name}' is this book's own model and has no hub repository"):
            models.load(name, source="hub")
