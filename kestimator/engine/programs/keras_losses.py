"""The losses of Keras layers, where TF1 code looks for losses.

Synopsis::

    graph.keras_losses.record(loss, layer)     # by the dispatcher of `Layer.add_loss`
    graph.get_collection("regularization_losses")     # holds them; so does `get_total_loss`
    graph.keras_losses.missing_from(spec.loss)        # those that a loss lacks

Keras 3 keeps the losses of a layer in the layer. `tf.layers` put them, those of weights and of
activities, into the collection of regularization losses, and so does this: those of a weight
once for each variable, those of `add_loss` and of activities once for each call.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import tensorflow as tf

from kestimator import errors
from kestimator.engine.graphs import ordering

REGULARIZATION_LOSSES = tf.compat.v1.GraphKeys.REGULARIZATION_LOSSES
_local = threading.local()


@dataclasses.dataclass(frozen=True)
class KerasLoss:
    """A loss of a Keras layer.

    Attributes:
        description: What it is, for messages.
        made: The tensor that Keras made.
        collected: What the collection holds: the same in the dtype of losses.
        is_of_weight: Whether it is a weight's; Keras makes another tensor of it whenever
            `losses` is read.
    """

    description: str
    made: tf.Tensor
    collected: tf.Tensor
    is_of_weight: bool


@contextlib.contextmanager
def left_to_keras() -> Iterator[None]:
    """Lets layers keep their losses: a compiled model's `compute_loss` says what they count."""
    outer = getattr(_local, "left", False)
    _local.left = True
    try:
        yield
    finally:
        _local.left = outer


class KerasLosses:
    """The losses of the Keras layers of one trace, for each replica its own.

    Args:
        graph: The program's graph.
    """

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._found: dict[str | None, list[KerasLoss]] = {}
        self._unreachable: dict[str | None, list[str]] = {}
        self._with_loss: dict[str | None, set[int]] = {}

    def record(self, loss: tf.Tensor, layer: Any) -> None:
        """Takes in what a layer gave `add_loss`, from a regularizer of activities or by itself."""
        if getattr(_local, "left", False):
            return
        description = f"a loss of the layer {layer.name!r}"
        if loss.graph is self._graph:
            self._add(description, loss, is_of_weight=False)
        else:
            self._unreachable.setdefault(self._graph.replica, []).append(description)

    def collect(self) -> None:
        """Puts the losses of weights into the collection that are not there yet."""
        creator, replica = self._graph.creator, self._graph.replica
        known = self._with_loss.setdefault(replica, set())
        for name, variable in [] if creator is None else list(creator.keras_variables.items()):
            if variable.regularizer is None or not variable.trainable or id(variable) in known:
                continue
            known.add(id(variable))
            with (
                self._graph.as_default(),
                tf.control_dependencies(None),
                tf.compat.v1.name_scope(None),
                tf.name_scope(f"{name}/Regularizer"),
            ):
                loss = tf.convert_to_tensor(variable.regularizer(variable))
            self._add(f"the regularizer of {name!r}", loss, is_of_weight=True)

    def of_other_replicas(self) -> set[int]:
        """The ids of the tensors in the collection that other replicas made."""
        replica = self._graph.replica
        return {
            id(loss.collected)
            for owner, losses in self._found.items()
            if owner != replica
            for loss in losses
        }

    def missing_from(self, loss: tf.Tensor) -> list[KerasLoss]:
        """The losses of the calling replica that `loss` is not computed from.

        A weight's loss counts as part of it when something equal is: the tensor that Keras made
        of it when `losses` was read.
        """
        self.collect()
        reached = ordering.reachable_operations([loss])
        found = self._found.get(self._graph.replica, [])
        missing = [candidate for candidate in found if candidate.made.op not in reached]
        if not any(candidate.is_of_weight for candidate in missing):
            return missing
        wanted = ordering.reachable_operations([candidate.made for candidate in missing])
        forms = _forms(self._graph, reached | wanted)
        present = {forms[op] for op in reached}
        return [c for c in missing if not (c.is_of_weight and forms[c.made.op] in present)]

    def out_of_reach(self) -> list[str]:
        """Descriptions of losses that were made in branches or loops, where nothing reads them."""
        return self._unreachable.get(self._graph.replica, [])

    def added_to(self, loss: tf.Tensor) -> tf.Tensor:
        """`loss`, with those of the layers' losses that it lacks.

        Raises:
            errors.ArgumentError: A layer made a loss in a branch or a loop.
        """
        if self.out_of_reach():
            raise errors.ArgumentError(
                f"The loss lacks {_listed(self.out_of_reach())}, made in a branch, a loop or a "
                "`tf.function`, out of which a layer's losses do not get. Call the layer outside "
                "of it, or return the loss from it and add it to `loss`."
            )
        missing = self.missing_from(loss)
        if not missing:
            return loss
        with tf.name_scope("kestimator"):
            return tf.add_n([loss, *(tf.cast(m.collected, loss.dtype) for m in missing)])

    def lacking(self, loss: tf.Tensor) -> str | None:
        """What to say of a loss that lacks losses of layers; None where it lacks none."""
        missing = [*(m.description for m in self.missing_from(loss)), *self.out_of_reach()]
        if not missing:
            return None
        return (
            f"The `loss` of the EstimatorSpec does not contain {_listed(missing)}. If it should, "
            "add `tf.compat.v1.losses.get_regularization_loss()` to it. (It is added by itself "
            "where `train_op` is a Keras optimizer, in the modes for training and evaluation.)"
        )

    def _add(self, description: str, loss: tf.Tensor, *, is_of_weight: bool) -> None:
        with self._graph.as_default(), tf.control_dependencies(None):
            collected = tf.cast(loss, keras.config.floatx())
        self._found.setdefault(self._graph.replica, []).append(
            KerasLoss(description, loss, collected, is_of_weight)
        )
        self._graph.add_to_collection(REGULARIZATION_LOSSES, collected)


def _listed(descriptions: list[str], most: int = 5) -> str:
    rest = len(descriptions) - most
    return ", ".join(descriptions[:most]) + (f" and {rest} more" if rest > 0 else "")


def _forms(graph: tf.Graph, operations: Iterable[tf.Operation]) -> dict[tf.Operation, int]:
    """By op, a number: equal for ops that compute the same from the same.

    Ops with a state, and those without inputs, are equal to themselves alone; but a variable has
    one value wherever it is read, and a constant is what it holds.
    """
    wanted = set(operations)
    numbers: dict[Any, int] = {}
    forms: dict[tf.Operation, int] = {}
    for op in graph.get_operations():  # what an op is computed from comes before it
        if op in wanted:
            inputs = tuple((forms.get(t.op, id(t.op)), t.value_index) for t in op.inputs)
            key = (op.type, inputs, _attributes(op)) if _is_told_by_inputs(op) else id(op)
            forms[op] = numbers.setdefault(key, len(numbers))
    return forms


def _is_told_by_inputs(op: tf.Operation) -> bool:
    if op.type in ("Const", "ReadVariableOp"):
        return True
    return bool(op.inputs) and not op.op_def.is_stateful


def _attributes(op: tf.Operation) -> tuple[tuple[str, bytes], ...]:
    attributes = op.node_def.attr
    return tuple(
        (key, attributes[key].SerializeToString(deterministic=True))
        for key in sorted(attributes)
        if not key.startswith("_")
    )
