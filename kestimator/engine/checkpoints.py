"""Checkpoints: finding, checking, restoring them, and knowing what memory holds.

Synopsis::

    path = latest_checkpoint(model_dir)
    memory.load(model, session, path)       # reads only if memory holds something else

A checkpoint is whole or absent: one that cannot be read is an error, never a fresh start.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.python.util import deprecation as _deprecation

from kestimator import errors
from kestimator.engine import model as _model
from kestimator.engine import program as _program
from kestimator.engine import session as _session
from kestimator.engine import variables as _variables
from kestimator.keys import ModeKeys

_v1: Any = tf.compat.v1
_GraphKeys = _v1.GraphKeys
_logger = logging.getLogger("kestimator")


def latest_checkpoint(model_dir: str) -> str | None:
    """The path of the newest whole checkpoint in `model_dir`, or None if there is none.

    Raises:
        errors.UnreadableCheckpointError: The state file cannot be read, or it names checkpoints
            and none is there.
    """
    state = _state(model_dir)
    if state is None:
        return None
    for path in [state.model_checkpoint_path, *reversed(state.all_model_checkpoint_paths)]:
        if is_whole(path):
            if path != state.model_checkpoint_path:
                _logger.warning(
                    "The checkpoint %s is not there as a whole; going on from %s.",
                    state.model_checkpoint_path,
                    path,
                )
            return str(path)
    raise errors.UnreadableCheckpointError(
        f"The file {model_dir}/checkpoint names {state.model_checkpoint_path}, but neither it "
        "nor an older checkpoint is there. Restore the files, or delete the file `checkpoint` "
        "to start afresh."
    )


def is_whole(path: str) -> bool:
    """Whether a checkpoint has its index and all of its data files."""
    if not tf.io.gfile.exists(f"{path}.index"):
        return False
    if tf.io.gfile.exists(f"{path}.data-00000-of-00001"):  # quicker than a listing
        return True
    shards = tf.io.gfile.glob(f"{path}.data-?????-of-?????")
    return len(shards) in {int(shard.rpartition("-")[2]) for shard in shards}


def _state(model_dir: str) -> Any:
    """What the state file says; None if there is none."""
    state, problem = None, "it is no text of a checkpoint state"
    try:
        with tf.io.gfile.GFile(f"{model_dir}/checkpoint", "rb") as file:
            state = _parsed_state(model_dir, file.read())
    except tf.errors.NotFoundError:
        return None
    except (ValueError, tf.errors.OpError) as error:  # it is empty, or no text at all
        problem = str(error)
    if state is None:
        raise errors.UnreadableCheckpointError(
            f"The file {model_dir}/checkpoint cannot be read: {problem}. Write the line "
            "'model_checkpoint_path: \"model.ckpt-<step>\"' into it to go on from that "
            "checkpoint, or delete it to start afresh."
        )
    return state


@functools.lru_cache(maxsize=8)
def _parsed_state(model_dir: str, text: bytes) -> Any:
    """What a state file of this text says: to parse it takes a tenth of a prediction."""
    del text
    return tf.train.get_checkpoint_state(model_dir)


def reader(path: str) -> Any:
    """Opens a checkpoint.

    Raises:
        errors.CheckpointNotFoundError: There is none.
        errors.UnreadableCheckpointError: It cannot be read.
    """
    if not tf.io.gfile.exists(f"{path}.index"):
        raise errors.CheckpointNotFoundError(
            f"There is no checkpoint at {path!r}. Expected the prefix of one, such as "
            "'model_dir/model.ckpt-100', without '.index' or '.data-…'."
        )
    with unreadable_as_error(path):
        return tf.train.load_checkpoint(path)


def global_step_of(path: str) -> int:
    """The global step that a checkpoint holds.

    Raises:
        errors.MissingVariableError: It holds none.
        errors.UnreadableCheckpointError: It cannot be read.
    """
    checkpoint = reader(path)
    if not checkpoint.has_tensor(_GraphKeys.GLOBAL_STEP):
        raise errors.MissingVariableError(
            f"The checkpoint {path!r} has no variable 'global_step': an Estimator did not write it."
        )
    with unreadable_as_error(path):
        return int(checkpoint.get_tensor(_GraphKeys.GLOBAL_STEP))


def value(path: str, key: str) -> Any:
    """The value of a variable in a checkpoint.

    Raises:
        errors.MissingVariableError: The checkpoint has no such variable.
    """
    checkpoint = reader(path)
    if not checkpoint.has_tensor(key):
        raise errors.MissingVariableError(
            _missing(key, path, checkpoint.get_variable_to_shape_map())
        )
    with unreadable_as_error(path):
        return checkpoint.get_tensor(key)


def names(path: str) -> list[str]:
    """The names of the variables in a checkpoint, sorted."""
    return sorted(reader(path).get_variable_to_shape_map())


class Memory:
    """Knows which checkpoint the variables of an estimator hold, to read none twice.

    Args:
        store: The variables.
    """

    def __init__(self, store: _variables.VariableStore) -> None:
        self._store = store
        self._holds: tuple[str, Any] | None = None
        self._covered: set[str] = set()
        self.training = False

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
        names = {_model.name(view) for view in _global_views(model)}
        if path is None:
            self._holds, self._covered = ("", id(model)), names
            _reset_keras_variables(model, self._store)
            _initialize(model, session)
        elif not (self.holds(path, saver) and names <= self._covered):
            self._holds = None
            restore(model, session, path)
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
        slots = [(view, self._store.get(_model.name(view))) for view in _global_views(model)]
        with _program.eager_mode():
            missing = [view.initializer for view, slot in slots if slot and not slot.is_initialized]
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
    shares = isinstance(saver, DefaultSaver) and not saver.has_tables
    return "default" if shares else id(saver)


class SavedListener(_v1.train.CheckpointSaverListener):
    """Notes in a `Memory` that a checkpoint equals the variables.

    Args:
        memory: The memory.
        model: The program that is saved.
    """

    def __init__(self, memory: Memory, model: _model.ModelProgram) -> None:
        self._memory = memory
        self._model = model

    def after_save(self, session: Any, global_step_value: int) -> None:
        """Notes the newest checkpoint of the program's saver."""
        del session, global_step_value
        saver = self._model.scaffold.saver
        if saver.last_checkpoints:
            self._memory.saved(saver.last_checkpoints[-1], saver)


