"""The configuration of an estimator: where it saves, how often, and on which devices it runs.

    >>> config = RunConfig(model_dir="/tmp/model", save_checkpoints_steps=1000)
    >>> config.save_checkpoints_secs is None
    True
    >>> config.replace(save_checkpoints_secs=300).save_checkpoints_steps is None
    True

The settings of a `RunConfig` do not change: `replace` returns another one. Other attributes may
be set.
"""

from __future__ import annotations

import copy
import dataclasses
import os
from collections.abc import Callable
from typing import Any, Final

import tensorflow as tf

from kestimator import errors
from kestimator._types import DeviceFn, Path
from kestimator.cluster import ClusterInfo
from kestimator.keys import TaskType
from kestimator.validation import checks, kinds, signatures

__all__ = ["ClusterInfo", "RunConfig", "default_session_config"]

_DEFAULT_SAVE_CHECKPOINTS_SECS: Final = 600
_DEFAULT_SESSION_CREATION_TIMEOUT_SECS: Final = 7200
_STRATEGIES = (tf.distribute.Strategy, tf.compat.v1.distribute.Strategy)
_SHARED_BY_COPIES = frozenset(
    {"train_distribute", "eval_distribute", "experimental_distribute", "device_fn"}
)

_NO_SERVERS = "An Estimator runs in one process, starts no server and waits for no other process."
_WITHOUT_EFFECT: Final = {
    "device_fn": (None, "Choose the devices of operations with tf.device in the model_fn."),
    "protocol": (None, _NO_SERVERS),
    "eval_distribute": (None, "One device evaluates all batches. Remove this setting."),
    "experimental_max_worker_delay_secs": (None, _NO_SERVERS),
    "session_creation_timeout_secs": (_DEFAULT_SESSION_CREATION_TIMEOUT_SECS, _NO_SERVERS),
}
"""Settings that nothing reads: the default of each, and the warning about any other value."""

_THREADS = "Call tf.config.threading.set_%s_op_parallelism_threads before the first operation."
_SESSION_REMEDIES: Final = {
    "intra_op_parallelism_threads": _THREADS % "intra",
    "inter_op_parallelism_threads": _THREADS % "inter",
    "log_device_placement": "Call tf.debugging.set_log_device_placement(True).",
    "gpu_options.allow_growth": (
        "Call tf.config.experimental.set_memory_growth before the first operation."
    ),
    "gpu_options.per_process_gpu_memory_fraction": (
        "Pass a tf.config.LogicalDeviceConfiguration with a memory_limit to "
        "tf.config.set_logical_device_configuration before the first operation."
    ),
    "gpu_options.visible_device_list": (
        "Call tf.config.set_visible_devices before the first operation."
    ),
    "graph_options.optimizer_options.global_jit_level": "Call tf.config.optimizer.set_jit.",
}
"""What to use instead of a field of `session_config`, now that functions replace the session."""


class _Unset:
    """Marks an argument that was not given, where None has its own meaning."""

    def __repr__(self) -> str:
        return "<not given>"

    # Compared by identity, so a copy must be the same object.
    def __deepcopy__(self, memo: dict[int, Any]) -> _Unset:
        return self


_UNSET: Any = _Unset()


