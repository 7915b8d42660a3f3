"""Checks the arguments of an Estimator, before anything is opened or written."""

from __future__ import annotations

import copy
import tempfile
from typing import Any, Final

from kestimator import errors, logs
from kestimator.config import RunConfig, default_session_config
from kestimator.validation import checks

_UNREACHED = 2**62
ATTRIBUTES: Final = ("_model_dir", "_model_fn", "_session_config")
"""Attributes of an instance in tf.estimator, see `shadowing`."""
# `SavedModelEstimator` redefines the last two.
_MAY_BE_REDEFINED = frozenset(
    {
        *ATTRIBUTES,
        *("model_fn", "_create_and_assert_global_step", "_assert_members_are_not_overridden"),
        *("latest_checkpoint", "_check_mode"),
    }
)


def checked_limit(name: str, value: Any) -> Any:
    """Checks a number of steps and returns it as a plain number, or None if there is no limit.

    A number of steps that no run reaches, such as infinity, is no limit.

    Raises:
        errors.ArgumentError: It is not above 0.
        errors.ArgumentTypeError: It is not a number.
    """
    number = checks.checked_positive(name, value)
    return None if number is None or number >= _UNREACHED else number


def checked_steps(steps: Any, max_steps: Any) -> tuple[Any, Any]:
    """Checks both and returns them as plain numbers; at most one may be given.

    Raises:
        errors.ArgumentError: Both are given, or one is not above 0.
    """
    if steps is not None and max_steps is not None:
        raise errors.ArgumentError(
            f"Can not provide both `steps` and `max_steps`. Received: steps={steps}, "
            f"max_steps={max_steps}. `steps` counts from now, `max_steps` from the start."
        )
    return (
        checked_limit("steps", steps),
        checked_limit("max_steps", max_steps),
    )


def check_trains(config: RunConfig) -> None:
    """Checks that this process may train.

    Raises:
        errors.ArgumentError: TF_CONFIG makes it an evaluator or a parameter server.
    """
    if config.task_type in ("evaluator", "ps"):
        raise errors.ArgumentError(
            f"Train has been called with task type {config.task_type!r}, which does not train. "
            "Check TF_CONFIG: `task.type` should be 'chief' or 'worker' here."
        )


def check_trains_together(config: RunConfig, workers: int) -> None:
    """Checks that the workers of the cluster train one model, and not one each.

    Args:
        config: The configuration.
        workers: The number of workers that the strategy connects.

    Raises:
        errors.ArgumentError: TF_CONFIG has another number of workers.
    """
    # A TPU's cluster has its own coordinator: its `RunConfig` counts one worker.
    if config.num_worker_replicas == workers or config.num_worker_replicas == 0:
        return
    raise errors.ArgumentError(
        errors.invalid_argument(
            "train_distribute",
            config.train_distribute,
            "a tf.distribute.MultiWorkerMirroredStrategy, because TF_CONFIG has "
            f"{config.num_worker_replicas} workers, and the strategy connects {workers}",
            "Create the strategy at the start of the program, while TF_CONFIG is set. To train on "
            "this machine alone, unset TF_CONFIG.",
        )
    )


def refuse_overrides(kind: type, base_class: type) -> None:
    """Checks that a subclass does not redefine members of `base_class`.

    Raises:
        errors.ArgumentError: It redefines a member.
    """
    members = {name for name in vars(base_class) if not name.startswith("__")} - _MAY_BE_REDEFINED
    for base in kind.__mro__[: kind.__mro__.index(base_class)]:
        overridden = sorted(members & set(vars(base)))
        if overridden:
            raise errors.ArgumentError(
                "Subclasses of Estimator cannot override members of Estimator. "
                f"{base.__name__} overrides {overridden}. Give the methods other names, or wrap an "
                "estimator instead of deriving from it."
            )


def resolved_config(config: RunConfig | None, model_dir: Any) -> RunConfig:
    """Returns a copy of the configuration with a `model_dir` and a session configuration.

    Raises:
        errors.ArgumentError: `config` is not a RunConfig, or two different values of `model_dir`
            are given.
    """
    if config is not None and not isinstance(config, RunConfig):
        raise errors.ArgumentError(errors.invalid_argument("config", config, "a RunConfig"))
    # A copy: a RunConfig never changes, but the protos in it can.
    config = copy.deepcopy(config) if config is not None else RunConfig()
    path = None if model_dir is None else checks.checked_path("model_dir", model_dir)
    if path is not None and config.model_dir not in (None, path):
        raise errors.ArgumentError(
            f"`model_dir` was passed twice with different values: {path!r} to the Estimator and "
            f"{config.model_dir!r} in `config`. Pass it once."
        )
    checks.check_no_dangling_link("model_dir", path or str(config.model_dir or ""))
    # An empty `model_dir` argument counts as not given.
    directory = path or config.model_dir or _temporary_directory()
    if config.session_config is None:
        config = config.replace(session_config=default_session_config())
    return config.replace(model_dir=directory)


def copied_params(params: Any) -> Any:
    """Returns a deep copy of the hyperparameters; `{}` for None.

    Raises:
        errors.ArgumentTypeError: They cannot be copied.
    """
    try:
        return copy.deepcopy({} if params is None else params)
    except TypeError as error:
        raise errors.ArgumentTypeError(
            errors.invalid_argument(
                "params",
                params,
                "values that copy.deepcopy can copy",
                f"The error was: {error}. Make such objects in the model_fn, or bind them to it.",
            )
        ) from error


def _temporary_directory() -> str:
    directory = tempfile.mkdtemp()
    logs.warning("No `model_dir` was given. Using the temporary directory %s.", directory)
    return directory
