"""Peers that learn from labels and from each other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import keras
from keras import ops

from keras_kd.checks import require_number
from keras_kd.layers import activation_of
from keras_kd.objectives.keras_losses import Objectives, listed
from keras_kd.objectives.response import SoftTarget
from keras_kd.objectives.weighing import batch_mean
from keras_kd.per_output import hard_weights, ignored_class, labels_of, weights_of
from keras_kd.serialization import serializable
from keras_kd.training import Batch, TeachingModel
from keras_kd.types import Compiled, Structure, Tensor


@serializable
class MutualDistiller(TeachingModel):
    """Train N peers on the same batches, each on the labels and on the others' outputs.

    Peer k minimizes loss(y, k) + weight * mean over the other peers l of objective(l, k); no gradient flows into the peer that
    teaches. All peers step at once, while the paper updates them in turn. Weight and temperature of the objective may follow
    schedules over training steps. Sample weights apply to both parts.

    `compile` takes one optimizer, which is copied for each peer, or a list of N; callbacks that set `optimizer.learning_rate`
    reach all of them. `predict` gives the mean of the peers' probabilities, or the mean of the outputs of other peers; the
    peers are in `peers`. Logs: `loss`, and `peer_k_loss` and `peer_k_objective` for each.

    Args:
        peers: At least two built models with the same inputs and outputs.
        objective: What each peer learns from each other, an objective or a loss as a Distiller takes it; by default
            SoftTarget at temperature 1, as in the paper.

    Raises:
        ValueError: For fewer than two peers, the same model twice, several outputs, or outputs that cannot be compared.

    Examples:
        >>> net = lambda: keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        >>> distiller = keras_kd.MutualDistiller([net(), net()])
        >>> distiller.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        >>> history = distiller.fit(np.ones((8, 4)), np.zeros(8), verbose=0).history
        >>> sorted(history)
        ['loss', 'peer_0_loss', 'peer_0_objective', 'peer_1_loss', 'peer_1_objective']

    Source: deep mutual learning, Zhang et al. 2018, equations 6 to 8, https://arxiv.org/abs/1706.00384
    """

    def __init__(
        self,
        peers: Sequence[keras.Model],
        objective: Objectives = None,
        *,
        name: str = "mutual_distiller",
        **kwargs: object,
    ) -> None:
        peers = list(peers)
        kwargs.setdefault("dtype", peers[0].dtype_policy if peers else None)
        super().__init__(name=name, **kwargs)
        if len(peers) < 2 or len({id(peer) for peer in peers}) < len(peers):
            raise ValueError(
                f"MutualDistiller: needs at least two different models, got {[peer.name for peer in peers]}"
            )
        several = [peer.name for peer in peers if len(getattr(peer, "outputs", None) or [None]) != 1]
        if several:
            raise ValueError(f"MutualDistiller: {several[0]!r} has several outputs; peers have one each")
        given = listed(SoftTarget(1.0) if objective is None else objective)
        if len(given) != 1:
            raise ValueError(f"MutualDistiller takes one objective, got {len(given)}")
        self.objective = given[0]
        if self.objective.learned or self.objective.teacher_layer or self.objective.student_layer:
            raise ValueError("MutualDistiller compares outputs; its objective takes no layers and learns none")
        activations = [activation_of(peer) for peer in peers]
        # resolved[k][l]: peer l teaches peer k.
        self._resolved = [
            [self.objective.resolve(teacher, student) for teacher in activations] for student in activations
        ]
        shapes = [tuple(peer.outputs[0].shape) for peer in peers if getattr(peer, "outputs", None)]
        for shape in shapes[1:]:
            self._resolved[0][1].check(shapes[0], shape)
        self.peers = peers
        self._activations = activations
        self._means = {
            f"peer_{k}_{what}": keras.metrics.Mean(name=f"peer_{k}_{what}")
            for k in range(len(peers))
            for what in ("loss", "objective")
        }
        self._count_steps_for([self.objective])
        self.built = all(peer.built for peer in peers)

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer | Sequence[keras.optimizers.Optimizer] = "adam",
        loss: Compiled = None,
        **kwargs: object,
    ) -> None:
        """As on any Keras model; `optimizer` may be a list with one for each peer."""
        if isinstance(optimizer, (list, tuple)):
            if len(optimizer) != len(self.peers):
                raise ValueError(f"MutualDistiller: {len(optimizer)} optimizers for {len(self.peers)} peers")
            parts = [keras.optimizers.get(one) for one in optimizer]
        else:
            first = keras.optimizers.get(optimizer)
            parts = [first.__class__.from_config(first.get_config()) for _ in self.peers]
        groups = [[variable.path for variable in peer.trainable_variables] for peer in self.peers]
        super().compile(optimizer=PeerOptimizers(parts, [len(group) for group in groups]), loss=loss, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as `get_compile_config` describes, and create the variables of the optimizers' states."""
        super().compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    @property
    def trainable_variables(self) -> list[Any]:
        """The peers', one peer after the other."""
        return [variable for peer in self.peers for variable in peer.trainable_variables]

    def call(self, inputs: Structure, training: bool = False) -> Any:
        """Outputs of each peer while training, the mean of their probabilities otherwise."""
        outputs = [peer(inputs, training=training) for peer in self.peers]
        return outputs if training or self.in_step else self._together(outputs)

    def _terms(self, batch: Batch, training: bool) -> list[Tensor]:
        """The peers' losses; the gradient of their sum in each peer is that of the peer's own loss."""
        x, y, y_pred, sample_weight = batch
        outputs = y_pred if isinstance(y_pred, list) else [peer(x, training=training) for peer in self.peers]
        terms = [self._aggregate_additional_loss(loss) for loss in self.losses]
        labels, weights = labels_of(y, self.peers[0], 0), weights_of(sample_weight, self.peers[0], 0)
        ignored = ignored_class(self.objective.ignore_class, self.loss, self.peers[0], 0, labels)
        for k, mine in enumerate(outputs):
            if self._compile_loss is not None and y is not None:
                hard = self._compile_loss(y, mine, hard_weights(self.loss, y, mine, sample_weight))
                self._log_mean(self._means[f"peer_{k}_loss"], hard, x)
                terms.append(hard)
            values = [
                batch_mean(
                    self._now(self._resolved[k][n], training), ops.stop_gradient(theirs), mine, labels, weights, ignored
                )
                for n, theirs in enumerate(outputs)
                if n != k
            ]
            value = sum(values[1:], values[0]) / len(values)
            self._log_mean(self._means[f"peer_{k}_objective"], value, x)
            terms.append(self._now(self.objective, training).weight * value)
        return terms

    def compute_metrics(
        self, x: Structure, y: Structure | None, y_pred: Structure, sample_weight: Structure | None = None
    ) -> dict[str, Any]:
        """The metrics of the peers' mean."""
        outputs = self._together(y_pred) if isinstance(y_pred, list) else y_pred
        return super().compute_metrics(x, y, outputs, sample_weight)

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            "name": self.name,
            "peers": [serialize(peer) for peer in self.peers],
            "objective": serialize(self.objective),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> MutualDistiller:
        config = dict(config)
        peers = [keras.saving.deserialize_keras_object(peer, custom_objects) for peer in config.pop("peers")]
        return cls(peers, keras.saving.deserialize_keras_object(config.pop("objective"), custom_objects), **config)

    def _together(self, outputs: list[Any]) -> Any:
        """Mean of probabilities, as logs where the peers give logits, so that the compiled loss and metrics fit."""
        if set(self._activations) == {"linear"}:
            mean = sum(ops.softmax(one, axis=-1) for one in outputs) / len(outputs)
            return ops.log(ops.maximum(mean, 1e-12))
        return sum(outputs) / len(outputs)


