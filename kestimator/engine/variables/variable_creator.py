"""Creates the variables of a program: views, in one graph, of the estimator's store.

Synopsis::

    creator = VariableCreator(graph, store, local)
    with graph.as_default(), tf.variable_creator_scope(creator):
        model_fn(...)              # get_variable, tf.Variable and Keras all land in the store
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from kestimator import errors
from kestimator.engine.keras_internals import keras_names, keras_objects, keras_state
from kestimator.engine.random import initial_values
from kestimator.engine.tf_internals import tf_tensors
from kestimator.engine.tracing import execution_modes
from kestimator.engine.variables.variable_store import (
    ProgramVariable,
    Slot,
    StoredVariable,
    VariableStore,
    memory_handle,
)

_GraphKeys = tf.compat.v1.GraphKeys


class VariableCreator:
    """A variable creator that puts every variable of a trace into a store.

    Args:
        graph: The program's graph.
        store: The store of the variables that checkpoints contain.
        local: The store of the variables that belong only to this program (TF1 metrics).
    """

    def __init__(self, graph: tf.Graph, store: VariableStore, local: VariableStore) -> None:
        self._graph = graph
        self._store = store
        self._local = local
        self._keras_names: set[str] = set()
        self._former_names: set[str] = set()
        self._former_paths: dict[int, str] = {}  # by the ids of Keras variables
        self.keras_handles: set[int] = set()
        """The ids of handles whose writes count as Keras', no matter which code makes them."""
        self.lent: dict[int, tuple[keras.Variable, tf.Variable]] = {}
        """By id, the Keras variables that are lent to the trace, and their own memory."""
        self.keras_variables: dict[str, keras.Variable] = {}
        """By name, the variables that layers made or that were read in this trace."""
        self._held: dict[str, tf.Variable] = {}  # by name, the variable that Keras holds
        # By name, the Keras variables for the variables that this trace made.
        self._holders: dict[str, list[keras.Variable]] = {}

    @property
    def store(self) -> VariableStore:
        """The store of the variables that checkpoints contain."""
        return self._store

    @property
    def local(self) -> VariableStore:
        """The store of the variables that belong only to this program."""
        return self._local

    def reserve(self, name: str) -> None:
        """Reserves a name, so that no variable that Keras makes in this trace gets it."""
        self._keras_names.add(name)
        self._former_names.add(name)

    def __call__(self, next_creator: Callable[..., tf.Variable], **kwargs: Any) -> tf.Variable:
        """Makes the variable, or finds the one that another program of the estimator made."""
        # The next creator is never called: it would make a variable of TensorFlow's own.
        keras_variable = keras_state.variable_being_made()
        if keras_variable is not None:
            return self._keras_variable(keras_variable, kwargs)
        return self._graph_variable(kwargs)

    def _keras_variable(
        self,
        keras_variable: keras.Variable,
        kwargs: dict[str, Any],
    ) -> tf.Variable:
        """Makes a variable for Keras, which makes its variables eagerly and with a value."""
        is_metric = keras_state.is_metric_being_made()
        former_path = self._former_path(keras_variable)
        former_name = self._in_scope(former_path)
        keras_objects.use_path(keras_variable, keras_state.path_without_sequentials(keras_variable))
        name = self._in_scope(keras_variable.path)
        keras_state.take_name(keras_variable.path.split("/")[0])
        # Optimizers, metrics and seeds have their own state, also in a scope with `reuse`.
        if not (is_metric or is_seed(name) or keras_state.is_optimizer_being_made()):
            shared = self._shared(name, keras_variable, kwargs)
            if shared is not None:
                self._holders[name].append(keras_variable)
                return shared
        former_name = keras_names.unused_name(former_name, self._former_names)
        name = keras_names.unused_name(name, self._keras_names)
        if not is_metric:
            self._former_paths[id(keras_variable)] = former_path
            self._graph.former_names[name] = former_name
        store = self._local if is_metric else self._store
        kwargs["initial_value"] = self._initial_value(kwargs["initial_value"])
        # If the program of another mode has made it, its memory and first value are used.
        existing = store.matching(name, *_requested(keras_variable, kwargs))
        variable = existing.variable if existing else self.memory(name, kwargs)
        initial = existing.initial_value if existing else kwargs["initial_value"]
        slot = store.add(Slot(name, variable, keras_variable, initial))
        collections = [_GraphKeys.LOCAL_VARIABLES if is_metric else _GraphKeys.GLOBAL_VARIABLES]
        if keras_variable.trainable and not is_metric:
            collections.append(_GraphKeys.TRAINABLE_VARIABLES)
        view = self.view(slot, resets=is_metric, keras_variable=keras_variable, kwargs=kwargs)
        self._graph.add_to_collections(collections, view)
        keras_value = self.given_to_keras(variable, view)
        if not is_metric:
            self.keras_variables[name] = keras_variable
            self._held[name] = keras_value
            self._holders[name] = [keras_variable]
        return keras_value

    def _initial_value(self, value: Any) -> Any:
        """A first value that can be computed outside of the trace."""
        if callable(value):
            return initial_values.InitialValue(value, self._graph)
        return _without_graph(value)

    def _shared(
        self, name: str, keras_variable: keras.Variable, kwargs: dict[str, Any]
    ) -> tf.Variable | None:
        """The variable that a layer made under this name, if the variable scope reuses it.

        Raises:
            errors.ArgumentError: There is no such variable although `reuse` is True, or it has
                another shape or dtype.
        """
        with self._graph.as_default():
            reuse = tf.compat.v1.get_variable_scope().reuse
        if not reuse:
            return None
        shared = self._held.get(name)
        if shared is None:
            if reuse is tf.compat.v1.AUTO_REUSE:
                return None
            raise errors.ArgumentError(
                f"The variable {name!r} does not exist, but its variable scope has `reuse=True`. "
                f"Variables of layers so far: {sorted(self._held) or 'none'}. Give both layers the "
                "same `name` in the same scope, call one layer object twice, or pass "
                "`reuse=tf.compat.v1.AUTO_REUSE`."
            )
        shape, dtype = _requested(keras_variable, kwargs)
        if shared.shape != shape or shared.dtype != dtype:
            raise errors.ArgumentError(
                f"The variable {name!r} cannot be reused: it has shape {shared.shape} and dtype "
                f"{shared.dtype.name}, but the layer asks for shape {shape} and dtype "
                f"{dtype.name}. Give the layer another `name`, or call it in a scope without "
                "`reuse`."
            )
        return shared

    def memory(self, name: str, kwargs: dict[str, Any]) -> tf.Variable:
        """Makes the eager variable that Keras asked for."""
        return stored_variable(name, kwargs)

    def finished(
        self,
        primary: ProgramVariable,
        keras_variable: keras.Variable | None,
        kwargs: dict[str, Any],
    ) -> tf.Variable:
        """Turns a view into the variable for the trace. For one replica, this is the view itself.

        Called in the program's graph, outside of any control dependency.

        Args:
            primary: The view.
            keras_variable: The Keras variable that holds it, if there is one.
            kwargs: The arguments of the variable creator.
        """
        del keras_variable, kwargs
        return primary

    def given_to_keras(self, memory: tf.Variable, view: tf.Variable) -> tf.Variable:
        """The variable that the Keras variable holds. For one replica, this is the memory."""
        del view
        return memory

    def adopt(self, variable: tf.Variable) -> None:
        """Adds a variable from outside of the trace, such as that of an existing Keras model."""
        if isinstance(variable, ProgramVariable) or self._knows(variable):
            return
        owner = keras_state.owner_of(variable)
        slot = self._store.holding(variable)
        if slot is None:
            name = self._outside_name(variable, owner)
            slot = self._store.add(Slot(name, variable, owner, is_outside=True))
        elif slot.keras_variable is not None and not slot.is_outside:
            # The layer was built in another program, where it took its name as well.
            keras_state.take_name(slot.keras_variable.path.split("/")[0])
        self._keras_names.add(slot.name)
        if owner is not None:
            self.keras_variables[slot.name] = owner
        collections = [_GraphKeys.GLOBAL_VARIABLES]
        if owner.trainable if owner is not None else variable.trainable:
            collections.append(_GraphKeys.TRAINABLE_VARIABLES)
        self._graph.add_to_collections(collections, self.view(slot))

    def _outside_name(self, variable: tf.Variable, owner: keras.Variable | None) -> str:
        """The checkpoint name of a variable from outside, which no other variable has.

        Raises:
            errors.ArgumentError: Another variable from outside is called the same. A number behind
                the name would depend on the order of use, so a program that uses only one of them
                would restore the value of the other.
        """
        path = _name_outside(variable, owner)
        others = (_name_outside(slot.variable, slot.keras_variable) for slot in self._store.outside)
        if path in others and not is_seed(path):
            raise errors.ArgumentError(
                f"Two variables that were made outside of the model_fn are called {path!r}, so a "
                "checkpoint cannot tell them apart. Give each variable or layer its own `name`, or "
                "make them in the model_fn."
            )
        # The store has the names of other programs, too: theirs are taken as well.
        while (name := keras_names.unused_name(path, self._keras_names)) in self._store:
            pass
        return name

    def check_layers(self, layers: Sequence[keras.Layer]) -> None:
        """Checks that no layer from outside shares its memory with what the trace has made.

        Args:
            layers: The layers that the trace has called.

        Raises:
            errors.ArgumentError: A variable of this trace has the name that another program gave to
                a variable of one of the layers.
        """
        names = {id(slot.variable): slot.name for slot in self._store}
        for layer in layers:
            for variable in layer.variables:
                memory = keras_objects.memory_of(variable)
                name = names.get(id(getattr(memory, "memory", memory)), "")
                if all(holder is not variable for holder in self._holders.get(name, [variable])):
                    raise errors.ArgumentError(
                        f"The model_fn made a variable {name!r}, but the layer {layer.name!r}, "
                        "which was made outside of this call of the model_fn, has the variable of "
                        "this name already: the model_fn makes and calls its layers in another "
                        "order than before. Give each layer its own `name`, or make all layers in "
                        "the model_fn."
                    )

    def view_of(self, variable: keras.Variable | tf.Variable) -> tf.Variable:
        """The program's view of a Keras variable, or of the `tf.Variable` that it holds."""
        variable = variable.value if isinstance(variable, keras.Variable) else variable
        self.adopt(variable)
        views = self._graph.get_collection(_GraphKeys.GLOBAL_VARIABLES)
        return next((view for view in views if _stands_for(view, variable)), variable)

    def _knows(self, variable: tf.Variable) -> bool:
        views = self._graph.get_collection(_GraphKeys.GLOBAL_VARIABLES)
        views = [*views, *self._graph.get_collection(_GraphKeys.LOCAL_VARIABLES)]
        return any(_stands_for(view, variable) for view in views)

    def _in_scope(self, path: str) -> str:
        # Variable scopes belong to the graph, which need not be the default one here.
        with self._graph.as_default():
            scope = str(tf.compat.v1.get_variable_scope().name)
        return f"{scope}/{path}" if scope else path

    def _former_path(self, keras_variable: keras.Variable) -> str:
        """The path of a variable that is being made, as in earlier versions of kestimator."""
        path = str(keras_variable.path)
        reference = keras_state.variable_of_slot()
        former = self._former_paths.get(id(reference))
        if reference is None or former is None:
            return path
        # "adam/dense_kernel_momentum" is a slot of "dense/kernel".
        scope, _, slot = path.rpartition("/")
        rest = slot.removeprefix(reference.path.replace("/", "_"))
        return f"{scope}/{former.replace('/', '_')}{rest}"

    def view(
        self,
        slot: Slot,
        *,
        resets: bool = False,
        keras_variable: keras.Variable | None = None,
        kwargs: dict[str, Any] | None = None,
    ) -> tf.Variable:
        """A view of a variable that already has its value.

        Args:
            slot: The variable.
            resets: Whether its initializer assigns the first value again.
            keras_variable: The Keras variable that is being made, if any.
            kwargs: The arguments of the variable creator, if Keras asked for the variable.
        """
        with (
            self._graph.as_default(),
            tf.control_dependencies(None),
            tf.compat.v1.name_scope(None),
        ):
            # The op gets the checkpoint name, whatever scope the caller is in.
            handle = memory_handle(slot.variable)
            placeholder = self._graph.placeholder_for(handle, slot.name)
            with tf.name_scope(f"{slot.name}/"):
                initializer = (
                    tf.raw_ops.AssignVariableOp(
                        resource=placeholder,
                        value=tf.cast(_called(slot.initial_value), slot.variable.dtype),
                        name="Assign",
                    )
                    if resets
                    # The memory has its value already, so there is nothing to initialize.
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
        collections = kwargs.get("collections")
        collections = [_GraphKeys.GLOBAL_VARIABLES] if collections is None else list(collections)
        trainable = kwargs.get("trainable")
        trainable = True if trainable is None else bool(trainable)
        # TensorFlow, too, makes these variables untrainable by default.
        if kwargs.get("synchronization") == tf.VariableSynchronization.ON_READ:
            trainable = False
        is_loaded = kwargs.get("initial_value") is None  # TensorFlow trains it only when told to
        if trainable and not is_loaded and _GraphKeys.TRAINABLE_VARIABLES not in collections:
            collections.append(_GraphKeys.TRAINABLE_VARIABLES)
        scope = tf.get_current_name_scope()  # read before the graph is entered again
        with (
            self._graph.as_default(),
            tf.control_dependencies(None),
            # The trailing slash re-enters the caller's scope; None is the root.
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
            # The unique op name in the graph becomes the checkpoint name, as in TF1.
            name = scope.rstrip("/")
            if store is self._store:
                self.reserve(name)
                self._holders[name] = []
            if initial_value is None:
                return self._restored_later(store, name, kwargs)
            with tf.name_scope("Initializer"), self._graph.random_state.initializing():
                value = initial_value() if callable(initial_value) else initial_value
                value = tf.convert_to_tensor(
                    value,
                    dtype=tf.as_dtype(dtype).base_dtype if dtype else None,
                    name="initial_value",
                )
            shape = kwargs.get("shape")
            shape = value.shape if shape is None else tf.TensorShape(shape)
            # `validate_shape=False` allows an initial value of unknown shape, as in TF1.
            if kwargs.get("validate_shape") is False and kwargs.get("shape") is None:
                shape = tf.TensorShape(None) if not value.shape.is_fully_defined() else value.shape
            memory = store.uninitialized(name, shape, value.dtype).variable
            placeholder = _named_capture(self._graph, memory_handle(memory), name)
            initializer = tf.raw_ops.AssignVariableOp(
                resource=placeholder, value=value, name="Assign"
            )
        return self._graph_view(
            memory, name, placeholder, kwargs, value, initializer, trainable=trainable
        )

    def _restored_later(
        self, store: VariableStore, name: str, kwargs: dict[str, Any]
    ) -> ProgramVariable:
        """A variable of an object that `tf.saved_model.load` loads in the trace.

        TensorFlow only gives its shape. Later it makes the op that reads the value from the file
        the initializer of the variable.
        """
        shape, dtype = tf.TensorShape(kwargs["shape"]), tf.as_dtype(kwargs["dtype"])
        memory = store.uninitialized(name, shape, dtype).variable
        placeholder = _named_capture(self._graph, memory_handle(memory), name)
        return self._graph_view(
            memory,
            name,
            placeholder,
            kwargs,
            None,
            tf.no_op(name="Assign"),
            trainable=bool(kwargs.get("trainable")),
        )

    def _graph_view(
        self,
        memory: tf.Variable,
        name: str,
        placeholder: tf.Tensor,
        kwargs: dict[str, Any],
        initial_value: tf.Tensor | None,
        initializer: tf.Operation,
        *,
        trainable: bool,
    ) -> ProgramVariable:
        return ProgramVariable(
            memory=memory,
            graph=self._graph,
            name=name,
            placeholder=placeholder,
            initial_value=initial_value,
            initializer=initializer,
            trainable=trainable,
            constraint=kwargs.get("constraint"),
            synchronization=kwargs.get("synchronization"),
            aggregation=kwargs.get("aggregation"),
            distribute_strategy=kwargs.get("distribute_strategy"),
        )


def stored_variable(name: str, kwargs: dict[str, Any]) -> tf.Variable:
    """Makes the memory of a Keras variable, without asking any variable creator.

    Its initializer runs eagerly, and is not part of a program.

    Args:
        name: The name of the variable.
        kwargs: The arguments of the variable creator.
    """
    options = {key: kwargs.get(key) for key in ("trainable", "dtype", "shape")}
    with execution_modes.outside():
        return StoredVariable(_without_graph(kwargs["initial_value"]), name=name, **options)


def _named_capture(graph: tf.Graph, handle: tf.Tensor, name: str) -> tf.Tensor:
    """Captures `handle` as an op with exactly this name, like the variables of a TF1 graph.

    A trailing slash makes TensorFlow use a name as it is.
    """
    return graph.placeholder_for(handle, f"{name}/")


def is_seed(variable: str) -> bool:
    """Whether a variable of this name is the state of a Keras seed generator."""
    return variable.endswith("seed_generator_state")


def _requested(
    keras_variable: keras.Variable, kwargs: dict[str, Any]
) -> tuple[tf.TensorShape, tf.DType]:
    """The shape and dtype that Keras asks for.

    A Keras variable that is made from a value does not have its shape yet, but the value has one.
    """
    value = kwargs["initial_value"]
    shape = keras_variable.shape if callable(value) else value.shape
    return tf.TensorShape(shape), tf.as_dtype(kwargs["dtype"])


def _stands_for(view: Any, variable: Any) -> bool:
    return view is variable or getattr(view, "memory", None) is variable


def _is_local(collections: list[str]) -> bool:
    return _GraphKeys.LOCAL_VARIABLES in collections and (
        _GraphKeys.GLOBAL_VARIABLES not in collections
    )


def _name_outside(variable: tf.Variable, owner: keras.Variable | None) -> str:
    """What a variable is called where it was made."""
    return str(owner.path if owner is not None else variable.name.split(":")[0])


def _called(value: Any) -> Any:
    return value() if callable(value) else value


def _without_graph(value: Any) -> Any:
    """Turns a constant of the traced graph into a plain value, and returns other values as is."""
    # Keras converts values to tensors in the trace, but the memory is made outside of its graph.
    if isinstance(value, tf.Tensor) and not tf_tensors.is_eager(value):
        constant = tf.get_static_value(value)
        return value if constant is None else constant
    return value
