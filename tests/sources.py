"""A made-up machine with a vibration and a temperature, each at a rate of its own, for tests of further sources."""

import numpy as np

RATE, SLOW = 101.0, 7.0
SECONDS = 60
HEALTHY = 'healthy_files = "ok*.csv"\nfaulty_files = "bad*.csv"'

HEAD = """
job = "table"
{task}
seeds = 1
[data]
files = "*.csv"
sample_rate = 101.0
{data}
[features]
kind = ["statistics", "moments"]
window = 50
hop = 25
{main}
[[sources]]
name = "temperature"
files = "slow/{{recording}}_temp.csv"
sample_rate = 7.0
{source}
[sources.features]
kind = "statistics"
window = 9
hop = 4
{own}
"""
SIDES = """
[distill]
compare = false
[teacher]
sizes = {teacher}
epochs = {epochs}
[student]
sizes = [12, 2, 12]
epochs = {epochs}
[firmware]
name = "bearing"
"""
FIXED = {"main": 'arithmetic = "fixed"\nfull_scale = 20.0', "own": 'arithmetic = "fixed"\nfull_scale = 200.0'}


def config_text(task="", data="", main="", source="", own="", teacher="[24, 2, 24]", epochs=25, more=""):
    """A config of the machine; `more` are sections after those of the models."""
    head = HEAD.format(task=task, data=data, main=main, source=source, own=own)
    alarm = "" if task else "[detect]\nfalse_alarm_rate = 0.02\n"
    return head + SIDES.format(teacher=teacher, epochs=epochs) + alarm + more


def machine(seed, fault=False, seconds=SECONDS):
    """Vibration (n, 2) at 101 Hz and temperature (m, 1) at 7 Hz.

    Both follow the load, which is low or high. With the fault the machine vibrates as at the other load, at a
    temperature that it has at other times: only the two together are unusual.
    """
    rng = np.random.default_rng(seed)
    turn = rng.uniform(0, 2 * np.pi)

    def load(times):
        return 0.5 + 0.45 * np.sign(np.sin(2 * np.pi * times / 25 + turn))

    fast, slow = np.arange(int(seconds * RATE)) / RATE, np.arange(int(seconds * SLOW)) / SLOW
    level = (1 - load(fast) if fault else load(fast))[:, None]
    vibration = (1 + 3 * level) * rng.normal(0, 1, (len(fast), 2))
    temperature = 40 + 30 * load(slow)[:, None] + rng.normal(0, 0.3, (len(slow), 1))
    return vibration.astype(np.float32), temperature.astype(np.float32)


def write(path, samples, header):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, samples, "%.5f", ",", header=header, comments="")


def record(folder, name, seed, fault=False, seconds=SECONDS):
    """Both files of a recording."""
    vibration, temperature = machine(seed, fault, seconds)
    write(folder / f"{name}.csv", vibration, "x,y")
    write(folder / "slow" / f"{name}_temp.csv", temperature, "celsius")
