"""Tracks which checkpoint the variables of an estimator hold, if any.

Synopsis::

    tracker = CheckpointTracker(store)
    with tracker.lock:                           # nobody else changes the variables meanwhile
        tracker.load(model, session, path)       # reads only if they hold something else
    loan = Loan(tracker, model, session, path)
    with loan():                                # whatever has happened to them since
        ...
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from kestimator import logs
from kestimator.engine.checkpoints import checkpoint_files, former_names, shared_variables
from kestimator.engine.programs import model_program, program
from kestimator.engine.runs import locks
from kestimator.engine.runs import session as _session
from kestimator.engine.variables import variable_creator, variable_store
from kestimator.keys import ModeKeys

_v1: Any = tf.compat.v1
_GraphKeys = _v1.GraphKeys
_claims = threading.Lock()  # held while a flag is read and set


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """The values of variables at one moment; copied only when a variable changes.

    Attributes:
        values: The variables, each with its value.
        holds: The checkpoint that they held, like `CheckpointTracker._holds`.
        covered: The names of the variables that were read from it.
    """

    values: list[tuple[tf.Variable, tf.Tensor]]
    holds: tuple[str, Any] | None
    covered: set[str]


class Reader(Protocol):
    """Reads the variables in the background."""

    def settle(self) -> None:
        """Waits until this no longer reads them."""


class CheckpointTracker:
    """Knows which checkpoint the variables of an estimator hold, so that none is read twice.

    Several threads may use the estimator. A thread holds `lock` while no other thread may change
    the variables: while a program is traced or looked up, while values are loaded, and while steps
    or an evaluation run. During training, whenever no thread holds the lock, the variables have the
    values of training.

    Args:
        store: The variables.

    Attributes:
        lock: Held by the thread that reads or changes the variables, or traces a program. All
            methods are called under it, except `claim`, `give_back`, `changed` and `saved`.
        training: Whether a call of `train` is running, in any thread.
    """

    def __init__(self, store: variable_store.VariableStore) -> None:
        self._store = store
        # A checkpoint and the key of the saver that read it; ("", id of a program) for the initial
        # values of that program; None for values that equal no checkpoint.
        self._holds: tuple[str, Any] | None = None
        # Another program may have more variables: those are not read yet.
        self._covered: set[str] = set()
        self._readers: weakref.WeakSet[Reader] = weakref.WeakSet()
        self.lock = locks.FairLock()
        self.training = False

    def claim(self) -> bool:
        """Notes that a call of `train` begins; returns False if another one is running."""
        with _claims:
            is_free, self.training = not self.training, True
        return is_free

    def give_back(self) -> None:
        """Notes that the call of `train` has ended."""
        self.training = False

    def read_by(self, reader: Reader) -> None:
        """Registers a background reader of the variables; changes wait for it."""
        self._readers.add(reader)

    def settle(self) -> None:
        """Waits for background readers of the variables, before these change."""
        for reader in list(self._readers):
            reader.settle()

    def holds(self, path: str | None, saver: Any) -> bool:
        """Returns whether the variables have the values of `path`, read by `saver`."""
        return self.was_read_from(path) and self._holds == (path, _saver_key(saver))

    def was_read_from(self, path: str | None) -> bool:
        """Returns whether the variables have the values of `path`, read by any saver."""
        if path is None or self._holds is None or self._holds[0] != path:
            return False
        return self._is_undisturbed()

    def is_at(self, model: model_program.ModelProgram, path: str | None) -> bool:
        """Returns whether the variables have the values of `path`; None: the initial ones."""
        if path is None:
            return self._is_undisturbed() and self._holds == ("", weakref.ref(model))
        return self.holds(path, model.scaffold.saver)

    def _is_undisturbed(self) -> bool:
        """Returns whether no other estimator has changed shared variables."""
        outside = self._store.shareable
        return not (outside and shared_variables.are_changed(outside, self))

    def changed(self) -> None:
        """Notes that the variables no longer equal any checkpoint."""
        with self.lock:
            self._holds = None

    def saved(self, path: str, saver: Any) -> None:
        """Notes that the variables have just been written to `path`."""
        with self.lock:
            self._holds = (path, _saver_key(saver))
            self._covered = {slot.name for slot in self._slots()}

    def _slots(self) -> list[variable_store.Slot]:
        """Returns the current variables: an input_fn may create more at any time."""
        return list(self._store)

    def check_shared(self, path: str | None) -> None:
        """Checks that no other estimator prevents `load`.

        Raises:
            errors.BusyError: Another estimator is using shared variables.
            errors.ArgumentError: Another estimator has trained shared variables, and there is no
                checkpoint with their values.
        """
        shared_variables.check(self._store.shareable, self, is_fresh=path is None)

    def load(
        self, model: model_program.ModelProgram, session: _session.Session, path: str | None
    ) -> None:
        """Sets the variables of a program to the values of a checkpoint, or to initial values.

        Args:
            model: The program; its scaffold is finalized.
            session: A session over it.
            path: The checkpoint, or None to initialize.

        Raises:
            errors.MissingVariableError: The checkpoint lacks a variable.
            errors.VariableShapeError: It holds a variable of another shape.
            errors.UnreadableCheckpointError: It cannot be read.
            errors.BusyError: As for `check_shared`.
            errors.ArgumentError: As for `check_shared`.
        """
        saver = model.scaffold.saver
        names = {model_program.name(view) for view in checkpoint_files.global_views(model)}
        # Before `take`, which makes the shared variables ours and hides the changes of others.
        holds = self.holds(path, saver)
        shared_variables.take(
            self._store.shareable, self, is_fresh=path is None, trains=model.mode == ModeKeys.TRAIN
        )
        if path is None:
            self.settle()
            # The empty path stands for initial values, which are those of one program.
            self._holds, self._covered = ("", weakref.ref(model)), names
            _reset_keras_variables(model, self._slots())
            _initialize(model, session)
        # A program with more variables than the one that read the checkpoint has to read it again.
        elif not (holds and names <= self._covered):
            self.settle()
            self._holds = None  # a checkpoint that cannot be read leaves some variables changed
            with former_names.with_current_names(model, path) as readable:
                absent = checkpoint_files.restore(model, session, readable)
            self._initialize(session, absent)
            if model.mode == ModeKeys.TRAIN:
                self._warn_of_kept_rates(model, path)
            self._holds, self._covered = (path, _saver_key(saver)), names
        else:
            logs.info("Restoring parameters from %s (in memory already)", path)

    def _initialize(self, session: _session.Session, views: Sequence[Any]) -> None:
        """Gives some variables their initial values, and leaves all others as they are."""
        if not views:
            return
        with program.eager_mode():
            for view in views:
                # Not `_reset_keras_variables`: the initial writes of Keras code would go over
                # what a checkpoint has just given to other variables.
                self._store[model_program.name(view)].reset()
        session.run([view.initializer for view in views])

    def _warn_of_kept_rates(self, model: model_program.ModelProgram, path: str) -> None:
        """Warns where a learning rate of the checkpoint replaced another one of the program.

        Keras optimizers store their learning rate with the weights.
        """
        for view in checkpoint_files.global_views(model):
            name = model_program.name(view)
            if not name.endswith("/learning_rate"):
                continue
            with program.eager_mode():
                rate, kept = _first_value(self._store[name], view), view.memory.numpy()
            if rate is not None and np.any(rate != kept):
                logs.warning(
                    "The learning rate is %s, as %r in the checkpoint %s, and not %s, as in the "
                    "program: Keras optimizers continue with the rate of a checkpoint. To change "
                    "it, pass a schedule of `keras.optimizers.schedules`, or assign it in a "
                    "callback.",
                    kept,
                    name,
                    path,
                    rate,
                )

    def complete(self, model: model_program.ModelProgram, session: _session.Session) -> None:
        """Initializes the variables that have no value, and leaves the others as they are."""
        slots = [
            (view, self._store.get(model_program.name(view)))
            for view in checkpoint_files.global_views(model)
        ]
        initializers = {model_program.name(view): view.initializer for view, _ in slots}
        initializers |= session.input_initializers
        with program.eager_mode():
            missing = [initializers[s.name] for _, s in slots if s and not s.is_initialized]
        if missing:
            session.run(missing)

    def initialize_locals(
        self, model: model_program.ModelProgram, session: _session.Session
    ) -> None:
        """Resets metrics to zero and initializes tables.

        Raises:
            RuntimeError: The initializers leave variables without a value.
        """
        # Initializers would lengthen each of many short predictions.
        if model.mode == ModeKeys.PREDICT and model.locals_are_ready:
            return  # predictions have no local state to reset
        scaffold = model.scaffold
        if model.locals_are_ready or not _not_ready(
            session, scaffold.ready_for_local_init_op, (_GraphKeys.GLOBAL_VARIABLES,)
        ):
            logs.info("Running local_init_op.")
            session.run(scaffold.local_init_op)
            logs.info("Done running local_init_op.")
        if not model.locals_are_ready:
            _check_ready(model, session)
        model.locals_are_ready = True

    @contextlib.contextmanager
    def in_training(self) -> Iterator[None]:
        """Lets training change the variables; after an error they equal no checkpoint."""
        with self.lock:
            self.settle()
        try:
            yield
        except BaseException:
            self.changed()
            raise

    @contextlib.contextmanager
    def borrowed(self, model: model_program.ModelProgram, path: str | None) -> Iterator[None]:
        """Lends the variables to an evaluation or prediction of `path`; training gets them back.

        Evaluations also change random seeds. So seeds are restored even if the variables hold
        `path`.
        """
        if not self.training:
            yield
            return
        # Until the scaffold is finalized, the default saver is in the collection only.
        saver = model.scaffold.saver or next(
            iter(model.graph.get_collection(_GraphKeys.SAVERS)), None
        )
        seeds = [slot for slot in self._slots() if variable_creator.is_seed(slot.name)]
        with self.preserved(seeds if self.holds(path, saver) else None):
            yield

    @contextlib.contextmanager
    def preserved(self, slots: Sequence[variable_store.Slot] | None = None) -> Iterator[None]:
        """Restores the values of variables afterwards; by default of all."""
        self.settle()
        before = self.snapshot(slots)
        try:
            yield
        finally:
            self.settle()  # predictions may run ahead again if training has ended meanwhile
            self.put_back(before)

    def snapshot(self, slots: Sequence[variable_store.Slot] | None = None) -> Snapshot:
        """Returns the current values of variables; by default of all."""
        with program.eager_mode():
            values = [
                (slot.variable, tf.identity(slot.variable))
                for slot in (self._slots() if slots is None else slots)
                if slot.is_initialized
            ]
        return Snapshot(values, self._holds, self._covered)

    def put_back(self, snapshot: Snapshot) -> None:
        """Restores the values of a snapshot."""
        shared_variables.take(self._store.shareable, self, is_fresh=False, trains=False)
        with program.eager_mode():
            for variable, value in snapshot.values:
                variable.assign(value)
        self._holds, self._covered = snapshot.holds, snapshot.covered


class Loan:
    """Lends the variables, with the values of one checkpoint, to predictions.

    Between two batches, and between two runs of a hook, other threads may use the variables.
    During training, the values are kept in memory when they are first read: the checkpoint may be
    deleted before the predictions end.

    Args:
        tracker: The tracker of the variables.
        model: The program that predicts.
        session: A session over it whose guard is only the lock.
        path: The checkpoint; None for initial values.
    """

    def __init__(
        self,
        tracker: CheckpointTracker,
        model: model_program.ModelProgram,
        session: _session.Session,
        path: str | None,
    ) -> None:
        self._tracker = tracker
        self._model = model
        self._session = session
        self._path = path
        self._snapshot: Snapshot | None = None

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Holds the lock, with the values in the variables."""
        tracker = self._tracker
        with tracker.lock, tracker.borrowed(self._model, self._path):
            if not tracker.is_at(self._model, self._path):
                self._read()
            self.keep()
            yield

    def keep(self) -> None:
        """Keeps the current values during training; called while the variables are lent."""
        if self._tracker.training and self._snapshot is None:
            self._snapshot = self._tracker.snapshot()

    def _read(self) -> None:
        if self._snapshot is None:
            self._tracker.load(self._model, self._session, self._path)
        else:
            self._tracker.settle()
            self._tracker.put_back(self._snapshot)


