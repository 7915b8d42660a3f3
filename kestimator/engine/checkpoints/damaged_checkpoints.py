"""Damaged checkpoints: training may continue from the newest one that is sound.

Synopsis::

    drop_damaged(model_dir)        # the state file no longer names damaged checkpoints
"""

from __future__ import annotations

import os

from kestimator import errors, logs
from kestimator.engine.checkpoints import checkpoint_files


def drop_damaged(model_dir: str) -> None:
    """Takes damaged checkpoints out of the state file, from the newest to the first sound one.

    The files stay. A checkpoint is sound if every value in it can be read, which takes as long as
    to restore it.

    Raises:
        errors.UnreadableCheckpointError: None is sound.
    """
    state, paths = checkpoint_files.state_of(model_dir), checkpoint_files.existing(model_dir)
    damaged: set[str] = set()
    while paths and (error := _damage(paths[-1])) is not None:
        damaged.add(paths.pop())
        if not paths:
            raise error
        logs.warning("A checkpoint is damaged, so training continues from %s. %s", paths[-1], error)
    if damaged:
        named = [*state.all_model_checkpoint_paths]
        # TensorFlow replaces missing times with the present one.
        del state.all_model_checkpoint_paths[:], state.all_model_checkpoint_timestamps[:]
        state.all_model_checkpoint_paths.extend(
            path for path in named if checkpoint_files.where_it_is(model_dir, path) not in damaged
        )
        state.model_checkpoint_path = state.all_model_checkpoint_paths[-1]
        checkpoint_files.write_whole(os.path.join(model_dir, "checkpoint"), str(state).encode())


def _damage(path: str) -> errors.UnreadableCheckpointError | None:
    """The error of reading a checkpoint; None if it is sound."""
    try:
        with checkpoint_files.unreadable_as_error(path):
            checkpoint = checkpoint_files.reader(path)
            for key in checkpoint.get_variable_to_shape_map():
                checkpoint.get_tensor(key)
    except errors.UnreadableCheckpointError as error:
        return error
    return None
