"""The losses of Keras layers, where TF1 code looks for losses.

Synopsis::

    graph.keras_losses.record(loss, layer)     # by the dispatcher of `Layer.add_loss`
    graph.get_collection("regularization_losses")     # holds them; so does `get_total_loss`
    graph.keras_losses.missing_from(spec.loss)        # those that a loss lacks

Keras 3 keeps the losses of a layer in the layer. `tf.layers` put the losses of weights and
activities into the collection of regularization losses. This module does the same. A weight's loss
is added once for each variable. The losses of `add_loss` and of activities are added once for each
call.
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
        description: A description for messages.
        tensor: The tensor that Keras made.
        collected: The tensor in the collection: `tensor`, cast to Keras' `floatx`.
        is_of_weight: Whether it is the loss of a weight. Keras makes another tensor for it
            whenever `losses` is read.
    """

    description: str
    tensor: tf.Tensor
    collected: tf.Tensor
    is_of_weight: bool


@contextlib.contextmanager
def left_to_keras() -> Iterator[None]:
    """Lets layers keep their losses, where a compiled model's `compute_loss` adds them."""
    outer = getattr(_local, "left", False)
    _local.left = True
    try:
        yield
    finally:
        _local.left = outer


class KerasLosses:
    """The losses of the Keras layers of one trace, separate for each replica.

    Args:
        graph: The program's graph.
    """

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        # The keys are names of replicas. None stands for the first replica, or the only one.
        self._losses: dict[str | None, list[KerasLoss]] = {}
        self._unreachable: dict[str | None, list[str]] = {}
        self._with_loss: dict[str | None, set[int]] = {}

    def record(self, loss: tf.Tensor, layer: Any) -> None:
        """Records a loss that a layer or its activity regularizer passed to `add_loss`."""
        if getattr(_local, "left", False):
            return
        description = f"a loss of the layer {layer.name!r}"
        # A tensor of a branch or a loop cannot be used outside of it, so it cannot be collected.
        if loss.graph is self._graph:
            self._add(description, loss, is_of_weight=False)
        else:
            self._unreachable.setdefault(self._graph.replica, []).append(description)

    def collect(self) -> None:
        """Adds the losses of weights to the collection, unless they are there already."""
        creator, replica = self._graph.creator, self._graph.replica
        recorded = self._with_loss.setdefault(replica, set())
        for name, variable in [] if creator is None else list(creator.keras_variables.items()):
            if variable.regularizer is None or not variable.trainable or id(variable) in recorded:
                continue
            recorded.add(id(variable))
            with (
                self._graph.as_default(),
                tf.control_dependencies(None),
                # The name must not depend on the scope of the code that asks for the collection.
                tf.compat.v1.name_scope(None),
                tf.name_scope(f"{name}/Regularizer"),
            ):
                loss = tf.convert_to_tensor(variable.regularizer(variable))
            self._add(f"the regularizer of {name!r}", loss, is_of_weight=True)

    def of_other_replicas(self) -> set[int]:
        """The ids of the tensors in the collection that belong to other replicas."""
        replica = self._graph.replica
        return {
            id(loss.collected)
            for owner, losses in self._losses.items()
            if owner != replica
            for loss in losses
        }

    def missing_from(self, loss: tf.Tensor) -> list[KerasLoss]:
        """The losses of the calling replica that are not part of `loss`.

        A weight's loss also counts as part of it if `loss` contains an equal computation. Keras
        makes such a tensor whenever `losses` is read.
        """
        self.collect()
        reached = ordering.reachable_operations([loss])
        losses = self._losses.get(self._graph.replica, [])
        missing = [candidate for candidate in losses if candidate.tensor.op not in reached]
        if not any(candidate.is_of_weight for candidate in missing):
            return missing
        # Comparing computations takes a pass over the graph, so it comes last.
        needed = ordering.reachable_operations([candidate.tensor for candidate in missing])
        forms = _forms(self._graph, reached | needed)
        present = {forms[op] for op in reached}
        return [c for c in missing if not (c.is_of_weight and forms[c.tensor.op] in present)]

    def out_of_reach(self) -> list[str]:
        """Descriptions of losses that were made in branches or loops, where they cannot be read."""
        return self._unreachable.get(self._graph.replica, [])

    def added_to(self, loss: tf.Tensor) -> tf.Tensor:
        """Returns `loss` plus the losses of layers that it does not contain.

        Raises:
            errors.ArgumentError: A layer made a loss in a branch or a loop.
        """
        if self.out_of_reach():
            raise errors.ArgumentError(
                f"The loss lacks {_listed(self.out_of_reach())}. A loss that a layer creates in a "
                "branch, a loop or a `tf.function` cannot be used outside of it. Call the layer "
                "outside, or return the loss from there and add it to `loss`."
            )
        missing = self.missing_from(loss)
        if not missing:
            return loss
        with tf.name_scope("kestimator"):
            return tf.add_n([loss, *(tf.cast(m.collected, loss.dtype) for m in missing)])

    def lacking(self, loss: tf.Tensor) -> str | None:
        """The message for a loss that lacks losses of layers; None if it lacks none."""
        missing = [*(m.description for m in self.missing_from(loss)), *self.out_of_reach()]
        if not missing:
            return None
        return (
            f"The `loss` of the EstimatorSpec does not contain {_listed(missing)}. If it should, "
            "add `tf.compat.v1.losses.get_regularization_loss()` to it. (If `train_op` "
            "is a Keras optimizer, it is added automatically in training and evaluation.)"
        )

    def _add(self, description: str, loss: tf.Tensor, *, is_of_weight: bool) -> None:
        with self._graph.as_default(), tf.control_dependencies(None):
            collected = tf.cast(loss, keras.config.floatx())
        self._losses.setdefault(self._graph.replica, []).append(
            KerasLoss(description, loss, collected, is_of_weight)
        )
        self._graph.add_to_collection(REGULARIZATION_LOSSES, collected)


def _listed(descriptions: list[str], most: int = 5) -> str:
    omitted = len(descriptions) - most
    return ", ".join(descriptions[:most]) + (f" and {omitted} more" if omitted > 0 else "")


def _forms(graph: tf.Graph, operations: Iterable[tf.Operation]) -> dict[tf.Operation, int]:
    """Numbers ops, so that ops with the same number compute the same value.

    A stateful op, or one without inputs, equals only itself. Two exceptions: reads of one variable
    are equal, and so are constants of one value.
    """
    selected = set(operations)
    numbers: dict[Any, int] = {}
    forms: dict[tf.Operation, int] = {}
    for op in graph.get_operations():  # the inputs of an op come before it
        if op in selected:
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
        if not key.startswith("_")  # hints for the runtime, such as `_class`
    )
