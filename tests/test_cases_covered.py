"""Every small input on which the product once failed has a test of its own."""

from pathlib import Path

from shared_cases import case_folder


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
    assert not [path.name for path in damaged if path.name not in tests and not (globbed and path.suffix == ".tflite")]