class DefaultSaver(_v1.train.Saver):
    """The saver of a program whose model_fn brings none: every variable under its own name."""

    _meta_graph: tuple[Any, int, bytes] | None = None

    @property
    def has_tables(self) -> bool:
        """Whether it also saves tables, which each program has for itself."""
        return any(hasattr(saveable, "specs") for saveable in self._var_list or ())

    def save(self, sess: Any, *args: Any, write_meta_graph: bool = True, **kwargs: Any) -> Any:
        """Saves, without the notes that TensorFlow's saver is deprecated in parts.

        The `.meta` file says the same beside every checkpoint: it is made once for a graph.
        """
        with _deprecation.silence():
            path = super().save(sess, *args, write_meta_graph=False, **kwargs)
        if write_meta_graph and path:
            write_whole(f"{path}.meta", self._serialized_meta_graph(sess.graph))
        return path

    def _serialized_meta_graph(self, graph: Any) -> bytes:
        if self._meta_graph is None or self._meta_graph[:2] != (graph, graph.version):
            with graph.as_default():
                meta_graph = self.export_meta_graph()
            self._meta_graph = (graph, graph.version, meta_graph.SerializeToString())
        return self._meta_graph[2]


def write_whole(path: str, content: bytes) -> None:
    """Writes a file so that it is whole at every moment."""
    part = f"{path}.part"
    with tf.io.gfile.GFile(part, "wb") as file:
        file.write(content)
    tf.io.gfile.rename(part, path, overwrite=True)


def default_saver(keep_max: int | None, keep_every_n_hours: float | None) -> DefaultSaver:
    """A saver as the original makes it; it is built when the scaffold is finalized."""
    return DefaultSaver(
        sharded=True,
        max_to_keep=keep_max,
        keep_checkpoint_every_n_hours=keep_every_n_hours,
        defer_build=True,
        save_relative_paths=True,
    )


def restore(model: _model.ModelProgram, session: _session.Session, path: str) -> None:
    """Reads a checkpoint into a program's variables."""
    saver = model.scaffold.saver
    if isinstance(saver, DefaultSaver):
        check_fits(path, _global_views(model))
        if not saver.has_tables:
            with unreadable_as_error(path):
                _restore_eagerly(path, _global_views(model))
            return
    with unreadable_as_error(path):
        saver.restore(session, path)


