"""What forwards, of every last stage and front end: lines that `record` reads, and what Python computes of the same samples."""

import csv
import shutil
import subprocess
from contextlib import nullcontext
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from avr import run_on_avr
from emitted_c import PICTURE, firmwares, frames_of, written
from support import WARNINGS, read_samples_from_stdin

from micro.detection.estimator import Estimators
from micro.detection.labeler import Labeler
from micro.detection.recognizer import Recognizer
from micro.emission.c_text import float_text
from micro.errors import DataError, RunError
from micro.firmware.boards import BOARDS
from micro.firmware.project import project_files
from micro.live.forwarded import COUNTS, about, check
from micro.live.record import Wanted, record
from micro.live.scoring import LiveScorer
from micro.live.source import parse_source
from micro.runs.device import judge
from micro.signal import JoinedFrontEnd
from micro.signal.joined_frames import arrivals_of


@cache
def made_of():
    """One firmware of each kind; a sensor that is described on the device forwards nothing, and is that of training here."""
    return {name: replace(firmware, sensor_channels=None) for name, firmware in firmwares().items()}


# With operating modes nothing is forwarded.
KINDS = [name for name, firmware in made_of().items() if getattr(firmware.decider, "modes", None) is None]
JOINED = [name for name in KINDS if isinstance(made_of()[name].front_end, JoinedFrontEnd)]
# Counts behind a filter to fewer samples with several labels; several numbers of several sources.
QUICK = ("filtered_frames", "several")


@cache
def forwarding(name, board, parts, runtime="static"):
    """A project's files."""
    firmware = made_of()[name]
    size = (4, 5) if firmware.front_end is PICTURE else None
    names = ("a", "b", "c") if isinstance(firmware.decider, Recognizer) else ()
    return project_files(
        firmware, frames_of(firmware.front_end), "pump", board, runtime, names, image_size=size, forward=parts
    )


def stream_of(firmware):
    """Samples of 12 windows, of a detector that learns more than it takes to learn; one is not finite."""
    front_end = firmware.front_end
    windows = 70 if firmware.commissioning is not None or isinstance(front_end, JoinedFrontEnd) else 12
    count = front_end.sensor_window + windows * front_end.sensor_hop
    samples = np.random.default_rng(1).normal(0, 1, (count, front_end.channels)).astype(np.float32)
    if getattr(front_end, "orders", None) == "channel":
        samples[:, -1] = np.linspace(1200, 3300, count)
    if front_end.arithmetic == "fixed":
        scale = np.full(front_end.channels, front_end.full_scale / 32768)
        return np.clip(np.round(samples / scale), -32768, 32767).astype(np.int16)
    samples[-40 if len(samples) > 200 else -12, 0] = np.nan
    return samples


def sources_of(firmware, count):
    """Of each further source its samples, and before which of `count` main samples each comes."""
    front_end, rng, streams = firmware.front_end, np.random.default_rng(2), []
    for source in front_end.sources if isinstance(front_end, JoinedFrontEnd) else ():
        own = source.front_end
        samples = rng.normal(0, 1, (int(count * own.sample_rate / front_end.sample_rate), own.channels))
        fixed = own.arithmetic == "fixed"
        samples = np.round(4096 * samples).astype(np.int16) if fixed else samples.astype(np.float32)
        streams.append((samples, arrivals_of(np.arange(len(samples)), own.sample_rate, front_end.sample_rate)))
    return streams


