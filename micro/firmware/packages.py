"""TFLite Micro as each platform ships it: what firmware projects depend on, read in its headers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from micro.errors import ConversionError


@dataclass(frozen=True)
class TflmPackage:
    """One package of TFLite Micro.

    Attributes:
        name, version: As the platform's own manifest names them.
        source, revision: GitHub repository, and the commit whose headers the rest was read in.
        arguments: The least and the most arguments of MicroInterpreter(model, resolver, arena, size, ...).
        static_memory: Who defines TF_LITE_STATIC_MEMORY, which decides TfLiteTensor's layout: all files of a program must agree
            with the library. 'project': the library has it and its users must too. 'package': the package adds it for them.
            'user': the library has it, and the README asks the user to add it to a build of their own.
            'none': the library is built without it.
        lacks: Methods of MicroMutableOpResolver that `emit` may call and that the package does not have.
        headers: Folders to include, inside the package; the first holds `tensorflow/`.
    """

    name: str
    version: str
    source: str
    revision: str
    arguments: tuple[int, int]
    static_memory: str
    lacks: frozenset[str] = frozenset()
    headers: tuple[str, ...] = (".",)

    def require(self, methods: Sequence[str], board: str) -> None:
        """Refuse operators that the package does not have.

        Args:
            methods: Of MicroMutableOpResolver, as `resolver_methods` gives them.
            board: The board's name, for the message.

        Raises:
            ConversionError: Naming them.
        """
        missing = [method.removeprefix("Add") for method in methods if method in self.lacks]
        if missing:
            raise ConversionError(
                f"{board}: {self.name} {self.version} has no {', '.join(missing)}; use runtime 'static' or another board"
            )


def _third_party(folder: str) -> tuple[str, ...]:
    return (".", *(f"{folder}/{name}" for name in ("flatbuffers/include", "gemmlowp", "ruy", "kissfft")))


SOURCES = TflmPackage(
    "tflite-micro",
    "main of 2026-08-20",
    "tensorflow/tflite-micro",
    "90b983c2b3f1480642e040bbd2ddb37b998f3424",
    (4, 7),
    "project",
    headers=_third_party("tensorflow/lite/micro/tools/make/downloads"),
)
# For builds of the user's own.
OWN_BUILD = replace(SOURCES, static_memory="user")
ESPRESSIF = TflmPackage(
    "espressif/esp-tflite-micro",
    "^1.3.3",
    "espressif/esp-tflite-micro",
    "99f49e1498b0984f4db54d9bf3938aceb99ad422",
    (4, 7),
    "package",
    headers=_third_party("third_party"),
)
# Zephyr's own manifest chooses the revision; its build of the module defines nothing.
ZEPHYR = TflmPackage(
    "tflite-micro",
    "Zephyr's manifest",
    "zephyrproject-rtos/tflite-micro",
    "48613f7ba1ffbda46ad771a77a35408f48f922e9",
    (4, 7),
    "none",
    headers=_third_party("third_party_static"),
)
ARDUINO = TflmPackage(
    "Chirale_TensorFLowLite",
    "2.0.0",
    "spaziochirale/Chirale_TensorFlowLite",
    "46da2f989205a9216229d38cd3d1c657d79d6781",
    (4, 6),
    "none",
    frozenset(
        {f"Add{name}" for name in ("BatchMatMul", "Decode", "DynamicUpdateSlice", "EmbeddingLookup")}
        | {f"Add{name}" for name in ("ReduceAll", "ReduceMin", "ReverseV2")}
    ),
    headers=(
        "src",
        *(f"src/third_party/{name}" for name in ("flatbuffers/include", "gemmlowp", "ruy", "kissfft")),
    ),
)
