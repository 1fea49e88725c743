"""The names of emitted files, symbols and macros: one prefix, checked once, for everything that is emitted."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


# Longest prefix: with the longest ending that is added to it, a symbol stays within the 63 characters that C99 distinguishes.
LONGEST = 39

# Letters that are spelled with two where there are none but ASCII's.
SPELLED = str.maketrans({
    "ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "ø": "oe",
    "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "Æ": "Ae", "Ø": "Oe",
})  # fmt: skip

# Endings that emitted files and symbols add to a prefix. A prefix that had one itself could meet another prefix's names:
# the detector of "pump" and the model "pump_detector" would both write pump_detector.h.
ENDINGS = (
    "_ops",
    "_front_end",
    "_commissioning",
    "_learned",
    "_moved",
    "_phase",
    "_refusal",
    "_feature_name",
    "_detector",
    "_default",
    "_parameters",
    "_default_parameters",
    "_scaling",
    "_default_scaling",
    "_record",
    "_summary",
    "_flash",
    "_slots",
    "_diagnosis",
    "_tachometer",
    "_sensor",
    "_recognizer",
    "_class_name",
    "_labeler",
    "_label_name",
    "_estimator",
    "_number",
    "_numbers",
    "_number_name",
    "_predictor",
    "_vibration",
    "_zone",
    "_self_test",
    "_infer",
    "_infer_static",
    "_infer_tflm",
    "_invoke",
    "_invoke_in",
    "_invoke_with",
    "_input",
    "_output",
    "_run",
    "_reset",
    "_reset_in",
    "_weights",
    "_default_weights",
    "_use_weights",
    "_weights_in_use",
    "_state",
    "_sample",
    "_status",
    "_set_speed",
    "_app",
    "_benchmark",
)

KEYWORDS = words(
    """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t char32_t class compl
    concept const consteval constexpr constinit const_cast continue co_await co_return co_yield decltype default delete do
    double dynamic_cast else enum explicit export extern false final float for friend goto if import inline int long module
    mutable namespace new noexcept not not_eq nullptr operator or or_eq override private protected public register
    reinterpret_cast requires restrict return short signed sizeof static static_assert static_cast struct switch template
    this thread_local throw true try typedef typeid typename typeof typeof_unqual union unsigned using virtual void volatile
    wchar_t while xor xor_eq
    """
)

# Files of the projects themselves, whatever the model is called.
PROJECT_FILES = words(
    """
    app console link main replay sample_queue sensor sensor_arduino_analog
    sensor_esp_camera sensor_esp_microphone sensor_zephyr_accelerometer
    sensor_zephyr_tachometer sketch startup ticks
    """
)

# Headers that NAME.h would hide from the compiler: C's and C++'s, newlib's, glibc's and avr-libc's, and the platforms'.
HEADERS = words(
    """
    aio aliases alloca ar argp argz arm_acle arm_bf16 arm_cde arm_cmse arm_fp16 arm_mve arm_mve_types arm_neon assert
    byteswap complex cpio ctype devctl dirent dlfcn elf endian envlock envz err errno error execinfo fastmath fcntl features
    fenv float fmtmsg fnmatch fpu_control fstab fts ftw gconv gcov getopt glob grp gshadow iconv ieee754 ieeefp ifaddrs
    inttypes iso646 langinfo lastlog libgen libintl limits locale malloc math mcheck memory mmintrin mntent monetary mqueue
    ndbm netdb newlib nl_types nss obstack paths poll printf proc_service process pthread pty pwd re_comp reent regdef regex
    regexp resolv sched search semaphore setjmp sgtty shadow signal spawn stab stdalign stdarg stdatomic stdbit stdbool
    stdckdint stddef stdfix stdint stdio stdio_ext stdlib stdnoreturn string strings stropts syscall sysexits
    syslimits syslog tar
    termio termios tgmath thread_db threads time trace ttyent uchar ucontext ulimit unctrl unistd unwind utime utmp utmpx
    values varargs wait wchar wctype wordexp arduino binary client config eeprom ethernet hal keyboard mouse pgmspace
    pins_arduino print sd sdkconfig server servo softwareserial spi stream udp util variant version wifi wire wiring_private
    wprogram zephyr
    """
)

# Targets that CMake and make keep to themselves, and libraries that are linked by such a name.
TARGETS = words(
    """
    all c clean depend edit_cache gcc help install m package rebuild_cache run test
    """
)

# What Windows takes for a device, whatever stands behind the dot.
DEVICES = frozenset(["aux", "con", "nul", "prn", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))])

RESERVED = {
    "is a keyword": KEYWORDS,
    "is a file of the firmware projects": PROJECT_FILES,
    "is a header of C or of a platform": HEADERS,
    "is a target of the build": TARGETS,
    "is a device in Windows": DEVICES,
}


@dataclass(frozen=True)
class CNames:
    """A checked prefix and what is made of it: `upper` for macros, `camel` for C++ types.

    Two prefixes that differ by more than case share no file, symbol, macro or type.
    """

    name: str

    def __post_init__(self) -> None:
        identifier(self.name)

    @property
    def upper(self) -> str:
        """Prefix of macros."""
        return self.name.upper()

    @property
    def camel(self) -> str:
        """Prefix of C++ types and functions: bearing_2 -> Bearing_2, so that it is not bearing2's."""
        parts = self.name.split("_")
        return parts[0].capitalize() + "".join(
            f"_{part}" if part[0].isdigit() else part.capitalize() for part in parts[1:]
        )

    def guard(self, part: str = "") -> str:
        """Include guard of NAME_part.h."""
        return f"KERAS_KD_{self.upper}_{f'{part.upper()}_' if part else ''}H_"

    def context(self, part: str = "") -> dict[str, str]:
        """What every template of C is given."""
        return {"name": self.name, "upper": self.upper, "camel": self.camel, "guard": self.guard(part)}


