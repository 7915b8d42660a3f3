"""Keras callbacks and the progress bar, as hooks of the loop.

Synopsis::

    hooks = training_hooks([keras.callbacks.CSVLogger("log.csv")], verbose=0, steps=100)

A train call is one epoch to a callback. A callback that overrides none of the batch methods, as
most do not, is called at its begin and end and leaves the loop on the device.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from kestimator import errors

_train = tf.compat.v1.train


def training_hooks(
    callbacks: Sequence[Any] | None, verbose: int | str, steps: int | None, max_steps: int | None
) -> list[Any]:
    """The hooks that serve the arguments `callbacks` and `verbose` of `train`."""
    callbacks = list(_checked(callbacks))
    if _shows_progress(verbose):
        callbacks.append(_Progress(steps, max_steps))
    return [CallbacksHook(callbacks, "train")] if callbacks else []
