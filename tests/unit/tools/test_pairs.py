"""book/name.ipynb is generated from book/name.py: same bytes every time, no outputs, stable cell ids."""

import json

import code_cells
import pairs
import pytest

SCRIPT = """# %% [markdown]
# # Title with ąćęłńóśźż

# %%
one = 1

# %% tags=["hide-input"] mystnb={"image": {"alt": "words"}}
one = 1
print(one)

# %%
one = 1
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "chapter.py").write_text(SCRIPT, encoding="utf-8")
    return tmp_path


def load(folder):
    return json.loads((folder / "chapter.ipynb").read_text(encoding="utf-8"))


def test_written_pair_agrees(folder):
    assert pairs.problems(folder) == [f"{folder / 'chapter.ipynb'}: missing"]
    assert pairs.write(folder) == [folder / "chapter.ipynb"]
    assert pairs.problems(folder) == []


@pytest.mark.parametrize("owner", ["jan", "jan-kowalski" * 3])
def test_a_notebook_of_a_published_book_begins_with_a_cell_that_fits_the_page(tmp_path, owner):
    """The cell also goes to the folder of the chapters, which read files beside them."""
    (tmp_path / "book").mkdir()
    address = f"https://github.com/{owner}/polish-transformers-taken-apart"
    (tmp_path / "_config.yml").write_text(f"repository:\n  url: {address}\n", encoding="utf-8")
    (tmp_path / "book/chapter.py").write_text(SCRIPT, encoding="utf-8")
    pairs.write(tmp_path / "book")
    source = "".join(load(tmp_path / "book")["cells"][0]["source"])
    assert f'address = "{address}"' in source
    assert 'os.chdir("/tmp/book/book")' in source
    assert max(len(line) for line in source.splitlines() if '"' not in line) <= code_cells.WIDTH


def test_a_notebook_that_agrees_is_not_touched(folder):
    pairs.write(folder)
    before = (folder / "chapter.ipynb").stat().st_mtime_ns
    assert pairs.write(folder) == []
    assert (folder / "chapter.ipynb").stat().st_mtime_ns == before


def test_metadata_and_letters_survive(folder):
    pairs.write(folder)
    notebook = load(folder)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert "".join(notebook["cells"][0]["source"]) == "# Title with ąćęłńóśźż"
    assert notebook["cells"][2]["metadata"] == {"tags": ["hide-input"], "mystnb": {"image": {"alt": "words"}}}


def test_equal_cells_have_different_ids_and_an_edit_changes_one(folder):
    pairs.write(folder)
    before = [cell["id"] for cell in load(folder)["cells"]]
    assert len(set(before)) == len(before) == 4
    (folder / "chapter.py").write_text(SCRIPT.replace("print(one)", "print(-one)"), encoding="utf-8")
    pairs.write(folder)
    after = [cell["id"] for cell in load(folder)["cells"]]
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, True, False, True]


def test_what_is_wrong_is_named(folder):
    pairs.write(folder)
    notebook = folder / "chapter.ipynb"
    good = load(folder)

    def said(change):
        changed = json.loads(json.dumps(good))
        change(changed)
        notebook.write_text(json.dumps(changed), encoding="utf-8")
        return pairs.problems(folder)[0].split(": ", 1)[1]

    output = {"output_type": "stream", "name": "stdout", "text": ["1\n"]}
    assert said(lambda nb: nb["cells"][2]["outputs"].append(output)) == "holds outputs"
    assert said(lambda nb: nb["cells"][1].update(source=["one = 2"])) == "differs from chapter.py"
    assert said(lambda nb: nb["metadata"].pop("kernelspec")).startswith("has other metadata")
    notebook.write_text("half a noteb", encoding="utf-8")
    assert pairs.problems(folder)[0].endswith("is no notebook")


def test_a_notebook_without_its_script_is_a_problem(folder):
    pairs.write(folder)
    (folder / "chapter.py").rename(folder / "other.py")
    assert any("has no chapter.py" in line for line in pairs.problems(folder))


def test_helpers_are_no_chapters(folder):
    (folder / "_helper.py").write_text("x = 1\n")
    pairs.write(folder)
    assert not (folder / "_helper.ipynb").exists()


def test_check_fails_the_command(folder):
    assert pairs.main(["check", str(folder)]) == 1
    assert pairs.main(["write", str(folder)]) == 0
    assert pairs.main(["check", str(folder)]) == 0
