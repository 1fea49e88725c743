"""Files of estimators and models that somebody else may have made: damage is one ModelError, and takes no memory."""

import contextlib
import io
import json
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import micro
from micro.errors import ModelError
from micro.scikit_learn.saved import LARGEST, LARGEST_JSON, MODEL, REST, WINDOWS, read_saved, saved_bytes

KINDS = {"AnomalyDetector": micro.AnomalyDetector, "SensorClassifier": micro.SensorClassifier}
# What a damaged JSON holds in place of what was there.
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([0, -1, 10**9, 10**15, 10**300, 1e308, float("inf"), float("nan")]),
    st.text(max_size=3),
    st.lists(st.integers(-2, 2), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)


@pytest.fixture(scope="module")
def files():
    """A saved estimator of each kind, as bytes; with a front end, whose settings are many."""
    front_end = micro.FrontEnd("moments", 9, 9, channels=2)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 9, 2)), np.repeat(["a", "b"], 15)
    little = {"epochs": 0, "sizes": (2,), "random_state": 0}
    detector = micro.AnomalyDetector(front_end, false_alarm_rate=0.25, calibration_fraction=0.4, **little).fit(x)
    classifier = micro.SensorClassifier(front_end, **little).fit(x, y)
    return {each.kind: saved_bytes(each._saved()) for each in (detector, classifier)}


def entries_of(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(entries, **kwargs):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, **kwargs) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return out.getvalue()


def loads_or_refuses(kind, content, folder):
    """Whether it loads; whatever else than a ModelError comes is a failure."""
    path = folder / "damaged.zip"
    path.write_bytes(content)
    try:
        KINDS[kind].load(path)
    except ModelError as error:
        said = str(error)
    else:
        return True
    assert "\n" not in said
    assert str(path) in said
    return False


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("saved")


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_flipped_and_missing_bytes_are_refused_in_one_line_or_change_nothing_that_is_read(files, place, kind, data):
    content = bytearray(files[kind])
    for place_of_byte in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[place_of_byte] ^= data.draw(st.integers(1, 255))
    loads_or_refuses(kind, bytes(content[: data.draw(st.integers(0, len(content)))]), place)
    loads_or_refuses(kind, bytes(content), place)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_json_of_other_values_is_refused_in_one_line_or_makes_an_estimator_that_works(files, place, kind, data):
    entries = entries_of(files[kind])
    rest = json.loads(entries[REST[kind]])
    within, key = rest, data.draw(st.sampled_from(sorted(rest)))
    while isinstance(within[key], (dict, list)) and within[key] and data.draw(st.integers(0, 3)):
        within = within[key]
        key = data.draw(st.sampled_from(sorted(within) if isinstance(within, dict) else range(len(within))))
    if data.draw(st.booleans()) or isinstance(within, list):
        within[key] = data.draw(ODD)
    else:
        del within[key]
    entries[REST[kind]] = json.dumps(rest).encode()
    if loads_or_refuses(kind, packed(entries), place):
        KINDS[kind].load(place / "damaged.zip").predict(np.zeros((1, 18)))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_entries_of_other_bytes_are_refused_in_one_line(files, place, kind, data):
    entries = entries_of(files[kind])
    name = data.draw(st.sampled_from(sorted(entries)))
    content = bytearray(entries[name])
    for at in data.draw(st.lists(st.integers(0, min(len(content) - 1, 400)), min_size=1, max_size=3)):
        content[at] = data.draw(st.integers(0, 255))
    loads_or_refuses(kind, packed({**entries, name: bytes(content)}), place)
    assert not loads_or_refuses(kind, packed({**entries, name: data.draw(st.binary(max_size=40))}), place)
    del entries[name]
    assert not loads_or_refuses(kind, packed(entries), place)


def header(shape, descr="<f4"):
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text.encode() + b"\n"


def bombs(entries, kind):
    """Entries that say they are, or unpack to, far more than they hold."""
    yield "a long list", {**entries, REST[kind]: b"[" + b"{}," * (LARGEST_JSON // 3)}
    yield "deep lists", {**entries, REST[kind]: b"[" * 100_000}
    yield "many windows", {**entries, WINDOWS: header((10**9, 9, 2))}
    yield "wide windows", {**entries, WINDOWS: header((0, 10**9, 10**9))}
    yield "deep header", {**entries, WINDOWS: header("(" * 3000)}
    yield "objects", {**entries, WINDOWS: header((1, 9, 2), "|O")}
    yield "long text", {**entries, WINDOWS: header((1, 9, 2), "<U100000000")}
    rest = json.loads(entries[REST[kind]])
    for key, kinds in (("window", "moments"), ("channels", "moments"), ("frame", "moments"), ("bands", "spectrum")):
        wide = {**rest, "front_end": {**rest["front_end"], "kinds": [kinds], key: 10**12}}
        yield key, {**entries, REST[kind]: json.dumps(wide).encode()}
    yield "a zip bomb", {**entries, MODEL: bytes(LARGEST + 1)}


MEASURED = """
import resource, sys
import micro
from micro.errors import ModelError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
kind = getattr(micro, sys.argv[1])
for path in sys.argv[2:]:
    try:
        kind.load(path)
        raise SystemExit(f"{path} was taken")
    except ModelError as error:
        print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_what_says_that_it_is_huge_is_refused_without_the_memory_for_it(files, place, kind):
    entries, paths = entries_of(files[kind]), []
    for name, each in bombs(entries, kind):
        paths.append(place / f"{kind} {name}.zip")
        paths[-1].write_bytes(packed(each))
    # One whose directory says that the model is small.
    said = bytearray(packed({**entries, MODEL: bytes(LARGEST + 1)}))
    for at in range(len(said) - 4):
        if struct.unpack_from("<I", said, at)[0] == LARGEST + 1:
            struct.pack_into("<I", said, at, 1000)
    paths.append(place / f"{kind} hidden.zip")
    paths[-1].write_bytes(said)
    done = subprocess.run([sys.executable, "-c", MEASURED, kind, *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.splitlines()
    assert len(lines) == len(paths) + 1
    assert int(lines[-1]) < 700, lines[-1]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_damaged_tflite_is_a_model_error_or_a_model(files, place, data):
    content = bytearray(entries_of(files["AnomalyDetector"])[MODEL])
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[at] ^= data.draw(st.integers(1, 255))
    path = place / "damaged.tflite"
    path.write_bytes(content[: data.draw(st.sampled_from([len(content), len(content) // 2, 7]))])
    with contextlib.suppress(ModelError):
        micro.Converted.load(path)


def test_a_file_of_one_kind_is_not_loaded_as_the_other(files, tmp_path):
    for kind, other in (tuple(KINDS), tuple(KINDS)[::-1]):
        (tmp_path / "a.zip").write_bytes(files[kind])
        with pytest.raises(ModelError, match=f"a.zip is no {other} that was saved"):
            KINDS[other].load(tmp_path / "a.zip")
        assert read_saved(files[kind], kind).kind == kind