def _saver_key(saver: Any) -> Any:
    # Default savers of all programs read variables by name, so a checkpoint that one of them has
    # read need not be read again for another program.
    shares = isinstance(saver, checkpoint_files.DefaultSaver) and not saver.has_tables
    return "default" if shares else weakref.ref(saver)


class SavedListener(_v1.train.CheckpointSaverListener):
    """Notes in a `CheckpointTracker` that a checkpoint equals the variables.

    Args:
        tracker: The tracker of the variables.
        model: The program that is saved.
        model_dir: The directory of its checkpoints.
    """

    def __init__(
        self, tracker: CheckpointTracker, model: model_program.ModelProgram, model_dir: str
    ) -> None:
        self._tracker = tracker
        self._model = model
        self._model_dir = model_dir

    def after_save(self, session: Any, global_step_value: int) -> None:
        """Notes the checkpoint that was just written, by its path in the state file.

        A saver that keeps all checkpoints does not know the path.
        """
        del session
        path = checkpoint_files.latest_checkpoint(self._model_dir)
        if path is not None and path.endswith(f"-{global_step_value}"):
            self._tracker.saved(path, self._model.scaffold.saver)
        else:  # a user's hook writes elsewhere
            self._tracker.changed()


def _initialize(model: model_program.ModelProgram, session: _session.Session) -> None:
    scaffold = model.scaffold
    # Initializers have separate random streams, which restart only where they run.
    model.graph.random_state.restart(initializers=True)
    if session.input_initializers:
        session.run(list(session.input_initializers.values()))
    if scaffold.init_op is not None:
        session.run(scaffold.init_op, scaffold.init_feed_dict)
    if scaffold.init_fn is not None:
        scaffold.init_fn(session)


