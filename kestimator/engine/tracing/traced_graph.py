"""The graph in which a model_fn or an input_fn is traced, and what it tells TensorFlow.

Synopsis::

    graph = TracedGraph("model_train", seed=1, stand_ins={})
    with eager_mode(), graph.as_default():
        ...                                   # TF1 code finds what it found in tf.estimator
    current()                                 # the graph that is being traced here, or None

tf.estimator called a model_fn in a plain `tf.Graph`. TF1 code, above all in TensorFlow itself, asks
where it runs: `init_scope`, `executing_eagerly_outside_functions`, `building_function`. A
`TracedGraph` gives the answers of a plain graph. It adds one thing: values from outside, such as
the memory of a variable, may be used inside. Each one becomes a placeholder. The functions that
are made of parts of the graph get its value with every call.
"""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from kestimator.engine.tf_internals import tf_operations, tf_tensors, tf_variables
from kestimator.engine.tracing.execution_modes import eager_mode as eager_mode

LARGEST_CONSTANT = 128
"""Captured tensors of up to this many elements become constants, as in a `tf.function`."""

_FUNCTION_IS_BUILT = tf_operations.BUILDERS_THAT_CAPTURE | tf_operations.BUILDERS_OF_CONTROL_FLOW
"""The TensorFlow functions that are told that a function is being built. They include those of
control flow, which then build functional control flow that one thread can run. This also holds
after `disable_v2_behavior()`."""

_KERAS = os.path.dirname(os.path.abspath(keras.__file__)) + os.sep
_TENSORFLOW = os.path.dirname(os.path.abspath(tf.__file__)) + os.sep

StandIn = Callable[[Sequence[tf.Tensor], Mapping[str, Any], str], "tf.Operation | None"]
"""Makes a replacement for an op from its inputs, attributes and name; None keeps the op."""