class _Setting:
    """A field of `RunConfig`: a property that only the constructor sets."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, config: RunConfig | None, owner: type[RunConfig]) -> Any:
        if config is None:
            return self
        try:
            return vars(config)[self._name]
        except KeyError:
            raise AttributeError(self._name) from None

    def __set__(self, config: RunConfig, value: Any) -> None:
        if self._name in vars(config):
            raise AttributeError(
                f"`{self._name}` of a RunConfig cannot be set. Use "
                f"`config = config.replace({self._name}=...)`."
            )
        vars(config)[self._name] = value


def _with_settings(config_class: type[RunConfig]) -> type[RunConfig]:
    """Makes the fields properties, as they were in tf.estimator: subclasses override them."""
    for field in dataclasses.fields(config_class):
        setattr(config_class, field.name, _Setting(field.name))
    return config_class


@_with_settings
@dataclasses.dataclass(eq=False)
class RunConfig:
    """The configuration of an `Estimator`.

    The task-related properties (`task_type`, `is_chief`, `cluster_spec`...) come from the
    TF_CONFIG environment variable, read once when the object is made.

    Settings without effect exist for programs that were written for `tf.estimator`. If one has
    another value than the default, a warning in the log names it, once per process.

    Attributes:
        model_dir: The directory of checkpoints, summaries and exports. None: TF_CONFIG's
            "model_dir", or what the estimator is given, or a new temporary directory.
        tf_random_seed: The seed of initial values, dropout and shuffling. None: a new one.
        save_summary_steps: Steps between summaries; None or 0 for no summaries.
        save_checkpoints_steps: Steps between checkpoints.
        save_checkpoints_secs: Seconds between checkpoints, 600 if neither is given. Only one
            of the two can be set; both None turns checkpoints off.
        session_config: A `tf.compat.v1.ConfigProto`, for the session that writes the variables of
            an export. Training, evaluation and prediction have no session: it has no effect there.
        keep_checkpoint_max: How many of the newest checkpoints to keep; None or 0 keeps all.
        keep_checkpoint_every_n_hours: The hours between checkpoints that are kept permanently.
        log_step_count_steps: Steps between log lines with the loss and the speed; None for
            none.
        train_distribute: The `tf.distribute.Strategy` of training: a MirroredStrategy, a
            MultiWorkerMirroredStrategy or a OneDeviceStrategy; see docs/distribute.md.
        device_fn: A function of `op` that chooses each operation's device. It has no effect.
        protocol: The protocol between servers: None, "grpc" or "grpc+verbs". It has no effect.
        eval_distribute: The `tf.distribute.Strategy` of evaluation. It has no effect: one device
            evaluates.
        experimental_distribute: An object with `train_distribute` and `eval_distribute`,
            an older way to pass the two.
        experimental_max_worker_delay_secs: The longest time, in seconds, that a worker waits
            before it starts. It has no effect.
        session_creation_timeout_secs: How long, in seconds, workers wait for variables that
            the chief initializes. It has no effect.
        checkpoint_save_graph_def: Whether to write `graph.pbtxt` and the `.meta` files.
        allow_shared_model_dir: Whether several processes may train in `model_dir` at the same time,
            each a model of its own. By default the second one is refused.
        on_corrupt_checkpoint: What training does if the newest checkpoint is damaged: "error"
            raises an error, "previous" continues from the one before it, with a warning. To know
            it, each call of `train` reads the newest checkpoint once more.
        checkpoint_timeout_secs: How long, in seconds, an evaluator waits for a new checkpoint
            before it ends with an error. None: it waits until training has ended.
        cluster: The place of this process in a cluster. Not given: read from TF_CONFIG.

    Raises:
        ArgumentError: A value cannot be used, or TF_CONFIG is not consistent.
        ArgumentTypeError: A type cannot be used.
    """

    model_dir: Path | None = None
    tf_random_seed: int | None = None
    save_summary_steps: int | None = 100
    save_checkpoints_steps: int | None = _UNSET
    save_checkpoints_secs: float | None = _UNSET
    session_config: tf.compat.v1.ConfigProto | None = None
    keep_checkpoint_max: int | None = 5
    keep_checkpoint_every_n_hours: float | None = 10000
    log_step_count_steps: int | None = 100
    train_distribute: tf.distribute.Strategy | None = None
    device_fn: DeviceFn | None = None
    protocol: str | None = None
    eval_distribute: tf.distribute.Strategy | None = None
    experimental_distribute: Any = None
    experimental_max_worker_delay_secs: int | None = None
    session_creation_timeout_secs: float | None = _DEFAULT_SESSION_CREATION_TIMEOUT_SECS
    checkpoint_save_graph_def: bool = True
    allow_shared_model_dir: bool = dataclasses.field(default=False, kw_only=True)
    on_corrupt_checkpoint: str = dataclasses.field(default="error", kw_only=True)
    checkpoint_timeout_secs: float | None = dataclasses.field(default=None, kw_only=True)
    cluster: ClusterInfo = dataclasses.field(default=_UNSET, kw_only=True)

    def __post_init__(self) -> None:
        """Fills in defaults that depend on other arguments and TF_CONFIG; checks the result."""
        self._settle_save_checkpoints()
        self._settle_strategies()
        if self._place is _UNSET:
            leads = vars(self)["train_distribute"] is not None
            self._set("cluster", ClusterInfo.from_environment(first_worker_leads=leads))
        kinds.checked_instance("cluster", self._place, ClusterInfo, "a kestimator.ClusterInfo")
        _check(self)
        for field in dataclasses.fields(self):
            _warn_if_without_effect(field.name, getattr(self, field.name))
        # The stored value, which a property of a subclass may override.
        self._set("model_dir", _model_dir(vars(self)["model_dir"], self._place.model_dir))
        if self.session_config is None:
            self._set("session_config", self._cluster_session_config())

    @property
    def _place(self) -> ClusterInfo:
        """The place of this process in a cluster, also if a subclass overrides `cluster`."""
        place: ClusterInfo = vars(self)["cluster"]
        return place

    @property
    def task_type(self) -> str:
        """The role of this process: "worker" unless TF_CONFIG says otherwise."""
        return self._place.task_type

    @property
    def task_id(self) -> int:
        """The index of this process among those of its type."""
        return self._place.task_id

    @property
    def is_chief(self) -> bool:
        """Whether this process writes checkpoints and summaries."""
        return self._place.is_chief

    @property
    def num_ps_replicas(self) -> int:
        """The number of parameter servers."""
        return self._place.num_ps_replicas

    @property
    def num_worker_replicas(self) -> int:
        """The number of workers, the chief included; 0 in an evaluator."""
        return self._place.num_worker_replicas

    @property
    def master(self) -> str:
        """The address of this process's server, "" if none is needed."""
        return self._place.master

    @property
    def evaluation_master(self) -> str:
        """The address of the server for evaluation, "" if none is needed."""
        return self._place.evaluation_master

    @property
    def global_id_in_cluster(self) -> int | None:
        """The index among all tasks; the chief is 0, parameter servers come last."""
        return self._place.global_id_in_cluster

    @property
    def cluster_spec(self) -> tf.train.ClusterSpec:
        """The addresses of all tasks; empty without a cluster."""
        return self._place.cluster_spec

    @property
    def service(self) -> dict[str, Any] | None:
        """The value of "service" in TF_CONFIG."""
        return self._place.service

    def replace(self, **changes: Any) -> RunConfig:
        """Returns a deep copy with other values; strategies and `device_fn` are shared.

        Setting `save_checkpoints_steps` clears `save_checkpoints_secs`, and vice versa.

        Args:
            **changes: New values by the constructor's argument names, `cluster` excepted.

        Returns:
            The new configuration.

        Raises:
            ArgumentError: A name cannot be replaced, or a value cannot be used.
            ArgumentTypeError: A type cannot be used.
        """
        _check_replaceable(self, changes)
        changed = copy.deepcopy(self)
        for name, value in {**_cleared_by(changes), **changes}.items():
            changed._set(name, value)
        if "experimental_distribute" in changes:
            # What the older one brought gives way to what the new one brings.
            for name in {"train_distribute", "eval_distribute"}.difference(changes):
                changed._set(name, None)
            changed._settle_strategies()
        _check(changed)
        # `eval_distribute` may come from a new `experimental_distribute`.
        for name in [*changes, "eval_distribute"]:
            _warn_if_without_effect(name, getattr(changed, name))
        changed._set("model_dir", _path_text(vars(changed)["model_dir"]))
        return changed

    def __deepcopy__(self, memo: dict[int, Any]) -> RunConfig:
        """Copies all except strategies and functions, which stand for devices and code."""
        copied = copy.copy(self)
        for name, value in vars(self).items():
            if name not in _SHARED_BY_COPIES:
                copied._set(name, copy.deepcopy(value, memo))
        return copied

    def __init_subclass__(cls) -> None:
        """Lets the constructor store a setting that a property of the subclass overrides."""
        super().__init_subclass__()
        for field in dataclasses.fields(cls):
            override = vars(cls).get(field.name)
            if isinstance(override, property) and override.fset is None:
                setattr(cls, field.name, override.setter(_Setting(field.name).__set__))

    def _set(self, name: str, value: object) -> None:
        vars(self)[name] = value

    def _settle_save_checkpoints(self) -> None:
        steps, seconds = vars(self)["save_checkpoints_steps"], vars(self)["save_checkpoints_secs"]
        # None is a choice: with both None, no checkpoints are saved.
        if steps is _UNSET and seconds is _UNSET:
            seconds = _DEFAULT_SAVE_CHECKPOINTS_SECS
        self._set("save_checkpoints_steps", None if steps is _UNSET else steps)
        self._set("save_checkpoints_secs", None if seconds is _UNSET else seconds)

    def _cluster_session_config(self) -> tf.compat.v1.ConfigProto | None:
        """Lets workers only talk to parameter servers, so that none waits for another worker."""
        peers = {
            TaskType.MASTER: ["/job:ps", "/job:master"],
            TaskType.CHIEF: ["/job:ps", "/job:chief"],
            TaskType.WORKER: ["/job:ps", f"/job:worker/task:{self.task_id}"],
            TaskType.PS: ["/job:ps", "/job:worker", "/job:chief", "/job:master"],
        }
        if not self._place.cluster_spec or self.task_type not in peers:
            return None
        config = default_session_config()
        config.device_filters.extend(peers[self.task_type])
        return config

    def _settle_strategies(self) -> None:
        """Copies the strategies from `experimental_distribute`."""
        older = self.experimental_distribute
        if getattr(older, "remote_cluster", None):
            raise errors.ArgumentError(
                errors.invalid_argument(
                    "experimental_distribute.remote_cluster",
                    older.remote_cluster,
                    "None",
                    "Start one process per task, each with its own TF_CONFIG.",
                )
            )
        for name in ("train_distribute", "eval_distribute"):
            older_value, value = getattr(older, name, None), vars(self)[name]
            if older_value is not None and value is not None and older_value is not value:
                raise errors.ArgumentError(
                    errors.invalid_argument(
                        f"experimental_distribute.{name}",
                        older_value,
                        f"None, because `{name}` is given",
                    )
                )
            self._set(name, older_value if value is None else value)


