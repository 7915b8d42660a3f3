"""One store of variables for an estimator, and the views its programs have of them.

Synopsis::

    store = VariableStore()
    with graph.as_default(), tf.variable_creator_scope(VariableCreator(graph, store)):
        model_fn(...)              # get_variable, tf.Variable and Keras all land in the store

A variable lives once, as a resource that the store owns, under the name that a checkpoint uses.
Each program sees it through a :class:`ProgramVariable`: the same memory, with the initializer,
the initial value and the ops that belong to that program's graph.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.framework import func_graph as _func_graph
from tensorflow.python.framework import ops as _ops
from tensorflow.python.ops import resource_variable_ops as _resource_variable_ops

from kestimator import errors
from kestimator.engine import keras_state as _keras_state

_GraphKeys = tf.compat.v1.GraphKeys


@dataclasses.dataclass(frozen=True)
class Slot:
    """One variable of the store.

    Attributes:
        name: The name in checkpoints.
        variable: The eager variable that owns the memory. It may hold no value yet.
        keras_variable: The Keras variable in front of it, if Keras made it.
        initial_value: What Keras gave it first, to start afresh; None for the others, whose
            initializers are ops.
    """

    name: str
    variable: tf.Variable
    keras_variable: keras.Variable | None = None
    initial_value: Any = None

    def reset(self) -> None:
        """Gives a variable of Keras its first value again."""
        if self.initial_value is not None:
            value = self.initial_value
            self.variable.assign(value() if callable(value) else value)

    @property
    def is_initialized(self) -> bool:
        """Whether the memory holds a value. Asked eagerly."""
        return bool(_resource_variable_ops.var_is_initialized_op(self.variable.handle).numpy())


class VariableStore:
    """Variables by checkpoint name, shared by all programs of an estimator."""

    def __init__(self) -> None:
        self._slots: dict[str, Slot] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._slots

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._slots.values())

    def __getitem__(self, name: str) -> Slot:
        return self._slots[name]

    def get(self, name: str) -> Slot | None:
        """The slot called `name`, or None."""
        return self._slots.get(name)

    def add(self, slot: Slot) -> Slot:
        """Adds a slot under its name."""
        self._slots[slot.name] = slot
        return slot

    def uninitialized(self, name: str, shape: tf.TensorShape, dtype: tf.DType) -> Slot:
        """Finds the variable `name`, or makes one that holds no value yet.

        Raises:
            errors.CheckpointMismatchError: The variable exists with another shape or dtype.
        """
        known = self._slots.get(name)
        if known is None:
            return self.add(Slot(name, _uninitialized_variable(name, shape, dtype)))
        if not known.variable.shape.is_compatible_with(shape) or known.variable.dtype != dtype:
            raise errors.CheckpointMismatchError(
                f"Variable {name!r} has shape {known.variable.shape} and dtype "
                f"{known.variable.dtype.name} in this estimator, but the model_fn now asks for "
                f"shape {shape} and dtype {dtype.name}. Build the same variables in every mode, "
                "or use another variable name."
            )
        return known


def _uninitialized_variable(name: str, shape: tf.TensorShape, dtype: tf.DType) -> tf.Variable:
    """An eager variable without a value: TensorFlow offers it under a private name alone."""
    with tf.init_scope():
        return _resource_variable_ops.UninitializedVariable(
            shape=shape, dtype=dtype, name=name, trainable=False
        )


class ProgramVariable(_resource_variable_ops.BaseResourceVariable):
    """A program's view of a variable: shared memory, initializer and reads in the program's graph.

    `_in_graph_mode` stays False, so that TF1 optimizers use the resource kernels; what graph code
    asks of a variable (`op`, `graph`, `initializer`, `initial_value`) is answered all the same.
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
            handle=memory.handle,
            name=name,
            unique_id=memory._unique_id,
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

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other  # as in a TF1 graph: `variable in variables` is about identity

    def __ne__(self, other: object) -> bool:
        return self is not other

    @property
    def op(self) -> tf.Operation:
        """The op that stands for the variable in the program's graph."""
        return self._placeholder.op

    @property
    def graph(self) -> tf.Graph:
        """The program's graph."""
        return self._program_graph

    @property
    def initial_value(self) -> tf.Tensor | None:
        """The value the variable starts from, as a tensor of the program's graph."""
        return self._initial_value

    def read_by(self, read: tf.Tensor) -> None:
        """Lets fetches of the variable use a read that the graph has already."""
        self._graph_read = read

    def _as_graph_element(self) -> tf.Tensor:
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
        if not isinstance(_ops.get_default_graph(), _func_graph.FuncGraph):
            return super()._lazy_read(op)
        return _AssignedVariable(variable=self, assignment=op)

    def to_proto(self, export_scope: str | None = None) -> Any:
        """The variable as a `VariableDef`, for the collections of a MetaGraphDef."""
        prefix = f"{export_scope}/" if export_scope else ""
        if not self.op.name.startswith(prefix):
            return None
        return _variable_def(self, len(prefix))