def _restore_eagerly(path: str, views: list[Any]) -> None:
    """Reads variables without a graph: as many ops, and nothing to build."""
    whole = [view for view in views if not view._save_slice_info]
    sliced = [view for view in views if view._save_slice_info]
    names = [_model.name(view) for view in whole] + [
        view._save_slice_info.full_name for view in sliced
    ]
    slices = [""] * len(whole) + [view._save_slice_info.spec for view in sliced]
    views = [*whole, *sliced]
    with _program.eager_mode(), tf.device("/cpu:0"):
        values = tf.raw_ops.RestoreV2(
            prefix=path,
            tensor_names=names,
            shape_and_slices=slices,
            dtypes=[view.dtype for view in views],
        )
        for view, value in zip(views, values, strict=True):
            view.memory.assign(value)


def check_fits(path: str, views: list[Any]) -> None:
    """Checks that a checkpoint holds all variables of a program, with their shapes.

    Raises:
        errors.MissingVariableError: It lacks one.
        errors.VariableShapeError: One has another shape or dtype.
    """
    checkpoint = reader(path)
    shapes, dtypes = checkpoint.get_variable_to_shape_map(), checkpoint.get_variable_to_dtype_map()
    for view in views:
        info = view._save_slice_info
        key, shape = (info.full_name, info.full_shape) if info else (_model.name(view), view.shape)
        if key not in shapes:
            raise errors.MissingVariableError(_missing(key, path, shapes))
        if dtypes[key] != view.dtype.base_dtype:
            raise errors.VariableShapeError(
                f"Variable {key!r} has dtype {dtypes[key].name} in the checkpoint {path!r}, but "
                f"{view.dtype.base_dtype.name} in the model. Build the model with the dtypes that "
                "wrote the checkpoint, or train in another model_dir."
            )
        if not tf.TensorShape(shape).is_compatible_with(shapes[key]):
            raise errors.VariableShapeError(
                f"Variable {key!r} has shape {tuple(shapes[key])} in the checkpoint {path!r}, "
                f"but shape {tuple(tf.TensorShape(shape))} in the model. Build the model with the "
                "sizes that wrote the checkpoint, or train in another model_dir (see "
                "`warm_start_from` to take over the variables that fit)."
            )


def _missing(key: str, path: str, shapes: dict[str, Any]) -> str:
    near = difflib.get_close_matches(key, shapes, n=3)
    hint = f" Similar names there: {near}." if near else ""
    return (
        f"Variable {key!r} of the model is not in the checkpoint {path!r}, which holds "
        f"{len(shapes)} variables.{hint} Build the model that wrote the checkpoint, or train in "
        "another model_dir (see `warm_start_from` to take over the variables that fit)."
    )


def _global_views(model: _model.ModelProgram) -> list[Any]:
    views = [
        *model.graph.get_collection(_GraphKeys.GLOBAL_VARIABLES),
        *model.graph.get_collection(_GraphKeys.SAVEABLE_OBJECTS),
    ]
    return list({id(view): view for view in views if not hasattr(view, "specs")}.values())


def _initialize(model: _model.ModelProgram, session: _session.Session) -> None:
    scaffold = model.scaffold
    if scaffold.init_op is not None:
        session.run(scaffold.init_op, scaffold.init_feed_dict)
    if scaffold.init_fn is not None:
        scaffold.init_fn(session)


def remember_kept(saver: Any, model_dir: str) -> None:
    """Tells a saver which checkpoints are there, so that it goes on deleting the oldest."""
    state = tf.train.get_checkpoint_state(model_dir)
    if state is not None and saver is not None:
        indexes = [(path, f"{path}.index") for path in state.all_model_checkpoint_paths]
        saver.set_last_checkpoints_with_time(
            [
                (path, tf.io.gfile.stat(index).mtime_nsec / 1e9)
                for path, index in indexes
                if tf.io.gfile.exists(index)
            ]
        )


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


@contextlib.contextmanager
def unreadable_as_error(path: str) -> Iterator[None]:
    """Raises `errors.UnreadableCheckpointError` for what TensorFlow says of a damaged file."""
    try:
        yield
    except errors.KestimatorError:
        raise
    except (
        tf.errors.DataLossError,
        tf.errors.OutOfRangeError,
        tf.errors.InternalError,
        IndexError,  # what TensorFlow's checkpoint reader raises for a file that ends too soon
    ) as error:
        raise _unreadable(path, error) from error
    except tf.errors.OpError as error:
        if type(error) is tf.errors.OpError:  # what the reader raises for a damaged index
            raise _unreadable(path, error) from error
        raise


def _unreadable(path: str, error: Exception) -> errors.UnreadableCheckpointError:
    return errors.UnreadableCheckpointError(
        f"The checkpoint {path!r} cannot be read: {error}. It is truncated or damaged. "
        "Delete its files and its line in the file `checkpoint` to go on from an older one."
    )