def default_session_config() -> tf.compat.v1.ConfigProto:
    """Returns the session configuration of an estimator whose `RunConfig` has none."""
    config = tf.compat.v1.ConfigProto(allow_soft_placement=True)
    rewriting = config.graph_options.rewrite_options
    rewriting.meta_optimizer_iterations = type(rewriting).ONE
    return config


def _model_dir(path: Path | None, in_tf_config: str | None) -> str | None:
    text = _path_text(path)
    if text and in_tf_config and text != in_tf_config:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "model_dir",
                text,
                f"None, or TF_CONFIG['model_dir'], which is {in_tf_config!r}",
                "Pass only one of them.",
            )
        )
    return text or in_tf_config


def _path_text(path: Path | None) -> str | None:
    return None if path is None else checks.checked_path("model_dir", path)


def _cleared_by(changes: dict[str, Any]) -> dict[str, None]:
    """Returns the interval to clear, if `changes` sets only the other one."""
    pair = ("save_checkpoints_steps", "save_checkpoints_secs")
    set_ones = [name for name in pair if changes.get(name) is not None]
    return {name: None for name in pair if set_ones and name not in set_ones}


def _check_replaceable(config: RunConfig, changes: dict[str, Any]) -> None:
    allowed = {field.name for field in dataclasses.fields(config)} - {"cluster"}
    unknown = sorted(set(changes) - allowed)
    if unknown:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "replace()",
                unknown,
                f"one of {', '.join(sorted(allowed))}",
                "Settings that come from TF_CONFIG cannot be replaced.",
            )
        )


