"""Names of classes, labels and numbers in firmware projects: as they are spelled in Markdown, and told apart in C."""

import re
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import WARNINGS, dense_behind

from micro.detection.estimator import Estimator, Estimators
from micro.detection.labeler import Labeler
from micro.detection.recognizer import Recognizer
from micro.emission.c_text import code_cell, code_span, comment_text
from micro.firmware.channels import Channel
from micro.firmware.project import project_files
from micro.runs.firmware import Firmware
from micro.runs.publish import write_folder
from micro.signal import FrontEnd, fit_scaling

# Names that were the same word once "?" stood for each letter that is not ASCII, and signs that C and Markdown take otherwise.
NAMES = (
    "Lüfter",
    "Löfter",
    "L?fter",
    "вал",
    "軸受",
    "a */ b",
    "a * / b",
    "c\\d",
    "c/d",
    "e`f|g",
    "trailing \\",
    "h  i",
    "h i",
)
COMMENTS = (
    "L<U+00FC>fter", "L<U+00F6>fter", "L?fter", "<U+0432><U+0430><U+043B>", "<U+8EF8><U+53D7>", "a *<U+002F> b", "a * / b",
    "c<U+005C>d", "c/d", "e`f|g", "trailing <U+005C>", "h <U+0020>i", "h i",
)  # fmt: skip
IN_README = ("`Lüfter`", "`Löfter`", "`L?fter`", "`вал`", "`軸受`", "`a */ b`", "`c\\d`", "``e`f|g``")


def estimators(names):
    return Estimators(tuple(Estimator(name, 0.1, 0, 0.0, 1.0) for name in names))


# By the last stage, how it is made of names.
DECIDERS = {
    "recognizer": lambda names: Recognizer(0.1, names, (1,) * len(names)),
    "labeler": lambda names: Labeler(0.1, 0, names, (1,) * len(names)),
    "estimator": estimators,
}


@pytest.fixture(scope="module")
def model():
    front_end = FrontEnd(("moments",), 64, 32, channels=1)
    scaling = fit_scaling(front_end(np.random.default_rng(0).normal(size=(50, 64, 1)).astype("float32")))
    return front_end, scaling, dense_behind(front_end, len(NAMES)).content


@pytest.mark.parametrize("stage", DECIDERS)
@pytest.mark.parametrize("runtime", ["static", "tflm"])
def test_projects_spell_names_as_they_are_and_tell_them_apart_in_c(model, tmp_path, stage, runtime):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    front_end, scaling, tflite = model
    firmware = Firmware(front_end, scaling, tflite, DECIDERS[stage](NAMES))
    frames = np.random.default_rng(1).normal(size=(2, 64, 1)).astype("float32")
    # Names and units of channels, of which there are as many as it takes to try all.
    channels = [[Channel(name, unit=name) for name in NAMES]]
    write_folder(tmp_path / "p", project_files(firmware, frames, "pump", "cmake", runtime, NAMES, channels=channels))
    readme = (tmp_path / "p" / "README.md").read_text(encoding="utf-8")
    assert all(name in readme for name in IN_README)
    emitted = {path.name: path.read_bytes() for path in (tmp_path / "p" / "src").iterdir()}
    assert all(content.isascii() for content in emitted.values())
    header = emitted[f"pump_{stage}.h"].decode()
    assert all(comment in header for comment in COMMENTS)
    assert all(f" is {comment}, in {comment}\n" in emitted["sensor.h"].decode() for comment in COMMENTS)
    for path in sorted((tmp_path / "p" / "src").glob("*.c")):
        command = ["gcc", *WARNINGS, "-Wcomment", "-Wtrigraphs", "-fsyntax-only", path.name]
        done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@given(st.text(), st.text())
def test_no_two_comments_look_alike_and_none_ends_early(one, other):
    first, second = comment_text(one), comment_text(other)
    assert (first == second) == (one == other)
    assert first.isascii()
    assert first.isprintable() or not first
    assert not re.search(r"\*/|/\*|\\|\?\?|^ | $|  ", first)


@given(st.text(min_size=1))
def test_code_in_markdown_is_one_line_that_ends_where_it_should(name):
    span = code_span(name)
    assert span.isprintable()
    fence = re.match("`+", span)[0]
    inner = span[len(fence) : -len(fence)]
    assert span.endswith(fence)
    assert fence not in re.findall("`+", inner)
    cell = code_cell(name)
    assert not re.search(r"(?<!\\)\|", cell)
    assert cell.replace("\\|", "|") == span.replace("\\|", "|")