class TracedGraph(tf.Graph):
    """A `tf.Graph` in which tensors and variables from outside may be used.

    Args:
        name: The name for functions that are made of the graph.
        seed: The graph-level random seed, or None.
        stand_ins: By op type, the makers of replacements, for this graph and for nested graphs.
    """

    def __init__(self, name: str, seed: int | None, stand_ins: Mapping[str, StandIn]) -> None:
        super().__init__()
        self.name = name
        self.seed = seed
        # Branches and loop bodies run all that is written in them, in order, as in a
        # `tf.function`: Keras code in them returns nothing that could be fetched.
        self._add_control_dependencies = True
        self._stand_ins = stand_ins
        # By the ids of the outside tensors. The values hold these tensors, so no id is reused.
        self._captured: dict[int, tuple[tf.Tensor, tf.Tensor]] = {}
        self._constants: dict[int, tuple[tf.Tensor, tf.Tensor]] = {}
        self._foreign: dict[int, tuple[tf.Tensor, tf.Tensor]] = {}  # with their eager values

    @property
    def building_function(self) -> bool:
        """False, except for a few functions of TensorFlow (see `_FUNCTION_IS_BUILT`).

        TensorFlow reads this one attribute in about forty places, for different reasons. Only the
        name of the calling function tells the reason.
        """
        return sys._getframe(1).f_code.co_name in _FUNCTION_IS_BUILT

    @property
    def captures(self) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """The outside tensors that are used inside: pairs of a tensor and its placeholder."""
        return list(self._captured.values())

    def capture(self, tensor: tf.Tensor, name: str | None = None) -> tf.Tensor:
        """The placeholder or constant of this graph for a tensor from outside.

        Args:
            tensor: An eager tensor, a constant of another graph, or a tensor of this graph, which
                is returned as it is.
            name: The name of the placeholder. It is made unique, unless it ends in a slash.

        Raises:
            ValueError: The tensor belongs to another graph, and is not constant.
        """
        if not tf_tensors.is_eager(tensor):
            if tensor.graph is self:
                return tensor
            tensor = self._constant_of(tensor)
        if id(tensor) not in self._captured and id(tensor) not in self._constants:
            # First: it may adopt a variable, whose placeholder then gets the variable's name.
            self.meet(tensor)
        internal = self.placeholder_for(tensor, name)
        tf_tensors.record_capture(internal, tensor)
        return internal

    def _constant_of(self, tensor: tf.Tensor) -> tf.Tensor:
        """The eager value of a constant of another graph.

        A Keras layer that is built in the first program keeps the tensors that it made there.
        """
        if id(tensor) not in self._foreign:
            value = self.constant_value(tensor)
            if value is None:
                raise ValueError(
                    f"{tensor!r} belongs to another graph. Expected a tensor of the graph "
                    f"{self.name!r}, created in the same call that uses it."
                )
            self._foreign[id(tensor)] = (tensor, value)
        return self._foreign[id(tensor)][1]

    def constant_value(self, tensor: tf.Tensor) -> tf.Tensor | None:
        """The eager value of a tensor of another graph, if it is the same in all graphs."""
        del tensor
        return None

    def placeholder_for(self, tensor: tf.Tensor, name: str | None) -> tf.Tensor:
        """Like `capture`, for the memory of a variable that the program makes itself."""
        capture = self._captured.get(id(tensor)) or self._constants.get(id(tensor))
        return (capture or self._stand_for(tensor, name))[1]

    def meet(self, tensor: tf.Tensor) -> None:
        """Called before an eager tensor is captured for the first time."""

    def _stand_for(self, tensor: tf.Tensor, name: str | None) -> tuple[tf.Tensor, tf.Tensor]:
        # The first use may be in a branch or under a control dependency; later uses are elsewhere.
        with self.as_default(), tf.control_dependencies(None):
            if _is_small(tensor):
                constant = tf.constant(tensor.numpy(), tensor.dtype, tensor.shape, name=name)
                self._constants[id(tensor)] = (tensor, constant)
                return tensor, constant
            placeholder = self.create_op(
                "Placeholder",
                [],
                [tensor.dtype],
                name=name or "captured",
                attrs={
                    "dtype": tf.compat.v1.AttrValue(type=tensor.dtype.as_datatype_enum),
                    "shape": tf.compat.v1.AttrValue(shape=tensor.shape.as_proto()),
                },
            ).outputs[0]
        tf_tensors.copy_handle_data(tensor, placeholder)
        self._captured[id(tensor)] = (tensor, placeholder)
        return tensor, placeholder

    def control_dependencies(self, control_inputs: Any) -> Any:
        """Like that of `tf.Graph`, but ignores eager values, which are already computed."""
        if control_inputs is not None:
            control_inputs = [c for c in map(_operation, control_inputs) if c is not None]
        return super().control_dependencies(control_inputs)

    def _create_op_internal(
        self,
        op_type: str,
        inputs: Sequence[tf.Tensor],
        dtypes: Any = None,
        input_types: Any = None,
        name: str | None = None,
        attrs: Mapping[str, Any] | None = None,
        *args: Any,
        **options: Any,
    ) -> tf.Operation:
        """Makes an op or its replacement. TensorFlow makes all ops of a graph here."""
        stand_in = self.stand_in(op_type, inputs, attrs, name)
        if stand_in is not None:
            return stand_in
        captured = [self.capture(tensor) for tensor in self.inputs_of(op_type, inputs)]
        return super()._create_op_internal(
            op_type, captured, dtypes, input_types, name, attrs, *args, **options
        )

    def inputs_of(self, op_type: str, inputs: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
        """The inputs for an op that is about to be made, here or in a nested graph."""
        del op_type
        return inputs

    def stand_in(
        self,
        op_type: str,
        inputs: Sequence[tf.Tensor],
        attrs: Mapping[str, Any] | None,
        name: str | None,
    ) -> tf.Operation | None:
        """The replacement for an op that is about to be made; None to make the op itself."""
        make = self._stand_ins.get(op_type)
        return make(inputs, attrs or {}, name or op_type) if make else None


def is_keras_calling(frame: types.FrameType | None) -> bool:
    """Whether a frame belongs to Keras code, or Keras calls it through TensorFlow."""
    while frame is not None and frame.f_code.co_filename.startswith(_TENSORFLOW):
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.startswith(_KERAS)


def _operation(control_input: Any) -> Any:
    """The op that a graph can wait for; None for a value that is not part of a graph."""
    # `tf.Graph.control_dependencies` does the same for these.
    if isinstance(control_input, tf.IndexedSlices) or (
        tf_variables.has_handle(control_input) and hasattr(control_input, "op")
    ):
        return control_input.op
    is_outside = tf_tensors.is_eager(control_input) or (
        isinstance(control_input, tf.Variable) and getattr(control_input, "graph", None) is None
    )
    return None if is_outside else control_input


def _is_small(tensor: tf.Tensor) -> bool:
    if tensor.dtype in (tf.resource, tf.variant):
        return False
    return int(tensor.shape.num_elements()) <= LARGEST_CONSTANT


def current() -> TracedGraph | None:
    """The graph that the calling thread traces, even from a branch or loop in it; or None."""
    if tf.executing_eagerly():
        return None
    graph = tf.compat.v1.get_default_graph()
    while graph is not None and not isinstance(graph, TracedGraph):
        graph = getattr(graph, "outer_graph", None)
    return graph
