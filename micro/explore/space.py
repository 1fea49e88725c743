"""What may vary between candidates, and the config that a choice makes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

from micro.config import AUTO, AUTOENCODERS, CONVOLUTIONAL, Config, PruneStage, with_candidate
from micro.errors import RunError

WIDTHS, BOTTLENECKS, FILTERS = (4, 128), (2, 24), (4, 48)
KERNELS, STRIDES, TAPERS = (3, 5, 9, 15), (2, 3, 4), (0.5, 1.0, 1.5)
SPARSITIES, SCALES = (0.0, 0.3, 0.5, 0.8), ("per_tensor", "per_channel")
TEMPERATURES = (1.0, 10.0)
# Epochs of fine-tuning after pruning.
PRUNING_EPOCHS = 10

Choice = dict[str, Any]


class Ask(Protocol):
    """What draws values: a trial of Optuna, or anything with its three ways to ask."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...
    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int: ...
    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...


def require_searchable(config: Config) -> None:
    """RunError for a config whose students cannot be varied or judged."""
    if config.task == "sequence":
        raise RunError("search: task 'sequence' has no search; run it with students of other sizes (keras-kd run)")
    if config.student.path:
        raise RunError("search: student.path names a model as it is; give student.family instead, so that it can vary")
    if config.firmware.streaming:
        raise RunError(
            "search: costs of candidates are those of whole windows; leave out firmware.streaming, and give it to the student "
            "that is found with keras-kd run"
        )
    if config.modes is not None:
        raise RunError("search: candidates are judged by one threshold; leave out [modes], and give it to keras-kd run")
    if config.features.orders is not None:
        raise RunError("search: bands of candidates are in Hz; leave out features.orders, and give it to keras-kd run")
    if getattr(config.data, "folds", None):
        raise RunError(
            "search: candidates are judged on one division; leave out data.folds, and give them to the student that is found "
            "with keras-kd run"
        )
    if config.task == "anomaly" and getattr(config.data, "pictures", False):
        raise RunError(
            "search: detectors are judged on synthetic anomalies of machines' signals, and pictures have none; run the config"
        )
    if getattr(config.data, "predict", ()):
        raise RunError(
            "search: detectors are judged on synthetic anomalies of single signals, none of which breaks what ties "
            "data.predict to the other channels; run configs with different students instead (keras-kd run)"
        )
    if config.sources and config.task == "anomaly":
        raise RunError(
            "search: detectors are judged on synthetic anomalies of one source, and the config has further ones; run configs "
            "with different students instead (keras-kd run)"
        )
    if getattr(config.data, "scaling", "all") == "per_file":
        raise RunError('search: scaling = "per_file" has no constants for a chip; search with scaling = "all"')


