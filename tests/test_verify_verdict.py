"""What `verify` calls a pass: equal values, and operators that differ by rounding alone."""

from micro.tflite.parity import OpDifference, Parity


def test_rounding_passes_and_more_than_rounding_fails():
    equal = Parity(16, 48, 0, 0)
    assert equal.passed
    assert equal.verdict == "pass: all 48 values of 16 samples are equal"
    # Differences of 1 in each of several layers may add up in the outputs.
    rounded = Parity(16, 48, 5, 3, tuple(OpDifference(n, "FULLY_CONNECTED", "t", 2, 1) for n in range(4)))
    assert rounded.passed
    assert rounded.verdict.startswith("pass: 5 of 48 values differ, by at most 3 LSB; no operator by more than 1")
    wrong = Parity(16, 48, 5, 3, (OpDifference(1, "ADD", "t", 2, 1), OpDifference(2, "CONV_2D", "t", 2, 2)))
    assert not wrong.passed
    assert wrong.verdict == ("FAIL: 5 of 48 values differ, by at most 3 LSB; more than 1 on equal inputs: 2 CONV_2D")
    assert not Parity(16, 48, 5, 2).passed  # no operator is known to be at fault
