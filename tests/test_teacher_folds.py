"""A teacher of networks that were each trained without a fold: none of them judges for the student what it was trained on."""

import itertools
import re

import keras
import numpy as np
import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st
from pump import config as pump_config
from pump import recorded as pumps
from support import invoke
from tables import columns, wave
from test_held_out import NEAR, RECORDINGS, layout_of, place_of
from test_teacher_inputs import hall, raw_of

from micro.config import parse_config
from micro.datasets.folds import _fewest_lacking
from micro.datasets.prepare import prepare
from micro.datasets.window_parts import Origins, Windows
from micro.errors import DataError
from micro.explore.trial import try_candidate
from micro.explore.windows import prepare_windows
from micro.fleet import load_fleet
from micro.runs.fold_teacher import cross_fitted, sets_of_folds
from micro.runs.held_out import Kinds, fold_sets
from micro.runs.run_report import RunReport
from micro.runs.seed_run import kept, taught_by_of
from micro.runs.train import check_models, check_teacher, train_teacher


def of_folds(folder, folds=3, **changes):
    raw = raw_of(folder, **changes)
    raw["teacher"].pop("features", None)
    raw["teacher"] |= {"folds": folds}
    return raw


def has_room(windows, group, copies, near, count):
    """Whether windows surely have folds: kinds of several groups have enough of these to deal, and a kind that one group alone
    has is in as many recordings as there are folds, or in one whose windows can be divided in time."""
    content = np.array([copies.get(name, name) for name in windows.origins])
    kinds = [windows.labels == kind for kind in np.unique(windows.labels)]
    several = [mine for mine in kinds if len(set(group[mine])) > 1]
    alone = [mine for mine in kinds if len(set(group[mine])) == 1]
    dealt = {each for mine in several for each in group[mine]}
    if several and not alone and len(dealt) < count:
        return False
    # Three kinds of two folds may be such that each two of them exclude the third.
    if count == 2 and len(kinds) > 2:
        return False
    whole = [mine for mine in alone if len(set(content[mine])) >= count]
    # A copy's windows are at the places of the first's.
    place = place_of(windows)
    longest = [max(len(set(place[mine & (content == each)])) for each in set(content[mine])) for mine in alone]
    filled = (several and len(dealt) >= count) or whole or any(most >= count for most in longest)
    apart = all(any(mine is each for each in whole) or most > 1 for mine, most in zip(alone, longest))
    mixed = any(len(set(windows.labels[content == each])) > 1 for mine in alone for each in content[mine])
    return bool(filled and apart and (near == 0 or (len(whole) == len(alone) and not mixed)))


@settings(max_examples=150, deadline=None)
@given(
    recordings=RECORDINGS,
    near=NEAR,
    groups=st.lists(st.integers(0, 5), min_size=9, max_size=9),
    count=st.integers(2, 5),
    data=st.data(),
)
def test_no_network_is_trained_on_what_it_judges_nor_on_what_is_like_it(recordings, near, groups, count, data):
    windows, of, copies = layout_of(recordings, groups, data)
    group = np.array([str(of.get(name, copies.get(name, name))) for name in windows.origins])
    present = np.unique(windows.labels)
    kinds = Kinds([f" of {kind}" for kind in present], windows.labels[:, None] == present)
    try:
        sets = fold_sets(windows, kinds, Origins(of, copies), near, count)
    except DataError as error:
        room = has_room(windows, group, copies, near, count)
        if room:
            raise AssertionError("these windows have folds") from error
        return
    assert len(sets) == count
    assert np.sum([mine for mine, _ in sets], axis=0).tolist() == [1] * len(windows)
    content = np.array([copies.get(name, name) for name in windows.origins])
    place = place_of(windows)
    alone = np.array([len(set(group[windows.labels == label])) == 1 for label in windows.labels])
    for mine, others in sets:
        assert set(windows.labels[others]) == set(present)
        for row in np.flatnonzero(mine):
            assert not (others & (content == content[row]) & (np.abs(place - place[row]) <= near)).any()
        # Groups are on one side, but for windows of a kind that one group alone has.
        assert not set(group[mine & ~alone]) & set(group[others & ~alone])


def sets_of(runs, count, near=0, groups=None, copies=None, overlapping=None):
    """Folds of recordings of one kind each, (kind, windows)."""
    kinds = np.concatenate([np.full(length, kind) for kind, length in runs])
    origins = tuple(f"r{number}" for number, (_, length) in enumerate(runs) for _ in range(length))
    places = np.concatenate([np.arange(length) for _, length in runs])
    windows = Windows(np.zeros((len(kinds), 2), np.float32), kinds, origins, places)
    present = np.unique(kinds)
    held = Kinds([f" of class {kind}" for kind in present], kinds[:, None] == present)
    return windows, fold_sets(windows, held, Origins(groups or {}, copies or {}, overlapping or {}), near, count)


