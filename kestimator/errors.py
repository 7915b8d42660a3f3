"""The exceptions that kestimator raises.

Each one also derives from the builtin (or TensorFlow) exception that programs written for
`tf.estimator` already catch, so `except ValueError` keeps working:

    KestimatorError
    ├── ArgumentError                 (ValueError)  an argument's value is wrong
    ├── ArgumentTypeError             (TypeError)   an argument's type is wrong
    ├── MetricNotFoundError           (KeyError)    no evaluation has a metric of that name
    ├── MissingNameError              (AttributeError)  a name of tf.estimator that is not here
    ├── ProgramError                  (ValueError)  a program to run or to migrate cannot be read
    ├── InputError                    (ValueError)  what an `input_fn` returned cannot be used
    │   └── NamesError                (KeyError)    the model expects other names
    ├── GlobalStepError               (RuntimeError)  a train_op does not advance the global step
    ├── BusyError                     (RuntimeError)  the estimator is busy with another call, or
    │                                     another process trains in its model_dir
    ├── ClusterError                  (RuntimeError)  processes do not fit together, or one is late
    ├── NanLossError                  (NanLossDuringTrainingError)  the data holds a NaN, too
    ├── ModeNotExportedError          (RuntimeError)  a SavedModel has no graph for a mode
    ├── SavedModelError               (OSError)     there is no SavedModel that an Estimator wrote
    ├── MissingPackageError           (ImportError) a package of an extra is not installed
    └── CheckpointError               (ValueError)
        ├── CheckpointNotFoundError   (tf.errors.NotFoundError)  there is none where one is needed
        ├── KerasFileError            (OSError)  a Keras file is absent or cannot be read
        ├── UnreadableCheckpointError (tf.errors.DataLossError)  it exists but cannot be read
        └── CheckpointMismatchError   it does not fit the model
            ├── MissingVariableError  (tf.errors.NotFoundError)  it lacks a variable
            └── VariableShapeError    (tf.errors.InvalidArgumentError)  another shape or dtype

A message names the argument, what was expected, what was received and the remedy;
`invalid_argument` builds such a message. A loss that becomes NaN without a NaN in the data raises
TensorFlow's own `tf.compat.v1.train.NanLossDuringTrainingError`.

    >>> from kestimator import errors
    >>> print(errors.invalid_argument("steps", -1, "a positive number or None"))
    Invalid argument `steps`. Expected: a positive number or None. Received: -1 (of type int).
"""

from __future__ import annotations

import reprlib

import tensorflow as tf

__all__ = [
    "ArgumentError",
    "ArgumentTypeError",
    "BusyError",
    "CheckpointError",
    "CheckpointMismatchError",
    "CheckpointNotFoundError",
    "ClusterError",
    "GlobalStepError",
    "InputError",
    "KerasFileError",
    "KestimatorError",
    "MetricNotFoundError",
    "MissingNameError",
    "MissingPackageError",
    "MissingVariableError",
    "ModeNotExportedError",
    "NamesError",
    "NanLossError",
    "ProgramError",
    "SavedModelError",
    "UnreadableCheckpointError",
    "VariableShapeError",
    "_TensorFlowError",
]

_LONGEST_REPRESENTATION = 300


class KestimatorError(Exception):
    """The base of every exception that kestimator defines."""


class ArgumentError(KestimatorError, ValueError):
    """An argument has a value that cannot be used."""


class ArgumentTypeError(KestimatorError, TypeError):
    """An argument has a type that cannot be used."""


class MetricNotFoundError(KestimatorError, KeyError):
    """No evaluation has a metric with the requested name."""

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError shows its message in quotes


class MissingNameError(KestimatorError, AttributeError):
    """A program asks for a name of tf.estimator that does not exist here."""


class ProgramError(KestimatorError, ValueError):
    """A program to run or to migrate cannot be read."""


class InputError(KestimatorError, ValueError):
    """The result of an `input_fn`, or its data, cannot be used."""


