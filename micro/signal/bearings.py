"""Rolling bearings: their geometry, and how often each damaged part is rolled over in one turn of the shaft."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from typing import Literal, get_args

Fault = Literal["outer race", "inner race", "ball", "cage"]
FAULTS: tuple[Fault, ...] = get_args(Fault)
# Millimetres an inch.
INCH = 25.4


@dataclass(frozen=True)
class Bearing:
    """A bearing of one row whose inner ring turns with the shaft and whose outer ring stands still.

    Attributes:
        balls: Balls or rollers of the row, at least 3.
        ball_diameter: Of one of them, in the unit of `pitch_diameter`, as only their ratio counts.
        pitch_diameter: Of the circle on which their centres are; near the mean of bore and outside diameter.
        contact_angle: In degrees, from 0 (radial bearings) to below 90.
        name: What it is called.

    Raises:
        ValueError: For a geometry that no bearing has.

    Examples:
        >>> micro.Bearing(balls=9, ball_diameter=7.94, pitch_diameter=39.04, name="6205")
        Bearing(balls=9, ball_diameter=7.94, pitch_diameter=39.04, contact_angle=0.0, name='6205')
    """

    balls: int
    ball_diameter: float
    pitch_diameter: float
    contact_angle: float = 0.0
    name: str = ""

    def __post_init__(self) -> None:
        if self.balls != int(self.balls) or not 3 <= self.balls <= 1000:
            raise ValueError(f"balls must be an integer from 3 to 1,000, got {self.balls}")
        if not 0 <= self.contact_angle < 90:
            raise ValueError(f"contact_angle must be from 0 to below 90 degrees, got {self.contact_angle:g}")
        if not 0 < self.ball_diameter < self.pitch_diameter < math.inf:
            raise ValueError(
                "ball_diameter must be above 0 and below pitch_diameter, got "
                f"{self.ball_diameter:g} and {self.pitch_diameter:g}"
            )
        most = math.floor(math.pi / math.asin(self.ball_diameter / self.pitch_diameter) + 1e-9)
        if self.balls > most:
            raise ValueError(
                f"{self.balls} balls of {self.ball_diameter:g} do not fit on a pitch circle of {self.pitch_diameter:g}: "
                f"at most {most} do"
            )


# Each with where its geometry is published. Makers use other balls under the same name: a maker's own figures are better.
BEARINGS: dict[str, Bearing] = {
    bearing.name: bearing
    for bearing in (
        # SKF 6205-2RS JEM and 6203-2RS JEM, drive and fan end: Case Western Reserve University Bearing Data Center.
        Bearing(9, 0.3126 * INCH, 1.537 * INCH, name="6205"),
        Bearing(8, 0.2656 * INCH, 1.122 * INCH, name="6203"),
        # Wang, Lei, Li and Li 2020, the XJTU-SY data sets: an insert bearing with the inside of a 6204.
        Bearing(8, 7.92, 34.55, name="UER204"),
        # Huang and Baddour 2018, University of Ottawa.
        Bearing(9, 7.94, 38.52, name="ER16K"),
        # Qiu, Lee, Lin and Yu 2006, the IMS data set: Rexnord, two rows of 16 rollers.
        Bearing(16, 0.331 * INCH, 2.815 * INCH, 15.17, name="ZA-2115"),
        # Nectoux et al. 2012, PRONOSTIA.
        Bearing(13, 3.5, 25.6, name="6804"),
    )
}


@dataclass(frozen=True)
class FaultOrders:
    """How often a damaged part strikes, in multiples of the shaft's speed.

    Attributes:
        bpfo: Ball pass frequency of the outer race.
        bpfi: Ball pass frequency of the inner race.
        bsf: Ball spin frequency. A spot on a ball strikes both races in a turn of the ball: at twice this.
        ftf: Fundamental train frequency, that of the cage.

    Examples:
        >>> round(micro.bearing_orders("6205").of("ball"), 3)
        4.713
    """

    bpfo: float
    bpfi: float
    bsf: float
    ftf: float

    def of(self, fault: Fault) -> float:
        """The order at which a fault shows: BPFO, BPFI, twice BSF, or FTF."""
        return {"outer race": self.bpfo, "inner race": self.bpfi, "ball": 2 * self.bsf, "cage": self.ftf}[fault]


def bearing_orders(bearing: Bearing | str) -> FaultOrders:
    """The orders of a bearing's faults, from its geometry, for rolling without slip.

    Args:
        bearing: A geometry, or the name of one in `BEARINGS`; seals and clearances in the name do not matter.

    Raises:
        ValueError: For a name that is not in the table.

    Source: Randall and Antoni 2011, equations 1 to 4.

    Examples:
        >>> orders = micro.bearing_orders("6205")
        >>> round(orders.bpfo, 3), round(orders.bpfi, 3), round(2 * orders.bsf, 3), round(orders.ftf, 3)
        (3.585, 5.415, 4.713, 0.398)
    """
    bearing = known_bearing(bearing) if isinstance(bearing, str) else bearing
    ratio = bearing.ball_diameter / bearing.pitch_diameter * math.cos(math.radians(bearing.contact_angle))
    return FaultOrders(
        bpfo=bearing.balls / 2 * (1 - ratio),
        bpfi=bearing.balls / 2 * (1 + ratio),
        bsf=bearing.pitch_diameter / (2 * bearing.ball_diameter) * (1 - ratio**2),
        ftf=(1 - ratio) / 2,
    )


def parsed_bearing(text: str) -> Bearing:
    """A bearing as it is typed: '6205', or '9, 7.94, 39.04' for balls, ball diameter and pitch diameter, with a contact angle
    as fourth number where it is not 0.

    Raises:
        ValueError: For a name that is not known, or numbers that are no geometry.
    """
    words = text.split(",")
    if len(words) == 1:
        return known_bearing(text)
    try:
        balls, *lengths = (float(word) for word in words)
    except ValueError:
        balls, lengths = math.nan, []
    if len(lengths) not in (2, 3) or balls != round(balls if math.isfinite(balls) else 0):
        raise ValueError(f"a bearing is a name or BALLS,BALL_DIAMETER,PITCH_DIAMETER[,CONTACT_ANGLE], got {text!r}")
    return Bearing(int(balls), lengths[0], lengths[1], lengths[2] if len(lengths) > 2 else 0.0, name=text)


def known_bearing(name: str) -> Bearing:
    """The bearing of a name such as '6205' or '6205-2RS'.

    Raises:
        ValueError: Names those that there are, and which of them are near.
    """
    wanted = name.strip().upper()
    if wanted in BEARINGS:
        return BEARINGS[wanted]
    for known in BEARINGS:
        rest = wanted.removeprefix(known)
        if wanted.startswith(known) and not rest[0].isdigit():
            return BEARINGS[known]
    near = difflib.get_close_matches(wanted, BEARINGS, n=3, cutoff=0.5)
    raise ValueError(
        f"the geometry of bearing {name!r} is not known; {f'near it are {_joined(near)}, and ' if near else ''}those of "
        f"{', '.join(BEARINGS)} are. For another give balls, ball diameter and pitch diameter, from its maker"
    )


def _joined(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