def _reset_keras_variables(
    model: model_program.ModelProgram, slots: Iterable[variable_store.Slot]
) -> None:
    with program.eager_mode():
        for slot in slots:
            slot.reset()
        if model.program.initial_writes:
            model.program.function([], model.program.initial_writes)()


def _first_value(slot: variable_store.Slot, view: Any) -> Any:
    """Returns the value that a variable has at a fresh start; None if a graph computes it."""
    value = slot.initial_value
    value = value() if callable(value) else value
    if value is None and view.initial_value is not None:
        return tf.get_static_value(view.initial_value)
    return value if value is None else np.asarray(value)


def _check_ready(model: model_program.ModelProgram, session: _session.Session) -> None:
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
    """Returns the names of uninitialized variables that a ready op reports.

    If the op is the constant of `add_ready_ops`, the variables of `collections` are checked
    directly.
    """
    if ready_op is None:
        return []
    # The constant of `add_ready_ops` has a static value; a user's op has none.
    if tf.get_static_value(ready_op) is None:
        return [tf.compat.as_text(value) for value in session.run(ready_op).ravel()]
    views = [view for key in collections for view in session.graph.get_collection(key)]
    with program.eager_mode():
        return [
            model_program.name(view)
            for view in views
            if getattr(view, "memory", None) is not None and not view.memory.is_initialized()
        ]


def add_ready_ops(scaffold: Any) -> None:
    """Gives constants as ready ops to a scaffold that has none.

    TensorFlow would build about twenty ops that report uninitialized variables. Running them takes
    a tenth of the time to the first step. `CheckpointTracker` checks the variables directly.
    """
    for ready_op, key in (
        (scaffold.ready_op, _GraphKeys.READY_OP),
        (scaffold.ready_for_local_init_op, _GraphKeys.READY_FOR_LOCAL_INIT_OP),
    ):
        if ready_op is None and not _v1.get_collection(key):
            _v1.add_to_collection(key, tf.constant([], tf.string, name="ready"))