class NamesError(InputError, KeyError):
    """Features or labels do not have the names that a model expects."""

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError shows its message in quotes


class GlobalStepError(KestimatorError, RuntimeError):
    """The global step does not advance, so training would never end."""


class BusyError(KestimatorError, RuntimeError):
    """The estimator is doing something that the call would disturb."""


class ClusterError(KestimatorError, RuntimeError):
    """The processes of a cluster do not fit together, or one of them does not answer."""


class NanLossError(KestimatorError, tf.compat.v1.train.NanLossDuringTrainingError):
    """The loss became NaN, and a feature or label is NaN as well."""

    def __str__(self) -> str:
        return str(self.args[0])  # TensorFlow's class has a fixed text


class ModeNotExportedError(KestimatorError, RuntimeError):
    """A SavedModel has no graph for the mode that a `SavedModelEstimator` needs."""


class SavedModelError(KestimatorError, OSError):
    """There is no SavedModel, or an Estimator did not write it."""


class MissingPackageError(KestimatorError, ImportError):
    """A package is not installed that only some functions need."""


class CheckpointError(KestimatorError, ValueError):
    """A checkpoint is absent, unreadable, or does not fit."""


class KerasFileError(CheckpointError, OSError):
    """A file with a Keras model is absent, or cannot be read."""


class _TensorFlowError(CheckpointError):
    """Gives a class that also derives from `tf.errors.OpError` a one-argument constructor."""

    _code: int

    def __init__(self, message: str) -> None:
        """Stores the message as `tf.errors.OpError` does, without a node or an operation."""
        tf.errors.OpError.__init__(self, None, None, message, self._code)
        self.args = (message,)

    def __reduce__(self) -> tuple[type[_TensorFlowError], tuple[str]]:
        return type(self), (str(self),)


class CheckpointNotFoundError(_TensorFlowError, tf.errors.NotFoundError):
    """There is no checkpoint where one is needed."""

    _code = tf.errors.NOT_FOUND


class UnreadableCheckpointError(_TensorFlowError, tf.errors.DataLossError):
    """A checkpoint exists but cannot be read. Training never starts from scratch instead."""

    _code = tf.errors.DATA_LOSS


class CheckpointMismatchError(CheckpointError):
    """A checkpoint does not fit the model that reads it."""


class MissingVariableError(CheckpointMismatchError, _TensorFlowError, tf.errors.NotFoundError):
    """A checkpoint lacks a variable that the model needs."""

    _code = tf.errors.NOT_FOUND


class VariableShapeError(CheckpointMismatchError, _TensorFlowError, tf.errors.InvalidArgumentError):
    """A variable has another shape or dtype in the checkpoint than in the model."""

    _code = tf.errors.INVALID_ARGUMENT


def describe(value: object) -> str:
    """Returns a shortened `repr(value)` with the type of the value, for error messages."""
    representation = repr(value)
    if len(representation) > _LONGEST_REPRESENTATION:
        representation = _shortened(value)
    return f"{representation} (of type {type(value).__name__})"


def invalid_argument(name: str, received: object, expected: str, remedy: str = "") -> str:
    """Returns the message for an argument that cannot be used.

    Args:
        name: The argument as the caller knows it, such as `steps` or `predictions['logits']`.
        received: The value that was passed.
        expected: The accepted values, as the end of "Expected: ...".
        remedy: A full sentence with the way out, if `expected` does not already say it.

    Returns:
        The message, for `ArgumentError` or `ArgumentTypeError`.
    """
    message = f"Invalid argument `{name}`. Expected: {expected}. Received: {describe(received)}."
    return f"{message} {remedy}" if remedy else message


def _shortened(value: object) -> str:
    shortener = reprlib.Repr()
    shortener.maxother = shortener.maxstring = shortener.maxlong = _LONGEST_REPRESENTATION
    return shortener.repr(value)
