"""What TensorFlow is told while a model_fn or an input_fn is traced: that it builds a graph.

Synopsis::

    graph = TracedGraph("model_train", seed=1, stand_ins={})
    with eager_mode(), graph.as_default():
        ...                                   # TF1 code finds what it found in tf.estimator
    current()                                 # the graph that is being traced here, or None

tf.estimator called a model_fn in a plain `tf.Graph`, and TF1 code, TensorFlow's own above all,
asks where it is: `init_scope`, `executing_eagerly_outside_functions`, `building_function`. A
`TracedGraph` is such a graph. It adds one thing: what lives outside, such as the memory of a
variable, may be used inside. It becomes a placeholder, which the functions made of parts of the
graph are called with.
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
"""Captured numbers up to so many become a constant, as in a `tf.function`."""

_FUNCTION_IS_BUILT = tf_operations.BUILDERS_THAT_CAPTURE | tf_operations.BUILDERS_OF_CONTROL_FLOW
"""The functions of TensorFlow that are told that a function is built. Of two kinds of control
flow, the one that is made of functions runs on one thread, after `disable_v2_behavior()`, too."""

_KERAS = os.path.dirname(os.path.abspath(keras.__file__)) + os.sep
_TENSORFLOW = os.path.dirname(os.path.abspath(tf.__file__)) + os.sep

StandIn = Callable[[Sequence[tf.Tensor], Mapping[str, Any], str], "tf.Operation | None"]
"""Makes what stands for an op, of its inputs, attributes and name; None for the op itself."""


class TracedGraph(tf.Graph):
    """A `tf.Graph` in which tensors and variables from outside of it may be used.

    Args:
        name: What functions made of it are called by.
        seed: The graph-level random seed, or None.
        stand_ins: By type, the ops in whose place others are made, here and in nested graphs.
    """

    def __init__(self, name: str, seed: int | None, stand_ins: Mapping[str, StandIn]) -> None:
        super().__init__()
        self.name = name
        self.seed = seed
        # Branches and bodies of loops run what is written in them, in its order, as in a
        # `tf.function`: Keras code in them returns nothing that could be fetched.
        self._add_control_dependencies = True
        self._stand_ins = stand_ins
        self._captured: dict[int, tuple[tf.Tensor, tf.Tensor]] = {}
        self._constants: dict[int, tuple[tf.Tensor, tf.Tensor]] = {}

    @property
    def building_function(self) -> bool:
        """False, but for those who ask because of captures.

        TensorFlow has no other way to be told: it asks at forty places by this one name.
        """
        return sys._getframe(1).f_code.co_name in _FUNCTION_IS_BUILT

    @property
    def captures(self) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """What lives outside and is used inside: pairs of a tensor and its placeholder."""
        return list(self._captured.values())

    def capture(self, tensor: tf.Tensor, name: str | None = None) -> tf.Tensor:
        """The tensor of this graph that stands for one from outside.

        Args:
            tensor: An eager tensor, or one of this graph, which stands for itself.
            name: The name of the placeholder, made unique; one that ends in a slash is taken as
                it is.

        Raises:
            ValueError: It is a tensor of another graph.
        """
        if not tf_tensors.is_eager(tensor):
            if tensor.graph is not self:
                raise ValueError(
                    f"{tensor!r} is a tensor of another graph. Expected one that was made in the "
                    f"same call as what uses it, in the graph {self.name!r}."
                )
            return tensor
        if id(tensor) not in self._captured and id(tensor) not in self._constants:
            self.meet(tensor)
        internal = self.placeholder_for(tensor, name)
        tf_tensors.record_capture(internal, tensor)
        return internal

    def placeholder_for(self, tensor: tf.Tensor, name: str | None) -> tf.Tensor:
        """As `capture`, for the memory of a variable that the program makes itself."""
        known = self._captured.get(id(tensor)) or self._constants.get(id(tensor))
        return (known or self._stand_for(tensor, name))[1]

    def meet(self, tensor: tf.Tensor) -> None:
        """Called before an eager tensor is captured for the first time."""

    def _stand_for(self, tensor: tf.Tensor, name: str | None) -> tuple[tf.Tensor, tf.Tensor]:
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
        """As of `tf.Graph`; what eager code computed is there already, and is left out."""
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
        """Makes an op, or what stands for it; TensorFlow makes all ops here."""
        stand_in = self.stand_in(op_type, inputs, attrs, name)
        if stand_in is not None:
            return stand_in
        captured = [self.capture(tensor) for tensor in self.inputs_of(op_type, inputs)]
        return super()._create_op_internal(
            op_type, captured, dtypes, input_types, name, attrs, *args, **options
        )

    def inputs_of(self, op_type: str, inputs: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
        """The inputs that an op gets which is about to be made, here or in a nested graph."""
        del op_type
        return inputs

    def stand_in(
        self,
        op_type: str,
        inputs: Sequence[tf.Tensor],
        attrs: Mapping[str, Any] | None,
        name: str | None,
    ) -> tf.Operation | None:
        """What stands for an op that is about to be made; None for the op itself."""
        make = self._stand_ins.get(op_type)
        return make(inputs, attrs or {}, name or op_type) if make else None


def is_keras_calling(frame: types.FrameType | None) -> bool:
    """Whether Keras code runs a frame, or calls it through functions of TensorFlow."""
    while frame is not None and frame.f_code.co_filename.startswith(_TENSORFLOW):
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.startswith(_KERAS)


def _operation(control_input: Any) -> Any:
    """What of a control input a graph can wait for; None for what is no part of one."""
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
    """The graph that is being traced by the calling thread, also from a branch or loop in it."""
    if tf.executing_eagerly():
        return None
    graph = tf.compat.v1.get_default_graph()
    while graph is not None and not isinstance(graph, TracedGraph):
        graph = getattr(graph, "outer_graph", None)
    return graph
