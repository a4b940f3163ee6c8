"""What a notebook gets from `import analysis_lib as al`."""

import re
import subprocess
import sys
import tomllib

import numpy as np
import pandas as pd
import pytest

import analysis_lib as al
from tests.support import tiny


@pytest.fixture(scope="module")
def model():
    return al.wrap(tiny.gpt2(layers=3), tiny.byte_level_tokenizer())


def test_importing_the_package_imports_nothing_heavy(root):
    program = (
        "import sys, analysis_lib as al; dir(al); print([m for m in ('torch', 'transformers', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_name_of_the_face_and_every_room_is_there(root):
    assert set(al.__all__) == {*al._FACE, "__version__"}
    for name, place in al._FACE.items():
        room, own = place.split(":")
        found = getattr(al, name)
        assert found.__name__ == own
        assert found.__module__.startswith(f"analysis_lib.{room}")
    folders = {path.parent.name for path in (root / "analysis_lib").glob("*/__init__.py")} | {"report"}
    assert folders == set(al._ROOMS)
    assert set(al.__all__) | folders == set(dir(al))
    for room in folders:
        assert getattr(al, room).__name__ == f"analysis_lib.{room}"
    with pytest.raises(AttributeError, match="no attribute 'lode'; it has Activations, .*load"):
        al.lode  # noqa: B018


def test_the_version_is_stated_once_and_types_are_shipped(root):
    assert re.fullmatch(r"\d+\.\d+\.\d+", al.__version__)
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" not in project["project"]
    assert (root / "analysis_lib" / "py.typed").exists()


def test_pairs_and_tokens_as_tables(model):
    w = al.extract(model)
    pairs = al.top_pairs(w.W_E, w.W_E, k=4)
    frame = pairs.to_frame(model.vocabulary)
    assert list(frame.columns) == ["left", "right", "left_id", "right_id", "score"]
    assert frame["left"].tolist() == model.vocabulary.labels(pairs.left_ids)
    np.testing.assert_array_equal(frame["score"], pairs.scores)
    pd.testing.assert_frame_equal(pairs.to_frame(), frame[["left_id", "right_id", "score"]])

    tokens = al.top_tokens(w.W_E[5:7], w.W_U, k=3)
    frame = tokens.to_frame(model.vocabulary)
    assert list(frame.columns) == ["vector", "rank", "token", "token_id", "score"]
    assert frame[["vector", "rank"]].to_numpy().tolist() == [[i, j] for i in range(2) for j in range(3)]
    np.testing.assert_array_equal(frame.pivot(index="vector", columns="rank", values="token_id"), tokens.ids)
    assert frame["token"].tolist() == model.vocabulary.labels(frame["token_id"])


def test_the_calls_of_the_face_fit_together(model):
    run = al.run(model, ["Nie wiem, czy."], outputs=["patterns"])
    assert run.states.shape[0] == len(run.layers)
    assert al.head_scores(model, "previous token", n_sequences=4).shape == run.patterns[0].shape[:2]
    assert al.untrained_like(model, seed=0).vocabulary.text.tolist() == model.vocabulary.text.tolist()
