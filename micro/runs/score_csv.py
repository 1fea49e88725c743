"""Scored windows as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from micro.config import probability_column, result_columns
from micro.runs.scored import Scored

# Significant digits of estimates in a table: an offset may be large beside what changes.
NUMBER_DIGITS = 10


def to_csv(scored: Sequence[Scored]) -> bytes:
    """Rows of file, row, begin, end, score, above_threshold, alarm and result, with a header.

    Those of a run with operating modes have `mode` as well, those of a recognizer `recognized`, those of an estimator `low` and
    `high`; those of several numbers each number, `NAME low` and `NAME high`; those of several labels the probability of each,
    and `reported`.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    last = [name for name in ("recognized", "low", "high", "mode") if any(getattr(s, name) is not None for s in scored)]
    first = scored[0] if scored else None
    numbers = [name for one in (first.numbers if first else ()) for name in result_columns(one.name)[1:]]
    numbers += [probability_column(one.name) for one in (first.labels if first else ())]
    is_reported = any(s.reported is not None for s in scored)
    writer.writerow(
        (
            "file",
            "row",
            "begin",
            "end",
            "score",
            "above_threshold",
            "alarm",
            "result",
            *last,
            *numbers,
            *["reported"] * is_reported,
        )
    )
    for s in scored:
        digits = 6 if s.low is None else NUMBER_DIGITS
        value = "" if s.score is None else f"{s.score:.{digits}g}"
        flags = ("" if flag is None else int(flag) for flag in (s.above_threshold, s.alarm))
        more = (f"{cell:.{digits}g}" if isinstance(cell := getattr(s, name), float) else cell for name in last)
        times = ("" if time is None else f"{time:.6f}" for time in (s.begin, s.end))
        each = [cell for one in s.numbers for cell in (one.number, one.low, one.high)]
        cells = ["" if cell is None else f"{cell:.{NUMBER_DIGITS}g}" for cell in each]
        cells += ["" if one.probability is None else f"{one.probability:.6f}" for one in s.labels]
        reported = [s.reported] * is_reported
        writer.writerow((s.file, s.row, *times, value, *flags, s.result, *more, *cells, *reported))
    return out.getvalue().encode()