@settings(max_examples=60, deadline=None)
@given(
    runs=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 12)), min_size=1, max_size=9),
    groups=st.lists(st.integers(0, 3), min_size=9, max_size=9),
    near=st.integers(0, 3),
    count=st.integers(2, 5),
)
def test_recordings_of_one_kind_each_have_folds_where_there_is_room(runs, groups, near, count):
    of = {f"r{number}": groups[number] for number in range(len(runs))}
    origins = [f"r{number}" for number, (_, length) in enumerate(runs) for _ in range(length)]
    windows = Windows(
        np.zeros((len(origins), 2), np.float32),
        np.concatenate([np.full(length, kind) for kind, length in runs]),
        tuple(origins),
        np.concatenate([np.arange(length) for _, length in runs]),
    )
    if has_room(windows, np.array([of[name] for name in origins]), {}, near, count):
        _, sets = sets_of(runs, count, near, of)
        assert all(set(windows.labels[others]) == set(windows.labels) for _, others in sets)


def test_classes_of_one_file_each_are_divided_in_time_whatever_their_number():
    windows, sets = sets_of([(0, 20), (1, 20), (2, 20)], count=5)
    for mine, others in sets:
        for kind in range(3):
            assert np.sum(windows.labels[mine] == kind) == 4
            assert np.sum(windows.labels[others] == kind) == 16


def test_a_second_file_of_a_class_is_no_hindrance():
    windows, sets = sets_of([(0, 20), (0, 20), (1, 20), (2, 20), (3, 20)], count=5)
    first = np.array([name == "r0" for name in windows.origins])
    assert len(sets) == 5
    assert all(mine.any() and set(windows.labels[others]) == {0, 1, 2, 3} for mine, others in sets)
    assert all(not (others & first).any() for mine, others in sets if (mine & first).any())


def test_a_class_of_one_machine_is_divided_by_its_files_where_there_are_enough():
    groups = {f"r{number}": 0 if number < 6 else number for number in range(10)}
    windows, sets = sets_of([(1, 4)] * 6 + [(0, 12)] * 4, count=3, near=2, groups=groups)
    origins = np.array(windows.origins)
    for mine, others in sets:
        assert not set(origins[mine]) & set(origins[others])
        assert np.sum(windows.labels[mine] == 1) == 8
        assert np.sum(windows.labels[others] == 1) == 16


def test_files_of_one_machine_that_overlap_are_divided_as_one_file():
    groups = {f"r{number}": 0 if number < 4 else number for number in range(8)}
    overlapping = {"r0": ("r1",), "r1": ("r0",)}
    runs = [(1, 4)] * 4 + [(0, 12)] * 4
    windows, sets = sets_of(runs, count=3, near=2, groups=groups, overlapping=overlapping)
    origins = np.array(windows.origins)
    for mine, others in sets:
        assert ("r0" in origins[mine]) == ("r1" in origins[mine])
        assert not set(origins[mine]) & set(origins[others])
    # Three that differ are too few for four folds, and four windows of each too few for stretches that are apart.
    with pytest.raises(DataError, match="would have no window of class 1, as those that share samples"):
        sets_of(runs, count=4, near=4, groups=groups, overlapping=overlapping)


def test_too_few_files_say_which_of_them_count_as_one():
    copies = {"r1": "r0", "r2": "r0"}
    with pytest.raises(
        DataError,
        match=r"training windows are of 2 files, those of the same signals counted as one: r0 and r1 and r2: .* folds = 2",
    ):
        sets_of([(0, 9)] * 4, count=3, copies=copies)


@settings(max_examples=80, deadline=None)
@given(
    held=st.lists(st.lists(st.integers(0, 2), min_size=2, max_size=2), min_size=3, max_size=5),
    folds=st.integers(2, 4),
    apart=st.integers(1, 2),
)
def test_a_search_for_a_deal_ends_at_what_no_deal_can_better(held, folds, apart):
    held = np.array(held)
    apart = 1 if folds == 2 else apart
    bound = _fewest_lacking((held > 0).sum(axis=0).tolist(), folds, apart)
    found = []
    for dealt in map(np.array, itertools.product(range(folds), repeat=len(held))):
        of_fold = np.stack([held[dealt == fold].sum(axis=0) for fold in range(folds)])
        trained = of_fold.sum(axis=0) - sum(np.roll(of_fold, -turned, axis=0) for turned in range(apart))
        found.append(1000 * int((trained == 0).sum()) + int((of_fold == 0).sum()))
    assert min(found) >= bound
    if (held[:, 0] == held[:, 1]).all():
        assert min(found) == bound