def _is_path(value: Any) -> bool:
    return isinstance(value, str | bytes | os.PathLike)


def _optional_integer(name: str, value: Any) -> int | None:
    if value is None:
        return None
    return checks.checked_int(
        name,
        value,
        takes_bools=True,
        expected="an integer, or None",
        type_error=errors.ArgumentError,
    )


def _optional_from_zero(name: str, value: Any) -> Any:
    return checks.checked_not_negative(name, value, optional=True)


def _optional_count(name: str, value: Any) -> int | None:
    if value is None:
        return None
    number = checks.plain_number(value)
    whole = int(number) if isinstance(number, float) and number.is_integer() else value
    return checks.checked_int(
        name,
        whole,
        0,
        maximum=checks.LARGEST_SIZE,
        takes_bools=True,
        expected="a non-negative integer, or None",
    )


def _optional_flag(name: str, value: Any) -> bool | None:
    return None if value is None else kinds.checked_flag(name, value)


def _error_or_previous(name: str, value: Any) -> str:
    return kinds.checked_choice(name, value, ("error", "previous"))


def _takes_only_op(value: Any) -> bool:
    return callable(value) and signatures.accepted_arguments(value) == {"op"}


def _is_protocol(value: Any) -> bool:
    return isinstance(value, str) and value in ("grpc", "grpc+verbs")


def _has_strategies(value: Any) -> bool:
    return hasattr(value, "train_distribute") or hasattr(value, "eval_distribute")