def identifier(name: str, what: str = "name") -> str:
    """`name`, if it can be the prefix of emitted files and symbols.

    It is an identifier in C and in C++, ends in no underscore and in none of `ENDINGS`, has at most `LONGEST` characters, and
    is no file, header or target that a project has already; case makes no difference, as on file systems that ignore it.

    Raises:
        ValueError: Saying what is wrong, with a name near it that can be taken.
    """
    if not isinstance(name, str):
        raise ValueError(f"{what} must be text, got {type(name).__name__}")
    problem = _problem(name)
    if problem is None:
        return name
    raise ValueError(f"{what} {_short(name)} {problem}; try {_near(name)!r}")


def as_identifier(text: str, longest: int = LONGEST) -> str:
    """The prefix that is nearest to any text, such as the name of a file, in at most `longest` characters; "model" for none.

    Examples:
        >>> from micro.support.c_names import as_identifier
        >>> as_identifier("Lüfter 2-links"), as_identifier("2024 pump"), as_identifier("main"), as_identifier("軸受")
        ('Luefter_2_links', 'm_2024_pump', 'main_model', 'model')
    """
    if len(text) <= longest and _problem(text) is None:
        return text
    return _near(text, max(longest, len("m_x_model")))


def macro_names(keys: Iterable[str], taken: Iterable[str], prefixes: tuple[str, ...] = ()) -> dict[str, str]:
    """Endings of macros for keys of the user's, in upper case: {"gain": "GAIN"}.

    Raises:
        ValueError: For a key that is no identifier, that would redefine one of `taken` or one that begins with a
            prefix, or that becomes the same macro as another.
    """
    made: dict[str, str] = {}
    for key in sorted(keys):
        upper = key.upper()
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", key) or "__" in key:
            raise ValueError(f"constant {_short(key)} is not an identifier of C and C++")
        if upper in taken or upper.startswith(prefixes):
            raise ValueError(f"constant {key!r} would redefine a macro of the header; choose another name")
        other = next((known for known, macro in made.items() if macro == upper), None)
        if other is not None:
            raise ValueError(f"constants {other!r} and {key!r} would be one macro, {upper}; rename one")
        made[key] = upper
    return made


def _problem(name: str) -> str | None:
    """What keeps a name from being a prefix; None where nothing does."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or "__" in name or name.endswith("_"):
        return "is not an identifier of C and C++ that can be a prefix"
    if len(name) > LONGEST:
        return f"has {len(name)} characters, more than {LONGEST}"
    lower = name.lower()
    for reason, words in RESERVED.items():
        if lower in words:
            return f"cannot be a prefix, it {reason}"
    ending = next((ending for ending in ENDINGS if lower.endswith(ending)), None)
    return None if ending is None else f"ends in {ending!r}, which emitted files add themselves"


def _near(name: str, longest: int = LONGEST) -> str:
    """A prefix that can be taken, near to one that cannot."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFC", name).translate(SPELLED))
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    near = re.sub(r"_+", "_", re.sub(r"[^A-Za-z0-9_]", "_", plain)).strip("_") or "model"
    near = near if near[0].isalpha() else f"m_{near}"
    ending = next((ending for ending in ENDINGS if near.lower().endswith(ending)), "")
    near = near[: len(near) - len(ending)].strip("_")[: longest - len("_model")].strip("_") or "model"
    return near if _problem(near) is None else f"{near}_model"


def _short(name: str) -> str:
    """A name as it is quoted in an error: its beginning, where it is long."""
    return repr(name) if len(name) <= 80 else f"{name[:60]!r}..."