class _AssignedVariable(_resource_variable_ops._UnreadVariable):
    """What an assignment returns: reads of it see the assigned value."""

    def __init__(self, *, variable: ProgramVariable, assignment: tf.Operation) -> None:
        super().__init__(
            handle=variable.handle,
            dtype=variable.dtype,
            shape=variable.shape,
            in_graph_mode=False,
            parent_op=assignment,
            unique_id=variable._unique_id,
        )
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
                self._read_after = self._assigned._read_variable_op()
        return self._read_after


def name_of_read(operation: str) -> str:
    """The name of the op that reads a variable when it is fetched."""
    return f"{operation}/Read/ReadVariableOp"


def _variable_def(variable: ProgramVariable, skip: int) -> Any:
    from tensorflow.core.framework import variable_pb2

    definition = variable_pb2.VariableDef()
    definition.variable_name = variable.op.outputs[0].name[skip:]
    definition.initializer_name = variable.initializer.name[skip:]
    read = variable._graph_read
    definition.snapshot_name = (
        f"{name_of_read(variable.op.name)}:0" if read is None else read.name
    )[skip:]
    if variable.initial_value is not None:
        definition.initial_value_name = variable.initial_value.name[skip:]
    definition.trainable = variable.trainable
    definition.is_resource = True
    definition.synchronization = variable.synchronization.value
    definition.aggregation = variable.aggregation.value
    if variable._save_slice_info is not None:
        definition.save_slice_info_def.MergeFrom(variable._save_slice_info.to_proto())
    return definition


