"""What the variables of an estimator hold: which checkpoint, or values that none has.

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

import tensorflow as tf

from kestimator.engine.checkpoints import checkpoint_files, shared_variables
from kestimator.engine.programs import model_program, program
from kestimator.engine.runs import locks
from kestimator.engine.runs import session as _session
from kestimator.engine.variables import variable_creator, variable_store
from kestimator.keys import ModeKeys

_v1: Any = tf.compat.v1
_GraphKeys = _v1.GraphKeys
_claims = threading.Lock()  # held for as long as a flag is looked at and set


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """The values of variables at a moment; no copies until somebody changes the variables.

    Attributes:
        values: The variables, each with its value.
        holds: Which checkpoint they held.
        covered: The names of the variables that were read from it.
    """

    values: list[tuple[tf.Variable, tf.Tensor]]
    holds: tuple[str, Any] | None
    covered: set[str]


class Reader(Protocol):
    """Who reads the variables in the background."""

    def settle(self) -> None:
        """Waits until nothing reads them any more."""


class CheckpointTracker:
    """Knows which checkpoint the variables of an estimator hold, to read none twice.

    Several threads may use the estimator at once. Each holds `lock` while the variables have to
    stay what they are: while a program is traced or looked up, while values are loaded, while
    steps or an evaluation run. Whenever nobody holds it amid training, the variables have the
    values that training left them with.

    Args:
        store: The variables.

    Attributes:
        lock: Held by the thread that reads or changes the variables, or traces a program. What
            follows is called under it, but for `claim`, `give_back`, `changed` and `saved`.
        training: Whether a call of `train` goes on, in whichever thread.
    """

    def __init__(self, store: variable_store.VariableStore) -> None:
        self._store = store
        self._holds: tuple[str, Any] | None = None
        self._covered: set[str] = set()
        self._readers: weakref.WeakSet[Reader] = weakref.WeakSet()
        self.lock = locks.FairLock()
        self.training = False

    def claim(self) -> bool:
        """Notes that a call of `train` begins; False if another one goes on."""
        with _claims:
            is_free, self.training = not self.training, True
        return is_free

    def give_back(self) -> None:
        """Notes that the call of `train` has ended."""
        self.training = False

    def read_by(self, reader: Reader) -> None:
        """Notes who may read the variables in the background, to wait for it before a change."""
        self._readers.add(reader)

    def settle(self) -> None:
        """Waits for who reads the variables in the background: they are about to change."""
        for reader in list(self._readers):
            reader.settle()

    def holds(self, path: str | None, saver: Any) -> bool:
        """Whether the variables have the values of `path`, read through `saver`."""
        return self.was_read_from(path) and self._holds == (path, _saver_key(saver))

    def was_read_from(self, path: str | None) -> bool:
        """Whether the variables have the values of `path`, whichever saver read them."""
        if path is None or self._holds is None or self._holds[0] != path:
            return False
        return self._is_undisturbed()

    def is_at(self, model: model_program.ModelProgram, path: str | None) -> bool:
        """Whether the variables have the values of `path`, or the program's initial ones."""
        if path is None:
            return self._is_undisturbed() and self._holds == ("", id(model))
        return self.holds(path, model.scaffold.saver)

    def _is_undisturbed(self) -> bool:
        """Whether no other estimator has changed variables that both use."""
        outside = self._store.outside
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
        """The variables there are now: an input_fn may make some at any time."""
        return list(self._store)

    def check_shared(self, path: str | None) -> None:
        """Checks that no other estimator stands in the way of `load`.

        Raises:
            errors.BusyError: Another estimator works with variables that both use.
            errors.ArgumentError: Another estimator has trained variables that both use, and no
                checkpoint says what they were.
        """
        shared_variables.check(self._store.outside, self, is_fresh=path is None)

    def load(
        self, model: model_program.ModelProgram, session: _session.Session, path: str | None
    ) -> None:
        """Gives the variables of a program their values: from a checkpoint, or initial ones.

        Args:
            model: The program; its scaffold is finalized.
            session: A session over it.
            path: The checkpoint, or None to initialize.

        Raises:
            errors.MissingVariableError: The checkpoint lacks a variable.
            errors.VariableShapeError: It holds a variable of another shape.
            errors.UnreadableCheckpointError: It cannot be read.
            errors.BusyError: As of `check_shared`.
            errors.ArgumentError: As of `check_shared`.
        """
        saver = model.scaffold.saver
        names = {model_program.name(view) for view in checkpoint_files.global_views(model)}
        holds = self.holds(path, saver)
        shared_variables.take(
            self._store.outside, self, is_fresh=path is None, trains=model.mode == ModeKeys.TRAIN
        )
        if path is None:
            self.settle()
            # The empty path stands for initial values, which are those of one program.
            self._holds, self._covered = ("", id(model)), names
            _reset_keras_variables(model, self._slots())
            _initialize(model, session)
        elif not (holds and names <= self._covered):
            self.settle()
            self._holds = None  # a checkpoint that cannot be read leaves some variables changed
            checkpoint_files.restore(model, session, path)
            self._holds, self._covered = (path, _saver_key(saver)), names

    def complete(self, model: model_program.ModelProgram, session: _session.Session) -> None:
        """Leaves variables as they are, and gives an initial value to those that have none."""
        slots = [
            (view, self._store.get(model_program.name(view)))
            for view in checkpoint_files.global_views(model)
        ]
        own = {model_program.name(view): view.initializer for view, _ in slots}
        initializers = {**own, **session.input_initializers}
        with program.eager_mode():
            missing = [initializers[s.name] for _, s in slots if s and not s.is_initialized]
        if missing:
            session.run(missing)

    def initialize_locals(
        self, model: model_program.ModelProgram, session: _session.Session
    ) -> None:
        """Starts metrics from zero, and makes tables ready.

        Raises:
            RuntimeError: The initializers leave variables without a value.
        """
        # Initializers would lengthen each of many short predictions.
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
        """Lets training change the variables between two holds of the lock."""
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

        Seeds move in evaluations, too: they are put back also where the variables hold `path`.
        """
        if not self.training:
            yield
            return
        saver = model.scaffold.saver or next(
            iter(model.graph.get_collection(_GraphKeys.SAVERS)), None
        )
        seeds = [slot for slot in self._slots() if variable_creator.is_seed(slot.name)]
        with self.preserved(seeds if self.holds(path, saver) else None):
            yield

    @contextlib.contextmanager
    def preserved(self, slots: Sequence[variable_store.Slot] | None = None) -> Iterator[None]:
        """Puts variables back to their values afterwards; by default all of them."""
        self.settle()
        before = self.snapshot(slots)
        try:
            yield
        finally:
            self.settle()  # predictions may run ahead again if training has ended meanwhile
            self.put_back(before)

    def snapshot(self, slots: Sequence[variable_store.Slot] | None = None) -> Snapshot:
        """The values that variables have now; by default all of them."""
        with program.eager_mode():
            values = [
                (slot.variable, tf.identity(slot.variable))
                for slot in (self._slots() if slots is None else slots)
                if slot.is_initialized
            ]
        return Snapshot(values, self._holds, self._covered)

    def put_back(self, snapshot: Snapshot) -> None:
        """Gives variables the values of a snapshot."""
        shared_variables.take(self._store.outside, self, is_fresh=False, trains=False)
        with program.eager_mode():
            for variable, value in snapshot.values:
                variable.assign(value)
        self._holds, self._covered = snapshot.holds, snapshot.covered


class Loan:
    """The variables with the values of one checkpoint, for as long as predictions need them.

    Between two batches, and between two runs of a hook's, the variables belong to whoever wants
    them. Amid training, the values are kept when they are first read: the checkpoint may be
    deleted before the predictions have ended.

    Args:
        tracker: What the variables hold.
        model: The program that predicts.
        session: A session over it that is held back by the lock alone.
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
        self._own: Snapshot | None = None

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
        """Keeps the values that the variables have now, if training goes on. Called with them."""
        if self._tracker.training and self._own is None:
            self._own = self._tracker.snapshot()

    def _read(self) -> None:
        if self._own is None:
            self._tracker.load(self._model, self._session, self._path)
        else:
            self._tracker.settle()
            self._tracker.put_back(self._own)


