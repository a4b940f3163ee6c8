"""Checkpoints made to harm whoever opens them: each is refused with a sentence, and nothing of it runs."""

import builtins
import copyreg
import json
import os
import pickle
import shutil
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from analysis_lib import models
from analysis_lib.models import CheckpointError, pickles
from tests.support import tiny

# Pickled weights, as a repository of the hub may hold them


class Calls:
    """Calls a function when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class Chain:
    """Reaches what it wants through attributes of something harmless, as `getattr(getattr(tensor, ...), ...)`."""

    def __reduce__(self):
        return getattr, (Calls(getattr, torch.Tensor, "__init__"), "__globals__")


class Builds:
    """Sets its state by a method of its own when it is unpickled."""

    def __setstate__(self, state):
        raise AssertionError("code of the checkpoint was run")

    def __getstate__(self):
        return {"a": 1}


TENSOR = torch.arange(6.0).reshape(2, 3)
HOSTILE = {
    "reduce": ({"w": Calls(os.mkdir, "trace")}, "holds the function or class '(posix|os).mkdir'"),
    "eval": ({"w": Calls(eval, "1 + 1")}, "holds the function or class '[a-z_.]*eval'"),
    "exec beside a tensor": ({"w": TENSOR, "x": Calls(exec, "open('trace', 'w')")}, "'[a-z_.]*exec'"),
    "getattr chain": ({"w": Chain()}, "holds the function or class '[a-z_.]*getattr'"),
    "a torch function": ({"w": Calls(torch.hub.load, "owner/name", "x")}, "'torch.hub.load'"),
    "a loader": ({"w": Calls(torch.load, "other.bin")}, "'torch.serialization.load'"),
    "copyreg": ({"w": Calls(copyreg.add_extension, "os", "mkdir", 1)}, "'copyreg.add_extension'"),
    "a class of the checkpoint": ({"w": Builds()}, r"holds the function or class '[\w.]*Builds'"),
    "a whole model": (torch.nn.Linear(2, 2), r"'torch.nn.modules.linear.Linear'"),
    "import": ({"w": Calls(builtins.__import__, "os")}, "'[a-z_.]*__import__'"),
    "numbers": ({"w": TENSOR, "epoch": 3}, "holds a int under 'epoch'; expected tensors by name"),
    "nested": ({"state_dict": {"w": TENSOR}}, "holds a dict under 'state_dict'"),
    "text": ({"w": "x" * 100}, "holds a str under 'w'"),
    "a list": ([TENSOR], "holds a list; expected tensors by name"),
    "a bare tensor": (TENSOR, "holds a Tensor; expected tensors by name"),
    "names that are no text": ({3: TENSOR}, "holds a Tensor under '3'"),
    "a stretched tensor": ({"w": torch.zeros(1).expand(10**12)}, "expected tensors that fit in the file's .* found 'w' larger"),
    "one tensor two thousand times": (
        dict.fromkeys(map(str, range(2000)), torch.zeros(50_000)),
        "expected tensors that fit in the file's .* bytes, found 'tensors' larger",
    ),
    "sparse": ({"w": torch.eye(3).to_sparse()}, "expected plain tensors, found 'w' of layout torch.sparse_coo"),
    "meta": ({"w": torch.empty(10**12, device="meta")}, "pickle that holds|expected plain tensors|larger"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("today", [True, False], ids=["zip", "old"])
def test_a_pickle_with_anything_but_tensors(tmp_path, monkeypatch, name, today):
    content, message = HOSTILE[name]
    monkeypatch.chdir(tmp_path)
    torch.save(content, "pytorch_model.bin", _use_new_zipfile_serialization=today)
    with pytest.raises(CheckpointError, match=message) as caught:
        pickles.read(tmp_path / "pytorch_model.bin", "owner/name: pytorch_model.bin")
    assert str(caught.value).startswith("owner/name: pytorch_model.bin")
    assert len(str(caught.value)) < 400
    assert os.listdir() == ["pytorch_model.bin"]


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_plain_pickle(tmp_path, monkeypatch, protocol):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(pickle.dumps({"w": Calls(os.mkdir, "trace")}, protocol))
    with pytest.raises(CheckpointError, match="pytorch_model.bin"):
        pickles.read(path, "pytorch_model.bin")
    assert not Path("trace").exists()


def saved(path: Path) -> Path:
    torch.save({"w": torch.zeros(1000)}, path)
    return path


def test_an_archive_that_unpacks_to_more_than_it_is(tmp_path):
    """A thousand million zeros fit in a megabyte when they are compressed; torch never compresses."""
    bomb = tmp_path / "bomb.bin"
    with zipfile.ZipFile(saved(tmp_path / "good.bin")) as good, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as bad:
        for part in good.namelist():
            bad.writestr(part, good.read(part) + bytes(10**6 if part.endswith("data/0") else 0))
    with pytest.raises(CheckpointError, match="bomb: expected parts as torch.save writes them, found '.*' compressed"):
        pickles.read(bomb, "bomb")


def test_an_archive_whose_parts_overlap(tmp_path):
    """Many entries of the directory can point to the same bytes."""
    path, bomb = saved(tmp_path / "good.bin"), tmp_path / "bomb.bin"
    with zipfile.ZipFile(path) as archive:
        data = next(part for part in archive.infolist() if part.filename.endswith("data/0"))
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(bomb, "w") as bad:
        bad.writestr(data, archive.read(data))
        bad.filelist += [data] * 100  # the directory is written from this list when the archive is closed
    with pytest.raises(CheckpointError, match="expected parts that fit in the file's"):
        pickles.read(bomb, "bomb")


@pytest.mark.parametrize("keep", [0, 1, 30, 0.5, 0.99])
@pytest.mark.parametrize("today", [True, False], ids=["zip", "old"])
def test_a_truncated_pickle(tmp_path, keep, today):
    path = tmp_path / "pytorch_model.bin"
    torch.save({"w": torch.zeros(1000)}, path, _use_new_zipfile_serialization=today)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    with pytest.raises(CheckpointError, match="pytorch_model.bin"):
        pickles.read(path, "pytorch_model.bin")


def test_an_old_pickle_that_promises_more_than_it_holds(tmp_path):
    """Its header asks for a storage of 10^12 numbers."""
    path = tmp_path / "pytorch_model.bin"
    torch.save({"w": torch.zeros(70_000)}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    count = struct.pack("<i", 70_000)
    assert content.count(b"J" + count) > 0
    path.write_bytes(content.replace(b"J" + count, b"J" + struct.pack("<i", 2**31 - 1)))
    with pytest.raises(CheckpointError, match="pytorch_model.bin"):
        pickles.read(path, "pytorch_model.bin")


@pytest.mark.parametrize("today", [True, False], ids=["zip", "old"])
def test_honest_pickles_are_converted_exactly(tmp_path, today):
    """Halves, a transposed matrix, and one matrix under two names, as an output matrix tied to the embedding is."""
    generator = torch.Generator().manual_seed(0)
    shared, turned = torch.randn(4, 3, generator=generator), torch.randn(3, 5, generator=generator).half().T
    tensors = {"a": shared, "b": shared, "c": turned, "d": torch.tensor(3), "e": shared[1:3]}
    torch.save(tensors, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=today)
    pickles.convert([tmp_path / "pytorch_model.bin"], tmp_path, "here")
    found = load_file(tmp_path / "model.safetensors")
    assert set(found) == set(tensors)
    for name, value in tensors.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value)


# Folders


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("honest")
    tiny.save(folder, tiny.gpt2(), tiny.byte_level_tokenizer())
    return folder


@pytest.fixture
def folder(honest, tmp_path):
    return Path(shutil.copytree(honest, tmp_path / "checkpoint"))


def change(path: Path, **changes) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
def test_links_that_lead_out_of_the_folder(folder, tmp_path, name):
    private = shutil.move(folder / name, tmp_path / "private")
    (folder / name).symlink_to(private)
    with pytest.raises(CheckpointError, match=f"{name}: expected a file in this folder, found a link to .*private, outside of it"):
        models.load(folder)


def test_links_inside_the_folder_and_in_the_hubs_cache_are_followed(honest, tmp_path):
    repository = tmp_path / "models--owner--name"
    snapshot = repository / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    for path in honest.iterdir():
        blob = repository / "blobs" / path.name
        shutil.copy(path, blob)
        (snapshot / path.name).symlink_to(os.path.relpath(blob, snapshot))
    assert models.load(snapshot).source == "folder"


def header(folder: Path, text: str | bytes, length: int | None = None, data: bytes = b"") -> None:
    """Write a safetensors file with this header."""
    text = text.encode() if isinstance(text, str) else text
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)


def entry(shape: list[int], offsets: list[int], dtype: str = "F32") -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("{}", 2**63),
        ("{}", 2**64 - 1),
        ("{}", 10**8),
        ("[" * 100_000, None),
        ('{"a":' * 50_000, None),
        (b"\xff\xfe{}", None),
        (json.dumps({"w": entry([10**6], [0, 4 * 10**6])}), None),
        (json.dumps({"w": entry([2**62, 4], [0, 8])}), None),
        (json.dumps({"w": entry([2], [8, 0])}), None),
        (json.dumps({"w": entry([-2], [0, 8])}), None),
        (json.dumps({"w": entry([2], [0, 8]), "v": entry([2], [0, 8])}), None),
        (json.dumps({"w": entry([2], [0, 8], "PICKLE")}), None),
        (json.dumps({"__metadata__": {"format": "pt"}}), None),
    ],
)
def test_absurd_headers_of_safetensors(folder, text, length):
    header(folder, text, length, bytes(8))
    with pytest.raises(CheckpointError, match="safetensors"):
        models.load(folder)


@pytest.mark.parametrize("name", ["../other.safetensors", "/etc/passwd", "a/../../b.safetensors", "code.py", "", 3])
def test_an_index_that_names_files_elsewhere(folder, name):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": name}}))
    with pytest.raises(CheckpointError, match="expected names of .safetensors files in the same folder"):
        models.load(folder)


def test_weights_that_the_configuration_finds_elsewhere(folder):
    """What is checked and hashed has to be what is read."""
    shutil.copy(folder / "model.safetensors", folder / "other.safetensors")
    change(folder / "config.json", transformers_weights="other.safetensors")
    message = r"config\.json: expected the weights in model\.safetensors, found 'other\.safetensors' in 'transformers_weights'"
    with pytest.raises(CheckpointError, match=message):
        models.load(folder)


def test_a_part_of_a_distributed_checkpoint_beside_the_weights(folder):
    part = "shard-00000-model-00001-of-00001.safetensors"
    shutil.copy(folder / "model.safetensors", folder / part)
    with pytest.raises(CheckpointError, match=f"expected model.safetensors, found a distributed checkpoint .{part}"):
        models.load(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"n_layer": 10**9},
        {"n_layer": -1},
        {"n_layer": "many"},
        {"vocab_size": 10**15},
        {"n_embd": 10**9},
        {"n_positions": 10**12},
        {"n_head": 0},
        {"n_inner": 10**12},
        {"activation_function": "os.system"},
        {"auto_map": {"AutoModelForCausalLM": "evil.Model"}},
    ],
)
def test_absurd_configurations(folder, changes):
    change(folder / "config.json", **changes)
    with pytest.raises(CheckpointError) as caught:
        models.load(folder)
    assert str(folder) in str(caught.value)


def test_configurations_nested_too_deep(folder):
    (folder / "config.json").write_text('{"model_type": "gpt2", "x": ' + "[" * 200_000)
    with pytest.raises(CheckpointError, match="config.json: expected JSON"):
        models.load(folder)


@pytest.mark.parametrize("where", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("code", [{"AutoTokenizer": ["evil.Tokenizer", None]}, {"AutoConfig": "other/repository--evil.Config"}])
def test_code_of_a_model_or_a_tokenizer(folder, monkeypatch, where, code):
    trace = folder.parent / "trace"
    (folder / "evil.py").write_text(f"import os\nos.mkdir({str(trace)!r})\nclass Tokenizer: pass\nclass Config: pass\n")
    change(folder / where, auto_map=code, tokenizer_class="Tokenizer")
    with pytest.raises(CheckpointError, match=f"{where}: expected a checkpoint that needs no code of its own, found 'auto_map'"):
        models.load(folder)
    assert not trace.exists()


@pytest.mark.parametrize("key", ["vocab_file", "merges_file", "tokenizer_file", "name_or_path"])
def test_a_tokenizer_does_not_read_files_elsewhere(folder, tmp_path, key):
    """A path in its settings is not followed: the tokens are those of the folder."""
    expected = models.load(folder).tokenizer.get_vocab()
    private = tmp_path / "private.json"
    private.write_text('{"secret": 0}')
    change(folder / "tokenizer_config.json", **{key: str(private)})
    try:
        found = models.load(folder).tokenizer.get_vocab()
    except CheckpointError:
        return
    assert found == expected


@pytest.mark.parametrize(
    "change_of",
    [
        lambda stored: stored["model"].update(type="Evil"),
        lambda stored: stored["model"].update(vocab={"a": 2**40}),
        lambda stored: stored["model"].update(merges=[["a"]]),
        lambda stored: stored.update(pre_tokenizer={"type": "Evil"}),
        lambda stored: stored.update(added_tokens=[{"id": 10**9, "content": "x"}]),
    ],
)
def test_tokenizers_that_are_none(folder, change_of):
    path = folder / "tokenizer.json"
    stored = json.loads(path.read_text())
    change_of(stored)
    path.write_text(json.dumps(stored))
    with pytest.raises(CheckpointError, match="tokenizer"):
        models.load(folder)


def test_a_pickle_beside_safetensors_is_never_opened(folder, monkeypatch):
    torch.save({"w": Calls(os.mkdir, str(folder / "trace"))}, folder / "pytorch_model.bin")
    monkeypatch.setattr(torch, "load", lambda *args, **kwargs: pytest.fail("a pickle was opened"))
    assert models.load(folder).source == "folder"
    assert not (folder / "trace").exists()


@pytest.mark.parametrize("name", ["additional_chat_templates/x.jinja", "additional_chat_templates"])
def test_links_in_folders_of_the_folder_that_lead_out_of_it(folder, tmp_path, name):
    """Transformers reads every template of that folder into the tokenizer."""
    (tmp_path / "private").mkdir()
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).symlink_to(tmp_path / "private")
    with pytest.raises(CheckpointError, match=f"{name}: expected a file in this folder, found a link to .*private, outside of it"):
        models.load(folder)
