"""What the variables of an estimator hold: which checkpoint, or values that none has.

Synopsis::

    memory = Memory(store)
    memory.load(model, session, path)       # reads only if memory holds something else
    with memory.in_training():
        ...
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import tensorflow as tf

from kestimator.engine import checkpoints as _checkpoints
from kestimator.engine import model as _model
from kestimator.engine import program as _program
from kestimator.engine import session as _session
from kestimator.engine import variables as _variables
from kestimator.keys import ModeKeys

_v1: Any = tf.compat.v1
_GraphKeys = _v1.GraphKeys


class Reader(Protocol):
    """Who reads the variables in the background."""

    def settle(self) -> None:
        """Waits until nothing reads them any more."""


class Memory:
    """Knows which checkpoint the variables of an estimator hold, to read none twice.

    Args:
        store: The variables.
    """

    def __init__(self, store: _variables.VariableStore) -> None:
        self._store = store
        self._holds: tuple[str, Any] | None = None
        self._covered: set[str] = set()
        self._readers: weakref.WeakSet[Reader] = weakref.WeakSet()
        self.training = False

    def read_by(self, reader: Reader) -> None:
        """Notes who may read the variables in the background, to wait for it before a change."""
        self._readers.add(reader)

    def settle(self) -> None:
        """Waits for who reads the variables: they are about to change."""
        for reader in list(self._readers):
            reader.settle()

    def holds(self, path: str | None, saver: Any) -> bool:
        """Whether the variables have the values of `path`, read through `saver`."""
        return path is not None and self._holds == (path, _saver_key(saver))

    def changed(self) -> None:
        """Notes that the variables no longer equal any checkpoint."""
        self._holds = None

    def saved(self, path: str, saver: Any) -> None:
        """Notes that the variables have just been written to `path`."""
        self._holds = (path, _saver_key(saver))
        self._covered = {slot.name for slot in self._store}

    def load(self, model: _model.ModelProgram, session: _session.Session, path: str | None) -> None:
        """Gives the variables of a program their values: from a checkpoint, or initial ones.

        Args:
            model: The program; its scaffold is finalized.
            session: A session over it.
            path: The checkpoint, or None to initialize.

        Raises:
            errors.MissingVariableError: The checkpoint lacks a variable.
            errors.VariableShapeError: It holds a variable of another shape.
            errors.UnreadableCheckpointError: It cannot be read.
        """
        saver = model.scaffold.saver
        names = {_model.name(view) for view in _checkpoints.global_views(model)}
        if path is None:
            self.settle()
            self._holds, self._covered = ("", id(model)), names
            _reset_keras_variables(model, self._store)
            _initialize(model, session)
        elif not (self.holds(path, saver) and names <= self._covered):
            self.settle()
            self._holds = None
            _checkpoints.restore(model, session, path)
            self._holds, self._covered = (path, _saver_key(saver)), names

    def reload(
        self, model: _model.ModelProgram, session: _session.Session, path: str | None
    ) -> None:
        """Gives the variables their values again, where another run has changed them since."""
        if path is None:
            if self._holds != ("", id(model)):
                self.load(model, session, path)
        elif not self.holds(path, model.scaffold.saver):
            self.load(model, session, path)

    def complete(self, model: _model.ModelProgram, session: _session.Session) -> None:
        """Leaves variables as they are, and gives an initial value to those that have none."""
        slots = [
            (view, self._store.get(_model.name(view))) for view in _checkpoints.global_views(model)
        ]
        own = {_model.name(view): view.initializer for view, _ in slots}
        initializers = {**own, **session.input_initializers}
        with _program.eager_mode():
            missing = [initializers[s.name] for _, s in slots if s and not s.is_initialized]
        if missing:
            session.run(missing)

    def initialize_locals(self, model: _model.ModelProgram, session: _session.Session) -> None:
        """Starts metrics from zero, and makes tables ready.

        Raises:
            RuntimeError: The initializers leave variables without a value.
        """
        if model.mode == ModeKeys.PREDICT and model.locals_are_ready:
            return  # predictions have no state of their own to start afresh
        scaffold = model.scaffold
        if model.locals_are_ready or not _not_ready(
            session, scaffold.ready_for_local_init_op, (_GraphKeys.GLOBAL_VARIABLES,)
        ):
            session.run(scaffold.local_init_op)
        if not model.locals_are_ready:
            _check_ready(model, session)
        model.locals_are_ready = True

    @contextlib.contextmanager
    def in_training(self) -> Iterator[None]:
        """Marks a train call: evaluations meanwhile leave the variables as they were."""
        self.settle()
        outer, self.training = self.training, True
        try:
            yield
        except BaseException:
            self._holds = None
            raise
        finally:
            self.training = outer

    @contextlib.contextmanager
    def borrowed(self, model: _model.ModelProgram, path: str | None) -> Iterator[None]:
        """Lends the variables to an evaluation or prediction of `path`."""
        saver = model.scaffold.saver or next(
            iter(model.graph.get_collection(_GraphKeys.SAVERS)), None
        )
        if self.training and not self.holds(path, saver):
            with self.preserved():
                yield
        else:
            yield

    @contextlib.contextmanager
    def preserved(self) -> Iterator[None]:
        """Puts every variable back to its value afterwards: for evaluation amid training."""
        self.settle()
        with _program.eager_mode():
            kept = [
                (slot.variable, tf.identity(slot.variable))
                for slot in self._store
                if slot.is_initialized
            ]
        holds, covered = self._holds, self._covered
        try:
            yield
        finally:
            with _program.eager_mode():
                for variable, value in kept:
                    variable.assign(value)
            self._holds, self._covered = holds, covered


def _saver_key(saver: Any) -> Any:
    shares = isinstance(saver, _checkpoints.DefaultSaver) and not saver.has_tables
    return "default" if shares else id(saver)


class SavedListener(_v1.train.CheckpointSaverListener):
    """Notes in a `Memory` that a checkpoint equals the variables.

    Args:
        memory: The memory.
        model: The program that is saved.
        model_dir: Where its checkpoints are.
    """

    def __init__(self, memory: Memory, model: _model.ModelProgram, model_dir: str) -> None:
        self._memory = memory
        self._model = model
        self._model_dir = model_dir

    def after_save(self, session: Any, global_step_value: int) -> None:
        """Notes the checkpoint that was just written, as the state file names it.

        The saver itself does not know it where it keeps all checkpoints.
        """
        del session
        path = _checkpoints.latest_checkpoint(self._model_dir)
        if path is not None and path.endswith(f"-{global_step_value}"):
            self._memory.saved(path, self._model.scaffold.saver)
        else:  # a hook of the user's writes elsewhere
            self._memory.changed()


def _initialize(model: _model.ModelProgram, session: _session.Session) -> None:
    scaffold = model.scaffold
    if session.input_initializers:
        session.run(list(session.input_initializers.values()))
    if scaffold.init_op is not None:
        session.run(scaffold.init_op, scaffold.init_feed_dict)
    if scaffold.init_fn is not None:
        scaffold.init_fn(session)


def _reset_keras_variables(model: _model.ModelProgram, store: _variables.VariableStore) -> None:
    with _program.eager_mode():
        for slot in store:
            slot.reset()
        if model.program.initial_writes:
            model.program.function([], model.program.initial_writes)()


def _check_ready(model: _model.ModelProgram, session: _session.Session) -> None:
    scaffold = model.scaffold
    missing = _not_ready(
        session, scaffold.ready_op, (_GraphKeys.GLOBAL_VARIABLES, _GraphKeys.LOCAL_VARIABLES)
    )
    if missing:
        raise RuntimeError(
            f"Init operations did not make the model ready: {missing} have no value. Received: "
            f"init_op={scaffold.init_op!r}, init_fn={scaffold.init_fn!r}, "
            f"local_init_op={scaffold.local_init_op!r}. Initialize them in the Scaffold's "
            "`init_op` or `init_fn`."
        )


def _not_ready(session: _session.Session, ready_op: Any, collections: Sequence[str]) -> list[str]:
    """Names that a ready op reports; it gives none when all is well.

    Where the op is the library's own, the variables of some collections are asked themselves.
    """
    if ready_op is None:
        return []
    if tf.get_static_value(ready_op) is None:
        return [tf.compat.as_text(value) for value in session.run(ready_op).ravel()]
    views = [view for key in collections for view in session.graph.get_collection(key)]
    with _program.eager_mode():
        return [
            _model.name(view)
            for view in views
            if getattr(view, "memory", None) is not None and not view.memory.is_initialized()
        ]


def add_ready_ops(scaffold: Any) -> None:
    """Gives a scaffold without ready ops constants in their place.

    TensorFlow would build some twenty ops that report uninitialized variables, and running them
    takes a tenth of the time to the first step. `Memory` asks the variables themselves.
    """
    for given, key in (
        (scaffold.ready_op, _GraphKeys.READY_OP),
        (scaffold.ready_for_local_init_op, _GraphKeys.READY_FOR_LOCAL_INIT_OP),
    ):
        if given is None and not _v1.get_collection(key):
            _v1.add_to_collection(key, tf.constant([], tf.string, name="ready"))