def _saver_key(saver: Any) -> Any:
    shares = isinstance(saver, checkpoint_files.DefaultSaver) and not saver.has_tables
    return "default" if shares else id(saver)


class SavedListener(_v1.train.CheckpointSaverListener):
    """Notes in a `CheckpointTracker` that a checkpoint equals the variables.

    Args:
        tracker: What the variables hold.
        model: The program that is saved.
        model_dir: Where its checkpoints are.
    """

    def __init__(
        self, tracker: CheckpointTracker, model: model_program.ModelProgram, model_dir: str
    ) -> None:
        self._tracker = tracker
        self._model = model
        self._model_dir = model_dir

    def after_save(self, session: Any, global_step_value: int) -> None:
        """Notes the checkpoint that was just written, as the state file names it.

        The saver itself does not know it where it keeps all checkpoints.
        """
        del session
        path = checkpoint_files.latest_checkpoint(self._model_dir)
        if path is not None and path.endswith(f"-{global_step_value}"):
            self._tracker.saved(path, self._model.scaffold.saver)
        else:  # a hook of the user's writes elsewhere
            self._tracker.changed()


def _initialize(model: model_program.ModelProgram, session: _session.Session) -> None:
    scaffold = model.scaffold
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
    """Names that a ready op reports; it gives none when all is well.

    Where the op is the library's own, the variables of some collections are asked themselves.
    """
    if ready_op is None:
        return []
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
    """Gives a scaffold without ready ops constants in their place.

    TensorFlow would build some twenty ops that report uninitialized variables, and running them
    takes a tenth of the time to the first step. `CheckpointTracker` asks the variables themselves.
    """
    for given, key in (
        (scaffold.ready_op, _GraphKeys.READY_OP),
        (scaffold.ready_for_local_init_op, _GraphKeys.READY_FOR_LOCAL_INIT_OP),
    ):
        if given is None and not _v1.get_collection(key):
            _v1.add_to_collection(key, tf.constant([], tf.string, name="ready"))
