"""One store of variables for an estimator, and the views that its programs have of them.

Synopsis::

    store = VariableStore()
    slot = store.uninitialized("dense/kernel", tf.TensorShape([3, 1]), tf.float32)
    slot.variable.assign(...)      # `kestimator.engine.variables.variable_creator` makes the views

A variable exists once, as a resource that the store owns, under its name in checkpoints. Each
program sees it through a :class:`ProgramVariable`. The view has the same memory, and the
initializer, the initial value and the ops of that program's graph.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from kestimator import errors
from kestimator.engine.tf_internals import tf_variables
from kestimator.engine.tracing import execution_modes, traced_graph

_GraphKeys = tf.compat.v1.GraphKeys


@dataclasses.dataclass(frozen=True)
class Slot:
    """One variable of the store.

    Attributes:
        name: The name in checkpoints.
        variable: The eager variable that owns the memory. It may have no value yet.
        keras_variable: The Keras variable that holds it, if Keras made it.
        initial_value: The first value of a Keras variable, for a fresh start. None for other
            variables, whose initializers are ops.
        is_outside: Whether it was made outside of the trace, so that other estimators may use it.
    """

    name: str
    variable: tf.Variable
    keras_variable: keras.Variable | None = None
    initial_value: Any = None
    is_outside: bool = False

    def reset(self) -> None:
        """Resets a variable of Keras to its first value."""
        if self.initial_value is not None:
            value = self.initial_value
            self.variable.assign(value() if callable(value) else value)

    @property
    def is_trainable(self) -> bool:
        """Whether training may change it."""
        # Keras keeps the flag in its own variable, where users set it.
        keras_variable = self.keras_variable
        return bool((self.variable if keras_variable is None else keras_variable).trainable)

    @property
    def is_initialized(self) -> bool:
        """Whether the memory has a value. Must be read eagerly."""
        return bool(tf.raw_ops.VarIsInitializedOp(resource=self.variable.handle).numpy())


class VariableStore:
    """Variables by checkpoint name, shared by all programs of an estimator.

    Attributes:
        outside: The slots of variables that were made outside of all traces.
    """

    def __init__(self) -> None:
        self._slots: dict[str, Slot] = {}
        self.outside: list[Slot] = []

    def __contains__(self, name: str) -> bool:
        return name in self._slots

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._slots.values())

    def __getitem__(self, name: str) -> Slot:
        return self._slots[name]

    def get(self, name: str) -> Slot | None:
        """The slot called `name`, or None."""
        return self._slots.get(name)

    @property
    def shareable(self) -> list[Slot]:
        """The slots of variables that other estimators may use: from outside, or held by Keras.

        A Keras layer may be older than the trace in which it is built, and live on after it.
        """
        slots = list(self)  # an input_fn may add more at any time
        return [slot for slot in slots if slot.is_outside or slot.keras_variable is not None]

    def holding(self, variable: tf.Variable) -> Slot | None:
        """The slot of a variable, or None."""
        return next((slot for slot in self if slot.variable is variable), None)

    def add(self, slot: Slot) -> Slot:
        """Adds a slot under its name."""
        self._slots[slot.name] = slot
        if slot.is_outside:
            self.outside.append(slot)
        return slot

    def uninitialized(self, name: str, shape: tf.TensorShape, dtype: tf.DType) -> Slot:
        """Finds the variable `name`, or makes one that has no value yet.

        Raises:
            errors.CheckpointMismatchError: The variable exists with another shape or dtype.
        """
        slot = self.matching(name, shape, dtype)
        return slot or self.add(Slot(name, _uninitialized_variable(name, shape, dtype)))

    def matching(self, name: str, shape: tf.TensorShape, dtype: tf.DType) -> Slot | None:
        """Finds the variable `name`, if there is one.

        Raises:
            errors.CheckpointMismatchError: It has another shape or dtype.
        """
        slot = self._slots.get(name)
        if slot is None:
            return None
        if not slot.variable.shape.is_compatible_with(shape) or slot.variable.dtype != dtype:
            raise errors.CheckpointMismatchError(
                f"Variable {name!r} has shape {slot.variable.shape} and dtype "
                f"{slot.variable.dtype.name} in this estimator, but the model_fn now asks for "
                f"shape {shape} and dtype {dtype.name}. Build the same variables in every mode, "
                "or use another variable name."
            )
        return slot


def _uninitialized_variable(name: str, shape: tf.TensorShape, dtype: tf.DType) -> tf.Variable:
    with execution_modes.eager_mode():
        return tf_variables.uninitialized(name, shape, dtype)


def memory_handle(variable: tf.Variable) -> tf.Tensor:
    """The handle of a variable's memory, even during a trace."""
    with execution_modes.eager_mode():
        return variable.handle


class StoredVariable(tf_variables.ResourceVariable):
    """A variable with its own memory, which Keras objects hold while programs are traced.

    In a trace, its handle is the program's placeholder, in branches and loops as well. TensorFlow
    looks for gradients with respect to that placeholder.
    """

    @property
    def handle(self) -> tf.Tensor:
        """The handle of the memory, or its placeholder in the program that is being traced."""
        graph = traced_graph.current()
        return self._handle if graph is None else graph.capture(self._handle)

    @property
    def device(self) -> str:
        """The device of the memory."""
        return str(self._handle.device)

    def _lazy_read(self, op: tf.Operation) -> tf.Variable:
        return super()._lazy_read(op) if tf.executing_eagerly() else _AssignedVariable(self, op)


