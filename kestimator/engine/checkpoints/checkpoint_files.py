"""Checkpoints: finding, checking, writing and restoring them.

Synopsis::

    path = latest_checkpoint(model_dir)
    check_fits(path, global_views(model))
    restore(model, session, path)

A checkpoint is whole or absent: one that cannot be read is an error, never a fresh start.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import os
import uuid
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from kestimator import errors, logs
from kestimator.engine.checkpoints.literal_paths import literal
from kestimator.engine.programs import model_program, program
from kestimator.engine.runs import session as _session
from kestimator.engine.runs import step_errors
from kestimator.engine.tf_internals import tf_execution, tf_variables
from kestimator.validation import threads

_v1: Any = tf.compat.v1
_GraphKeys = _v1.GraphKeys
_GLOBAL_STEPS = (
    _GraphKeys.GLOBAL_STEP,
    # In the object-based checkpoints that tf.estimator writes for models of Keras 2.
    "estimator_global_step/.ATTRIBUTES/VARIABLE_VALUE",
)
_silence = threads.Shared(tf_execution.without_deprecations)


def latest_checkpoint(model_dir: str) -> str | None:
    """Returns the path of the newest complete checkpoint in `model_dir`, or None.

    Raises:
        errors.UnreadableCheckpointError: The state file cannot be read, or none of the
            checkpoints that it names exists.
    """
    state, before = state_of(model_dir), None
    while state != before:  # another thread or process may have deleted what the file named
        path = _newest_whole(model_dir, state)
        if path is not None:
            return path
        state, before = state_of(model_dir), state
    if state is None:
        return None
    raise errors.UnreadableCheckpointError(
        f"The file {model_dir}/checkpoint names {state.model_checkpoint_path}, but neither "
        "that checkpoint nor an older one exists. Restore the files, or delete the file "
        "`checkpoint` to start from scratch."
    )


def existing(model_dir: str) -> list[str]:
    """The paths of the complete checkpoints that the state file names, the oldest first."""
    state = state_of(model_dir)
    named = [*state.all_model_checkpoint_paths, state.model_checkpoint_path] if state else []
    paths = dict.fromkeys(where_it_is(model_dir, path) for path in named)
    return [path for path in paths if is_whole(path)]


def _newest_whole(model_dir: str, state: Any) -> str | None:
    # The state file lists checkpoints from the oldest to the newest.
    newest = where_it_is(model_dir, state.model_checkpoint_path)
    older = (where_it_is(model_dir, path) for path in reversed(state.all_model_checkpoint_paths))
    for path in [newest, *older]:
        if is_whole(path):
            if path != newest:
                logs.warning(
                    "The checkpoint %s is missing or incomplete; continuing from %s.",
                    newest,
                    path,
                )
            return str(path)
    return None


def where_it_is(model_dir: str, path: str) -> str:
    """The path of a checkpoint that a state file names.

    TensorFlow's own savers may write absolute paths. They are wrong once the directory has moved.
    """
    moved = os.path.join(model_dir, os.path.basename(path))
    is_moved = not tf.io.gfile.exists(f"{path}.index") and tf.io.gfile.exists(f"{moved}.index")
    return moved if is_moved else path


def is_whole(path: str) -> bool:
    """Returns whether a checkpoint has its index and all of its data files."""
    if not tf.io.gfile.exists(f"{path}.index"):
        return False
    if tf.io.gfile.exists(f"{path}.data-00000-of-00001"):  # quicker than a listing
        return True
    shards = tf.io.gfile.glob(f"{literal(path)}.data-?????-of-?????")
    # The name of each shard says how many shards there are.
    return len(shards) in {int(shard.rpartition("-")[2]) for shard in shards}


def state_of(model_dir: str) -> Any:
    """Reads the state file; returns None if it does not exist."""
    try:
        with tf.io.gfile.GFile(f"{model_dir}/checkpoint", "rb") as file:
            return _parsed_state(model_dir, file.read())
    except tf.errors.NotFoundError as error:
        if os.path.islink(f"{model_dir}/checkpoint"):
            raise _not_opened(f"{model_dir}/checkpoint", error) from error
        return None
    except tf.errors.OpError as error:
        raise _not_opened(f"{model_dir}/checkpoint", error) from error
    except ValueError as error:
        raise errors.UnreadableCheckpointError(
            f"The file {model_dir}/checkpoint cannot be read: {error}. Write the line "
            "'model_checkpoint_path: \"model.ckpt-<step>\"' into it to continue from that "
            "checkpoint, or delete it to start from scratch."
        ) from error


@functools.lru_cache(maxsize=8)
def _parsed_state(model_dir: str, text: bytes) -> Any:
    """Parses a state file with this text; parsing takes a tenth of the time of a prediction.

    Raises:
        ValueError: The text is empty or is not a checkpoint state. Errors are not cached.
    """
    # The text is only the cache key: TensorFlow reads the file itself.
    del text
    state = tf.train.get_checkpoint_state(model_dir)
    if state is None:
        raise ValueError("it does not contain a checkpoint state")
    return state


def reader(path: str) -> Any:
    """Opens a checkpoint.

    Raises:
        errors.CheckpointNotFoundError: The checkpoint does not exist.
        errors.UnreadableCheckpointError: It cannot be read.
    """
    if not tf.io.gfile.exists(f"{path}.index"):
        raise errors.CheckpointNotFoundError(
            f"There is no checkpoint at {path!r}. Expected the prefix of a checkpoint, such "
            "as 'model_dir/model.ckpt-100', without '.index' or '.data-…'."
        )
    with unreadable_as_error(path):
        # `tf.train.load_checkpoint` would take the prefix for a directory on `ram://`.
        return _v1.train.NewCheckpointReader(literal(path))


def global_step_of(path: str) -> int:
    """Returns the global step of a checkpoint.

    Raises:
        errors.MissingVariableError: The checkpoint has no global step.
        errors.UnreadableCheckpointError: It cannot be read.
    """
    checkpoint = reader(path)
    name = _name_of_global_step(checkpoint)
    if name is None:
        raise errors.MissingVariableError(
            f"The checkpoint {path!r} has no variable 'global_step'. Expected a checkpoint that "
            "an Estimator wrote."
        )
    with unreadable_as_error(path):
        return int(checkpoint.get_tensor(name))


def has_global_step(path: str) -> bool:
    """Returns whether a checkpoint has a global step, so an Estimator wrote it."""
    return _name_of_global_step(reader(path)) is not None


def _name_of_global_step(checkpoint: Any) -> str | None:
    return next(filter(checkpoint.has_tensor, _GLOBAL_STEPS), None)


def value(path: str, key: str) -> Any:
    """Returns the value of a variable in a checkpoint; accepts `name` and `name:0`.

    Raises:
        errors.MissingVariableError: The checkpoint has no such variable.
    """
    checkpoint, key = reader(path), key.removesuffix(":0")
    if not checkpoint.has_tensor(key):
        raise errors.MissingVariableError(
            _missing(key, path, checkpoint.get_variable_to_shape_map())
        )
    with unreadable_as_error(path):
        return checkpoint.get_tensor(key)


def names(path: str) -> list[str]:
    """Returns the sorted names of the variables in a checkpoint."""
    return sorted(reader(path).get_variable_to_shape_map())


class DefaultSaver(_v1.train.Saver):
    """The saver for a model_fn without a saver: saves every variable under its own name."""

    _meta_graph: tuple[Any, int, bytes] | None = None

    @property
    def has_tables(self) -> bool:
        """Whether it also saves tables, which are not shared between programs."""
        # Variables have no `specs`; saveable objects, such as those of tables, have.
        return any(hasattr(saveable, "specs") for saveable in self._var_list or ())

    def save(
        self,
        sess: Any,
        save_path: str,
        *args: Any,
        write_meta_graph: bool = True,
        **kwargs: Any,
    ) -> Any:
        """Saves the variables, without the deprecation warnings of TensorFlow's saver.

        The content of the `.meta` file is the same for every checkpoint of a graph, so it is built
        once. Other threads that need the latest checkpoint wait until the state file names the new
        one and the replaced one is deleted.

        Raises:
            tf.errors.ResourceExhaustedError: The disk is full, or files may not be that large.
        """
        guard = sess.guard if isinstance(sess, _session.Session) else contextlib.nullcontext
        with guard(), _silence:
            try:
                # The saver finds the files that it deletes by a pattern, too.
                path = super().save(
                    sess, literal(save_path), *args, write_meta_graph=False, **kwargs
                )
            # A file above its limit is OUT_OF_RANGE, which would pass for the end of the data.
            except (tf.errors.ResourceExhaustedError, tf.errors.OutOfRangeError) as error:
                raise tf.errors.ResourceExhaustedError(
                    error.node_def,
                    error.op,
                    "The checkpoint could not be saved; those that were saved before are whole. "
                    f"{step_errors.reason_of(error)}. Free some space, and train again.\n\n{error}",
                ) from None
        if path:
            path = os.path.join(os.path.dirname(save_path), os.path.basename(path))
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
    """Writes a file atomically: at every moment it is complete or absent."""
    # Two processes that write the same file must not write the same part.
    part = f"{path}.{uuid.uuid4().hex}.part"
    with tf.io.gfile.GFile(part, "wb") as file:
        file.write(content)
    tf.io.gfile.rename(part, path, overwrite=True)


def default_saver(keep_max: int | None, keep_every_n_hours: float | None) -> DefaultSaver:
    """Returns a saver like that of tf.estimator; it is built when the scaffold is finalized."""
    return DefaultSaver(
        sharded=True,
        max_to_keep=keep_max,
        keep_checkpoint_every_n_hours=keep_every_n_hours,
        defer_build=True,
        save_relative_paths=True,
    )


def restore(model: model_program.ModelProgram, session: _session.Session, path: str) -> list[Any]:
    """Reads a checkpoint into a program's variables.

    Returns:
        The variables that a checkpoint may lack, and that this one lacks.

    Raises:
        errors.MissingVariableError: The checkpoint lacks another variable.
        errors.VariableShapeError: A variable has another shape or dtype.
        errors.UnreadableCheckpointError: The checkpoint cannot be read.
    """
    saver = model.scaffold.saver
    absent: list[Any] = []
    # Only the default saver is known to read each variable under its own name.
    if isinstance(saver, DefaultSaver):
        views = global_views(model)
        if not saver.has_tables:
            absent = _absent_by_right(model, path, views)
            names = {model_program.name(view) for view in absent}
            views = [view for view in views if model_program.name(view) not in names]
            check_fits(path, views)
            logs.info("Restoring parameters from %s", path)  # as the savers of TensorFlow do
            with unreadable_as_error(path):
                _restore_eagerly(path, views)
            return absent
        check_fits(path, views)
    with unreadable_as_error(path):
        saver.restore(session, literal(path))
    return absent


def _absent_by_right(model: model_program.ModelProgram, path: str, views: list[Any]) -> list[Any]:
    """Returns the variables that a checkpoint lacks and may lack, such as the state of seeds."""
    optional = [view for view in views if model.graph.is_optional(view)]
    shapes = reader(path).get_variable_to_shape_map() if optional else {}
    return [view for view in optional if model_program.name(view) not in shapes]


def _restore_eagerly(path: str, views: list[Any]) -> None:
    """Reads variables eagerly: with as many ops as in a graph, and nothing to build."""
    whole = [view for view in views if not tf_variables.slice_info(view)]
    sliced = [view for view in views if tf_variables.slice_info(view)]
    parts = [tf_variables.slice_info(view) for view in sliced]
    names = [model_program.name(view) for view in whole] + [part.full_name for part in parts]
    # An empty slice specification reads the whole variable.
    slices = [""] * len(whole) + [part.spec for part in parts]
    views = [*whole, *sliced]
    with program.eager_mode(), tf.device("/cpu:0"):
        values = tf.raw_ops.RestoreV2(
            prefix=literal(path),
            tensor_names=names,
            shape_and_slices=slices,
            dtypes=[view.dtype for view in views],
        )
        for view, value in zip(views, values, strict=True):
            view.memory.assign(value)


def check_fits(path: str, views: list[Any]) -> None:
    """Checks that a checkpoint holds all variables of a program with their shapes and dtypes.

    Raises:
        errors.MissingVariableError: The checkpoint lacks a variable.
        errors.VariableShapeError: A variable has another shape or dtype.
    """
    checkpoint = reader(path)
    shapes, dtypes = checkpoint.get_variable_to_shape_map(), checkpoint.get_variable_to_dtype_map()
    for view in views:
        # A checkpoint holds the slices of a partitioned variable as one tensor.
        info = tf_variables.slice_info(view)
        key, shape = (
            (info.full_name, info.full_shape) if info else (model_program.name(view), view.shape)
        )
        if key not in shapes:
            raise errors.MissingVariableError(_missing(key, path, shapes))
        if dtypes[key] != view.dtype.base_dtype:
            raise errors.VariableShapeError(
                f"Variable {key!r} has dtype {dtypes[key].name} in the checkpoint {path!r}, but "
                f"{view.dtype.base_dtype.name} in the model. Build the model with the dtypes of "
                "the checkpoint, or train in another model_dir."
            )
        if not tf.TensorShape(shape).is_compatible_with(shapes[key]):
            raise errors.VariableShapeError(
                f"Variable {key!r} has shape {tuple(shapes[key])} in the checkpoint {path!r}, "
                f"but shape {tuple(tf.TensorShape(shape))} in the model. Build the model with the "
                "sizes of the checkpoint, or train in another model_dir (`warm_start_from` can "
                "load the variables that fit)."
            )


def _missing(key: str, path: str, shapes: dict[str, Any]) -> str:
    near = difflib.get_close_matches(key, shapes, n=3)
    hint = f" Similar names in it: {near}." if near else ""
    return (
        f"Variable {key!r} of the model is not in the checkpoint {path!r}, which holds "
        f"{len(shapes)} variables.{hint} Build the model that wrote the checkpoint, or train in "
        "another model_dir (`warm_start_from` can load the variables that fit)."
    )


def global_views(model: model_program.ModelProgram) -> list[Any]:
    """Returns the variables of a program that belong into a checkpoint."""
    views = [
        *model.graph.get_collection(_GraphKeys.GLOBAL_VARIABLES),
        *model.graph.get_collection(_GraphKeys.SAVEABLE_OBJECTS),
    ]
    # By id: a variable may be in both collections. Objects with `specs` are not variables.
    return list({id(view): view for view in views if not hasattr(view, "specs")}.values())


def remember_kept(saver: Any, model_dir: str) -> None:
    """Tells a saver which checkpoints exist, so that it continues to delete the oldest."""
    state = tf.train.get_checkpoint_state(model_dir)
    if state is not None and saver is not None:
        paths = [where_it_is(model_dir, path) for path in state.all_model_checkpoint_paths]
        indexes = [(path, f"{path}.index") for path in paths]
        saver.set_last_checkpoints_with_time(
            [
                (literal(path), tf.io.gfile.stat(index).mtime_nsec / 1e9)
                for path, index in indexes
                if tf.io.gfile.exists(index)
            ]
        )


@contextlib.contextmanager
def unreadable_as_error(path: str) -> Iterator[None]:
    """Converts errors of TensorFlow for a damaged file to `errors.UnreadableCheckpointError`."""
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


def _not_opened(file: str, error: Exception) -> errors.UnreadableCheckpointError:
    link = f" It is a link to {os.readlink(file)!r}." if os.path.islink(file) else ""
    return errors.UnreadableCheckpointError(
        f"The file {file} exists but cannot be opened: {error}.{link} Nothing of it was read: it "
        "may be whole. Let this process read it, and try again."
    )


def _unreadable(path: str, error: Exception) -> errors.UnreadableCheckpointError:
    for file in [f"{path}.index", *tf.io.gfile.glob(f"{literal(path)}.data-?????-of-?????")]:
        try:
            with tf.io.gfile.GFile(file, "rb") as opened:
                opened.read(1)
        except tf.errors.OpError as refused:
            return _not_opened(file, refused)
    return errors.UnreadableCheckpointError(
        f"The checkpoint {path!r} cannot be read: {error}. It is truncated or damaged. "
        f"{_way_out(path)}"
    )


def _way_out(path: str) -> str:
    """What to do about a damaged checkpoint, with the one before it if there is one."""
    by_hand = (
        "Delete its files and its line in the file `checkpoint` to continue from an older one."
    )
    try:
        paths = existing(os.path.dirname(path))
    except errors.CheckpointError:
        return by_hand
    older = paths[: paths.index(path)] if path in paths else []
    if not older:
        return by_hand
    return (
        f"The one before it is {older[-1]!r}. RunConfig(on_corrupt_checkpoint='previous') lets "
        f"training continue from there. {by_hand}"
    )
