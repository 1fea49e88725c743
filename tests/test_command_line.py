"""Every command and option as a person types it: on good, empty and wrong input, its exit code and all that it prints."""

import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
import pytest
from other_models import redrawn
from support import invoke

from micro.aot import WeightsRecord
from micro.cli.main import main
from micro.detection.record import FloatScaling, MadeFor, Parameters
from micro.detection.score import reconstruction_score
from micro.runs.firmware import load_firmware
from micro.runs.parameters_file import run_parameters
from micro.runs.run_report import RunReport

ROOT = Path(__file__).parents[1]
PROGRESS = re.compile(r"^ *\d+%  \S.*$")


@dataclass(frozen=True)
class Case:
    """What is typed after `keras-kd`, what kind of input that is, the exit code, and words that are printed."""

    typed: str
    kind: str
    code: int = 0
    says: str = ""
    needs: str = ""
    slow: bool = False


def good(typed, says="", code=0, **more):
    return Case(typed, "good", code, says, **more)


def wrong(typed, says, kind="wrong", **more):
    return Case(typed, kind, 2, says, **more)


def empty(typed, says):
    return wrong(typed, says, "empty")


CASES = (
    good("--version", "version "),
    good("--help", "new-firmware"),
    good("-h", "Exit codes"),
    good("--debug inspect {ae} --json"),
    wrong("inspekt {ae}", "Did you mean 'inspect'?"),
    wrong("inspect {ae} --jsn", "Did you mean '--json'?"),
    wrong("studio --folder {text}", "is a file"),
    wrong("studio --folder {folder} --port 70000", "is not in the range"),
    wrong("studio --folder {text} --no-browser --json --browser", "is a file"),
    empty("studio --folder {missing} --list", "is no folder of a studio"),
    good("studio --folder {studio} --list", "failed   keras-kd run gone.toml"),
    good("studio --folder {studio} --list --json"),
    good("record {csv} {tmp}/rec --label ok --duration 1 --rate 9 --channels a --reconnect 1", "Next: keras-kd look"),
    good("record {csv} {tmp}/rec --rate 9 --anywhere --json --unit g --user me"),
    wrong("record {csv} {tmp}/rec --rate 9 --unit ''", "unit must be 1 to 100 letters"),
    wrong("record mqtt://me:you@localhost/a {tmp}/rec --user me", "cannot stand in the source; give --user"),
    wrong("record {csv} {tmp}/rec --rate 0", "rate must be above 0"),
    wrong("record {csv} {tmp}/rec --label ../up --rate 9", "a label is the name of a folder"),
    wrong("record udp://0.0.0.0:5 {tmp}/rec", "may receive from other machines"),
    wrong("record {missing} {tmp}/rec", "cannot be opened"),
    wrong("record {csv} {tmp}/rec --rate 9 --run {folder} --scores {tmp}/s.csv", "is not a finished run"),
    wrong("record {csv} {tmp}/rec --rate 9 --scores {tmp}/s.csv", "--scores needs --run"),
    empty("record {empty} {tmp}/rec --rate 9", "no sample came"),
    good("look {csv} --sample-rate 100 --out {tmp}/look.toml", "wrote"),
    good("look {csv} --json"),
    good("look {csv} --sample-rate 100 --out {tmp}/look.toml --force", "wrote"),
    wrong("look {csv} --sample-rate 100 --force", "--force replaces the config of --out"),
    wrong("look {csv} --sample-rate 100 --out {csv} --force", "is no config of a run"),
    good("look {csv} --page {tmp}/look.html", "Page: "),
    good("look {csv} --task anomaly --sample-rate 9 --separator , --decimal . --encoding utf-8 --no-units-row", "Task"),
    good("look {csv} --healthy-files *.csv --columns * --skip-rows 0 --header --label-column none", "--healthy-files"),
    wrong("look {csv} --task multilabel --sample-rate 9", "needs 2 to 32 columns that say yes and no"),
    wrong("look {csv} --label-columns a --label-columns no-such", "has no column 'no-such' for --label-columns"),
    wrong("look {csv} --target-column no-such --time-column none", "has no column 'no-such' for --target-column"),
    wrong("look {csv} --remaining-life h --run-column no-such --group {{group}}_*", "for --run-column"),
    wrong("look {csv} --no-header --units-row", "units_row is the row below a header"),
    wrong("look {csv} --time-unit ms --comment !", "that could be found out for --time-unit ms"),
    wrong("look {csv} --time-format %Y --normal-labels ok", "that could be found out for --time-format '%Y'"),
    empty("look {empty}", "is empty"),
    wrong("look {missing}", "no such file"),
    wrong("look {csv} --sample-rate 0", "not in the range"),
    wrong("look {csv} --out {text}", "exists already"),
    good("diagnose {csv} --bearing 3,18,39 --rpm 2500 --sample-rate 1000 --channel a", "no bearing frequency stands out"),
    good("diagnose {csv} --bearing 3,18,39,5 --rpm 2500 --sample-rate 1000 --baseline {csv} --json"),
    wrong("diagnose {csv} --bearing 6205 --rpm 290-310 --sample-rate 400", "the speed cannot be determined from a"),
    wrong("diagnose {csv} --bearing 6205 --rpm fast --sample-rate 400", "must be a speed such as 1797 or a range"),
    wrong("diagnose {csv} --bearing 999 --rpm 300 --sample-rate 400", "the geometry of bearing '999' is not known"),
    wrong("diagnose {csv} --bearing 9,40,39 --rpm 300 --sample-rate 400", "below pitch_diameter"),
    wrong("diagnose {csv} --bearing 6205 --rpm 300", "does not say its sample rate"),
    wrong("diagnose {csv} --bearing 6205 --rpm 300 --sample-rate 1000", "are too short: they hold 8 turns of the shaft"),
    wrong("diagnose {csv} --bearing 6205 --rpm 3000 --sample-rate 400", "a sample rate of 400 Hz is too low"),
    wrong("diagnose {csv} --bearing 6205 --rpm 300 --sample-rate 400 --channel b", "has no column 'b'"),
    wrong("diagnose {missing} --bearing 6205 --rpm 300", "no such file"),
    empty("diagnose {empty} --bearing 6205 --rpm 300", "is empty"),
    good("doctor", "All that runs need is here"),
    good("doctor --json"),
    good("doctor --deep", "ai_edge_litert.interpreter: can be imported", slow=True),
    empty("doctor ''", "unexpected extra argument"),
    wrong("doctor --depth", "No such option"),
    good("init rig --out {tmp}/rig.toml", "run it with: keras-kd run"),
    good("init table --out {tmp}/table.toml --json"),
    empty("init", "Missing argument"),
    good("init table --task classification --out {tmp}/classes.toml", "run it with: keras-kd run"),
    wrong("init rig --task classification", "job 'rig' has task anomaly, not 'classification'"),
    wrong("init plane", "'plane' is not one of 'rig', 'cwru', 'table'"),
    wrong("init rig --out {folder}", "is a directory"),
    wrong("init rig --out {text}/rig.toml", "Not a directory"),
    wrong("init rig --out {text}", "exists already"),
    good("run {noise} --out {tmp}/a --set firmware.name=hum --strict --json", '"firmware.name=hum"', code=3, slow=True),
    good("run {noise} --out {run} --force --dry-run", "holds a run, which would be replaced"),
    good("run {noise} --out {tmp}/d --dry-run --json", '"parameters"'),
    wrong("run {noise} --out {run} --dry-run", "holds a run already"),
    good("search {rig} --out {tmp}/d --ram 4KiB --set data.train_recordings=9 --dry-run", "search: 40 candidates within ram"),
    good("search {rig} --out {tmp}/d --ram 4KiB --dry-run --watch", "search: 40 candidates within ram"),
    wrong("search {rig} --out {tmp}/d --dry-run", "give a budget"),
    good("fleet {fleet} --out {tmp}/d --dry-run --watch", "machine one: windows "),
    good("fleet {fleet} --out {tmp}/d --dry-run --json", '"taught_by"'),
    wrong("run {noise} --out {tmp}/d --set student.epoch=2", "--set student.epoch=2: student.epoch: no such setting; did you"),
    wrong("search {rig} --out {tmp}/d --ram 4KiB --set student=2", "--set student=2: student: must be a section of settings"),
    wrong("fleet {fleet} --out {tmp}/d --set epochs", "--set 'epochs': must be KEY=VALUE"),
    empty("run {empty} --out {tmp}/b --watch", "is empty: it holds no settings"),
    wrong("run {text} --out {tmp}/c", "is not TOML"),
    wrong("run {missing} --out {tmp}/d", "missing"),
    wrong("run {noise} --out {text}", "is a file"),
    wrong("run {noise} --out {run}", "holds a run already"),
    wrong("run {noise} --out {tmp}/e --resume", "nothing to resume"),
    wrong("run {noise} --out {folder} --force", "is not a run folder"),
    good("score {run} {csv}", "above_threshold,alarm,result"),
    good("score {run} {csv} --out {tmp}/scores.csv", "above the threshold"),
    good("score {run} {csv} --json"),
    good("score {run} {csv} --channel a --json"),
    good("score {run} {csv} --page {tmp}/scores.html", "above_threshold,alarm,result"),
    empty("score {run} {empty}", "empty"),
    empty("score {folder} {csv}", "is not a finished run"),
    wrong("score {run} {text}", "text.txt"),
    wrong("score {run} {missing}", "missing"),
    wrong("score {run} {folder}", "folder"),
    wrong("score {run}", "Missing argument 'FILES...'"),
    good("test {run} {csv} --healthy * --page {tmp}/test.html", "of healthy time"),
    good("test {run} {csv} --faulty *.csv --normal-label ok --channel a --json"),
    empty("test {run} {empty} --healthy *", "empty"),
    empty("test {folder} {csv} --healthy *", "is not a finished run"),
    wrong("test {run} {csv} --healthy * --new-only", "is to be tested on new files only, and the run has"),
    wrong("test {run} {csv} --healthy *1.csv --faulty *.csv", "of faulty and of normal"),
    wrong("test {run} {csv} --label-column b", "has no column 'b'"),
    wrong("test {run} {csv} --events {text}", "has no column 'file'"),
    good("explain {run} {csv} --page {tmp}/why.html --top 3", "% from a "),
    good("explain {run} {csv} --channel a --json"),
    wrong("explain {run} {csv} --at 1e9", "nothing is reported at 1e+09 s"),
    wrong("explain {run} {csv} --at soon", "not a valid float"),
    empty("explain {run} {empty}", "empty"),
    wrong("explain {run} {csv} --top 0", "not in the range"),
    wrong("explain {folder} {csv}", "is not a finished run"),
    good("compare {run} {again}", "The settings are the same."),
    good("compare {run} {again} --json"),
    good("compare {run} {again} --page {tmp}/compared.html", "Page: "),
    wrong("compare {run} {again} --page {folder}", "is a directory"),
    empty("compare {run} {folder}", "is not a finished run"),
    wrong("compare {run} {run}", "is named twice"),
    wrong("compare {run}", "needs two runs or more"),
    good("sensitivity {run} --out {tmp}/s.html", "changes to"),
    empty("sensitivity {folder} --out {tmp}/t.html --json", "is not a finished run"),
    wrong("sensitivity {run} --out {folder}", "is a directory"),
    good("new-firmware {run} --board cmake --forward samples --forward scores --out {tmp}/p", "go on with"),
    wrong("new-firmware {run} --board cmake --forward all --out {tmp}/p", "is not one of 'samples'"),
    good("new-firmware {run} --board bare-cortex-m --out {tmp}/fw", "go on with"),
    good("new-firmware {run} --board files --weights exchangeable --out {tmp}/fe --json", "_weights.c"),
    wrong("new-firmware {run} --board cmake --runtime tflm --weights exchangeable --out {tmp}/f1", "and runtime is 'tflm'"),
    wrong("new-firmware {run} --board cmake --weights mine --out {tmp}/f1", "'mine' is not one of"),
    empty("new-firmware {folder} --board cmake --weights exchangeable --out {tmp}/f1", "is not a finished run"),
    good("new-firmware {run} --board cmake --runtime static --windows 2 --out {tmp}/fx --json"),
    empty("new-firmware {folder} --board cmake --out {tmp}/fy", "is not a finished run"),
    wrong("new-firmware {run} --board cmake --windows 100000 --out {tmp}/fz", "the windows that the run has kept"),
    wrong("new-firmware {run} --board toaster --out {tmp}/fz", "'toaster' is not one of"),
    wrong("new-firmware {run} --board cmake --out {tmp}/fz --runtime fast", "'fast' is not one of"),
    wrong("new-firmware {run} --board cmake --out {text}", "is a file"),
    good("update {run} --from {run} --out {tmp}/parameters.bin", "as it was, scaling of 0 of"),
    good("update {run} --from {run} --out {tmp}/parameters.bin --counter 7 --json", '"counter": 7'),
    good("update {retrained} --from {run} --out {tmp}/model.bin --counter 2", "record 2: model "),
    good("update {retrained} --from {run} --out {tmp}/model.bin --json", '"windows": 8'),
    empty("update {folder} --from {run} --out {tmp}/none.bin", "is not a finished run"),
    wrong("update {run} --from {folder} --out {tmp}/none.bin", "is not a finished run"),
    wrong("update {run} --from {run} --out {tmp}/none.bin --counter -1", "is not in the range"),
    wrong("update {run} --from {run} --out {tmp}/none.bin --sensor {tmp}/s.toml", "takes no sensor from a record"),
    good("new-firmware {run} --board cmake --chip nrf52840 --clock 32MHz --out {tmp}/fc", "real time on nrf52840 at 32 MHz"),
    wrong("new-firmware {run} --board cmake --chip toaster --out {tmp}/fz", "there is no board 'toaster'"),
    wrong("new-firmware {run} --board cmake --chip nrf52840 --clock 1GHz --out {tmp}/fz", "runs at 64 MHz at most"),
    good("check {run} --board nrf52840", "real time on nrf52840"),
    good("check {run} --ram 100", "ram: the firmware takes", code=1),
    good("check {run} --board nrf52840 --json"),
    wrong("emulate {run} --board toaster", "there is no board 'toaster'"),
    wrong("emulate {run} --clock fast", "--clock must be a clock"),
    good("emulate {run} --core m4f --board nrf52840 --clock 32MHz", "real time on nrf52840 at 32 MHz: holds",
         needs="qemu-system-arm arm-none-eabi-gcc", slow=True),
    good("emulate {run} --core m4f", "m4f: ", needs="qemu-system-arm arm-none-eabi-gcc", slow=True),
    good("emulate {run} --core m0 --json", needs="qemu-system-arm arm-none-eabi-gcc", slow=True),
    empty("emulate {folder}", "is not a finished run"),
    wrong("emulate {ae}", "is a file, where the folder of a finished run is needed; keras-kd inspect"),
    wrong("emulate {run} --core m99", "'m99' is not one of"),
    good("new-benchmark {ae} --task ad01 --out {tmp}/nb --vendor Bench", "go on with"),
    good("new-benchmark {ae} --runtime tflm --out {tmp}/nc --json"),
    good("new-benchmark {run} --task kws01 --out {tmp}/nd", "go on with"),
    empty("new-benchmark {empty} --out {tmp}/ne", "empty"),
    wrong("new-benchmark {int8} --out {tmp}/ne", "say which task it is for: ad01, ic01"),
    wrong("new-benchmark {int8} --task ad01 --out {tmp}/ne", "ad01 compares output with input"),
    wrong("new-benchmark {ae} --task sww01 --out {tmp}/ne", "'sww01' is not one of 'ad01'"),
    wrong("new-benchmark {ae} --vendor % --out {tmp}/ne", "vendor must be at most 40 printable ASCII"),
    wrong("new-benchmark {text} --out {tmp}/ne", "is not a .tflite"),
    good("monitor {run} {log} --every 2 --recent 2 --false-alarm-rate 0.05", "sessions", code=1),
    good("monitor {run} {log} --every 2 --recent 2 --json", code=1),
    good("monitor {run} {log} --every 2 --recent 2 --page {tmp}/monitor.html", "Page: ", code=1),
    wrong("monitor {run} {log} --every 2 --recent 2 --page {folder}", "is a directory"),
    wrong("monitor {run} {log} --every 2 --recent 2 --device pump", "has no row of device"),
    wrong("monitor {run} {log} --parameters {text}", "has no [commissioning]"),
    empty("monitor {run} {empty}", "empty"),
    empty("monitor {folder} {log}", "is not a finished run"),
    wrong("monitor {run} {text}", "text.txt"),
    wrong("monitor {run} {log} --every 2 --recent 2 --recalibrate {tmp}/re", "nothing to recalibrate"),
    wrong("monitor {run} {log} --every 2 --recent 2 --recalibrate {tmp}/re.bin", "it is the folder of a new run"),
    wrong("monitor {run} {log} --every 0", "0 is not in the range"),
    good("convert {keras} --calibration {npy} --out {tmp}/v --weights per_tensor", "arena_bytes"),
    good("convert {keras} --calibration {npy} --out {tmp}/w --ranges mse --activations int16 --json"),
    good("convert {keras} --calibration {npy} --out {tmp}/x --bits 4 --ram 8KiB --json"),
    empty("convert {empty} --calibration {npy} --out {tmp}/y", "is empty"),
    empty("convert {keras} --calibration {empty} --out {tmp}/y", "is empty"),
    wrong("convert {folder} --calibration {npy} --out {tmp}/y", "is a folder, not a .keras file"),
    wrong("convert {text} --calibration {npy} --out {tmp}/y", "is not a .keras file"),
    wrong("convert {keras} --calibration {npy} --out {text}", "is a file"),
    wrong("convert {keras} --calibration {npy} --out {tmp}/y --bits 9", "9 is not in the range"),
    wrong("convert {keras} --calibration {npy} --out {tmp}/y --ram 4KiB --weights per_tensor", "leave --weights out"),
    good("inspect {ae}", "runtime: static C"),
    good("inspect {ae} --json"),
    good("inspect {ae} --core m33 --clock 128MHz --runtime tflm", "arena_bytes_cmsis_nn"),
    wrong("inspect {ae} --core m99", "there is no core 'm99'"),
    wrong("inspect {ae} --clock 64", "its unit is missing, one of kHz, MHz, GHz"),
    empty("inspect {empty}", "empty"),
    wrong("inspect {text}", "is not a .tflite"),
    wrong("inspect {missing}", "No such file"),
    wrong("inspect {folder}", "is a directory"),
    good("check {ae} --flash 1MiB --ram 64KiB --runtime tflm --kernels cmsis-nn", "with CMSIS-NN's kernels"),
    good("check {ae} --board esp32 --runtime tflm", "with ESP-NN's kernels, whose sizes are unknown and counted as"),
    wrong("check {ae} --flash 1MiB --kernels cmsis-nn", "are TFLite Micro's, and the runtime is static C"),
    good("check {ae} --flash 1KiB --json", code=1),
    good("check {ae} --ram 100", "ram: static C takes", code=1),
    good("check {ae} --ram 100 --runtime tflm", "ram: the arena takes", code=1),
    good("check {ae} --runtime static --latency 50ms@64MHz --core m33", "estimate, not checked on a real board"),
    good("check {ae} --board nrf52840 --energy 1uJ", "energy: an inference takes about", code=1),
    wrong("check {ae} --latency 20ms", "latency needs a clock, such as 20ms@64MHz"),
    wrong("check {ae} --latency 20@64MHz", "its unit is missing"),
    wrong("check {ae} --energy 50uJ", "energy needs a board"),
    wrong("check {ae} --board toaster", "there is no board 'toaster'"),
    wrong("check {ae} --latency 1ms@1MHz --core m99", "there is no core 'm99'"),
    empty("check {empty} --flash 1KiB", "empty"),
    wrong("check {ae}", "give a budget"),
    wrong("check {ae} --flash much", "flash must be a size"),
    good("boards {ae}", "boards fit, with static C"),
    good("boards {run} --every 1s --battery 220mAh --json"),
    good("boards {ae} --runtime tflm --board uno --board NRF52840", "TFLite Micro does not run on AVR"),
    good("boards {int8} --board pico --every 50ms", "estimate, not checked on a real board"),
    empty("boards {empty}", "empty"),
    wrong("boards {text}", "is not a .tflite"),
    wrong("boards {missing}", "No such file"),
    wrong("boards {folder}", "is not a finished run"),
    wrong("boards {ae} --board nrf5284", "did you mean nrf52840"),
    wrong("boards {ae} --every 1s --battery 0", "its unit is missing"),
    wrong("boards {ae} --every 1s --battery 0mAh", "--battery must be a charge such as 220mAh"),
    wrong("boards {ae} --every -1s", "--every must be a duration such as"),
    wrong("boards {ae} --every 20", "its unit is missing, one of us, ms, s"),
    wrong("boards {ae} --every 1e999s", "--every must be a duration"),
    wrong("boards {ae} --battery 220mAh", "--battery needs --every"),
    wrong("boards {ae} --runtime fast", "'fast' is not one of"),
    good("verify {ae}", "no operator by more than 1 on equal inputs, which is rounding"),
    good("verify {ae} --json"),
    good("verify {int8} --samples {npy} --json"),
    empty("verify {empty}", "empty"),
    wrong("verify {ae} --samples {npy}", "samples must have shape"),
    wrong("verify {text}", "is not a .tflite"),
    good("emit {int8} --out {tmp}/m --name net --class-name a --class-name b --class-name c --class-name d", "net.h"),
    good("emit {ae} --out {tmp}/m --name net --json"),
    empty("emit {empty} --out {tmp}/n --name net", "empty"),
    wrong("emit {ae} --out {tmp}/n --name 'my net'", "is not an identifier"),
    wrong("emit {ae} --out {text} --name net", "is a file"),
    good("aot {ae} --out {tmp}/o --name net --storage small", "net"),
    good("aot {ae} --out {tmp}/o --name net --json"),
    good("aot {ae} --out {tmp}/o --name net --weights exchangeable", "net_weights.h"),
    wrong("aot {ae} --out {tmp}/o --name net --storage small --weights exchangeable", "are stored 'dense'"),
    good("weights {int8} --from {int8} --windows {npy} --out {tmp}/w.bin --counter 2", "self_test_windows"),
    good("weights {int8} --from {int8} --windows {npy} --attach {csv} --out {tmp}/w.bin --json", "attached_bytes"),
    empty("weights {empty} --from {int8} --windows {npy} --out {tmp}/w.bin", "empty"),
    wrong("weights {int8} --from {ae} --windows {npy} --out {tmp}/w.bin", "has other layers than the firmware's"),
    wrong("weights {int8} --from {int8} --windows {npz} --out {tmp}/w.bin", "holds the arrays a, b; name the inputs x"),
    wrong("weights {int8} --from {int8} --windows {npy} --attach {missing} --out {tmp}/w.bin", "no such file"),
    wrong("weights {int8} --from {int8} --windows {npy} --out {tmp}/w.bin --counter -1", "not in the range"),
    good("show-record {record}", "threshold"),
    good("show-record {record} --json", "counter"),
    good("show-record {own} --run {run}", "threshold_as_score"),
    wrong("show-record {record} --run {run}", "is for another model, front end or score than those of"),
    wrong("show-record {record} --run {folder}", "is not a finished run"),
    empty("show-record {empty}", "0 bytes are too few for a record"),
    good("show-record {held}", "self_test_windows"),
    wrong("show-record {csv}", "is no record of weights or parameters: these begin with b'KKDW'"),
    wrong("show-record {missing}", "no such file"),
    empty("aot {empty} --out {tmp}/p --name net", "empty"),
    wrong("aot {text} --out {tmp}/p --name net", "is not a .tflite"),
    good("stream {over_time} --hop 2 --out {tmp}/step.tflite", "whole_macs"),
    good("stream {over_time} --hop 2 --out {tmp}/step.tflite --json"),
    empty("stream {empty} --hop 2 --out {tmp}/q.tflite", "empty"),
    wrong("stream {over_time} --hop 999 --out {tmp}/q.tflite", "hop must be an integer from 1 to the window"),
    wrong("stream {ae} --hop 0 --out {tmp}/q.tflite", "Invalid value for '--hop'"),
    wrong("stream {ae} --hop 2 --out {tmp}/q.tflite", "a window of samples is (1, time, channels)"),
    wrong("stream {text} --hop 2 --out {tmp}/q.tflite", "is not a .tflite"),
    wrong("aot {ae} --out {tmp}/p", "Missing option '--name'"),
    good(
        "search {rig} --out {tmp}/q --flash 16KiB --ram 16KiB --macs 1M --trials 1 --workers 1 --runtime static --json",
        slow=True,
    ),
    empty("search {empty} --out {tmp}/r --flash 8KiB", "empty"),
    wrong("search {text} --out {tmp}/r --flash 8KiB", "is not TOML"),
    wrong("search {rig} --out {tmp}/r --flash 8KiB --address 127.0.0.1:1", "no Ray cluster at", slow=True),
    wrong("search {rig} --out {tmp}/r --flash 8KiB --resume --watch", "resume"),
    good("fleet {fleet} --out {tmp}/t --workers 1 --strict --json", code=3, slow=True),
    empty("fleet {empty} --out {tmp}/u", "empty"),
    wrong("fleet {text} --out {tmp}/u", "is not TOML"),
    wrong("fleet {fleet} --out {tmp}/u --resume --watch", "resume"),
    wrong("fleet {fleet} --out {tmp}/u --address 127.0.0.1:1", "no Ray cluster at", slow=True),
)  # fmt: skip

