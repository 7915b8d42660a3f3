"""`tf.contrib.distribute`: strategies whose arguments were numbers of GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kestimator import errors


def mirrored_strategy(
    devices: Sequence[str] | None = None,
    num_gpus: int | None = None,
    num_gpus_per_worker: int | None = None,
    cross_device_ops: Any = None,
    **further: Any,
) -> tf.distribute.MirroredStrategy:
    """Returns a `MirroredStrategy`, for the first GPUs if their number is given.

    Raises:
        errors.ArgumentError: Several arguments say which devices, or one is not known today.
    """
    if further:
        expected = "no further arguments"
        raise errors.ArgumentError(errors.invalid_argument(min(further), further, expected))
    counts = [count for count in (num_gpus, num_gpus_per_worker) if count is not None]
    if counts and (devices is not None or len(counts) > 1):
        expected = "None, as another argument says which devices"
        raise errors.ArgumentError(errors.invalid_argument("num_gpus", num_gpus, expected))
    if counts:
        devices = [f"/gpu:{number}" for number in range(counts[0])] or ["/cpu:0"]
    return tf.distribute.MirroredStrategy(devices, cross_device_ops)


def multi_worker_strategy(
    num_gpus_per_worker: int | None = None,
) -> tf.distribute.MultiWorkerMirroredStrategy:
    """Returns a `MultiWorkerMirroredStrategy`, which uses all GPUs of a worker.

    Raises:
        errors.ArgumentError: There is another number of GPUs.
    """
    count = len(tf.config.list_logical_devices("GPU"))
    if num_gpus_per_worker is not None and num_gpus_per_worker != count:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "num_gpus_per_worker",
                num_gpus_per_worker,
                f"{count}, the number of GPUs here, or None",
                "Set CUDA_VISIBLE_DEVICES to use only some.",
            )
        )
    return tf.distribute.MultiWorkerMirroredStrategy()