def run(folder, firmware, samples, streams):
    """What the program prints of samples, of which further sources give theirs in time."""
    read_samples_from_stdin(folder, "pump")
    sensor = (folder / "src" / "sensor.c").read_text().replace("{ return fread", "{ ++main_samples; return fread")
    text = [sensor.replace("int sensor_read(", "static int main_samples;\nint sensor_read(")]
    for source, (own, arrivals) in zip(getattr(firmware.front_end, "sources", ()), streams):
        prefix, kind = f"pump_{source.name}", "int16_t" if own.dtype == np.int16 else "float"
        values = ", ".join(float_text(each) if kind == "float" else str(each) for each in own.ravel().tolist())
        text.append(
            f"int sensor_read_{source.name}({prefix}_sample *sample) {{ static int at; int c;\n"
            f"  static const {kind} values[] = {{{values}}};\n"
            f"  static const int arrivals[] = {{{', '.join(map(str, arrivals))}}};\n"
            f"  if (at >= {len(own)} || arrivals[at] >= main_samples) {{ return -1; }}\n"
            f"  for (c = 0; c < {own.shape[1]}; ++c) {{ sample[c] = values[at * {own.shape[1]} + c]; }}\n  ++at; return 0; }}\n"
        )
    (folder / "src" / "sensor.c").write_text("".join(text))
    sources = sorted(str(path) for path in folder.glob("src/*.c"))
    flags = [*WARNINGS, "-fsanitize=undefined", "-fno-sanitize-recover=all", "-ffp-contract=off"]
    subprocess.run(["gcc", *flags, "-Isrc", "main.c", *sources, "-lm", "-o", "app"], cwd=folder, check=True)
    return subprocess.run([folder / "app"], input=samples.tobytes(), capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in KINDS]
)
def test_rows_are_read_and_are_what_python_computes(tmp_path, name):
    firmware = made_of()[name]
    parts = ("samples", "scores", "features")[name in JOINED :]
    samples = stream_of(firmware)
    streams = sources_of(firmware, len(samples))
    printed = run(written(forwarding(name, "cmake", parts), tmp_path / "app"), firmware, samples, streams)
    (tmp_path / "printed").write_bytes(printed.replace(b"\n", b"\r\n"))
    front_end = firmware.front_end
    wanted = Wanted(rate=None if front_end.sample_rate else 5.0)
    channels = () if name in JOINED else tuple(f"c{n}" for n in range(front_end.channels))
    scorer = LiveScorer(firmware, channels, front_end.sample_rate, "pump")
    # Of firmware that learns its machine, and of several sources, nothing is scored as it comes.
    scores = name not in JOINED and firmware.commissioning is None
    watch = (lambda rows, reader, rate: scorer.score(rows, reader, rate)) if scores else None
    recorded = record(parse_source(str(tmp_path / "printed")), tmp_path / "out", wanted, lambda said: None, watch)
    assert (recorded.counts.lost, recorded.counts.damaged) == (0, 0)
    judged = judge(firmware, samples, streams)
    good = judged.faulty == 0
    # One that learns refuses noise.
    assert good.any() or firmware.commissioning is not None
    assert not scores or (scorer.compared, scorer.differing) == (good.sum(), 0)
    rows = list(csv.reader(line for line in printed.decode().splitlines() if line[:1].isdigit()))
    if name not in JOINED:
        sent = np.array([[float(cell) for cell in row[1 : 1 + front_end.channels]] for row in rows], samples.dtype)
        np.testing.assert_array_equal(sent, samples)
        assert recorded.counts.samples == len(samples)
        with recorded.files[0].open(newline="") as file:
            assert next(csv.reader(file)) == ["time", *channels]
    windows = [row[1 + len(channels) : -1] for row in rows]
    windows = [row for row in windows if row[0]]
    assert len(windows) == len(judged.faulty)
    features = judged.features.reshape(len(windows), -1)
    several = isinstance(firmware.decider, Estimators | Labeler)
    for number, row in enumerate(windows):
        assert int(row[0]) == int(judged.statuses[number])
        values = [*(judged.scores[number] if several else [judged.scores[number]])]
        values += [judged.classes[number]] if isinstance(firmware.decider, Recognizer) else []
        values += [*features[number]]
        assert row[1:] == ([str(int(each)) for each in values] if good[number] else [""] * len(values))


@pytest.mark.parametrize("runtime", ["static", pytest.param("tflm", marks=pytest.mark.slow)])
def test_every_board_s_project_forwards_and_says_where_its_serial_port_is_made_faster(runtime):
    apps = set()
    for board, layout in BOARDS.items():
        files = forwarding("filtered_frames", board, ("samples", "scores"), runtime)
        apps.add(files[f"{layout.sources.format(name='pump')}/app.c"])
        readme = files["README.md"].decode()
        assert "keras-kd record serial:" in readme
        assert f"set the serial port faster {layout.faster}" in readme
        assert "pump_labeler_push" not in readme
    assert len(apps) == 1