NOISE = """
job = "table"
seeds = 1
[data]
files = ["healthy*.csv", "faulty.csv"]
sample_rate = 100
healthy_files = ["healthy*.csv"]
faulty_files = ["faulty.csv"]
[features]
kind = "statistics"
window = 16
hop = 8
[teacher]
sizes = [4]
epochs = 1
[student]
sizes = [3]
epochs = 1
[distill]
compare = false
[detect]
false_alarm_rate = 0.05
"""
FLEET = """
config = "noise.toml"
[[asset]]
name = "one"
data = { files = ["healthy*.csv", "faulty.csv"] }
"""


def retrained_run(run, folder):
    """A copy of a run with a student of other weights and scales, and their score."""
    shutil.copytree(run, folder)
    tflite, report = redrawn((run / "student_int8.tflite").read_bytes(), 1), RunReport.read(run)
    (folder / "student_int8.tflite").write_bytes(tflite)
    detector = replace(report.detector, score=reconstruction_score(tflite))
    (folder / "report.json").write_bytes(report.model_copy(update={"detector": detector}).to_bytes())


@pytest.fixture(scope="module")
def things(tmp_path_factory, peer_models, conv_model, conv_samples, converted):
    """What commands are given: a config whose faults are mere noise, its run, models, samples, logs; empty and wrong ones."""
    place = tmp_path_factory.mktemp("things")
    rng = np.random.default_rng(0)
    for name in ("healthy1", "healthy2", "healthy3", "healthy4", "faulty"):
        np.savetxt(place / f"{name}.csv", rng.normal(size=1600), header="a", comments="", fmt="%.5f")
    (place / "noise.toml").write_text(NOISE)
    (place / "fleet.toml").write_text(FLEET)
    conv_model.save(place / "tiny.keras")
    np.save(place / "x.npy", conv_samples)
    (place / "int8.tflite").write_bytes(converted.content)
    (place / "empty").write_bytes(b"")
    (place / "text.txt").write_text("dear sir or madam,\nI write to you\n")
    (place / "folder").mkdir()
    (place / "folder" / "mine.txt").write_text("years of work")
    (place / "rig.toml").write_text((ROOT / "micro/config/jobs/rig.toml").read_text())
    typed = [sys.executable, "-m", "micro.cli", "run", place / "noise.toml", "--out", "run", "--strict"]
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(typed, capture_output=True, text=True, cwd=place, env={**os.environ, "PYTHONPATH": paths})
    # A log of the very scores that the threshold was calibrated on.
    shutil.copy(place / "run" / "calibration.csv", place / "log.csv")
    shutil.copytree(place / "run", place / "again")
    retrained_run(place / "run", place / "retrained")
    jobs = place / "studio" / "jobs"
    jobs.mkdir(parents=True)
    (jobs / "0001.json").write_text('{"kind": "run", "about": "x", "words": ["run", "gone.toml"], "created": 1}')
    (jobs / "0001.end").write_text('{"code": 2, "ended": 2}')
    made_for = MadeFor(b"a model.", b"features", b"a score.")
    record = Parameters(90, 80, (FloatScaling((0.5,), (2.0,)),), made_for)
    (place / "record").write_bytes(record.to_bytes())
    (place / "own").write_bytes(run_parameters(load_firmware(place / "run")).to_bytes())
    (place / "held").write_bytes(WeightsRecord(bytes(20), (b"in and out",)).to_bytes())
    np.savez(place / "x.npz", a=conv_samples[:1], b=conv_samples[:1])
    words = {
        "ae": peer_models / "ae.tflite", "over_time": peer_models / "conv1d.tflite",
        "keras": place / "tiny.keras", "npy": place / "x.npy", "npz": place / "x.npz", "csv": place / "healthy1.csv",
        "text": place / "text.txt", "noise": place / "noise.toml", "rig": place / "rig.toml", "log": place / "log.csv",
        "fleet": place / "fleet.toml", "int8": place / "int8.tflite",
        **{name: place / name for name in ("run", "again", "empty", "folder", "missing", "studio", "record", "held", "own")},
        "retrained": place / "retrained",
    }  # fmt: skip
    return words, done


