"""Functions below the public API that libraries on tf.estimator call.

Each takes and returns what the one in tf.estimator 2.15 did.
"""

from __future__ import annotations

from typing import Any, Final

import keras
import tensorflow as tf

from kestimator import errors, hooks
from kestimator.adapters.hooks import event_files
from kestimator.adapters.optimizers import canned_optimizers, tf1_optimizers
from kestimator.config import RunConfig, default_session_config
from kestimator.interop import from_keras
from kestimator.keys import MetricKeys
from kestimator.runtime import arguments
from kestimator.validation import checks, keras2

_v1 = tf.compat.v1
LOSS_METRIC_KEY: Final = MetricKeys.LOSS
AVERAGE_LOSS_METRIC_KEY: Final = MetricKeys.LOSS_MEAN


class TaskType:
    """The types of the tasks of a cluster."""

    MASTER: Final = "master"
    PS: Final = "ps"
    WORKER: Final = "worker"
    CHIEF: Final = "chief"
    EVALUATOR: Final = "evaluator"


class _InitializerHook(hooks.SessionRunHook):
    """Initializes an iterator when a session has been created."""

    def __init__(self, iterator: Any) -> None:
        self._iterator = iterator

    def begin(self) -> None:
        """Finds the op, while the graph can change."""
        self._initializer = self._iterator.initializer

    def after_create_session(self, session: Any, coord: Any) -> None:
        """Runs the op."""
        del coord
        session.run(self._initializer)


def parse_input_fn_result(result: Any) -> tuple[Any, Any, list[Any]]:
    """Splits what an `input_fn` returned.

    Args:
        result: Features, a pair `(features, labels)`, or a Dataset of them.

    Returns:
        Features, labels (None if there are none) and the hooks that a session needs to read them.
        Of a Dataset, they are tensors of the default graph.

    Raises:
        errors.ArgumentError: It is a list or tuple that is no pair.
    """
    input_hooks = []
    if isinstance(result, (tf.data.Dataset, _v1.data.Dataset)):
        iterator = _v1.data.make_initializable_iterator(result)
        input_hooks.append(_InitializerHook(iterator))
        result = iterator.get_next()
    return (*parse_iterator_result(result), input_hooks)


def parse_iterator_result(result: Any) -> tuple[Any, Any]:
    """Splits an element into features and labels; labels are None if there are none.

    Raises:
        errors.ArgumentError: It is a list or tuple that is no pair.
    """
    if not isinstance(result, (list, tuple)):
        return result, None
    if len(result) != 2:
        raise errors.ArgumentError(
            errors.invalid_argument("result", result, "features, or a pair (features, labels)")
        )
    return result[0], result[1]


def maybe_overwrite_model_dir_and_session_config(
    config: RunConfig | None, model_dir: Any
) -> RunConfig:
    """Returns a RunConfig with a model_dir and a session_config; both arguments may be None."""
    return arguments.resolved_config(config, model_dir)


def model_to_estimator(*arguments: Any, use_v2_estimator: bool = False, **options: Any) -> Any:
    """Makes an Estimator of a compiled Keras model; see `kestimator.model_to_estimator`.

    Keras 2 calls this function for `tf.keras.estimator.model_to_estimator`.

    Args:
        *arguments: Those of `kestimator.model_to_estimator`.
        use_v2_estimator: Ignored: there is one Estimator for TF 1 and TF 2.
        **options: Those of `kestimator.model_to_estimator`.
    """
    del use_v2_estimator
    return from_keras.model_to_estimator(*arguments, **options)


def get_default_session_config() -> Any:
    """Returns the `ConfigProto` of a `RunConfig` without a `session_config`."""
    return default_session_config()


def path_to_str(path: Any) -> Any:
    """Returns a path-like object as a string, and everything else unchanged."""
    return path.__fspath__() if hasattr(path, "__fspath__") else path


def read_eval_metrics(eval_dir: str) -> dict[int, dict[str, float]]:
    """Returns the metrics of all evaluations in a directory of event files, by global step."""
    metrics = event_files.read_scalars(checks.checked_path("eval_dir", eval_dir))
    return {step: metrics[step] for step in sorted(metrics)}


def get_optimizer_instance(opt: Any, learning_rate: Any = None) -> Any:
    """Returns an optimizer of TF 1.

    Args:
        opt: One, a function that returns one, or "Adagrad", "Adam", "Ftrl", "RMSProp" or "SGD".
        learning_rate: The learning rate, needed for a name and used for nothing else.

    Raises:
        errors.ArgumentError: It is something else, or a name without a rate.
    """
    if isinstance(opt, str):
        if opt not in tf1_optimizers.NAMES:
            expected = f"one of {sorted(tf1_optimizers.NAMES)}, or an optimizer"
            raise errors.ArgumentError(errors.invalid_argument("opt", opt, expected))
        if not learning_rate:
            raise errors.ArgumentError(
                errors.invalid_argument("learning_rate", learning_rate, "a number, for a name")
            )
        return tf1_optimizers.NAMES[opt](learning_rate=learning_rate)
    optimizer = opt() if callable(opt) else opt
    if not isinstance(optimizer, _v1.train.Optimizer):
        expected = "a tf.compat.v1.train.Optimizer, or a function that returns one"
        raise errors.ArgumentError(errors.invalid_argument("opt", optimizer, expected))
    return optimizer


def get_optimizer_instance_v2(opt: Any, learning_rate: Any = None) -> Any:
    """Returns an optimizer of Keras.

    Args:
        opt: One, a function that returns one, or "Adagrad", "Adam", "Ftrl", "RMSProp" or "SGD".
        learning_rate: The learning rate for a name; None for the default one of the optimizer.

    Raises:
        errors.ArgumentError: It is something else.
    """
    if isinstance(opt, str):
        if opt not in canned_optimizers.NAMES:
            expected = f"one of {sorted(canned_optimizers.NAMES)}, or an optimizer"
            raise errors.ArgumentError(errors.invalid_argument("opt", opt, expected))
        make = getattr(keras.optimizers, opt)
        return make(learning_rate=learning_rate) if learning_rate else make()
    optimizer = opt() if callable(opt) else opt
    if not (isinstance(optimizer, keras.optimizers.Optimizer) or keras2.is_optimizer(optimizer)):
        expected = "a Keras optimizer, or a function that returns one"
        raise errors.ArgumentError(errors.invalid_argument("opt", optimizer, expected))
    return optimizer
