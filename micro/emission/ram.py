"""Bytes of RAM that the emitted C holds around the model: front ends, work buffers, and the state of the last stage.

Structs are laid out here as the templates declare them; a test compares both with what a compiler makes of the C.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, NamedTuple

from micro.detection.detector import Detector
from micro.detection.estimator import Estimator, Estimators
from micro.detection.labeler import Labeler
from micro.detection.outcome import Decider
from micro.detection.recognizer import Recognizer
from micro.detection.transcription import BEST
from micro.emission.conditioning import conditioning_context
from micro.emission.sensor import stage_context
from micro.signal import AnyFrontEnd, FrontEnd, Hops, JoinedFrontEnd
from micro.signal.bearing_monitor import BearingMonitor
from micro.signal.decimation import OVERLAP
from micro.signal.velocity import Vibration

if TYPE_CHECKING:
    from micro.detection.commissioning import Commissioning


class Layout(NamedTuple):
    """Size and alignment of a type of C, in bytes."""

    size: int
    align: int

    def of(self, count: int) -> Layout:
        """An array of it."""
        return Layout(self.size * count, self.align)


INT8, INT16, INT32, INT64 = (Layout(size, size) for size in (1, 2, 4, 8))
FLOAT = INT32
# Compilers for Arm make an enum as small as its values allow, others take an int.
ENUM = INT8


class Core(NamedTuple):
    """How a core lays out structs: the size of a pointer, and whether members are aligned."""

    pointer: Layout
    aligned: bool

    def struct(self, *members: Layout) -> Layout:
        """A struct of these members, in order; one of no bytes is left out."""
        size, align = 0, 1
        for member in (each for each in members if each.size):
            own = member.align if self.aligned else 1
            size = -(-size // own) * own + member.size
            align = max(align, own)
        return Layout(-(-size // align) * align, align)


WIDE = Core(INT32, aligned=True)  # 32 bits
AVR = Core(INT16, aligned=False)  # 8 bits


def ram_around(
    around: AnyFrontEnd | Hops,
    decider: Decider | None,
    commissioning: Commissioning | None = None,
    vibration: Vibration | None = None,
    monitor: BearingMonitor | None = None,
    core: Core = WIDE,
) -> int:
    """Bytes of RAM of the firmware's own arrays and structs, of which the model's inputs and outputs are no part.

    What an application adds comes on top: start-up code, drivers, the stack, a queue of samples, summaries. So do the model's
    arena, its inputs and outputs, and what it keeps from hop to hop.

    Args:
        around: The front end, or the hops that the model takes.
        decider: The last stage; None for front ends alone, as long as there is none yet.
        commissioning: How a detector learns its machine.
        vibration: What velocity is measured of.
        monitor: What a bearing is diagnosed by.
        core: How structs are laid out.

    Examples:
        >>> from micro.detection.recognizer import Recognizer
        >>> front_end = micro.FrontEnd("moments", window=64, hop=32, channels=3)
        >>> ram_around(front_end, Recognizer(0.1, ("idle", "run"), (3, 9)))
        1048
    """
    learns = commissioning is not None
    total = core.struct(*(_front_end(each, core) for each in _each(around)))
    if decider is not None:
        total = _stage(around, decider, core)
    if commissioning is not None:
        assert isinstance(around, FrontEnd)
        total = _commissioning(around, commissioning, total, core)
    size = total.size
    for front_end in _each(around):
        size += core.pointer.size + 4 * front_end.length
        if learns:
            size += 4 * prod(front_end.shape)
        if front_end.orders is not None:
            size += 4 + (2 * (front_end.length // 2) if front_end.orders == "spectrum" else 0)
    if isinstance(decider, Detector) and decider.score.places:
        # The model's inputs are copied from all features.
        size += prod((around.each if isinstance(around, Hops) else around).shape)
    if vibration is not None:
        size += _vibration(vibration, core).size
    return size + (0 if monitor is None else monitor.ram_bytes)


def ram_of_predictor(form: str, length: int, longest: int, core: Core = WIDE) -> int:
    """As `ram_around`, of firmware that predicts text; see `micro.Predictor`.

    Args:
        form: 'text' or 'pairs'.
        length: Characters that the model sees.
        longest: Letters of the longest source.
        core: How structs are laid out.
    """
    if form == "text":
        recent = INT8.of(length)
        return core.struct(INT8.of(BEST), INT16.of(BEST), INT8, INT16, recent).size
    output = core.struct(INT32, INT16, INT8.of(2 * longest))
    whole = core.struct(output.of(BEST), INT8, INT16, INT8.of(longest))
    return whole.size + output.size * (BEST + 1)


def _each(around: AnyFrontEnd | Hops) -> tuple[FrontEnd, ...]:
    if isinstance(around, Hops):
        return (around.each,)
    return tuple(around.parts) if isinstance(around, JoinedFrontEnd) else (around,)


def _front_end(front_end: FrontEnd, core: Core) -> Layout:
    """NAME_front_end: the ring of samples, the states of filters, and of frames the rows of features."""
    fixed, framed, channels = front_end.arithmetic == "fixed", front_end.frame is not None, front_end.channels
    filters = conditioning_context(front_end)
    decimates, filtered = front_end.decimate > 1, bool(filters["filter_sections"])
    return core.struct(
        core.pointer,
        (INT16 if fixed else FLOAT).of(front_end.length * channels),
        INT32.of(channels * filters["low_pass_values"] * decimates),
        INT32.of(channels * filters["filter_values"]),
        INT16.of(4 if framed else 2),
        INT8.of(prod(front_end.shape) * framed),
        INT8.of(channels * decimates),
        INT8.of(channels * (decimates and not fixed)),
        INT8.of(int(decimates)),
        INT8.of(channels * filtered),
    )


def _stage(around: AnyFrontEnd | Hops, decider: Decider, core: Core) -> Layout:
    """NAME_detector, NAME_recognizer, NAME_labeler or NAME_estimator, without what the model keeps from hop to hop."""
    main, *further = _each(around)
    front_end = _front_end(main, core)
    modes = getattr(decider, "modes", None)
    if isinstance(decider, Detector):
        members = [core.pointer, front_end, INT64, INT32, INT16, INT8, *((INT16, INT16, INT32) if modes else ())]
    elif isinstance(decider, Recognizer):
        members = [front_end, INT32, INT16.of(3 + decider.history)]
    elif isinstance(decider, Labeler):
        labels = len(decider.label_names)
        members = [front_end, INT16.of(labels), INT32, INT32.of(labels)]
    else:
        assert isinstance(decider, Estimator | Estimators)
        members = [front_end, INT32.of(len(decider.each))]
    context = stage_context("detector", decider, around, "", "net")
    members += _fault_fields(context)
    if context["missing_hops"]:
        members.append(INT16)
    return core.struct(*members, *(_source(source, core) for source in further))


def _fault_fields(context: dict[str, object]) -> list[Layout]:
    """Of fault_fields.h.j2: what is counted of the parts of a window whose samples the ring does not hold."""
    parts, off = context["parts"], context["off"]
    if not isinstance(parts, int) or parts == 0:
        return []
    widths = {"uint16_t": INT16, "uint32_t": INT32}
    members = [INT16, widths[str(context["filled_count"])]]
    if not context["fixed"]:
        members.append(INT8.of(parts))
    if context["saturation"] is not None:
        members.append(widths[str(context["part_count"])].of(parts))
    if isinstance(off, dict):
        members.append(INT64.of(2 * parts * len(off["channels"])))
    return members


def _source(front_end: FrontEnd, core: Core) -> Layout:
    """NAME_SOURCE_source: the latest window of a further source."""
    finite = () if front_end.arithmetic == "fixed" else (INT8,)
    return core.struct(_front_end(front_end, core), INT32, *finite, INT8.of(prod(front_end.shape)))


def _commissioning(front_end: FrontEnd, plan: Commissioning, detector: Layout, core: Core) -> Layout:
    """NAME_commissioning: the detector, parameters and what is learned of the machine."""
    count = prod(front_end.shape)
    kinds = (INT32, INT32, INT8) if front_end.arithmetic == "fixed" else (FLOAT, FLOAT)
    scaling = core.struct(*(kind.of(count) for kind in kinds))
    return core.struct(
        detector,
        core.struct(INT64.of(2), scaling),
        core.struct(INT64, INT32.of(2 * count)),
        INT64.of(3 * count + front_end.channels + plan.kept),
        INT64.of(count + 1 if plan.adapt_limit else 0),
        INT16.of(2),
        ENUM.of(2),
    )


def _vibration(vibration: Vibration, core: Core) -> Layout:
    """NAME_vibration."""
    count, overlaps = len(vibration.measured), vibration.decimation > 1
    square = INT64 if vibration.arithmetic == "fixed" else FLOAT
    return core.struct(
        INT32.of(vibration.window + OVERLAP * overlaps),
        square.of(count * vibration.average),
        INT32.of(count + 2),
        ENUM.of(int(vibration.borders is not None)),
        INT16.of(2),
        INT8.of(overlaps + 3 + 2 * count),
    )
