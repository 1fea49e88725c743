"""The published methods: what each compares, where, and with which weights. One entry of PUBLISHED is one method.

Weights are those of the sources, converted to this library's objectives, whose values are means:

- PKT: its code averages over all pairs of a batch of 64 and weighs with 30,000; here the mean is over examples, so 30,000 / 64.
- SP: its code averages over all pairs of a batch of 64 and weighs with 3,000; here rows are summed, so 3,000 / 64.
- AT: its code averages over positions and weighs with 1,000; here they are summed, so 1,000 / positions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from keras_kd.recipes.terms import Argument

# Where an objective compares. 'stages': the end of each stage. 'middle': of the middle one. 'last': of the last block.
# 'last stage': the last stage. 'penultimate': the last layer's input. 'stage lists': all stages in one objective.
PLACES = ("outputs", "stages", "middle", "last", "last stage", "penultimate", "stage lists")


@dataclass(frozen=True)
class Part:
    """One objective of a method, before the models are known; `per_position` divides its weight by the map's positions."""

    objective: str
    weight: float
    where: str = "outputs"
    arguments: Mapping[str, Argument] = field(default_factory=dict)
    per_position: bool = False


@dataclass(frozen=True)
class Method:
    """A published method; its warm-up is as many of its `of_epochs` epochs."""

    parts: tuple[Part, ...]
    source: str
    hard_weight: float = 1.0
    warmup_epochs: int = 0
    of_epochs: int = 240
    note: str = ""


@dataclass(frozen=True)
class Task:
    """What a student's output is: how many numbers, and the activation that made it, None where that is not known."""

    classes: int | None
    activation: str | None


_RELATION = "RepDistiller and mdistiller, CIFAR-100"

PUBLISHED: dict[str, Method] = {
    "kd": Method(
        (Part("SoftTarget", 0.9, arguments={"temperature": 4.0}),),
        "Hinton et al. 2015, https://arxiv.org/abs/1503.02531; weights of RepDistiller and mdistiller, CIFAR-100",
        hard_weight=0.1,
    ),
    "kd_standardized": Method(
        (Part("SoftTarget", 9.0, arguments={"temperature": 2.0, "standardize": True}),),
        "Sun et al. 2024, https://arxiv.org/abs/2403.01427; the authors' settings for CIFAR-100",
        hard_weight=0.1,
    ),
    "dkd": Method(
        (Part("DecoupledKD", 1.0, arguments={"alpha": 1.0, "beta": 8.0, "temperature": 4.0}),),
        "Zhao et al. 2022, https://arxiv.org/abs/2203.08679; weights and warm-up of mdistiller, the authors' code, CIFAR-100",
        warmup_epochs=20,
    ),
    "dist": Method(
        (Part("Dist", 2.0, arguments={"beta": 1.0, "gamma": 1.0, "temperature": 4.0}),),
        "Huang et al. 2022, https://arxiv.org/abs/2205.10536; the authors' settings for CIFAR-100",
    ),
    "reconstruction": Method(
        (Part("Reconstruction", 0.5),),
        "Bucila et al. 2006, https://doi.org/10.1145/1150402.1150464; half of each weight is this library's",
        hard_weight=0.5,
    ),
    "fitnets": Method(
        (Part("Hint", 100.0, "middle"),),
        f"Romero et al. 2015, https://arxiv.org/abs/1412.6550; weight and hint at the middle stage of {_RELATION}",
        note="trained in one stage, as those do; the paper's two are keras_kd.schemes.hint_then_distil",
    ),
    "at": Method(
        (Part("AttentionTransfer", 1000.0, "stages", per_position=True),),
        f"Zagoruyko and Komodakis 2017, https://arxiv.org/abs/1612.03928; weight of {_RELATION}: 1000 over the positions",
    ),
    "rkd": Method(
        (Part("RelationalDistance", 25.0, "penultimate"), Part("RelationalAngle", 50.0, "penultimate")),
        f"Park et al. 2019, https://arxiv.org/abs/1904.05068; weights of {_RELATION}",
    ),
    "sp": Method(
        (Part("SimilarityPreserving", 47.0, "last"),),
        f"Tung and Mori 2019, https://arxiv.org/abs/1907.09682; weight of {_RELATION}: 3000 over the batch of 64",
    ),
    "vid": Method(
        (Part("VariationalInformation", 1.0, "stages"),),
        f"Ahn et al. 2019, https://arxiv.org/abs/1904.05835; weight of {_RELATION}, with one convolution where they have three",
    ),
    "pkt": Method(
        (Part("ProbabilisticTransfer", 469.0, "penultimate"),),
        f"Passalis and Tefas 2018, https://arxiv.org/abs/1803.10837; weight of {_RELATION}: 30000 over the batch of 64",
    ),
    "crd": Method(
        (Part("Contrastive", 0.8, "penultimate", {"dimensions": 128, "temperature": 0.07}),),
        f"Tian et al. 2020, https://arxiv.org/abs/1910.10699; weight of {_RELATION}",
        note="negatives come from the batch, not from a memory of 16,384",
    ),
    "cc": Method(
        (Part("CorrelationCongruence", 100.0, "penultimate", {"gamma": 0.4, "order": 2}),),
        "Peng et al. 2019, https://arxiv.org/abs/1904.01802, with the paper's kernel",
        note="no weight is published for this form: 100 is this library's, have keras_kd.balance set it",
    ),
}