def test_every_network_knows_both_states_of_every_label(tmp_path):
    config = parse_config(pump_config(pumps(tmp_path, machines=8, rows=300), teacher={"folds": 3}))
    data = prepare(config)
    machines = np.array([origin.partition("_")[0] for origin in data.train.origins])
    for mine, others in sets_of_folds(config, data):
        assert (data.train.labels[others] == 1).any(axis=0).all()
        assert (data.train.labels[others] == 0).any(axis=0).all()
        assert not set(machines[mine]) & set(machines[others])


def test_what_is_taught_of_a_window_is_of_the_network_that_never_saw_it(tmp_path):
    """Labels are drawn at random, a machine each: what knows a window, its copy, one that overlaps it, a file of the same bytes
    or another file of the machine is always right."""
    rng = np.random.default_rng(4)
    for n in range(36):
        place = tmp_path / "ab"[n % 2]
        place.mkdir(exist_ok=True)
        levels = rng.normal(size=5)
        for more in range(2):
            if n % 3 or not more:  # every third machine has the same file twice
                rows = 0.1 * rng.normal(size=(40, 5)) + levels
            np.savetxt(place / f"m{n:02d}_{more}.csv", rows, header="p,q,r,s,t", comments="", delimiter=",")
    data = {"split": "files", "group": "*/{group}_*.csv", "columns": list("pqrst")}
    raw = of_folds(tmp_path, data=data, teacher={"sizes": [64], "epochs": 25, "learning_rate": 0.01})
    raw["augment"] = {"copies": 1, "layers": [{"class": "RandomNoise", "snr": [30.0, 40.0]}]}
    config = parse_config(raw)
    data = prepare(config)
    teacher = train_teacher(config, data, 3, lambda losses: None)
    taught = taught_by_of(config, teacher, data)
    labels = data.train.labels
    assert np.mean(taught.outputs.argmax(axis=1) == labels) < 0.75
    np.testing.assert_allclose(taught.validation, teacher.model.predict(data.validation.x, verbose=0), atol=1e-5)
    # The check, the training of each seed and what it teaches take the same sets.
    assert sets_of_folds(config, data) is sets_of_folds(config, data)
    for number, (mine, others) in enumerate(sets_of_folds(config, data)):
        member = teacher.model.get_layer(f"member_{number}")
        assert np.mean(member.predict(data.train.x[others], verbose=0).argmax(axis=1) == labels[others]) > 0.95
        np.testing.assert_allclose(taught.outputs[mine], member.predict(data.train.x[mine], verbose=0), atol=1e-4)
    # Taken up again after an interruption, the networks that were kept teach the same.
    again = kept(tmp_path / "teacher", lambda: teacher)
    np.testing.assert_allclose(cross_fitted(again.model, data, sets_of_folds(config, data)).outputs, taught.outputs)


def test_windows_without_labels_learn_the_mean_of_all_and_numbers_stay_standardized(tmp_path):
    for n in range(8):
        (tmp_path / f"{'u' if n > 5 else 'r'}{n}.csv").write_text(columns(a=wave(200, n) + n, b=[n] * 200))
    raw = of_folds(tmp_path, task="regression", teacher={"epochs": 2})
    raw["data"] = {"folder": str(tmp_path), "files": "r*.csv", "sample_rate": 100.0, "target_column": "b"}
    raw["data"]["unlabeled_files"] = "u*.csv"
    config = parse_config(raw)
    data = prepare(config)
    teacher = train_teacher(config, data, 3, lambda losses: None).model
    taught = cross_fitted(teacher, data, sets_of_folds(config, data))
    assert taught.outputs.shape == (len(data.train) + len(data.unlabeled), 1)
    members = [layer for layer in teacher.layers if isinstance(layer, keras.Model)]
    mean = np.mean([member.predict(data.unlabeled.x, verbose=0) for member in members], axis=0)
    np.testing.assert_allclose(taught.outputs[len(data.train) :], mean, atol=1e-5)


