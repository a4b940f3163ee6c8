"""Full disks, a package that cannot be written to, no home, no network, and folders with spaces and Polish letters.

Each runs in namespaces of its own, where any user may mount a small disk; where the system does not allow that, they are skipped.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support import hub_server, tiny

ALLOWED = (
    shutil.which("unshare")
    and subprocess.run(["unshare", "-rmn", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False).returncode == 0
)
pytestmark = [pytest.mark.skipif(not ALLOWED, reason="no namespaces for this user"), pytest.mark.slow]
FOLDER = "Zażółć gęślą jaźń"

LOAD = """
import json, subprocess, sys
from pathlib import Path
from analysis_lib import models

def answer(name):
    try:
        return ["loaded", models.load(name).model.num_parameters()]
    except Exception as error:
        return [type(error).__name__, str(error)]

disk = sys.argv[1]
found = {name: answer(name) for name in sys.argv[2:]}
left = [path.name for path in Path(disk).rglob("*.safetensors") if path.is_file()]
subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
print(json.dumps([found, left, {name: answer(name) for name in sys.argv[2:]}]))
"""
READ = """
import sys
from pathlib import Path
import numpy as np
import analysis_lib
from analysis_lib import activations, models, plots, projections, weights

try:
    Path(analysis_lib.__file__).with_name("written").write_text("x")
except OSError as error:
    print("read-only:", error.strerror)
for name in ("minigpt", "polish-gpt2", str(Path.cwd() / "mój model")):
    loaded = models.load(name)
    run = activations.run_ids(loaded, np.arange(3, 9)[None], outputs=["patterns"])
    pairs = projections.top_pairs(*projections.vo_factors(weights.extract(loaded), 0, 0), k=2)
    print(loaded.source, np.isfinite(run.states).all(), len(pairs.scores))
import matplotlib.pyplot as plt
plots.use_style()
plt.figure().savefig("rycina łąki.png")
print(Path("rycina łąki.png").stat().st_size > 0)
"""


def confined(mounts: str, command: list[str], options: str = "-rm", **environment: str | None) -> str:
    """Run a command after mounts, in namespaces of its own; what it printed."""
    own = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "ANALYSIS_"))} | {"OMP_NUM_THREADS": "1"}
    own |= {"PYTHONPATH": str(Path(__file__).parents[2]), "NO_PROXY": "127.0.0.1"}
    own = {key: value for key, value in (own | environment).items() if value is not None}
    ran = subprocess.run(
        ["unshare", options, "sh", "-c", f'{mounts} && exec "$@"', "sh", *command], env=own, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    return ran.stdout


def test_a_full_disk_while_a_file_is_written(tmp_path, root):
    code = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from whole_files import write_whole
path = Path(sys.argv[1], "findings.json")
write_whole(path, "old")
try:
    write_whole(path, "x" * 10**6)
except OSError as error:
    print(error.strerror, path.read_text(), [p.name for p in path.parent.iterdir()])
"""
    said = confined(f"mount -t tmpfs -o size=100k none '{tmp_path}'", [sys.executable, "-c", code, str(tmp_path), str(root / "tools")])
    assert said.strip() == "No space left on device old ['findings.json']"


def test_a_full_disk_while_models_are_fetched(tmp_path):
    """A download that does not fit, and a pickle that fits where its conversion does not; with more room both are loaded."""
    tiny.save(tmp_path / "hub/owner/large", tiny.gpt2(width=64), tiny.byte_level_tokenizer())
    pickled = tmp_path / "hub/owner/pickled"
    tiny.save(pickled, tiny.gpt2(width=64, seed=1), tiny.byte_level_tokenizer())
    torch.save(load_file(pickled / "model.safetensors"), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    disk = tmp_path / FOLDER
    disk.mkdir()
    weights = (pickled / "pytorch_model.bin").stat().st_size
    for size, names in ((weights // 2, ["owner/large"]), (weights + weights // 2, ["owner/pickled"])):
        with hub_server.serve(tmp_path / "hub") as (endpoint, _):
            hub = {"HF_ENDPOINT": endpoint, "HF_HOME": str(disk), "HF_HUB_DISABLE_XET": "1"}
            said = confined(f"mount -t tmpfs -o size={size} none '{disk}'", [sys.executable, "-c", LOAD, str(disk), *names], **hub)
        found, left, later = json.loads(said.splitlines()[-1])
        assert [kind for kind, _ in found.values()] == ["HubError"], found
        assert "the cache cannot be written" in found[names[0]][1]
        assert left == []
        assert [kind for kind, _ in later.values()] == ["loaded"], later


def test_a_package_that_cannot_be_written_to_no_home_and_no_network(tmp_path, root):
    place = tmp_path / FOLDER
    tiny.save(place / "mój model", tiny.gpt2(), tiny.byte_level_tokenizer())
    shutil.copytree(root / "analysis_lib", place / "pakiet/analysis_lib")
    package = place / "pakiet"
    mounts = f"mount --bind '{package}' '{package}' && mount -o remount,bind,ro '{package}' && cd '{place}'"
    said = confined(mounts, [sys.executable, "-c", READ], "-rmn", HOME=None, PYTHONPATH=str(package))
    assert said.splitlines() == [
        "read-only: Read-only file system",
        "embedded True 2",
        "embedded True 2",
        "folder True 2",
        "True",
    ]
