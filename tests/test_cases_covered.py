"""Every small input on which the product once failed has a test of its own."""

from pathlib import Path

from support import case_folder


def test_every_case_is_named_by_a_test():
    cases = case_folder("damaged").parent
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    names = sorted(path.name for path in cases.iterdir() if path.is_dir())
    assert len(names) > 25
    assert not [name for name in names if name not in tests]


def test_every_damaged_model_and_config_is_named_by_a_test():
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    damaged = [path for path in case_folder("damaged").iterdir() if path.name != "NOTE.txt"]
    globbed = '.glob("*.tflite")' in tests

    def named(path: Path) -> bool:
        # An archive is read by the config of its name.
        own = path.with_suffix(".toml").name if path.suffix == ".npz" else path.name
        return path.name in tests or own in tests or (globbed and path.suffix == ".tflite")

    assert not [path.name for path in damaged if not named(path)]