@pytest.mark.slow
def test_a_run_under_a_teacher_of_folds_reports_and_keeps_it_as_other_ensembles(tmp_path):
    (tmp_path / "data").mkdir()
    pumps(tmp_path / "data", machines=8, rows=300)
    raw = pump_config("data", teacher={"folds": 3, "epochs": 4}, student={"epochs": 4})
    raw["compress"] = [{"stage": "prune", "target_sparsity": 0.3, "epochs": 1}]
    (tmp_path / "c.toml").write_text(tomli_w.dumps(raw))
    result = invoke("run", tmp_path / "c.toml", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    report = RunReport.read(tmp_path / "run")
    kept_model = keras.saving.load_model(tmp_path / "run/teacher.keras", compile=False)
    assert sum(isinstance(layer, keras.Model) for layer in kept_model.layers) == 3
    assert report.parameters.teacher == kept_model.count_params()
    assert any("the teacher is 3 networks, each trained without one fold" in note for note in report.data.notes)
    assert len(report.history["teacher"]["loss"]) == 4


@pytest.mark.slow
def test_a_search_computes_once_what_its_candidates_learn(tmp_path):
    hall(tmp_path / "data", rows=600)
    raw = of_folds(str(tmp_path / "data"))
    raw["features"] = {"kind": "spectrum", "window": 64, "hop": 16, "bands": 16}
    own, other = (str(tmp_path / "windows" / name) for name in ("own", "other"))
    assert prepare_windows(raw, own)["teacher_score"] > 0.3
    assert prepare_windows({**raw, "features": {**raw["features"], "bands": 8}}, other, own) == {"teacher_score": None}
    taught = [np.load(f"{place}/targets.npy") for place in (own, other)]
    np.testing.assert_array_equal(*taught)
    config = parse_config(raw)
    data = prepare(config)
    teacher = train_teacher(config, data, config.seed, lambda losses: None).model
    np.testing.assert_allclose(taught[0], cross_fitted(teacher, data, sets_of_folds(config, data)).outputs, atol=1e-5)
    budget = {"flash": 16384, "ram": None, "macs": None}
    result = try_candidate({**raw, "features": {**raw["features"], "bands": 8}}, other, budget, "static", 3)
    assert result["state"] == "done"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"teacher": {"folds": 1}}, "teacher.folds: input should be greater than or equal to 2"),
        ({"teacher": {"members": 2}}, "folds and members both say how many networks there are"),
        ({"teacher": {"path": "a.keras"}}, "the model at path is taken as it is, leave them out"),
        ({"teacher": {"estimators": ["network"]}}, "estimators judge training windows in five folds of their own"),
        ({"teacher": {"devices": 2}}, "leave devices out"),
        ({"teacher": {"augment": {"copies": 0}}}, "give [augment] for both"),
        ({"student": {"augment": {"copies": 0}}}, "student.augment: teacher.folds divide the windows"),
        ({"distill": {"mixup": 0.4}}, "distill.mixup is not for teacher.folds"),
    ],
)
def test_what_does_not_go_with_folds_is_refused_by_name(tmp_path, changes, says):
    raw = of_folds(tmp_path)
    raw = {**raw, **{name: {**raw.get(name, {}), **more} for name, more in changes.items()}}
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_config(raw)


def test_tasks_and_fleets_without_such_teachers_say_why(tmp_path):
    with pytest.raises(ValueError, match=r'take teacher\.detectors = \["autoencoder"\], which scores'):
        parse_config({"job": "rig", "teacher": {"folds": 3}, "student": {}})
    with pytest.raises(ValueError, match=r"task is 'sequence', whose windows are places of one text"):
        parse_config({"job": "text", "data": {"files": ["*"]}, "teacher": {"folds": 3}, "student": {}})
    (tmp_path / "c.toml").write_text(tomli_w.dumps(of_folds(str(tmp_path))))
    (tmp_path / "fleet.toml").write_text('config = "c.toml"\n[[asset]]\nname = "a"\n')
    with pytest.raises(ValueError, match=r"teacher\.folds have no fleet: its machines share one teacher"):
        load_fleet(tmp_path / "fleet.toml")


def test_too_few_groups_windows_or_a_class_of_one_short_file_end_before_training(tmp_path):
    hall(tmp_path, files=6, rows=400)
    config = parse_config(of_folds(tmp_path, 50))
    with pytest.raises(
        DataError, match=r"teacher\.folds = 50, and the training windows are of (\d+) files: .* set folds = \1 in"
    ):
        check_teacher(config, prepare(config))
    for path in sorted((tmp_path / "slow").glob("*.csv"))[1:]:
        path.unlink()
    config = parse_config(of_folds(tmp_path, 3, features={"window": 80, "hop": 2}))
    with pytest.raises(DataError, match=r"would have no window of class 'slow', as those that share samples"):
        check_teacher(config, prepare(config))


def test_recipes_on_inner_layers_are_refused(tmp_path):
    hall(tmp_path)
    config = parse_config(of_folds(tmp_path, distill={"recipe": "rkd"}))
    with pytest.raises(ValueError, match=r"is made of estimators or is trained in folds, teaches"):
        check_models(config, prepare(config), prepare(config).train.x)
