"""The book's sources: pairs agree, the table of contents names what exists, launch buttons open what is in git."""

import json
import pkgutil
import re
import subprocess

import code_cells
import nbformat
import pairs
import pytest
import yaml

import analysis_lib


@pytest.fixture(scope="module")
def toc(root):
    return yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def config(root):
    return yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))


def pages(toc):
    chapters = [chapter for part in toc["parts"] for chapter in part["chapters"]]
    return [toc["root"], *(entry["file"] for chapter in chapters for entry in (chapter, *chapter.get("sections", [])))]


def test_pairs_agree_and_hold_no_outputs(root):
    assert pairs.problems(root / "book") == []


def test_each_page_of_the_contents_is_one_file(root, toc):
    for page in pages(toc):
        sources = [root / f"{page}{suffix}" for suffix in (".ipynb", ".md")]
        assert sum(path.exists() for path in sources) == 1, page


def test_each_chapter_is_in_the_contents(root, toc):
    written = {f"book/{path.stem}" for path in (root / "book").iterdir() if path.suffix in {".ipynb", ".md"}}
    assert written == set(pages(toc))


def test_launch_buttons_open_notebooks_that_are_in_git(root, toc, config):
    if not (root / ".git").exists():
        pytest.skip("no git checkout: what the buttons open cannot be looked up")
    tracked = subprocess.run(["git", "ls-files", "book"], cwd=root, capture_output=True, text=True, check=True).stdout.split()
    for script in pairs.scripts(root / "book"):
        assert f"book/{script.stem}.ipynb" in tracked
    # With path_to_book the addresses of the buttons would name a folder that does not exist.
    assert "path_to_book" not in config["repository"]
    assert config["launch_buttons"]["binderhub_url"]
    assert config["launch_buttons"]["colab_url"]


def test_notebooks_name_their_kernel(root):
    for notebook in (root / "book").glob("*.ipynb"):
        metadata = json.loads(notebook.read_text(encoding="utf-8"))["metadata"]
        assert metadata["kernelspec"]["name"] == "python3", notebook


def test_a_failing_cell_is_an_error_and_old_results_need_a_reason(config):
    execute = config["execute"]
    assert execute["raise_on_error"] is True
    assert execute["execute_notebooks"] == "cache"
    assert execute["timeout"] == 300
    assert config["only_build_toc_files"] is True


def test_the_library_page_lists_every_public_module(root):
    pages = "".join(page.read_text(encoding="utf-8") for page in (root / "book").glob("api*.md"))
    listed = set(re.findall(r"automodule:: ([\w.]+)", pages))
    public = {module.name for module in pkgutil.walk_packages(analysis_lib.__path__, "analysis_lib.")}
    assert listed == public


def test_citations_have_entries(root):
    entries = set(re.findall(r"^@\w+\{([^,]+),", (root / "references.bib").read_text(encoding="utf-8"), re.M))
    for page in [*pairs.scripts(root / "book"), *(root / "book").glob("*.md")]:
        for keys in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", page.read_text(encoding="utf-8")):
            assert {key.strip() for key in keys.split(",")} <= entries, page.name


@pytest.mark.parametrize("lock", ["requirements.lock", "oracles.lock"])
def test_lock_pins_versions_and_nothing_else(root, lock):
    lines = (root / lock).read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if not line.startswith("#")]
    for line in lines:
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*( ; [\w'()= ]+)?", line), line
    names = [line.split("==")[0] for line in lines]
    assert names == sorted(set(names))


def test_numbers_of_other_pages_have_a_format(root):
    """Without one, MyST-NB takes the page's name for a key of the page itself."""
    for page in pairs.scripts(root / "book"):
        roles = re.findall(r"\{glue:text\}`([^`]*::[^`]*)`", page.read_text(encoding="utf-8"))
        assert [role for role in roles if not re.fullmatch(r"\w+\.ipynb::[\w-]+:[^:]+", role)] == [], page.name


def test_chapters_show_which_models_they_are_computed_from(root):
    """With `ANALYSIS_MODELS`, the same chapter may be computed from others."""
    for page in pairs.scripts(root / "book"):
        code = "\n".join(line for line in page.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
        if "models.load(" in code:
            assert ".label" in code or ".revision" in code, page.name


def test_code_fits_the_page(root):
    """Laid out for the page, a line that is still too long is a string or a comment, which wraps twice at most."""
    for notebook in sorted((root / "book").glob("*.ipynb")):
        cells = [cell.source for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]
        lines = [line for cell in code_cells.fitted(cells) for line in cell.splitlines() if len(line) > code_cells.WIDTH]
        assert [line for line in lines if not re.search('["#]', line) or len(line) > 3 * code_cells.WIDTH] == [], notebook.name


def test_the_book_can_be_cited(root):
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "title", "message", "authors", "version"} <= set(citation)
    entry = re.search(r"```bibtex\n(@\w+\{.+?\n\})\n```", (root / "book/references.md").read_text(encoding="utf-8"), re.S)[1]
    assert citation["title"] in entry
    assert f"{{{citation['version']}}}" in entry


def test_each_study_opens_with_its_question_and_what_was_found(root, toc):
    studies = [chapter["file"] for part in toc["parts"][:3] for chapter in part["chapters"] if (root / f"{chapter['file']}.ipynb").exists()]
    assert len(studies) >= 10
    for study in studies:
        cells = nbformat.read(root / f"{study}.ipynb", as_version=4).cells
        opening, _, rest = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown").partition("\n## ")
        assert re.match(r"# [^\n]+\n\n\*\*Question\.\*\* ", opening), study
        assert re.search(r"\*\*What was found\*\*\n\n- \*\*", opening), study
        assert rest, study
