"""What a reader meets on the way to the hub, over a hub on the loopback interface: each ends in a model or in a sentence."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support import hub_server, tiny

# One process imports torch and transformers, which takes longer than all questions, and a fork of it answers each list of questions.
ASK = """
import json, os, sys
from analysis_lib import models
from analysis_lib.models import hub
from huggingface_hub import constants

def answer(name):
    constants.HF_HUB_DOWNLOAD_TIMEOUT = 1 if name == "owner/stall" else 10  # a busy machine may take more than a second for what is there
    try:
        if name.startswith("load "):
            loaded = models.load(name.removeprefix("load "))
            return [loaded.source, loaded.identifier, loaded.revision, loaded.model.num_parameters()]
        fetched = hub.fetch(name)
        return [fetched.repository, fetched.commit, str(fetched.folder)]
    except Exception as error:
        return [type(error).__name__, str(error)]

for line in sys.stdin:
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        os.read(told, 1)  # its number is printed before its answers
        print(json.dumps([answer(name) for name in json.loads(line)]), flush=True)
        os._exit(0)
    print(child, flush=True)
    os.write(tell, b"x")
    os.waitpid(child, 0)
    os.close(told)
    os.close(tell)
    print("over", flush=True)
"""
BOT = {
    "title": "Adding `safetensors` variant of this model",
    "author": {"name": "SFconvertbot"},
    "status": "open",
    "isPullRequest": True,
    "num": 2,
    "createdAt": "2023-05-01T00:00:00.000Z",
    "repo": {"name": "owner/converted", "type": "model"},
}


class Asker:
    """A reader's process, whose hub is a port of this machine and whose cache is a folder."""

    def __init__(self, port: int, cache: Path, root: Path):
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "ANALYSIS_"))}
        environment |= {"HF_ENDPOINT": f"http://127.0.0.1:{port}", "HF_HOME": str(cache), "HF_HUB_DISABLE_XET": "1"}
        environment |= {"NO_PROXY": "127.0.0.1", "OMP_NUM_THREADS": "1"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen([sys.executable, "-c", ASK], env=environment, cwd=root, text=True, **pipes)

    def begin(self, questions: list[str]) -> int:
        """Ask; give the number of the process that answers."""
        self.process.stdin.write(json.dumps(questions) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def end(self) -> list[list[str]] | None:
        """What became of each question; None if the process that answers was killed."""
        lines = list(iter(self.process.stdout.readline, "over\n"))
        return json.loads(lines[-1]) if lines else None

    def ask(self, questions: list[str]) -> list[list[str]]:
        self.begin(questions)
        return self.end()

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


def repository(hub: Path, name: str, model: Path, pickled: bool = False, **settings) -> Path:
    """A repository with the files of a checkpoint; `pickled` puts `pytorch_model.bin` in the place of safetensors."""
    folder = Path(shutil.copytree(model, hub / name))
    if pickled:
        torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
    if settings:
        (folder / ".hub.json").write_text(json.dumps(settings))
    return folder


def in_shards(folder: Path, suffix: str) -> None:
    """Replace the weights of a folder by two shards with an index."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    stem = {"safetensors": "model", "bin": "pytorch_model"}[suffix]
    shard_of = {name: f"{stem}-{n % 2 + 1:05}-of-00002.{suffix}" for n, name in enumerate(sorted(tensors))}
    for shard in set(shard_of.values()):
        part = {name: tensors[name] for name in tensors if shard_of[name] == shard}
        if suffix == "bin":
            torch.save(part, folder / shard)
        else:
            save_file(part, folder / shard, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": shard_of}
    (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps(index))


class Trap:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return (os.mkdir, (str(self.trace),))


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    tiny.save(folder / "gpt2", tiny.gpt2(), tiny.byte_level_tokenizer())
    tiny.save(folder / "bert", tiny.bert(), tiny.herbert_tokenizer())
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory, root):
    """A folder of repositories, a port for their hub, and a reader with an empty cache."""
    hub, cache = tmp_path_factory.mktemp("hub"), tmp_path_factory.mktemp("cache")
    with socket.socket() as held:  # bound and never listening, so that no other process is given the port
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        if sys.platform != "linux":  # others let no server listen where a socket is bound
            held.close()
        asker = Asker(port, cache, root)
        yield {"hub": hub, "cache": cache, "port": port, "asker": asker}
        asker.close()


@pytest.fixture(scope="module")
def story(place, checkpoints):
    """All repositories, asked once with the hub, then once without it from the same cache."""
    hub, port, asker = place["hub"], place["port"], place["asker"]
    gpt2 = checkpoints / "gpt2"
    repository(hub, "owner/whole", gpt2)
    in_shards(repository(hub, "owner/shards", gpt2), "safetensors")
    repository(hub, "owner/pickled", gpt2, pickled=True, discussions=[BOT | {"author": {"name": "somebody"}}])
    in_shards(repository(hub, "owner/pickled-shards", gpt2), "bin")
    old = repository(hub, "owner/old-format", gpt2)
    torch.save(load_file(old / "model.safetensors"), old / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    (old / "model.safetensors").unlink()
    for name, changed in (("owner/converted", None), ("owner/converted-before", "weights"), ("owner/converted-beside", "tokenizer")):
        folder = repository(hub, name, gpt2, pickled=True, discussions=[BOT])
        shutil.copytree(folder, hub / f"{name}@refs" / "pr" / "2")
        shutil.copy(gpt2 / "model.safetensors", hub / f"{name}@refs" / "pr" / "2")
        if changed == "tokenizer":  # main has another tokenizer than when it was converted
            (folder / "tokenizer_config.json").write_text(
                json.dumps({"added": "later"} | json.loads((gpt2 / "tokenizer_config.json").read_text()))
            )
        if changed == "weights":  # or other weights
            tensors = {key: value + 1 for key, value in load_file(gpt2 / "model.safetensors").items()}
            torch.save(tensors, folder / "pytorch_model.bin")
    hostile = repository(hub, "owner/hostile", gpt2, pickled=True)
    torch.save({"weights": Trap(hub / "trace")}, hostile / "pytorch_model.bin")
    repository(hub, "owner/gated", gpt2, gated=True)
    (repository(hub, "owner/bare", gpt2) / "config.json").unlink()
    (repository(hub, "owner/empty", gpt2) / "model.safetensors").unlink()
    for fault in ("stall", "truncate", "damage", "once"):
        repository(hub, f"owner/{fault}", gpt2, faults={"model.safetensors": fault})
    repository(hub, "owner/half", gpt2, faults={"tokenizer.json": "damage"})
    good = ["whole", "shards", "pickled", "pickled-shards", "old-format", "converted", "converted-before", "converted-beside", "once"]
    bad = ["hostile", "gated", "bare", "empty", "stall", "truncate", "damage", "half", "nothing", "whole@no-such"]
    questions = [f"owner/{name}" for name in (*good, *bad)]
    with hub_server.serve(hub, port) as (_, requests):
        *answers, loaded = asker.ask([*questions, "load owner/converted"])
        found = dict(zip((*good, *bad), answers, strict=True)) | {"loaded": loaded}
        asked = list(requests)
    # The server is gone now, and its port refuses connections.
    later = dict(zip((*good, *bad), asker.ask(questions), strict=True))
    return place | {"found": found, "later": later, "asked": asked}


GOOD = ("whole", "shards", "pickled", "pickled-shards", "old-format", "converted", "once")


def weights(folder: str) -> dict[str, torch.Tensor]:
    """All tensors in a folder's safetensors files."""
    return {name: value for path in Path(folder).glob("*.safetensors") for name, value in load_file(path).items()}


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert set(found) == set(expected)
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=0)


@pytest.mark.parametrize("name", GOOD)
def test_a_repository_of_every_kind_is_fetched(story, checkpoints, name):
    shown = {"converted": "owner/converted@refs/pr/2"}.get(name, f"owner/{name}")
    if name in ("pickled", "pickled-shards", "old-format"):
        shown += " (converted from its pickles)"
    branch = story["hub"] / ("owner/converted@refs/pr/2" if name == "converted" else f"owner/{name}")
    repository, commit, folder = story["found"][name]
    assert (repository, commit) == (shown, hub_server.commit_of(branch))
    assert_same(weights(folder), load_file(checkpoints / "gpt2" / "model.safetensors"))
    for file in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        assert Path(folder, file).read_bytes() == (checkpoints / "gpt2" / file).read_bytes()


def test_a_label_says_which_pull_request_the_weights_are_from(story):
    branch = story["hub"] / "owner/converted@refs" / "pr" / "2"
    assert story["found"]["loaded"] == ["hub", "owner/converted@refs/pr/2", hub_server.commit_of(branch), tiny.gpt2().num_parameters()]


@pytest.mark.parametrize("name", [*GOOD, "converted-before", "converted-beside"])
def test_a_full_cache_needs_no_network(story, name):
    assert story["later"][name] == story["found"][name]


def test_a_conversion_of_other_weights_is_not_used(story, checkpoints):
    """The bot converted what was on main then; other weights stand there now."""
    repository, _, folder = story["found"]["converted-before"]
    assert repository == "owner/converted-before (converted from its pickles)"
    before = load_file(checkpoints / "gpt2" / "model.safetensors")
    assert_same(weights(folder), {name: value + 1 for name, value in before.items()})


def test_a_conversion_beside_another_tokenizer_is_not_used(story, checkpoints):
    """The pull request holds what stood on main then, a tokenizer that has been mended since among it."""
    repository, _, folder = story["found"]["converted-beside"]
    assert repository == "owner/converted-beside (converted from its pickles)"
    assert json.loads((Path(folder) / "tokenizer_config.json").read_text())["added"] == "later"
    assert_same(weights(folder), load_file(checkpoints / "gpt2" / "model.safetensors"))


def test_whoever_reads_the_cache_reads_what_was_written_here(story):
    """Temporary files belong to their owner alone; what they become has the rights of its folder."""
    assets = story["cache"] / "assets"
    written = [path for path in assets.rglob("*") if path.parent.stat().st_mode & 0o040]
    assert any(path.name == "converted" for path in written)
    assert all(path.stat().st_mode & 0o040 for path in written)


def test_a_pull_request_of_somebody_else_is_not_used(story):
    assert "refs/pr" not in story["found"]["pickled"][0]
    assert not any("owner/pickled/resolve/refs" in line for line in story["asked"])


def test_weights_are_not_fetched_twice(story):
    for name in ("whole", "converted"):
        lines = [
            line for line in story["asked"] if line.startswith("GET") and f"owner/{name}/resolve" in line and "model.safetensors" in line
        ]
        assert len(lines) == 1
    pickled = [line for line in story["asked"] if line.startswith("GET") and "owner/converted/resolve" in line and ".bin" in line]
    assert not pickled


REFUSED = {
    "hostile": ("CheckpointError", r"pytorch_model.bin is a pickle that holds the function or class '(posix|os).mkdir'"),
    "gated": ("HubError", r"owner/gated: its owner asks for a login"),
    "bare": ("CheckpointError", r"owner/bare at \w+: expected config.json, found no such file"),
    "empty": ("CheckpointError", r"owner/empty at \w+: expected weights in model.safetensors, found no weights under a known name"),
    "stall": ("HubError", r"owner/stall: the hub cannot be reached and the cache does not hold all of it \(.*timed? ?out"),
    "truncate": ("HubError", r"owner/truncate: the hub cannot be reached and the cache does not hold all of it \("),
    "damage": ("HubError", r"owner/damage at \w+: model.safetensors arrived damaged and was removed from the cache"),
    "half": ("HubError", r"owner/half at \w+: tokenizer.json arrived damaged and was removed from the cache"),
    "nothing": ("HubError", r"owner/nothing: the hub has none of that name"),
    "whole@no-such": ("HubError", r"owner/whole: it has no revision 'no-such'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_loaded_ends_in_a_sentence(story, name):
    kind, message = story["found"][name]
    assert kind == REFUSED[name][0]
    assert re.search(REFUSED[name][1], message), message
    assert "ANALYSIS_MODELS=embedded" in message or kind == "CheckpointError"
    assert "\n" not in message
    assert len(message) < 500


def test_a_hostile_pickle_ran_nothing_and_left_nothing(story):
    assert not (story["hub"] / "trace").exists()
    kept = {path.parent.parent.name for path in (story["cache"] / "assets").rglob("converted")}
    assert kept == {"owner--pickled", "owner--pickled-shards", "owner--old-format", "owner--converted-before", "owner--converted-beside"}
    assert not list((story["cache"] / "assets").rglob("converting-*"))


def test_nothing_is_left_under_a_final_name_or_half_written(story):
    cache = story["cache"] / "hub"
    assert not list(cache.rglob("*.incomplete"))
    for name in ("stall", "truncate", "damage"):
        assert not list((cache / f"models--owner--{name}").rglob("model.safetensors"))
    for blob in cache.glob("models--*/blobs/*"):
        assert blob.name == hub_server.checksum_of(next(path for path in cache.rglob("*") if path.is_symlink() and path.resolve() == blob))


@pytest.mark.parametrize("name", ["stall", "truncate", "damage", "half"])
def test_half_a_cache_without_a_network_is_refused(story, name):
    kind, message = story["later"][name]
    assert kind == "HubError"
    assert f"owner/{name}: the hub cannot be reached and the cache holds only a part of it" in message


def test_without_a_network_and_a_cache(story):
    kind, message = story["later"]["nothing"]
    assert kind == "HubError"
    assert "owner/nothing: the hub cannot be reached and the cache does not hold it" in message
    assert "refused" in message


def test_a_download_that_is_killed_goes_on_the_next_time(place, checkpoints):
    """Files that were whole are kept; the one that was being fetched is fetched again, and what was left of it is removed."""
    folder = repository(place["hub"], "owner/killed", checkpoints / "gpt2", faults={"model.safetensors": "stall"})
    blobs = place["cache"] / "hub" / "models--owner--killed" / "blobs"
    with hub_server.serve(place["hub"], place["port"]) as (_, requests):
        process = place["asker"].begin(["owner/killed"])
        deadline = time.monotonic() + 60
        while not any(line.startswith("GET") and "safetensors" in line for line in requests) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(process, signal.SIGKILL)
        assert place["asker"].end() is None
        (left,) = blobs.glob("*.incomplete")
        os.utime(left, (time.time() - 3600, time.time() - 3600))
        (folder / ".hub.json").unlink()
        del requests[:]
        answer = place["asker"].ask(["owner/killed"])[0]
        assert answer[:2] == ["owner/killed", hub_server.commit_of(folder)]
        assert [line.split("/")[-1] for line in requests if line.startswith("GET") and "resolve" in line] == ["model.safetensors"]
    assert not left.exists()
    assert Path(answer[2], "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


def test_two_processes_fill_one_cache(place, checkpoints, root):
    """Both fetch and convert the same pickles at once, and both get the same whole folder."""
    folder = repository(place["hub"], "owner/shared", checkpoints / "gpt2", pickled=True)
    other = Asker(place["port"], place["cache"], root)
    try:
        with hub_server.serve(place["hub"], place["port"]):
            other.ask([])  # its imports are over
            for asker in (place["asker"], other):
                asker.begin(["load owner/shared", "owner/shared"])
            first, second = (asker.end() for asker in (place["asker"], other))
    finally:
        other.close()
    assert first == second
    assert first[0][:3] == ["hub", "owner/shared (converted from its pickles)", hub_server.commit_of(folder)]
    converted = Path(first[1][2])
    assert_same(weights(str(converted)), torch.load(folder / "pytorch_model.bin", weights_only=True))
    assert [path.name for path in converted.parent.iterdir() if path.name != "conversion"] == ["converted"]


@pytest.mark.slow
def test_the_published_sizes(tmp_path, root):
    """A GPT-2 of 24 layers as a pickle, which is converted, and a BERT of 12 layers: two gigabytes of disk."""
    import real_size_hub

    real_size_hub.make(tmp_path / "hub", real_size_hub.PUBLISHED)
    folder = tmp_path / "hub" / real_size_hub.IDS["gpt2"]
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with hub_server.serve(tmp_path / "hub") as (endpoint, _):
        asker = Asker(int(endpoint.rsplit(":", 1)[1]), tmp_path / "cache", root)
        gpt2, herbert = asker.ask([f"load {repository}" for repository in real_size_hub.IDS.values()])
        asker.close()
    assert gpt2[:2] == ["hub", f"{real_size_hub.IDS['gpt2']} (converted from its pickles)"]
    assert gpt2[3] == 51_200 * 1024 + 2048 * 1024 + 24 * (12 * 1024**2 + 13 * 1024) + 2 * 1024
    assert herbert[:2] == ["hub", real_size_hub.IDS["herbert"]]


SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def test_every_damaged_file_is_removed_and_fetched_again(place, checkpoints):
    name = "owner/damaged-shards"
    folder = repository(place["hub"], name, checkpoints / "gpt2", faults=dict.fromkeys(SHARDS, "damage"))
    in_shards(folder, "safetensors")
    with hub_server.serve(place["hub"], place["port"]):
        kind, message = place["asker"].ask([name])[0]
        assert kind == "HubError"
        assert f"{SHARDS[0]} arrived damaged and was removed from the cache" in message
        (folder / ".hub.json").unlink()
        fetched = place["asker"].ask([name])[0]
    assert fetched[:2] == [name, hub_server.commit_of(folder)]
    assert_same(weights(fetched[2]), load_file(checkpoints / "gpt2" / "model.safetensors"))


def test_what_a_download_that_failed_has_brought_is_checked_the_next_time(place, checkpoints):
    """One shard arrives damaged while the other does not arrive, so that nothing of the first download is compared with anything."""
    name = "owner/half-checked"
    folder = repository(place["hub"], name, checkpoints / "gpt2", faults=dict(zip(SHARDS, ("damage", "truncate"), strict=True)))
    in_shards(folder, "safetensors")
    with hub_server.serve(place["hub"], place["port"]):
        assert "the cache does not hold all of it" in place["asker"].ask([name])[0][1]
        assert list((place["cache"] / "hub" / "models--owner--half-checked").glob(f"snapshots/*/{SHARDS[0]}"))
        (folder / ".hub.json").unlink()
        assert f"{SHARDS[0]} arrived damaged" in place["asker"].ask([name])[0][1]
        fetched = place["asker"].ask([name])[0]
    assert fetched[:2] == [name, hub_server.commit_of(folder)]
    assert_same(weights(fetched[2]), load_file(checkpoints / "gpt2" / "model.safetensors"))


def test_a_commit_is_what_its_branch_is_and_needs_no_network_later(place, checkpoints):
    """A build hands commits to its chapters."""
    folder = repository(place["hub"], "owner/pinned", checkpoints / "gpt2")
    pinned = f"owner/pinned@{hub_server.commit_of(folder)}"
    with hub_server.serve(place["hub"], place["port"]):
        branch, commit = place["asker"].ask(["owner/pinned", pinned])
    assert branch == commit
    assert branch[:2] == ["owner/pinned", hub_server.commit_of(folder)]
    assert place["asker"].ask([pinned, "owner/pinned"]) == [commit, branch]
