"""The wheel: small, whole, and enough by itself in another folder."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from analysis_lib import models

pytestmark = pytest.mark.slow

LARGEST = 50e6  # the 9 million parameters of each Polish model are 18 MB in float16, and hardly get smaller when packed
LOAD_ALL = """
import sys
import analysis_lib
from analysis_lib import models
assert analysis_lib.__file__.startswith(sys.argv[1]), analysis_lib.__file__
for name, places in models.available().items():
    if models.STUDIES[name].embedded:
        assert places["embedded"], name
        print(models.load(name, source="embedded").label)
"""


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory) -> Path:
    """Built from a copy of what git knows or would take, so that no build folder comes to lie in the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=root, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (root / name).is_file() and not name.startswith(("book/", "tests/")):
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, folder / "source" / name)
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", str(folder), str(folder / "source")]
    subprocess.run(build, check=True)
    return next(folder.glob("*.whl"))


def test_it_is_small_and_holds_the_package_alone(root, wheel):
    assert wheel.stat().st_size < LARGEST, "leave weights that one chapter needs out of the wheel: see package-data in pyproject.toml"
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    package = root / "analysis_lib"
    modules = {path.relative_to(root).as_posix() for path in package.rglob("*.py")}
    assert {name for name in held if name.endswith(".py")} == modules
    assert {name for name in held if not name.startswith("analysis_lib/")} == set()
    assert not [name for name in held if re.search(r"/(seeds|snapshots)/", name)]
    for name in models.STUDIES.values():
        if name.embedded:
            kept = {path.name for path in (models.EMBEDDED_FOLDER / name.embedded).iterdir() if path.is_file()}
            assert {f"analysis_lib/checkpoints/{name.embedded}/{file}" for file in kept} <= held
    assert {f"analysis_lib/{name}" for name in ("py.typed", "texts/paragraphs.txt", "checkpoints/corpus.json")} <= held


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory) -> Path:
    """The interpreter of a fresh environment with the wheel, and what it depends on taken from the environment of the tests."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    site = Path(
        subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], capture_output=True, text=True, check=True
        ).stdout.strip()
    )
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", "-q", str(wheel)]
    subprocess.run(install, check=True)
    # A plain path comes after the environment's own packages, and does not run the hooks of the editable install.
    (site / "of_the_tests.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def run(python, *arguments, cwd):
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "ANALYSIS", "PYTEST"))}
    return subprocess.run([python, *arguments], cwd=cwd, env=clean | {"HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, check=False)


def test_installed_elsewhere_it_loads_every_embedded_model(python, tmp_path):
    ended = run(python, "-c", LOAD_ALL, str(python.parents[1]), cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert len(ended.stdout.splitlines()) == sum(study.embedded is not None for study in models.STUDIES.values())


def test_installed_elsewhere_it_runs_the_example_of_the_readme(root, python, tmp_path):
    example = re.search(r"```python\n(.*?)```", (root / "README.md").read_text(encoding="utf-8"), re.S)[1]
    (tmp_path / "example.txt").write_text(example, encoding="utf-8")
    ended = run(python, "-m", "doctest", "-o", "ELLIPSIS", "-o", "NORMALIZE_WHITESPACE", "example.txt", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stdout + ended.stderr