def _is_strategy(value: Any) -> bool:
    return isinstance(value, _STRATEGIES)


_Predicate = Callable[[Any], bool]

_PLAIN: dict[str, Callable[[str, Any], Any]] = {
    "save_summary_steps": _optional_from_zero,
    "save_checkpoints_steps": _optional_from_zero,
    "save_checkpoints_secs": _optional_from_zero,
    "keep_checkpoint_max": _optional_count,
    "keep_checkpoint_every_n_hours": checks.checked_positive,
    "log_step_count_steps": checks.checked_positive,
    "session_creation_timeout_secs": checks.checked_positive,
    "tf_random_seed": _optional_integer,
    "experimental_max_worker_delay_secs": _optional_integer,
    "checkpoint_save_graph_def": _optional_flag,
    "allow_shared_model_dir": kinds.checked_flag,
    "on_corrupt_checkpoint": _error_or_previous,
    "checkpoint_timeout_secs": _optional_from_zero,
}

# A wrong type raises ArgumentTypeError, a wrong value raises ArgumentError.
_TYPES: dict[str, tuple[_Predicate, str]] = {
    "model_dir": (_is_path, "a path, or None"),
    "experimental_distribute": (
        _has_strategies,
        "an object with `train_distribute` or `eval_distribute`, or None",
    ),
    "train_distribute": (_is_strategy, "a tf.distribute.Strategy, or None"),
    "eval_distribute": (_is_strategy, "a tf.distribute.Strategy, or None"),
}
_VALUES: dict[str, tuple[_Predicate, str]] = {
    "model_dir": (bool, "a non-empty path, or None"),
    "session_config": (
        lambda value: isinstance(value, tf.compat.v1.ConfigProto),
        "a tf.compat.v1.ConfigProto, or None",
    ),
    "device_fn": (_takes_only_op, "a function whose only argument is called `op`, or None"),
    "protocol": (_is_protocol, "None, 'grpc' or 'grpc+verbs'"),
    "train_distribute": (
        lambda value: not isinstance(value, tf.distribute.ParameterServerStrategy),
        "a strategy other than tf.distribute.ParameterServerStrategy, which has its own loop",
    ),
    "eval_distribute": (
        lambda value: not isinstance(value, tf.distribute.ParameterServerStrategy),
        "a strategy other than tf.distribute.ParameterServerStrategy, which has its own loop",
    ),
}


def _check(config: RunConfig) -> None:
    for table, error in ((_TYPES, errors.ArgumentTypeError), (_VALUES, errors.ArgumentError)):
        for name, (is_right, expected) in table.items():
            value = getattr(config, name)
            if value is not None and not is_right(value):
                raise error(errors.invalid_argument(name, value, expected))
    for name, checked in _PLAIN.items():
        config._set(name, checked(name, vars(config)[name]))
    _check_one_save_interval(config)


def _warn_if_without_effect(name: str, value: Any) -> None:
    if name == "session_config" and value is not None:
        # The estimator sets the defaults itself: only fields that differ come from the user.
        usual = _set_fields(default_session_config())
        for path, content in _set_fields(value).items():
            if usual.get(path) != content:
                remedy = _SESSION_REMEDIES.get(path, "Use the settings of tf.config instead.")
                why = f"Estimators run functions, and a session only for exports. {remedy}"
                checks.warn_without_effect(f"RunConfig.session_config.{path}", why)
    elif name in _WITHOUT_EFFECT:
        default, why = _WITHOUT_EFFECT[name]
        if value != default:
            checks.warn_without_effect(f"RunConfig.{name}", why)


def _set_fields(message: Any, prefix: str = "") -> dict[str, Any]:
    """Returns the fields of a protocol buffer that are set, by their paths."""
    fields: dict[str, Any] = {}
    for descriptor, value in message.ListFields():
        path = f"{prefix}{descriptor.name}"
        is_message = hasattr(value, "ListFields")
        fields.update(_set_fields(value, f"{path}.") if is_message else {path: value})
    return fields


def _check_one_save_interval(config: RunConfig) -> None:
    steps, seconds = config.save_checkpoints_steps, config.save_checkpoints_secs
    if steps is not None and seconds is not None:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "save_checkpoints_secs",
                seconds,
                f"None, because save_checkpoints_steps={steps}",
                "Checkpoints are saved by steps or by seconds. Pass only one of them.",
            )
        )