@serializable
class PeerOptimizers(keras.optimizers.Optimizer):
    """Several optimizers, each for some of the variables: the first `counts[0]` go to the first, and so on.

    `learning_rate` stands for all of them, as callbacks such as ReduceLROnPlateau read and set it.
    """

    def __init__(self, parts: Sequence[keras.optimizers.Optimizer], counts: Sequence[int], **kwargs: object) -> None:
        super().__init__(learning_rate=0.0, **kwargs)
        self.parts = list(parts)
        rates = [float(ops.convert_to_numpy(part.learning_rate)) for part in self.parts]
        # Relative to the rates at the start: current ones would be lost where a callback sets 0 for a while.
        self._ratios = [rate / rates[0] if rates[0] else 1.0 for rate in rates]
        self.counts = [int(require_number(count, "PeerOptimizers: count", minimum=0.0)) for count in counts]

    @property
    def learning_rate(self) -> Any:
        """The first part's. Setting it sets the first part's and moves the others in proportion.

        Raises:
            TypeError: If a part's follows a schedule, as on any optimizer.
        """
        return self.parts[0].learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: Tensor | float) -> None:
        for part, ratio in zip(self.parts, self._ratios):
            part.learning_rate = learning_rate if ratio == 1.0 else learning_rate * ratio

    def build(self, variables: Sequence[Any]) -> None:
        """Build each part on its own variables."""
        if self.built:
            return
        for part, chosen in zip(self.parts, self._split(variables)):
            part.build(chosen)
        super().build(variables)

    @property
    def variables(self) -> list[Any]:
        """This optimizer's step count and all parts' variables."""
        return [*super().variables, *(variable for part in self.parts for variable in part.variables)]

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> Any:
        """Each part applies its own gradients."""
        variables = list(trainable_variables if trainable_variables is not None else self._trainable_variables)
        if not self.built:
            self.build(variables)
        for part, mine, chosen in zip(self.parts, self._split(list(grads)), self._split(variables)):
            part.apply(mine, chosen)
        self._iterations.assign_add(1)
        return self._iterations

    def _split(self, values: Sequence[Any]) -> list[list[Any]]:
        edges = [sum(self.counts[:n]) for n in range(len(self.counts) + 1)]
        return [list(values[start:stop]) for start, stop in pairwise(edges)]

    def get_config(self) -> dict[str, Any]:
        return {
            "parts": [keras.saving.serialize_keras_object(part) for part in self.parts],
            "counts": self.counts,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> PeerOptimizers:
        config = dict(config)
        return cls(
            [keras.saving.deserialize_keras_object(part, custom_objects) for part in config.pop("parts")], **config
        )
