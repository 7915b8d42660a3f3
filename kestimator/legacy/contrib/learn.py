"""What programs for `tf.estimator` use of `tf.contrib.learn`: the names of the modes."""

from __future__ import annotations

from kestimator import keys


class ModeKeys:
    """The names of the modes. `INFER` is that of `kestimator.ModeKeys.PREDICT`."""

    TRAIN = keys.ModeKeys.TRAIN
    EVAL = keys.ModeKeys.EVAL
    INFER = keys.ModeKeys.PREDICT