def test_a_run_that_is_useless_says_so_first_and_strict_makes_it_an_exit_code(things):
    words, done = things
    assert done.returncode == 3, done.stderr
    assert done.stdout.startswith("Verdict: unusable: AUC near chance (0."), done.stdout[:300]
    assert "  To do: " in done.stdout
    assert done.stdout.rstrip().splitlines()[-1].lstrip().startswith("keras-kd monitor run LOG")
    # Nothing of TensorFlow, absl, LiteRT or Python's warnings: progress alone, a line a stage.
    assert [line for line in done.stderr.splitlines() if not PROGRESS.match(line)] == []
    assert json.loads((words["run"] / "report.json").read_text())["verdict"]["grade"] == "unusable"


@pytest.mark.parametrize(
    "case", [pytest.param(c, id=c.typed, marks=[pytest.mark.slow] if c.slow else []) for c in CASES]
)
def test_what_is_typed_ends_as_it_should(case, things, tmp_path, capfd):
    if not all(map(shutil.which, case.needs.split())):
        pytest.skip(f"needs {case.needs}")
    typed = shlex.split(case.typed.format(tmp=tmp_path, **things[0]))
    capfd.readouterr()
    result = invoke(*typed)
    assert result.exit_code == case.code, result.output
    assert capfd.readouterr() == ("", "")  # what C++ writes past Python
    assert "Traceback" not in result.output
    lines = result.stderr.splitlines()
    if case.code == 2:
        assert result.stdout == ""
        errors = [line for line in lines if not PROGRESS.match(line)]
        assert len(errors) == 1, lines
        assert errors[0].startswith("Error: ")
        assert case.says in errors[0]
        return
    assert [line for line in lines if not PROGRESS.match(line)] == []
    assert case.says in result.stdout
    if "--json" in typed:
        json.loads(result.stdout, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
        assert lines == []


def test_folders_that_are_in_the_way_are_left_as_they_are(things):
    assert (things[0]["folder"] / "mine.txt").read_text() == "years of work"
    assert [path.name for path in things[0]["folder"].iterdir()] == ["mine.txt"]


def typed_words(case):
    """The command of a case, None for the group's own, and its options."""
    words = shlex.split(case.typed)
    name = next((word for word in words if word in main.commands), None)
    return name, {word for word in words if word.startswith("-")}


def test_every_command_and_option_has_its_cases():
    """A new command or option fails here until it has a line in CASES."""
    for name, command in main.commands.items():
        kinds = {case.kind for case in CASES if typed_words(case)[0] == name}
        assert kinds == {"good", "empty", "wrong"} or (name in ("sensitivity", "emulate") and "good" in kinds), name
        typed = set().union(*(typed_words(case)[1] for case in CASES if typed_words(case)[0] == name))
        options = {word for option in command.params if isinstance(option, click.Option) for word in option.opts}
        assert options <= typed, f"{name}: {sorted(options - typed)} in no case"
    group = set().union(*(typed_words(case)[1] for case in CASES))
    assert {word for option in main.params for word in option.opts} <= group


def test_every_command_has_its_whole_summary_and_json():
    help_text = invoke("--help").stdout
    for name, command in main.commands.items():
        assert re.search(rf"^  {name} +\S", help_text, re.MULTILINE)
        assert len(command.short_help) <= 45, name
        assert f"keras-kd {name}" in command.help.split("Example:")[1], name
        assert "--json" in {word for option in command.params for word in option.opts}, name
        assert all(each.help for each in command.params if isinstance(each, click.Option)), name
    assert "..." not in help_text.split("Options:")[1]


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))])
def test_what_the_documents_type_exists(page):
    for typed in re.findall(r"keras-kd ((?:[a-z-]+) [^`\n]*)", (ROOT / page).read_text()):
        name, *words = typed.split("  ")[0].split("#")[0].split()
        if name not in main.commands:
            continue  # 'keras-kd' within a sentence
        options = {option for each in main.commands[name].params for option in each.opts}
        in_page = {
            re.match(r"--[a-z-]+", word.strip("[]().,;:"))[0] for word in words if word.strip("[](").startswith("--")
        }
        assert in_page <= options, f"{page}: keras-kd {name} {sorted(in_page - options)}"


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is missing")
def test_tab_completes_commands_options_and_choices_in_bash(tmp_path):
    """By the line that `--help` and the README show."""
    line = 'eval "$(_KERAS_KD_COMPLETE=bash_source keras-kd)"'
    assert line in invoke("--help").stdout
    assert line in (ROOT / "README.md").read_text()
    entry = "from micro.cli.main import main; main(prog_name='keras-kd')"
    (tmp_path / "keras-kd").write_text(f'#!/bin/sh\nexec {sys.executable} -c "{entry}" "$@"\n')
    (tmp_path / "keras-kd").chmod(0o755)
    words = {"new-f": "new-firmware", "run --wa": "--watch", "new-firmware runs/pump --board esp": "esp-idf"}
    script = [line]
    for typed in words:
        script += [f"COMP_WORDS=(keras-kd {typed}); COMP_CWORD={len(typed.split())}", "_keras_kd_completion keras-kd"]
        script.append('echo "${COMPREPLY[@]}"; COMPREPLY=()')
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "--norc", "-c", "\n".join(script)], capture_output=True, text=True, env={**os.environ, **path}
    )
    assert done.stdout.split() == list(words.values()), done.stderr