class ProgramVariable(tf_variables.BaseResourceVariable):
    """A program's view of a variable: shared memory, initializer and reads in the program's graph.

    `_in_graph_mode` stays False, so that TF1 optimizers use the resource kernels. The attributes
    that graph code asks for (`op`, `graph`, `initializer`, `initial_value`) work nevertheless.
    """

    def __init__(
        self,
        *,
        memory: tf.Variable,
        graph: tf.Graph,
        name: str,
        placeholder: tf.Tensor,
        initial_value: tf.Tensor | None,
        initializer: tf.Operation,
        **attributes: Any,
    ) -> None:
        super().__init__(
            shape=memory.shape,
            dtype=memory.dtype,
            handle=memory_handle(memory),
            name=name,
            # All views of a variable have its id: optimizers find its slots by it.
            unique_id=tf_variables.unique_id(memory),
            handle_name=name,
            initial_value=initial_value,
            initializer_op=initializer,
            in_graph_mode=False,
            **attributes,
        )
        self.memory = memory  # keeps the memory alive
        self._program_graph = graph
        self._placeholder = placeholder
        self._graph_read: tf.Tensor | None = None

    @property
    def handle(self) -> tf.Tensor:
        """The program's placeholder while the program is traced, else the handle of the memory.

        This includes branches and loops of the program. There TensorFlow looks for gradients with
        respect to the placeholder, and for the writes that have to wait for each other.
        """
        is_inside = traced_graph.current() is self._program_graph
        return self._placeholder if is_inside else self._handle

    @property
    def device(self) -> str:
        """The device of the memory. Savers write one file per device."""
        return str(self.memory.device)

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other  # as in a TF1 graph: `variable in variables` compares identity

    def __ne__(self, other: object) -> bool:
        return self is not other

    @property
    def op(self) -> tf.Operation:
        """The op of the variable's placeholder in the program's graph."""
        return self._placeholder.op

    @property
    def graph(self) -> tf.Graph:
        """The program's graph."""
        return self._program_graph

    @property
    def initial_value(self) -> tf.Tensor | None:
        """The initial value, as a tensor of the program's graph."""
        return self._initial_value

    def read_by(self, read: tf.Tensor) -> None:
        """Makes fetches of the variable use a read that is already in the graph."""
        self._graph_read = read

    def _as_graph_element(self) -> tf.Tensor:
        # A session may fetch a variable after the graph was finalized, hence `unlocked`. The read
        # waits for nothing, and has the name that TF1 gives it (see `name_of_read`).
        if self._graph_read is None:
            scope = self.name.split(":")[0] + "/Read/"
            with (
                self._program_graph.unlocked(),
                self._program_graph.as_default(),
                tf.control_dependencies(None),
                tf.name_scope(scope),
            ):
                self._graph_read = self._read_variable_op()
        return self._graph_read

    def _lazy_read(self, op: tf.Operation) -> tf.Variable:
        return super()._lazy_read(op) if tf.executing_eagerly() else _AssignedVariable(self, op)

    def to_proto(self, export_scope: str | None = None) -> Any:
        """The variable as a `VariableDef`, for the collections of a MetaGraphDef."""
        # None is TensorFlow's answer for a variable that is not in the exported scope.
        prefix = f"{export_scope}/" if export_scope else ""
        if not self.op.name.startswith(prefix):
            return None
        return _variable_def(self, self._graph_read, len(prefix))


class _AssignedVariable(tf_variables.UnreadVariable):
    """The result of an assignment. Reads of it see the assigned value.

    TensorFlow's own class reads the variable immediately, so that sessions can fetch it. A later
    write would have to wait for that read. Then a step would run an assignment that nobody fetched.
    """

    def __init__(self, variable: Any, assignment: tf.Operation) -> None:
        # Skips the constructor of `UnreadVariable`, which makes the read.
        tf_variables.BaseResourceVariable.__init__(
            self,
            handle=variable.handle,
            dtype=variable.dtype,
            shape=variable.shape,
            handle_name=variable.handle.op.name,
            in_graph_mode=False,
            unique_id=tf_variables.unique_id(variable),
        )
        self._parent_op = assignment
        self._assigned = variable
        self._read_after: tf.Tensor | None = None

    @property
    def graph(self) -> tf.Graph:
        """The graph of the assignment."""
        return self._parent_op.graph

    @property
    def name(self) -> str:
        """The name of the variable assigned to."""
        return str(self._assigned.name)

    def _as_graph_element(self) -> tf.Tensor:
        if self._read_after is None:
            with (
                self.graph.unlocked(),
                self.graph.as_default(),
                tf.control_dependencies([self._parent_op]),
            ):
                self._read_after = tf_variables.read_op(self._assigned)
        return self._read_after


def name_of_read(operation: str) -> str:
    """The name of the op that a fetch of a variable runs."""
    return f"{operation}/Read/ReadVariableOp"


def _variable_def(variable: ProgramVariable, read: tf.Tensor | None, skip: int) -> Any:
    definition = tf_variables.VariableDef()
    # `skip` cuts the export scope off all names.
    definition.variable_name = variable.op.outputs[0].name[skip:]
    definition.initializer_name = variable.initializer.name[skip:]
    definition.snapshot_name = (
        f"{name_of_read(variable.op.name)}:0" if read is None else read.name
    )[skip:]
    if variable.initial_value is not None:
        definition.initial_value_name = variable.initial_value.name[skip:]
    definition.trainable = variable.trainable
    definition.is_resource = True
    definition.synchronization = variable.synchronization.value
    definition.aggregation = variable.aggregation.value
    part = tf_variables.slice_info(variable)
    if part is not None:
        definition.save_slice_info_def.MergeFrom(part.to_proto())
    return definition
