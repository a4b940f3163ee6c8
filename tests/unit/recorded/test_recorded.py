"""Recorded figures: every file keeps the schema, and the four that are quoted are as printed."""

import json

import pytest

from analysis_lib import recorded


@pytest.mark.parametrize("notebook", recorded.notebooks())
def test_every_file_keeps_the_schema(notebook, root):
    content = json.loads((root / f"analysis_lib/recorded/notebook_{notebook}.json").read_text(encoding="utf-8"))
    assert content["notebook"] == notebook
    keys = [figure["key"] for figure in content["figures"]]
    assert len(keys) == len(set(keys)) > 0
    for figure in content["figures"]:
        assert tuple(figure) == recorded.FIELDS
        assert isinstance(figure["value"], int | float)
        assert figure["quantity"]
        assert figure["procedure"]
        assert figure["comparable"]


def test_figures_are_as_printed():
    found = recorded.figures("001")["value"]
    assert found["anisotropy-herbert"] == 0.7162601851025178
    assert found["anisotropy-gpt2"] == 0.2463051208457339
    assert found["context-specificity-herbert"] == 0.8382445823264426
    assert found["context-specificity-gpt2"] == 0.24329707611341647


def test_an_unknown_notebook_raises_and_lists_what_there_is():
    with pytest.raises(ValueError, match="'999'.*001"):
        recorded.figures("999")


def test_head_lists_are_as_printed():
    lists = recorded.head_lists()
    assert lists.columns.tolist() == ["matrix", "layer", "head", "left", "right"]
    assert lists.groupby(["matrix", "layer", "head"]).ngroups == 11
    first = lists[(lists["matrix"] == "VO") & (lists["layer"] == 20)].iloc[1]
    assert (first["left"], first["right"]) == (" jej", " ona")
    assert lists[["left", "right"]].map(str.isascii).all(axis=None)  # the notebook's filter let no Polish letter through


@pytest.mark.parametrize("name", recorded.tables())
def test_tables_are_complete(name):
    assert recorded.table(name).notna().all(axis=None)


def test_an_unknown_table_is_refused():
    with pytest.raises(ValueError, match="'nothing'; expected one of .*task_diversity"):
        recorded.table("nothing")


def test_models_err_at_least_as_much_as_the_best_estimator_of_their_prompts():
    found = recorded.table("task_diversity")
    best = found["loss_tasks"].where(found["prompts"] == "training", found["loss_ridge"])
    # means over 2,000 prompts of one draw: what is best in the mean may lose a little on it
    assert (found["loss_model"] > best - 0.01).all()
    assert (found["tasks_to_ridge"] > 0).all()
