"""What the atlas is made of: packed lists come back as they were, and rows say what the library says."""

import base64
import gzip
import json

import atlas
import atlas_rows
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis_lib import models, texts
from analysis_lib.projections import qk_factors, top_pairs
from analysis_lib.weights import extract


def unpacked(text, size):
    digits = [atlas.ALPHABET.index(sign) for sign in text]
    base = len(atlas.ALPHABET)
    return [sum(d * base**i for i, d in enumerate(reversed(digits[k : k + size]))) for k in range(0, len(digits), size)]


@given(st.lists(st.integers(0, len(atlas.ALPHABET) ** 3 - 1), max_size=20))
def test_packed_numbers_come_back(numbers):
    assert unpacked("".join(atlas.packed(numbers, 3)), 3) == numbers


def test_numbers_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="numbers: expected 0 to"):
        atlas.packed([len(atlas.ALPHABET)], 1)


def test_the_alphabet_stands_between_quotes_as_itself():
    assert json.dumps(atlas.ALPHABET) == f'"{atlas.ALPHABET}"'
    assert len(set(atlas.ALPHABET)) == len(atlas.ALPHABET)


@pytest.fixture
def planted():
    """Three neurons with lists of four tokens."""
    ids = np.array([[[5, 9, 1, 2], [2, 1, 5, 9], [9, 9, 9, 9]], [[1, 2, 5, 9], [5, 5, 1, 1], [2, 9, 2, 9]]])
    keys = pd.DataFrame(
        {
            "shared": ["ending -go", "", "noun"],
            "count": [12, 0, 7],
            "expected": [0.31, 0.0, 12.34],
            "p": [1e-9, 1.0, 0.0521],
            "passes": [True, False, False],
        }
    )
    return {"ids": ids, "tests": [keys, keys.iloc[::-1]], "text": np.array([f"t{i}" for i in range(10)]), "layers": 1, "size": 3}


def test_a_packed_neuron_says_what_its_lists_say(planted):
    ids, tables, text = planted["ids"], planted["tests"], planted["text"]
    found = atlas.pack_neurons(dict(planted))["packed"]
    length, wide, narrow = len(found["rows"]) // 6, atlas.width(len(found["tokens"])), atlas.width(len(found["tests"]))
    assert length == 4 * wide + narrow
    assert len(found["tests"]) == 3  # keys and values have the same ones
    for neuron in range(3):
        for side in range(2):
            row = found["rows"][length * (2 * neuron + side) :][:length]
            assert [found["tokens"][i] for i in unpacked(row[: 4 * wide], wide)] == text[ids[side, neuron]].tolist()
            shared, count, expected, p, passes = found["tests"][unpacked(row[4 * wide :], narrow)[0]]
            expect = tables[side].iloc[neuron]
            assert (shared, count, bool(passes)) == (expect["shared"], expect["count"], expect["passes"])
            assert expected == pytest.approx(expect["expected"], abs=0.05)
            assert p == pytest.approx(expect["p"], rel=0.05)


@pytest.fixture(scope="module")
def toy():
    return models.load("minigpt", source="embedded")


def test_every_head_of_the_toy_has_its_pairs_and_scores(toy):
    found = atlas_rows.toy_heads(toy)
    weights = extract(toy)
    assert len(found["rows"]) == weights.n_layers * weights.n_heads
    assert all(len(column) == len(found["rows"]) for column in found["values"])
    pairs = top_pairs(*qk_factors(weights, 1, 3), atlas_rows.SHOWN_PAIRS)
    shown = found["rows"][weights.n_heads + 3][1]["words"]
    assert shown == [f"{a} → {b}" for a, b in zip(pairs.left_ids, pairs.right_ids, strict=True)]
    names = [score["name"] for score in found["scores"]]
    induction = np.array(found["values"][names.index("induction")])
    untrained = found["scores"][names.index("induction")]["untrained"]
    assert induction.max() > 0.5 > untrained  # the toy has induction heads, an untrained one has none


def test_the_regressors_heads_and_neurons_have_scores():
    loaded = models.load("regressor", source="embedded")
    heads, neurons = atlas_rows.regressor_parts(loaded, "regressor")
    weights = extract(loaded)
    assert (heads["layers"], heads["size"], neurons["size"]) == (weights.n_layers, weights.n_heads, weights.d_mlp)
    writes = np.array(neurons["values"][0]).reshape(weights.n_layers, -1)
    np.testing.assert_allclose(writes, (weights.W_out @ weights.W_U)[..., 0], atol=1e-3)
    assert max(heads["values"][0]) > 0.5  # without its strongest head the model errs by half the variance of an answer and more


def test_scripts_set_one_constant_for_each_model():
    found = {"toy": {"name": "toy", "title": "Toy", "heads": {}}}
    files = atlas.scripts(found)
    assert set(files) == {"data-toy.js", "data-glosses.js", "models.js"}
    assert files["models.js"] == 'window.atlasModels = [{"name":"toy","title":"Toy","parts":["heads"]}];\n'
    assert json.loads(gzip.decompress(base64.b64decode(files["data-toy.js"].split('"')[-2]))) == found["toy"]
    assert json.loads(gzip.decompress(base64.b64decode(files["data-glosses.js"].split('"')[-2]))) == texts.glossary()
    assert atlas.scripts(found) == files