@pytest.mark.parametrize(
    "compiler", ["avr-gcc -mmcu=atmega2560", "xtensa-lx106-elf-gcc", "arm-none-eabi-gcc -mcpu=cortex-m0"]
)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in KINDS]
)
def test_what_forwards_compiles_strictly_whatever_the_width_of_int(tmp_path, name, compiler):
    if shutil.which(compiler.split()[0]) is None:
        pytest.skip(f"no {compiler.split()[0]}")
    for part in ("samples", "scores", "features")[name in JOINED :]:
        folder = written(forwarding(name, "cmake", (part,)), tmp_path / part)
        for queue in ("0", "64"):
            command = [*compiler.split(), *WARNINGS, f"-DSENSOR_QUEUE={queue}", "-fsyntax-only", "app.c"]
            subprocess.run(command, cwd=folder / "src", check=True)


def test_an_atmega_prints_the_floats_that_went_in(tmp_path):
    sent = np.random.default_rng(3).normal(0, 1, (8, 2)).astype(np.float32)
    sent[1:4] *= np.float32(10.0) ** np.array([[-40, 30], [9, -9], [4, 8]], np.float32)
    sent[5, 0], sent[6, 1] = np.nan, -0.0
    folder = written(forwarding("residual_raw", "cmake", ("samples",)), tmp_path / "app") / "src"
    (folder / "main.c").write_text(
        '#include "app.h"\n#include "sensor.h"\n#include "serial.h"\n#include <string.h>\n'
        f"static const uint32_t bits[] = {{{', '.join(f'{each}u' for each in sent.ravel().view(np.uint32))}}};\n"
        "int sensor_read(pump_sample *sample) { static unsigned at = 0;\n"
        f"  if (at >= {sent.size}u) {{ return -1; }}\n"
        "  memcpy(sample, bits + at, 2 * sizeof *sample); at += 2; return 0; }\n"
        "void app_print(const char *text) { for (; *text != 0; ++text) { put_byte((uint8_t)*text); } }\n"
        "void app_wait(void) {}\n"
        "int main(void) { UCSR0B = 1 << TXEN0; while (app_step() == 0) {} stop(); return 0; }\n"
    )
    (tmp_path / "printed").write_bytes(run_on_avr(folder, ["main.c", "app.c"]))
    recorded = record(parse_source(str(tmp_path / "printed")), tmp_path / "out", Wanted(rate=5.0), lambda said: None)
    assert (recorded.counts.samples, recorded.counts.damaged) == (len(sent), 0)
    with recorded.files[0].open(newline="") as file:
        rows = [[float(cell or "nan") for cell in row[1:]] for row in csv.reader(file) if row[0] != "time"]
    np.testing.assert_array_equal(np.array(rows, np.float32), sent)


def test_operating_modes_are_refused_by_name():
    with pytest.raises(RunError, match="operating modes does not forward"):
        forwarding("modes", "cmake", ("scores",))


def test_counts_are_scored_as_counts_and_not_by_a_run_that_takes_values_in_a_unit(tmp_path):
    fixed, real = made_of()["number"], made_of()["reconstruction"]
    printed = tmp_path / "printed"
    header = "seq,c0,c1,check"
    rows = "".join(f"{n},{n},{-n}," for n in range(1))
    printed.write_text(f"{about(['samples', COUNTS], 1000.0, header)}\n{header}\n{rows}{check(rows.encode())}\n")
    for firmware, says in (
        (fixed, None),
        (real, "the board sends counts of its converter, and pump takes values in the unit"),
    ):
        scorer = LiveScorer(firmware, ("c0", "c1"), 1000.0, "pump")

        def watch(rows, reader, rate, scorer=scorer):
            scorer.score(rows, reader, rate)

        with nullcontext() if says is None else pytest.raises(DataError, match=says):
            record(parse_source(str(printed)), tmp_path / "out", Wanted(), lambda said: None, watch)
