import inspect
import pickle

import pytest
import tensorflow as tf

from kestimator import errors

CLASSES = [
    value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and value.__module__ == errors.__name__ and name[0] != "_"
]


@pytest.mark.parametrize("error", CLASSES)
def test_is_a_kestimator_error_and_drawn_in_the_docstring(error):
    assert issubclass(error, errors.KestimatorError)
    assert error.__name__ in errors.__doc__


@pytest.mark.parametrize("error", CLASSES)
def test_keeps_its_message(error):
    made = error("The message.")
    assert str(made) == "The message."
    assert repr(made) == f"{error.__name__}('The message.')"
    assert str(pickle.loads(pickle.dumps(made))) == "The message."
    assert type(pickle.loads(pickle.dumps(made))) is error


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.ArgumentError, ValueError),
        (errors.ArgumentTypeError, TypeError),
        (errors.MetricNotFoundError, KeyError),
        (errors.InputError, ValueError),
        (errors.GlobalStepError, RuntimeError),
        (errors.BusyError, RuntimeError),
        (errors.ClusterError, RuntimeError),
        (errors.ModeNotExportedError, RuntimeError),
        (errors.SavedModelError, OSError),
        (errors.CheckpointError, ValueError),
        (errors.CheckpointNotFoundError, errors.CheckpointError),
        (errors.CheckpointNotFoundError, tf.errors.NotFoundError),
        (errors.CheckpointMismatchError, errors.CheckpointError),
        (errors.UnreadableCheckpointError, tf.errors.DataLossError),
        (errors.MissingVariableError, tf.errors.NotFoundError),
        (errors.MissingVariableError, errors.CheckpointMismatchError),
        (errors.VariableShapeError, tf.errors.InvalidArgumentError),
        (errors.VariableShapeError, ValueError),
    ],
)
def test_is_caught_as(error, builtin):
    with pytest.raises(builtin):
        raise error("The message.")


def test_code_and_message_of_tensorflow():
    error = errors.MissingVariableError("No `w`.")
    assert (error.error_code, error.message) == (tf.errors.NOT_FOUND, "No `w`.")


def test_invalid_argument():
    assert errors.invalid_argument("steps", "3", "a number", "Drop the quotes.") == (
        "Invalid argument `steps`. Expected: a number. Received: '3' (of type str). "
        "Drop the quotes."
    )


def test_long_values_are_shortened():
    described = errors.describe(["x" * 1000] * 1000)
    assert len(described) < 2000
    assert described.endswith("(of type list)")