def test_readme_names_every_command():
    named = set(re.findall(r"^keras-kd ([a-z-]+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert named == set(main.commands)


def test_a_fault_of_the_program_itself_is_one_line_and_another_exit_code(monkeypatch, peer_models):
    from micro.tflite import footprint

    def broken(*_):
        raise KeyError("x")

    monkeypatch.setattr(footprint, "measure", broken)
    result = invoke("inspect", peer_models / "ae.tflite", "--runtime", "tflm")
    assert result.exit_code == 70
    assert re.match(r"Error: internal error: KeyError: 'x'; .* report it\n$", result.stderr)
    debugged = invoke("--debug", "inspect", peer_models / "ae.tflite", "--runtime", "tflm")
    assert isinstance(debugged.exception, KeyError)


def test_warnings_of_this_package_are_a_line_and_others_nothing(monkeypatch, capsys):
    import warnings

    from micro.support.silence import only_our_warnings

    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    only_our_warnings()
    warnings.showwarning(UserWarning("too\n  narrow"), UserWarning, str(ROOT / "micro/conversion.py"), 1)
    warnings.showwarning(UserWarning("np.object"), UserWarning, "/elsewhere/keras/x.py", 1)
    warnings.showwarning(DeprecationWarning("old"), DeprecationWarning, str(ROOT / "micro/x.py"), 1)
    assert capsys.readouterr().err == "Warning: too narrow\n"


@pytest.mark.parametrize("command", ["inspect {ae}", "inspect {ae} --json", "--help", "score {run} {csv}"])
def test_a_reader_that_goes_ends_a_command_in_silence(command, things):
    typed = command.format(**{name: shlex.quote(str(path)) for name, path in things[0].items()})
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m micro.cli {typed} | true"], capture_output=True, text=True, cwd=ROOT
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_ctrl_c_while_tensorflow_starts_is_one_line(things):
    import signal
    import time

    typed = [sys.executable, "-m", "micro.cli", "sensitivity", things[0]["run"], "--out", "never.html"]
    # A test run in the background may have been told to ignore Ctrl-C, and what it starts inherits that.
    listening = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(
        typed, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, preexec_fn=listening
    )
    assert "starting TensorFlow" in process.stderr.readline()
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    said, code = process.stderr.read(), process.wait()
    assert code == 130, said
    assert said.strip().startswith("Error: interrupted")
    assert len(said.strip().splitlines()) == 1
