"""What a config's errors say: the setting that was meant, the value that would be right."""

import re
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
from tables import config_of

from micro.config import TableData, parse_config
from micro.datasets import table


def sections():
    from micro.config import read as config

    named = {"features": config.FeaturesConfig, "teacher": config.TeacherConfig, "student": config.StudentConfig}
    named |= {"distill": config.DistillConfig, "budget": config.BudgetConfig, "convert": config.ConvertConfig}
    return {**named, "detect": config.DetectConfig, "firmware": config.FirmwareConfig, "data": config.TableData}


def complaint(section, key, value):
    raw = config_of(Path(), {"files": "a", "sample_rate": 1, "healthy_files": "a"}).model_dump(mode="json")
    raw[section] = {**raw[section], key: value}
    with pytest.raises(ValueError) as caught:
        parse_config(raw, Path(), "c.toml")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("section", sections())
def test_slips_in_settings_of_every_section_are_answered(section):
    for name in sections()[section].model_fields:
        if len(name) > 3:
            slip = name[:-1] if name[:-1] not in sections()[section].model_fields else name + "x"
            assert f"{section}.{slip}: no such setting; did you mean {name!r}?" in complaint(section, slip, 1)


@pytest.mark.parametrize("section", sections())
def test_slips_in_words_of_every_section_are_answered(section):
    for name, field in sections()[section].model_fields.items():
        options = [field.annotation, *get_args(field.annotation)]
        for option in next((get_args(one) for one in options if get_origin(one) is Literal), ()):
            if len(option) > 3:
                assert f"did you mean {option!r}?" in complaint(section, name, option[:-1] + "_"), (name, option)


def test_one_value_stands_for_a_list_of_one(tmp_path):
    lists = {
        "files": "a.csv",
        "columns": "x",
        "healthy_files": "a*",
        "faulty_files": "b*",
        "healthy_rows": [0, 9],
        "normal_labels": 1,
    }
    read = config_of(tmp_path, {**lists, "sample_rate": 1}).data
    assert (read.files, read.columns, read.healthy_files, read.faulty_files) == (("a.csv",), ("x",), ("a*",), ("b*",))
    assert (read.healthy_rows, read.normal_labels) == (((0, 9),), ("1",))


def test_labels_alone_are_told_what_else_is_needed(tmp_path):
    """And that is enough: rows are healthy and faulty as they are labeled."""
    labeled = {"folder": str(tmp_path), "files": "a.csv", "sample_rate": 1, "label_column": "state"}
    with pytest.raises(ValueError, match=r"name the healthy part: healthy_files or healthy_rows \[type"):
        TableData(**{**labeled, "label_column": None})
    with pytest.raises(ValueError, match=r'; where the labels alone tell, healthy_files = \["\*"\]'):
        TableData(**labeled)
    (tmp_path / "a.csv").write_text("x,state\n" + "1,normal\n2,normal\n" * 8 + "3,worn\n4,worn\n" * 4)
    (recording,) = table.load(TableData(**labeled, healthy_files="*"), 8).recordings
    assert recording.healthy.tolist() == [True] * 16 + [False] * 8 == (~recording.faulty).tolist()


def test_a_misspelled_section_is_named_before_the_one_that_is_then_missing(tmp_path):
    raw = {
        "data": {"files": ["a"], "healthy_files": ["a"], "sample_rate": 1.0},
        "student": {"family": "autoencoder", "sizes": [2]},
    }
    with pytest.raises(ValueError, match="techer: no such setting; did you mean 'teacher'"):
        parse_config({"job": "table", "techer": {}, **raw}, tmp_path)


@pytest.mark.parametrize(
    ("given", "written"),
    [("semicolon", '";"'), ("Tab", r'"\t"'), (r"\t", r'"\t"'), ("comma", '","'), ("pipe", '"|"'), ("space", '" "')],
)
def test_a_separator_in_words_is_answered_with_the_character(given, written):
    assert f"separator must be one ASCII character, got {given!r}; write separator = {written}" in complaint(
        "data", "separator", given
    )


@pytest.mark.parametrize("given", ["", ";;", "\x7f", "é"])
def test_a_separator_that_cannot_be_is_answered_with_examples(given):
    assert re.search(r'got .* such as ";" or "\\t"$', complaint("data", "separator", given))


def multilabel(**data):
    raw = {"job": "table", "task": "multilabel", "teacher": {"sizes": [8]}, "student": {"sizes": [4]}}
    given = {"files": "*.csv", "sample_rate": 1.0, "label_columns": ["wear", "leak"], **data}
    with pytest.raises(ValueError) as caught:
        parse_config({**raw, "data": given}, Path(), "c.toml")
    return str(caught.value)


# Settings of other tasks and jobs, misspelled ones and those of other sections under task 'multilabel', and what is said.
NOT_MULTILABEL = {
    "target_column": "it is of task 'regression', and task is 'multilabel': leave it out",
    "remaining_life": "it is of task 'regression', and task is 'multilabel'",
    "healthy_files": "it is of task 'anomaly', and task is 'multilabel'",
    "normal_labels": "it is of task 'anomaly', and task is 'multilabel'",
    "severities": "it is of job 'rig', and job is 'table'",
    "label_colums": "did you mean 'label_columns'?",
    "on_mising": "did you mean 'on_missing'?",
    "min_hits": "it belongs to [detect]",
}


@pytest.mark.parametrize("key", NOT_MULTILABEL)
def test_a_setting_of_another_task_says_whose_it_is(key):
    says = multilabel(**{key: "x"})
    assert f"data.{key}: no such setting; {NOT_MULTILABEL[key]}" in says
    if "did you mean" not in NOT_MULTILABEL[key]:
        assert "did you mean" not in says


def test_what_is_called_so_in_another_section_is_meant_there_and_not_what_is_a_little_like_it():
    assert "teacher.history: no such setting; it belongs to [detect]" in complaint("teacher", "history", 3)
    assert "student.bands: no such setting; it belongs to [features]" in complaint("student", "bands", 3)
    assert "features.hopp: no such setting; did you mean 'hop'?" in complaint("features", "hopp", 3)
