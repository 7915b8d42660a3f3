"""What the engine needs to know about Keras: names, variables being made, owners of variables.

Keras 3 makes its variables eagerly, under names that are counted per process. It has no hook for
either. Each function here answers one question, and says why it has to look inside.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import random
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

import keras
import tensorflow as tf
from keras.src.backend.common import global_state as _global_state
from keras.src.backend.common import stateless_scope as _stateless_scope
from keras.src.random import seed_generator as _seed_generator
from tensorflow.python.ops import variable_scope as _variable_scope

_Kind = TypeVar("_Kind")
_local = threading.local()
# The names under which Keras keeps, per thread, what a user sets by public functions.
_SETTINGS = ("dtype_policy", "flash_attention", "custom_objects_scope_dict")


@contextlib.contextmanager
def names_from_zero(seed: int | None, graph: tf.Graph | None = None) -> Iterator[None]:
    """Makes Keras count automatic names from zero and draw seeds from `seed` during a trace.

    Names such as `dense_1` end up in checkpoints. So they must not depend on other objects in the
    process. Keras keeps the counts per thread, in a global without a public API.

    Args:
        seed: The seed of the generator that seeds are drawn from; None for Python's own generator.
        graph: The graph whose variable scopes each have their own counts.
    """
    # None makes Keras start each of these again: counts, global seed generator, open name scopes.
    attributes = ("object_name_uids", "global_seed_generator", "name_scope_stack")
    previous = {key: _global_state.get_global_attribute(key) for key in attributes}
    outer = python_random()
    for key in attributes:
        _global_state.set_global_attribute(key, None)
    if graph is not None:
        count_names_by_scope(graph)
        _global_state.set_global_attribute("name_scope_stack", _NameScopes())
    _local.random = outer if seed is None else random.Random(seed)
    try:
        yield
    finally:
        _local.random = outer
        for key, value in previous.items():
            _global_state.set_global_attribute(key, value)


def count_names_by_scope(graph: tf.Graph) -> None:
    """Makes Keras, in the calling thread, count automatic names separately per variable scope."""
    _global_state.set_global_attribute("object_name_uids", _NamesOfScopes(graph))


class _NamesOfScopes(dict[str, int]):
    """Counts the objects with an automatic name, in the current variable scope.

    It replaces the dict in which Keras counts. When a scope is entered again, the counts continue.
    Under `reuse` they restart, like those of `tf.layers`. So the same layers in the same order find
    the same variables. TensorFlow's own counts of scopes tell when a scope was entered. They have
    no public name.

    Args:
        graph: The graph with the scopes.
    """

    def __init__(self, graph: tf.Graph) -> None:
        super().__init__()
        self._graph = graph
        # Pairs of a scope and a name: automatic ones given here, and ones that `take` reserved.
        self._automatic_names: set[tuple[str, str]] = set()
        self._reserved_names: set[tuple[str, str]] = set()

    def take(self, name: str) -> None:
        """Reserves a name for an object that got it elsewhere and makes its variables here.

        A layer may be made at the root and called in a scope. It must not share its name with the
        first layer that is made in that scope. At the root, names that users gave are ignored.
        """
        prefix = self._prefix()
        is_automatic = any(used == name for _, used in self._automatic_names)
        if (prefix, name) not in self._automatic_names and (prefix or is_automatic):
            self._reserved_names.add((prefix, name))

    def __contains__(self, name: object) -> bool:
        # Keras asks `name in counts`, puts `counts[name]` into the name, and then adds one.
        return self[str(name)] > 0

    def __getitem__(self, name: str) -> int:
        entered, key, reuses = self._place(name)
        count, prefix = entered.get(key, 0) if reuses else self.get(key, 0), self._prefix()
        while (prefix, _numbered(name, count)) in self._reserved_names:
            count += 1
        return count

    def __setitem__(self, name: str, count: int) -> None:
        # TensorFlow's count restarts each time the scope is entered; this dict's count continues.
        entered, key, _ = self._place(name)
        entered[key] = count
        self._automatic_names.add((self._prefix(), _numbered(name, count - 1)))
        super().__setitem__(key, max(count, self.get(key, 0)))

    def _prefix(self) -> str:
        scope = str(self._store().current_scope.name)
        return f"{scope}/" if scope else ""

    def _place(self, name: str) -> tuple[dict[str, int], str, bool]:
        store = self._store()
        # The colon, which no scope's name has, tells layers and scopes of one name apart.
        key = f"{self._prefix()}keras:{name}"
        return store.variable_scopes_count, key, bool(store.current_scope.reuse)

    def _store(self) -> Any:
        with self._graph.as_default():
            return _variable_scope.get_variable_scope_store()


class _NameScopes(list[Any]):
    """The open name scopes of Keras, which also remembers the objects that have opened one."""

    def __init__(self) -> None:
        super().__init__()
        self.callers: dict[int, Any] = {}  # by id

    def append(self, scope: Any) -> None:
        self.callers[id(scope.caller)] = scope.caller
        super().append(scope)


def layers_called() -> list[keras.Layer]:
    """The layers that have been called in the calling thread's trace.

    Keras opens a name scope for each call. It has no hook for calls of all layers.
    """
    scopes = _global_state.get_global_attribute("name_scope_stack")
    callers = scopes.callers.values() if isinstance(scopes, _NameScopes) else ()
    return [caller for caller in callers if isinstance(caller, keras.Layer)]


def _numbered(name: str, count: int) -> str:
    """The name that Keras gives to an object after `count` others of its kind."""
    return f"{name}_{count}" if count > 0 else name


def take_name(name: str) -> None:
    """Reserves an automatic name: later objects in the same variable scope do not get it."""
    # Outside of a trace Keras has its own dict, and nothing to reserve in.
    names = _global_state.get_global_attribute("object_name_uids")
    if isinstance(names, _NamesOfScopes):
        names.take(name)


def is_without_state() -> bool:
    """Whether Keras only computes what a layer would return. Assignments and losses are dropped."""
    return bool(_stateless_scope.in_stateless_scope())


def python_random() -> random.Random | None:
    """The generator of default seeds in the calling thread's trace; None for Python's `random`."""
    return getattr(_local, "random", None)


def replace_random(replacement: Callable[[types.ModuleType], Any]) -> None:
    """Replaces Python's `random` as the source of Keras' default seeds: there is no setting.

    Args:
        replacement: Makes the new source from the module that was used before.
    """
    _seed_generator.python_random = replacement(_seed_generator.python_random)


def draw_seeds_like(source: random.Random | None) -> None:
    """Makes Keras, in the calling thread, draw the default seeds that `source` would give.

    Args:
        source: The generator of the thread that traces. It does not move on.
    """
    _local.random = copy.copy(source)


def variable_being_made() -> keras.Variable | None:
    """The Keras variable whose constructor is running, or None.

    A creator sees the `tf.Variable` that Keras asks for, but not the Keras variable with the path.
    Keras has no hook for it, so this function searches for the constructor's frame.
    """
    frame: types.FrameType | None = sys._getframe(2)
    while frame is not None:
        # The method of a Keras variable that makes the `tf.Variable`.
        if frame.f_code.co_name == "_initialize":
            candidate = frame.f_locals.get("self")
            if isinstance(candidate, keras.Variable):
                return candidate
        frame = frame.f_back
    return None


def is_metric_being_made() -> bool:
    """Whether a Keras metric is asking for a variable. Its state does not go into checkpoints."""
    return _is_being_made_by(keras.metrics.Metric)


def is_optimizer_being_made() -> bool:
    """Whether a Keras optimizer is asking for a variable. Each optimizer has its own state."""
    return _is_being_made_by(keras.optimizers.Optimizer)


def _is_being_made_by(kind: type) -> bool:
    frame: types.FrameType | None = sys._getframe(3)
    while frame is not None:
        if isinstance(frame.f_locals.get("self"), kind):
            return True
        frame = frame.f_back
    return False


def variable_of_slot() -> keras.Variable | None:
    """The variable for which an optimizer is making a slot, or None.

    Its path is a part of the slot's name. Neither the slot nor the optimizer tells which variable
    it was, so this function searches for the frame of the public method that makes slots.
    """
    frame: types.FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_name == "add_variable_from_reference":
            reference = frame.f_locals.get("reference_variable")
            return reference if isinstance(reference, keras.Variable) else None
        frame = frame.f_back
    return None


def path_without_sequentials(variable: keras.Variable) -> str:
    """The path of a variable that is being made, without the models whose names Keras 2 left out.

    Keras 2 put the name of a `Sequential` into the names of variables only if the call of the model
    made them. Keras 3 also does so if its constructor, `add` or `build` makes them. It has no
    setting for it, and no public name for the scopes that are open.

    Returns:
        The path, such as "dense/kernel" for "sequential/dense/kernel".
    """
    full: list[str] = []
    kept: list[str] = []
    for scope in _global_state.get_global_attribute("name_scope_stack") or ():
        # A layer's scope starts again from the path where the layer was first built.
        parent = [part for part in (scope.override_parent or "").split("/") if part]
        if scope.override_parent is not None and parent != full:
            full, kept = parent, list(parent)
        full.append(scope.name)
        if not (isinstance(scope.caller, keras.Sequential) and _is_built_early(scope.caller)):
            kept.append(scope.name)
    path = str(variable.path)
    prefix = "".join(f"{name}/" for name in full)
    if not path.startswith(prefix):
        return path
    return "".join(f"{name}/" for name in kept) + path.removeprefix(prefix)


def _is_built_early(model: keras.Sequential) -> bool:
    """Whether a model is being built before its first call, in a way that Keras 2 knew.

    It also built a model at once if the first layer was a model with an `Input`. But it did not see
    the `Input` of a `Sequential`.
    """
    is_built_early = False
    first_layer = _innermost_first_layer(model)
    frame: types.FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame.f_locals.get("self") is model:
            if frame.f_code.co_name == "__call__":
                return False
            if frame.f_code is _BUILD_OF_SEQUENTIAL:
                # Keras uses this variable of `build` only to put an `Input` first.
                lacks_input = "dtype" in frame.f_locals
                is_built_early = not (lacks_input and _comes_from_constructor(frame)) or isinstance(
                    first_layer, keras.layers.InputLayer
                )
        frame = frame.f_back
    return is_built_early


_BUILD_OF_SEQUENTIAL = keras.Sequential.build.__code__


def _comes_from_constructor(build: types.FrameType) -> bool:
    """Whether a constructor or `add` calls `build`, and not the user."""
    caller = build.f_back and build.f_back.f_back  # Keras wraps `build`
    return caller is not None and caller.f_code.co_name == "_maybe_rebuild"


def _innermost_first_layer(layer: keras.Layer) -> keras.Layer:
    while isinstance(layer, keras.Model) and layer.layers:
        layer = layer.layers[0]
    return layer


class _Holders(Generic[_Kind]):
    """Finds objects by the value of an attribute.

    It searches all objects of the process, which takes 50 milliseconds for a million. It only does
    so if the last search did not find the holder. `gc.get_referrers` is not an alternative. It
    crashes if the garbage collector runs in another thread at the same time, which code of
    extensions makes possible.

    Args:
        kind: The class of the objects.
        attribute: The attribute.
    """

    def __init__(self, kind: type[_Kind], attribute: str) -> None:
        self._kind = kind
        self._attribute = attribute
        self._cache: Mapping[int, _Kind] = {}

    def holding(self, value: Any) -> _Kind | None:
        """The object that holds `value` in the attribute, or None."""
        holder = self._cached_holder(value)
        if holder is None:
            self._look_around()
            holder = self._cached_holder(value)
        return holder

    def _cached_holder(self, value: Any) -> _Kind | None:
        # An id may be reused, and a holder may hold something else by now.
        holder = self._cache.get(id(value))
        return holder if holder is not None and self._held_by(holder) is value else None

    def _held_by(self, holder: _Kind) -> Any:
        return vars(holder).get(self._attribute)  # `getattr` may run code of the object

    def _look_around(self) -> None:
        kinds = _with_subclasses(self._kind)
        holders = [o for o in gc.get_objects() if type(o) in kinds]
        # Weakly: this cache must not keep variables alive.
        self._cache = weakref.WeakValueDictionary({id(self._held_by(o)): o for o in holders})


def _with_subclasses(kind: type) -> set[type]:
    below: list[type] = kind.__subclasses__()
    return {kind}.union(*map(_with_subclasses, below))


_keras_variables = _Holders(keras.Variable, "_value")
_tf_variables = _Holders(tf.Variable, "_handle")


def owner_of(variable: tf.Variable) -> keras.Variable | None:
    """The Keras variable that holds `variable`, or None. `variable` itself has no link to it."""
    return _keras_variables.holding(variable)


def variable_behind(handle: tf.Tensor) -> tf.Variable | None:
    """The eager variable that has this handle, or None. The handle itself has no link to it."""
    return _tf_variables.holding(handle)


def settings() -> dict[str, Any]:
    """The user's settings that Keras keeps per thread."""
    attributes = {key: _global_state.get_global_attribute(key) for key in _SETTINGS}
    return {key: value for key, value in attributes.items() if value is not None}


def use_settings(settings: dict[str, Any]) -> None:
    """Gives the calling thread, which is new to Keras, the settings of another thread."""
    for key, value in settings.items():
        _global_state.set_global_attribute(key, value)


def mean_over_replicas(gradients: Sequence[Any]) -> list[Any]:
    """The means of gradients over the replicas; None stays None."""
    context = tf.distribute.get_replica_context()
    present = [gradient for gradient in gradients if gradient is not None]
    if context is None or not present:
        return list(gradients)
    reduced = iter(context.all_reduce(tf.distribute.ReduceOp.MEAN, present))
    return [None if gradient is None else next(reduced) for gradient in gradients]
