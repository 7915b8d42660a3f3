"""Hooks that see the steps of a run: TensorFlow's own, under the names that tf.estimator gave them.

Synopsis::

    estimator.train(input_fn, hooks=[LoggingTensorHook({"accuracy": "acc:0"}, every_n_iter=100)])

They are the same classes as in `tf.compat.v1.train`, so a hook from there is a hook from here.
The stock hooks say how often they look, and leave the loop on the device in between; a
`SessionRunHook` of one's own sees every step.
"""

from __future__ import annotations

import tensorflow as tf

_train = tf.compat.v1.train

CheckpointSaverHook = _train.CheckpointSaverHook
CheckpointSaverListener = _train.CheckpointSaverListener
FeedFnHook = _train.FeedFnHook
FinalOpsHook = _train.FinalOpsHook
GlobalStepWaiterHook = _train.GlobalStepWaiterHook
LoggingTensorHook = _train.LoggingTensorHook
NanLossDuringTrainingError = _train.NanLossDuringTrainingError
NanTensorHook = _train.NanTensorHook
ProfilerHook = _train.ProfilerHook
SecondOrStepTimer = _train.SecondOrStepTimer
SessionRunArgs = _train.SessionRunArgs
SessionRunContext = _train.SessionRunContext
SessionRunHook = _train.SessionRunHook
SessionRunValues = _train.SessionRunValues
StepCounterHook = _train.StepCounterHook
StopAtStepHook = _train.StopAtStepHook
SummarySaverHook = _train.SummarySaverHook