def resolutions(config: Config) -> tuple[int, ...]:
    """Numbers of bands to try: the config's own, and half and a quarter of it; only the own where nothing is in bands, or
    where there are further sources."""
    kinds = (config.features.kind,) if isinstance(config.features.kind, str) else config.features.kind
    fixed = config.teacher.path is not None and config.task == "anomaly"
    if fixed or config.sources or not {"spectrum", "mel"} & set(kinds):
        return (config.features.bands,)
    halves = (config.features.bands // divisor for divisor in (4, 2, 1))
    return tuple(bands for bands in halves if bands >= 8) or (config.features.bands,)


def widest(config: Config, inputs: int, flash: int | None, macs: int | None) -> int:
    """The widest layer to draw: the weights of one that reads this many inputs must fit the budget."""
    family = config.student.family
    if family in CONVOLUTIONAL and family not in AUTOENCODERS:
        return FILTERS[1]
    # A convolutional autoencoder has one layer for each input, the one that reads its code.
    readers = 2 if family == "autoencoder" else 1
    limits = [limit // (readers * inputs) for limit in (flash, macs) if limit is not None]
    largest = FILTERS[1] if family in CONVOLUTIONAL else WIDTHS[1]
    return min([largest, *(max(limit, 2 * WIDTHS[0]) for limit in limits)])


def propose(ask: Ask, config: Config, widest: int = WIDTHS[1]) -> Config:
    """A candidate: the config with another student, and another way to teach and to quantize it."""
    bands = ask.suggest_categorical("bands", resolutions(config))
    sparsity = ask.suggest_categorical("sparsity", SPARSITIES)
    scales = ask.suggest_categorical("scales", SCALES)
    if config.distill.recipe == AUTO:
        config = with_candidate(config, ask.suggest_categorical("recipe", config.distill.candidates))
    # A recipe's numbers hold, and a student of scores learns these alone.
    taught = config.distill.objective is not None and not config.teacher.detectors
    weight = ask.suggest_float("teacher_share", 0.0, 1.0) if taught else 0.0
    student: Choice = {"sizes": _sizes(ask, config, widest)}
    if config.student.family in CONVOLUTIONAL:
        student["kernel"] = ask.suggest_categorical("kernel", KERNELS)
        student["stride"] = ask.suggest_categorical("stride", STRIDES)
    distill: Choice = {"weight": weight, "hard_weight": 1.0 - weight} if taught else {}
    if config.distill.objective == "soft_target":
        distill["temperature"] = ask.suggest_float("temperature", *TEMPERATURES, log=True)
    return config.model_copy(
        update={
            "features": config.features.model_copy(update={"bands": bands}),
            "student": config.student.model_copy(update=student),
            "distill": config.distill.model_copy(update=distill),
            "convert": config.convert.model_copy(update={"weights": _scales(config, scales)}),
            "compress": _stages(config, sparsity),
        }
    )


def given(config: Config) -> Config:
    """The config's own student, as candidates are trained: no stage under a live teacher, and of recipe "auto" the first of its
    candidates."""
    if config.distill.recipe == AUTO:
        config = with_candidate(config, config.distill.candidates[0])
    return config.model_copy(update={"compress": tuple(_without_teacher(config, config.compress))})


def smallest(config: Config) -> list[Config]:
    """Candidates of which one is smallest in each respect: the narrowest students, shallow and deep, on the fewest bands."""
    family = config.student.family
    if family == "autoencoder":
        shapes: list[Choice] = [{"depth": 0, "bottleneck": BOTTLENECKS[0]}]
    else:
        narrow = {"width": FILTERS[0] if family in CONVOLUTIONAL else WIDTHS[0], "taper": TAPERS[0]}
        shapes = [{"depth": depth, "bottleneck": BOTTLENECKS[0], **narrow} for depth in (1, 4)]
    recipe = config.distill.candidates[0] if config.distill.recipe == AUTO else None
    values = {
        "recipe": recipe,
        "bands": resolutions(config)[0],
        "sparsity": SPARSITIES[-1],
        "scales": "per_tensor",
        "teacher_share": 0.5,
    }
    conv = {"kernel": KERNELS[0], "stride": STRIDES[-1]}
    return [propose(_Given({**values, **conv, "temperature": 1.0, **shape}), config) for shape in shapes]


def _sizes(ask: Ask, config: Config, widest: int) -> tuple[int, ...]:
    if config.student.family == "autoencoder":
        depth = ask.suggest_int("depth", 0, 2)
        middle = ask.suggest_int("bottleneck", BOTTLENECKS[0], min(BOTTLENECKS[1], widest), log=True)
        if depth == 0:
            return (middle,)
        width = max(middle, ask.suggest_int("width", WIDTHS[0], widest, log=True))
        side = (width,) if depth == 1 else (width, max(middle, round(math.sqrt(width * middle))))
        return (*side, middle, *reversed(side))
    depth = ask.suggest_int("depth", 1, 4)
    convolves = config.student.family in CONVOLUTIONAL
    # Filters are drawn evenly: most of those that a logarithm favours leave a budget unused.
    width = ask.suggest_int("width", FILTERS[0] if convolves else WIDTHS[0], widest, log=not convolves)
    sizes = _tapered(width, ask.suggest_categorical("taper", TAPERS), depth)
    if config.student.family in AUTOENCODERS:
        return (*sizes, ask.suggest_int("bottleneck", BOTTLENECKS[0], min(BOTTLENECKS[1], widest), log=True))
    return sizes


def _tapered(width: int, taper: float, depth: int) -> tuple[int, ...]:
    return tuple(max(4, round(width * taper**level)) for level in range(depth))


def _scales(config: Config, scales: str) -> str:
    """Clustering and quantization-aware training choose scales themselves."""
    stages = {stage.stage for stage in config.compress}
    if "quantize_aware" in stages:
        return "auto"
    return "per_tensor" if "cluster" in stages else scales


def _stages(config: Config, sparsity: float) -> tuple[Any, ...]:
    """The config's stages, none under a live teacher, with pruning as drawn at its place."""
    earlier = [stage for stage in config.compress if stage.stage == "shrink"]
    later = [stage for stage in config.compress if stage.stage in ("cluster", "quantize_aware")]
    pruned = [PruneStage(stage="prune", target_sparsity=sparsity, epochs=PRUNING_EPOCHS)] if sparsity else []
    return tuple(_without_teacher(config, (*earlier, *pruned, *later)))


def _without_teacher(config: Config, stages: Sequence[Any]) -> list[Any]:
    """Stages that train on the data alone; under the recorded scores of detectors, where a student would forget those."""
    if config.teacher.detectors:
        return list(stages)
    return [stage.model_copy(update={"teacher": False}) for stage in stages]


class _Given:
    """Answers from a mapping."""

    def __init__(self, choice: Choice) -> None:
        self._choice = choice

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._choice[name]

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        return int(self._choice[name])

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return float(self._choice[name])