_UNPUBLISHED = "no weight is published for this form: it is this library's, have keras_kd.balance set it"

PUBLISHED |= {
    "reviewkd": Method(
        (Part("ReviewKD", 1.0, "stage lists"),),
        "Chen et al. 2021, https://arxiv.org/abs/2104.09044; weight and warm-up of mdistiller, CIFAR-100",
        warmup_epochs=20,
        note="stages alone, without the pooled features",
    ),
    "nst": Method(
        (Part("NeuronSelectivity", 50.0, "stages"),),
        f"Huang and Wang 2017, https://arxiv.org/abs/1707.01219; weight of {_RELATION}",
    ),
    "ickd": Method(
        (Part("InterChannel", 2.5, "last stage"),),
        "Liu et al. 2021, https://arxiv.org/abs/2202.03680; weight of the authors' code",
    ),
    "cwd": Method(
        (Part("ChannelWise", 1.0, "last stage", {"temperature": 4.0}),),
        "Shu et al. 2021, https://arxiv.org/abs/2011.13256, with the paper's temperature for features",
        note=_UNPUBLISHED,
    ),
    "mgd": Method(
        (Part("MaskedGeneration", 1.0, "last stage", {"masked": 0.5}),),
        "Yang et al. 2022, https://arxiv.org/abs/2205.01529",
        note=_UNPUBLISHED,
    ),
    "srd": Method(
        (Part("SimpleRecipe", 1.0, "penultimate", {"power": 4.0}),),
        "Miles and Mikolajczyk 2024, https://arxiv.org/abs/2303.11098, with the paper's power and linear projector",
        note=_UNPUBLISHED,
    ),
    "infonce": Method(
        (Part("InfoNCE", 0.8, "penultimate", {"dimensions": 128, "temperature": 0.07}),),
        "van den Oord et al. 2018, https://arxiv.org/abs/1807.03748, with the weight and temperature of crd",
        note=_UNPUBLISHED,
    ),
}

Fit: TypeAlias = Callable[[dict[str, Argument], Task], tuple[dict[str, Argument], str]]
"""An objective's arguments for a task, and a note of what was changed; ValueError where nothing would be left to teach."""


def _soft_target(arguments: dict[str, Argument], task: Task) -> tuple[dict[str, Argument], str]:
    if arguments.get("standardize") and task.classes == 2:
        raise ValueError("two standardized logits are always the same pair and teach nothing; take recipe 'kd'")
    if arguments.get("standardize") and task.activation == "sigmoid":
        raise ValueError("logits of independent labels cannot be standardized; take recipe 'kd'")
    if task.classes == 1 and task.activation != "sigmoid" and arguments.get("form") != "bernoulli":
        raise ValueError(
            "the models have one output: if it is the logit of a yes-or-no question pass form='bernoulli', if it is a value "
            "take recipe 'reconstruction'"
        )
    return arguments, ""


def _decoupled(arguments: dict[str, Argument], task: Task) -> tuple[dict[str, Argument], str]:
    if task.classes == 2 and arguments.get("beta"):
        note = "two classes leave no others to tell apart: beta is 0, and what is left is alpha times SoftTarget"
        return {**arguments, "beta": 0.0}, note
    return arguments, ""


def _dist(arguments: dict[str, Argument], task: Task) -> tuple[dict[str, Argument], str]:
    if task.classes == 2 and arguments.get("beta"):
        note = "two classes can only rank in one order or the other: beta is 0, and the part along the batch is left"
        return {**arguments, "beta": 0.0}, note
    return arguments, ""


# What becomes of an objective where a task leaves nothing for it, or for a part of it, to teach.
FITS: dict[str, Fit] = {"SoftTarget": _soft_target, "DecoupledKD": _decoupled, "Dist": _dist}