class VariableCreator:
    """A variable creator that puts every variable of a trace into a store.

    Args:
        graph: The program's graph.
        store: Where variables live that a checkpoint holds.
        local: Where variables live that belong to this program alone (TF1 metrics).
    """

    def __init__(self, graph: tf.Graph, store: VariableStore, local: VariableStore) -> None:
        self._graph = graph
        self._store = store
        self._local = local
        self._keras_names: set[str] = set()
        self.keras_handles: set[int] = set()
        """The ids of handles whose writes count as Keras', whichever code makes them."""

    @property
    def store(self) -> VariableStore:
        """Where variables live that a checkpoint holds."""
        return self._store

    @property
    def local(self) -> VariableStore:
        """Where variables live that belong to the program alone."""
        return self._local

    def __call__(self, next_creator: Callable[..., tf.Variable], **kwargs: Any) -> tf.Variable:
        """Makes the variable, or finds the one that another program of the estimator made."""
        keras_variable = _keras_state.variable_being_made()
        if keras_variable is not None:
            return self._keras_variable(keras_variable, next_creator, kwargs)
        return self._graph_variable(kwargs)

    def _keras_variable(
        self,
        keras_variable: keras.Variable,
        next_creator: Callable[..., tf.Variable],
        kwargs: dict[str, Any],
    ) -> tf.Variable:
        """Keras makes its variables eagerly, with a value, whatever is being traced."""
        name = _unused(self._keras_name(keras_variable), self._keras_names)
        is_metric = _keras_state.is_metric_being_made()
        store = self._local if is_metric else self._store
        kwargs["initial_value"] = _without_graph(kwargs["initial_value"])
        known = store.get(name)
        with tf.init_scope():
            variable = known.variable if known else self.memory(next_creator, name, kwargs)
        slot = store.add(Slot(name, variable, keras_variable, kwargs["initial_value"]))
        collections = [_GraphKeys.LOCAL_VARIABLES if is_metric else _GraphKeys.GLOBAL_VARIABLES]
        if keras_variable.trainable and not is_metric:
            collections.append(_GraphKeys.TRAINABLE_VARIABLES)
        view = self.view(slot, resets=is_metric, keras_variable=keras_variable, kwargs=kwargs)
        self._graph.add_to_collections(collections, view)
        return self.given_to_keras(variable, view)

    def memory(
        self, next_creator: Callable[..., tf.Variable], name: str, kwargs: dict[str, Any]
    ) -> tf.Variable:
        """Makes the eager variable that Keras asked for."""
        return next_creator(**{**kwargs, "name": name})

    def finished(
        self,
        primary: ProgramVariable,
        keras_variable: keras.Variable | None,
        kwargs: dict[str, Any],
    ) -> tf.Variable:
        """Makes of a view what a trace works with: for one replica, the view itself.

        Called in the program's graph, outside of any control dependency.

        Args:
            primary: The view.
            keras_variable: The Keras variable in front of it, if there is one.
            kwargs: What the variable was asked for with.
        """
        del keras_variable, kwargs
        return primary

    def given_to_keras(self, memory: tf.Variable, view: tf.Variable) -> tf.Variable:
        """What Keras gets for the variable that it asked for: for one replica, the memory."""
        del view
        return memory

    def adopt(self, variable: tf.Variable) -> None:
        """Takes in a variable made outside of the trace: a Keras model built beforehand."""
        if isinstance(variable, ProgramVariable) or self._knows(variable):
            return
        owner = _keras_state.owner_of(variable)
        name = _unused(
            str(owner.path if owner is not None else variable.name.split(":")[0]), self._keras_names
        )
        known = self._store.get(name)
        slot = known or self._store.add(Slot(name, variable, owner))
        collections = [_GraphKeys.GLOBAL_VARIABLES]
        if owner.trainable if owner is not None else variable.trainable:
            collections.append(_GraphKeys.TRAINABLE_VARIABLES)
        self._graph.add_to_collections(collections, self.view(slot))

    def view_of(self, keras_variable: keras.Variable) -> tf.Variable:
        """The program's view of a Keras variable."""
        self.adopt(keras_variable._value)
        views = self._graph.get_collection(_GraphKeys.GLOBAL_VARIABLES)
        return next(view for view in views if _stands_for(view, keras_variable._value))

    def _knows(self, variable: tf.Variable) -> bool:
        views = self._graph.get_collection(_GraphKeys.GLOBAL_VARIABLES)
        views = [*views, *self._graph.get_collection(_GraphKeys.LOCAL_VARIABLES)]
        return any(_stands_for(view, variable) for view in views)

    def _keras_name(self, keras_variable: keras.Variable) -> str:
        with self._graph.as_default():
            scope = str(tf.compat.v1.get_variable_scope().name)
        return f"{scope}/{keras_variable.path}" if scope else str(keras_variable.path)

    def view(
        self,
        slot: Slot,
        *,
        resets: bool = False,
        keras_variable: keras.Variable | None = None,
        kwargs: dict[str, Any] | None = None,
    ) -> tf.Variable:
        """A view of a variable that holds its value already.

        Args:
            slot: The variable.
            resets: Whether its initializer gives it its first value again.
            keras_variable: The Keras variable that is being made, if one is.
            kwargs: What Keras asked for it with.
        """
        with (
            self._graph.as_default(),
            tf.control_dependencies(None),
            tf.compat.v1.name_scope(None),
        ):
            placeholder = self._graph.capture(slot.variable.handle, name=slot.name)
            with tf.name_scope(f"{slot.name}/"):
                initializer = (
                    tf.raw_ops.AssignVariableOp(
                        resource=placeholder,
                        value=tf.cast(_called(slot.initial_value), slot.variable.dtype),
                        name="Assign",
                    )
                    if resets
                    else tf.no_op(name="Assign")
                )
            view = ProgramVariable(
                memory=slot.variable,
                graph=self._graph,
                name=slot.name,
                placeholder=placeholder,
                initial_value=None,
                initializer=initializer,
                trainable=slot.variable.trainable,
            )
            return view if kwargs is None else self.finished(view, keras_variable, kwargs)

    def _graph_variable(self, kwargs: dict[str, Any]) -> tf.Variable:
        collections = list(kwargs.get("collections") or [_GraphKeys.GLOBAL_VARIABLES])
        trainable = kwargs.get("trainable")
        trainable = True if trainable is None else bool(trainable)
        if kwargs.get("synchronization") == tf.VariableSynchronization.ON_READ:
            trainable = False
        if trainable and _GraphKeys.TRAINABLE_VARIABLES not in collections:
            collections.append(_GraphKeys.TRAINABLE_VARIABLES)
        scope = tf.get_current_name_scope()  # read before the graph is entered again
        with (
            self._graph.as_default(),
            tf.control_dependencies(None),
            tf.compat.v1.name_scope(f"{scope}/" if scope else None),
        ):
            store = self._local if _is_local(collections) else self._store
            primary = self._initialized_in_graph(store, trainable, kwargs)
            variable = self.finished(primary, None, {**kwargs, "is_local": store is self._local})
            self._graph.add_to_collections(collections, variable)
        return variable

    def _initialized_in_graph(
        self, store: VariableStore, trainable: bool, kwargs: dict[str, Any]
    ) -> ProgramVariable:
        initial_value, dtype = kwargs["initial_value"], kwargs.get("dtype")
        with tf.compat.v1.name_scope(kwargs.get("name"), "Variable") as scope:
            name = scope.rstrip("/")
            with tf.name_scope("Initializer"):
                value = initial_value() if callable(initial_value) else initial_value
                value = tf.convert_to_tensor(
                    value,
                    dtype=tf.as_dtype(dtype).base_dtype if dtype else None,
                    name="initial_value",
                )
            shape = kwargs.get("shape")
            shape = value.shape if shape is None else tf.TensorShape(shape)
            if kwargs.get("validate_shape") is False and kwargs.get("shape") is None:
                shape = tf.TensorShape(None) if not value.shape.is_fully_defined() else value.shape
            memory = store.uninitialized(name, shape, value.dtype).variable
            placeholder = _named_capture(self._graph, memory.handle, name)
            initializer = tf.raw_ops.AssignVariableOp(
                resource=placeholder, value=value, name="Assign"
            )
        return ProgramVariable(
            memory=memory,
            graph=self._graph,
            name=name,
            placeholder=placeholder,
            initial_value=value,
            initializer=initializer,
            trainable=trainable,
            constraint=kwargs.get("constraint"),
            synchronization=kwargs.get("synchronization"),
            aggregation=kwargs.get("aggregation"),
            distribute_strategy=kwargs.get("distribute_strategy"),
        )


def _named_capture(graph: tf.Graph, handle: tf.Tensor, name: str) -> tf.Tensor:
    """Captures `handle` as an op called exactly `name`, as a TF1 graph calls its variables.

    A trailing slash tells TensorFlow to take a name as it is.
    """
    return graph.capture(handle, name=f"{name}/")


def _stands_for(view: Any, variable: Any) -> bool:
    return view is variable or getattr(view, "memory", None) is variable


def _is_local(collections: list[str]) -> bool:
    return _GraphKeys.LOCAL_VARIABLES in collections and (
        _GraphKeys.GLOBAL_VARIABLES not in collections
    )


def _called(value: Any) -> Any:
    return value() if callable(value) else value


def _without_graph(value: Any) -> Any:
    """Turns a constant of the graph being traced into a plain value; leaves others alone."""
    if isinstance(value, tf.Tensor) and not hasattr(value, "_numpy"):
        constant = tf.get_static_value(value)
        return value if constant is None else constant
    return value


def _unused(name: str, used: set[str]) -> str:
    candidate, count = name, 0
    while candidate in used:
        count += 1
        candidate = f"{name}_{count}"
    used.add(candidate)
    return candidate
