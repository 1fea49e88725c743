"""Settings given on the command line: read as in the file, refused as in the file, and blamed where they are to blame."""

import pytest

from micro.config import load_config
from micro.config.overrides import split_setting
from micro.fleet import load_fleet

RIG = 'job = "rig"\n[teacher]\nsizes = [8]\n[student]\nsizes = [4]\n[[compress]]\nstage = "prune"\ntarget_sparsity = 0.3\n'


@pytest.fixture
def rig(tmp_path):
    path = tmp_path / "rig.toml"
    path.write_text(RIG)
    return path


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("a=5", 5),
        ("a = 0.5", 0.5),
        ("a=true", True),
        ("a=[1, 2]", [1, 2]),
        ("a=['x', \"y=z\"]", ["x", "y=z"]),
        ('a={class = "b"}', {"class": "b"}),
        ("a=bare text", "bare text"),
        ("a=x#1", "x#1"),
        ("a=5#1", "5#1"),
        ('a="5"', "5"),
        ("a=", ""),
        ("a=1\nb = 2", "1\nb = 2"),
        ("a=x=y", "x=y"),
        ("a=*.csv", "*.csv"),
    ],
)
def test_a_value_is_toml_or_a_text_as_it_stands(typed, value):
    assert split_setting(typed) == (("a",), value)


def test_a_key_is_dotted_as_in_toml():
    assert split_setting('data.sample_rates."a.*=.csv"=100') == (("data", "sample_rates", "a.*=.csv"), 100)
    assert split_setting("compress.0.epochs=2")[0] == ("compress", "0", "epochs")


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("epochs", "must be KEY=VALUE"),
        ("=5", "must be KEY=VALUE"),
        ("a..b=5", "a..b is no dotted key"),
        ("a=[1", "the value is not TOML"),
    ],
)
def test_what_is_no_setting_is_named(typed, says):
    with pytest.raises(ValueError, match=r"^--set ") as raised:
        split_setting(typed)
    assert says in str(raised.value)


def test_settings_take_the_place_of_the_files_and_are_kept(rig):
    typed = ["teacher.epochs=5", "features.kind=spectrum", "compress.0.epochs=2", "teacher.epochs=6", "firmware.name=b"]
    config = load_config(rig, typed)
    assert (config.teacher.epochs, config.features.kind, config.firmware.name) == (6, "spectrum", "b")
    assert (config.compress[0].epochs, config.compress[0].target_sparsity) == (2, 0.3)
    assert config.overrides == tuple(typed)
    assert load_config(rig).overrides == ()


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (["teacher.epoch=5"], "--set teacher.epoch=5: teacher.epoch: no such setting; did you mean 'epochs'?"),
        (["detect.qqq=5"], "--set detect.qqq=5: detect.qqq: no such setting; there are false_alarm_rate, "),
        (["tesacher.epochs=5"], "--set tesacher.epochs=5: tesacher: no such setting; did you mean 'teacher'?"),
        (["teacher.epochs=-1", "student.epochs=3"], "--set teacher.epochs=-1: teacher.epochs: "),
        (["student.epochs=3", "task=climb"], "--set task=climb: task of job 'rig' must be 'anomaly', got 'climb'"),
        (
            ["distill.objective=soft_target"],
            "--set distill.objective=soft_target: distill.objective 'soft_target' does",
        ),
        (["compress.1.epochs=2"], "--set 'compress.1.epochs=2': compress is a list of 1, whose places are 0 to 0"),
        (["compress.epochs=2"], "compress.0 is the first"),
        (["seed.x=2", "job=rig"], "--set seed.x=2: seed: "),
        (
            ["job=rig", "teacher.epochs.x=1", "teacher.epochs.x.y=1"],
            "teacher.epochs.x is 1, and no section of settings",
        ),
    ],
)
def test_an_error_names_the_setting_that_causes_it(rig, typed, says):
    with pytest.raises(ValueError, match=r"^--set ") as raised:
        load_config(rig, typed)
    assert says in str(raised.value)


def test_a_fault_of_the_file_is_not_blamed_on_a_setting(rig):
    rig.write_text(RIG.replace("[student]", "[stundent]"))
    with pytest.raises(ValueError, match=r"rig\.toml: stundent: no such setting"):
        load_config(rig, ["teacher.epochs=5"])


def test_a_setting_may_mend_the_file(rig):
    rig.write_text(RIG.replace("sizes = [8]", "sizes = [0]"))
    assert load_config(rig, ["teacher.sizes=[16, 8]"]).teacher.sizes == (16, 8)


def test_a_fleets_settings_are_the_shared_configs_and_its_own(rig):
    hall = rig.with_name("hall.toml")
    hall.write_text('config = "rig.toml"\n[[asset]]\nname = "a"\n[[asset]]\nname = "b"\ndata = {speed = 900}\n')
    fleet = load_fleet(hall, ["student.epochs=2", "teacher_assets=1", "asset.1.data.speed=800"])
    assert fleet.teacher_assets == 1
    configs = [fleet.config(asset) for asset in fleet.asset]
    assert [config.student.epochs for config in configs] == [2, 2]
    assert [config.data.speed for config in configs] == [1780.0, 800.0]
    assert configs[0].overrides == ("student.epochs=2", "teacher_assets=1", "asset.1.data.speed=800")
    with pytest.raises(ValueError, match=r"--set student\.epoch=2: asset 'a': student\.epoch: no such setting"):
        load_fleet(hall, ["student.epoch=2"])
    with pytest.raises(ValueError, match=r"--set asset\.1\.nme=c: asset\.1\.nme: no such setting"):
        load_fleet(hall, ["asset.1.nme=c"])


@pytest.mark.parametrize("typed", ["overrides=5", "overrides=[]", "overrides.0=seed=1", '"overrides" = ["seed=1"]'])
def test_what_settings_were_given_is_no_setting(rig, tmp_path, typed):
    (tmp_path / "hall.toml").write_text('config = "rig.toml"\n[[asset]]\nname = "a"\n')
    for read, path in ((load_config, rig), (load_fleet, tmp_path / "hall.toml")):
        with pytest.raises(ValueError, match="overrides is what --set itself writes"):
            read(path, [typed])
