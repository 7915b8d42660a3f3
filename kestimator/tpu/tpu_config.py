"""The configuration of a TPUEstimator.

Synopsis::

    config = RunConfig(TPUConfig(iterations_per_loop=100), model_dir="/tmp/model")
    config.tpu_config.iterations_per_loop
"""

from __future__ import annotations

import copy
import re
from typing import Any, Final, NamedTuple

import tensorflow as tf

from kestimator import config, errors
from kestimator.cluster import ClusterInfo
from kestimator.keys import TaskType
from kestimator.validation import checks, kinds

_CORES_PER_REPLICA: Final = (1, 2, 4, 8, 16, 32, 64, 128)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}


class InputPipelineConfig:
    """How the input is spread over the hosts of a TPU. It has no effect without a TPU."""

    PER_SHARD_V1 = 1
    PER_HOST_V1 = 2
    PER_HOST_V2 = 3
    BROADCAST = 4
    SLICED = 5


class _TPUConfigFields(NamedTuple):
    iterations_per_loop: int | str
    num_shards: int | None
    num_cores_per_replica: int | None
    per_host_input_for_training: Any
    tpu_job_name: str | None
    initial_infeed_sleep_secs: int | None
    input_partition_dims: Any
    eval_training_input_configuration: int
    experimental_host_call_every_n_steps: int
    experimental_allow_per_host_v2_parallel_get_next: bool
    experimental_feed_hook: Any


class TPUConfig(_TPUConfigFields):
    """The part of a `tpu.RunConfig` that describes a TPU.

    Without a TPU, only `iterations_per_loop` has an effect.

    Attributes:
        iterations_per_loop: The number of steps between two looks at the training, or a time such
            as "30s", "5m" or "1h". It divides `RunConfig.log_step_count_steps`: a line with the
            speed comes after that many loops. A time is the time between two such lines.
        num_shards: The number of replicas.
        num_cores_per_replica: The number of cores of a replica.
        per_host_input_for_training: An `InputPipelineConfig`; True is PER_HOST_V1, False is
            PER_SHARD_V1.
        tpu_job_name: The name of the TPU's job. None: "tpu_worker_job_name" of "service" in
            TF_CONFIG.
        initial_infeed_sleep_secs: The seconds before the first batch.
        input_partition_dims: How features and labels are split over the cores of a replica.
        eval_training_input_configuration: `InputPipelineConfig.PER_HOST_V1` or SLICED. SLICED needs
            a TPU in evaluation and prediction.
        experimental_host_call_every_n_steps: The steps between two host calls. Without a TPU, they
            are part of every step.
        experimental_allow_per_host_v2_parallel_get_next: Whether batches may be fetched in
            parallel.
        experimental_feed_hook: A class that replaces the hook that feeds the TPU.

    Raises:
        ArgumentError: A value cannot be used.
        ArgumentTypeError: A type cannot be used.
    """

    __slots__ = ()

    def __new__(
        cls,
        iterations_per_loop: int | str = 2,
        num_shards: int | None = None,
        num_cores_per_replica: int | None = None,
        per_host_input_for_training: Any = True,
        tpu_job_name: str | None = None,
        initial_infeed_sleep_secs: int | None = None,
        input_partition_dims: Any = None,
        eval_training_input_configuration: int = InputPipelineConfig.PER_HOST_V1,
        experimental_host_call_every_n_steps: int = 1,
        experimental_allow_per_host_v2_parallel_get_next: bool = False,
        experimental_feed_hook: Any = None,
    ) -> TPUConfig:
        """Checks the fields and fills in defaults."""
        parsed_iterations_per_loop(iterations_per_loop)
        if num_shards is not None:
            checks.checked_int("num_shards", num_shards, 1, maximum=checks.LARGEST_SIZE)
        if num_cores_per_replica is not None:
            _check_one_of("num_cores_per_replica", num_cores_per_replica, _CORES_PER_REPLICA)
        per_host_input = _checked_per_host_input(per_host_input_for_training)
        if tpu_job_name is not None:
            kinds.checked_text("tpu_job_name", tpu_job_name, "a string, or None")
        if initial_infeed_sleep_secs is not None:
            checks.checked_int(
                "initial_infeed_sleep_secs",
                initial_infeed_sleep_secs,
                0,
                maximum=checks.LARGEST_SIZE,
            )
        if input_partition_dims is not None:
            _check_partition_dims(input_partition_dims, per_host_input, num_cores_per_replica)
        _check_one_of(
            "eval_training_input_configuration",
            eval_training_input_configuration,
            (InputPipelineConfig.PER_HOST_V1, InputPipelineConfig.SLICED),
        )
        checks.checked_int(
            "experimental_host_call_every_n_steps",
            experimental_host_call_every_n_steps,
            1,
            maximum=checks.LARGEST_SIZE,
        )
        kinds.checked_flag(
            "experimental_allow_per_host_v2_parallel_get_next",
            experimental_allow_per_host_v2_parallel_get_next,
        )
        if experimental_feed_hook is not None:
            kinds.checked_instance(
                "experimental_feed_hook", experimental_feed_hook, type, "a class, or None"
            )
        return super().__new__(
            cls,
            iterations_per_loop,
            num_shards,
            num_cores_per_replica,
            per_host_input,
            tpu_job_name or _tpu_job_name_in_tf_config(),
            initial_infeed_sleep_secs,
            input_partition_dims,
            eval_training_input_configuration,
            experimental_host_call_every_n_steps,
            experimental_allow_per_host_v2_parallel_get_next,
            experimental_feed_hook,
        )


class RunConfig(config.RunConfig):
    """The configuration of a `TPUEstimator`: a `kestimator.RunConfig` with a `TPUConfig`.

    A TPUEstimator runs in this process. So the addresses only have an effect on what the properties
    return.

    Args:
        tpu_config: The part that describes a TPU.
        evaluation_master: The address of the TPU for evaluation. None: that of `master`.
        master: The address of the TPU. None: that of `cluster` or of TF_CONFIG.
        cluster: A `tf.distribute.cluster_resolver.ClusterResolver`.
        **kwargs: The arguments of `kestimator.RunConfig`, except its `cluster`.

    Raises:
        ArgumentError: `master` and `cluster` are both given; `session_config` has a `cluster_def`
            and `cluster` is given; or an argument of `kestimator.RunConfig` cannot be used.
        ArgumentTypeError: A type cannot be used.
    """

    def __init__(
        self,
        tpu_config: TPUConfig | None = None,
        evaluation_master: str | None = None,
        master: str | None = None,
        cluster: Any = None,
        **kwargs: Any,
    ) -> None:
        self._resolver = None if cluster is None else _checked_resolver(cluster, master, kwargs)
        self._tpu_config = _checked_tpu_config(TPUConfig() if tpu_config is None else tpu_config)
        self._resolved_spec = None if cluster is None else cluster.cluster_spec()
        if cluster is not None:
            kwargs["session_config"] = _with_cluster_def(
                kwargs.get("session_config"), self._resolved_spec
            )
        super().__init__(**kwargs)
        self._addresses = self._settled_addresses(evaluation_master, master)

    def _settled_addresses(
        self, evaluation_master: str | None, master: str | None
    ) -> tuple[str, str]:
        """Returns the addresses for training and evaluation."""
        for name, address in (("master", master), ("evaluation_master", evaluation_master)):
            if address is not None:
                kinds.checked_text(name, address, "an address, or None")
        # An empty address is an address, too.
        if master is None:
            master = super().master if self._resolver is None else self._resolver.master()
        if evaluation_master is None:
            evaluation_master = super().evaluation_master
            if not evaluation_master and self.task_type != TaskType.EVALUATOR:
                evaluation_master = master
        return master, evaluation_master

    @property
    def master(self) -> str:
        """The address of the TPU, "" if none is known."""
        return self._addresses[0]

    @property
    def evaluation_master(self) -> str:
        """The address of the TPU for evaluation, "" if none is known."""
        return self._addresses[1]

    @property
    def tpu_config(self) -> TPUConfig:
        """The part that describes a TPU."""
        return self._tpu_config

    @property
    def cluster(self) -> Any:  # type: ignore[override]
        """The ClusterResolver, or None."""
        return self._resolver

    @property
    def cluster_spec(self) -> tf.train.ClusterSpec:
        """The addresses of all tasks: those of `cluster`, if it is given."""
        return super().cluster_spec if self._resolved_spec is None else self._resolved_spec

    def replace(self, **changes: Any) -> RunConfig:
        """Returns a deep copy with other values; strategies and `cluster` are shared.

        Args:
            **changes: As for `kestimator.RunConfig.replace`; also `tpu_config`.

        Returns:
            The new configuration.

        Raises:
            ArgumentError: A name cannot be replaced, or a value cannot be used.
            ArgumentTypeError: A type cannot be used.
        """
        tpu_config = _checked_tpu_config(changes.pop("tpu_config", self._tpu_config))
        changed = super().replace(**changes)
        vars(changed)["_tpu_config"] = tpu_config
        assert isinstance(changed, RunConfig)
        return changed

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, tpu_config={self._tpu_config!r})"

    def __deepcopy__(self, memo: dict[int, Any]) -> RunConfig:
        """Copies all except strategies, functions and the resolver, which may hold a connection."""
        memo[id(self._resolver)] = self._resolver
        copied = super().__deepcopy__(memo)
        assert isinstance(copied, RunConfig)
        return copied

    def _cluster_session_config(self) -> None:
        """Returns None: a TPU is not filtered by device."""
        return


def parsed_iterations_per_loop(value: Any) -> tuple[int, bool]:
    """Returns a number of steps and False, or of seconds and True.

    Raises:
        ArgumentError: It is neither a number above 0 nor such a time.
    """
    match = re.fullmatch(r"([1-9]\d*)([smh]?)", str(value))
    if match is None or int(match[1]) > checks.LARGEST_SIZE:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "iterations_per_loop",
                value,
                "an integer above 0 and below 2**31, or a time such as '3600s', '60m' or '1h'",
            )
        )
    number, unit = match.groups()
    return int(number) * _SECONDS.get(unit, 1), bool(unit)


def _checked_tpu_config(value: Any) -> TPUConfig:
    checked: TPUConfig = kinds.checked_instance(
        "tpu_config", value, TPUConfig, "a kestimator.tpu.TPUConfig"
    )
    return checked


def _check_one_of(name: str, value: Any, choices: tuple[int, ...]) -> None:
    # True is no number here, though it equals 1.
    number = None if isinstance(value, bool) else checks.plain_number(value)
    if number not in choices:
        listed = ", ".join(map(str, choices))
        raise errors.ArgumentError(errors.invalid_argument(name, value, f"one of {listed}"))


def _checked_per_host_input(value: Any) -> int:
    if isinstance(value, bool):
        return InputPipelineConfig.PER_HOST_V1 if value else InputPipelineConfig.PER_SHARD_V1
    return checks.checked_int(
        "per_host_input_for_training",
        value,
        InputPipelineConfig.PER_SHARD_V1,
        maximum=InputPipelineConfig.SLICED,
        expected="True, False, or one of kestimator.tpu.InputPipelineConfig",
    )


def _check_partition_dims(dims: Any, per_host_input: int, num_cores_per_replica: Any) -> None:
    if not isinstance(dims, list | tuple) or len(dims) not in (1, 2):
        raise errors.ArgumentError(
            errors.invalid_argument(
                "input_partition_dims", dims, "a list with one or two elements, or None"
            )
        )
    if per_host_input != InputPipelineConfig.PER_HOST_V2:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "input_partition_dims",
                dims,
                "None, because `per_host_input_for_training` is not PER_HOST_V2",
            )
        )
    if num_cores_per_replica is None:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "input_partition_dims", dims, "None, because `num_cores_per_replica` is None"
            )
        )


def _tpu_job_name_in_tf_config() -> str | None:
    name: str | None = (ClusterInfo.from_environment().service or {}).get("tpu_worker_job_name")
    return name


def _checked_resolver(cluster: Any, master: str | None, kwargs: dict[str, Any]) -> Any:
    if not all(callable(getattr(cluster, name, None)) for name in ("master", "cluster_spec")):
        raise errors.ArgumentTypeError(
            errors.invalid_argument(
                "cluster", cluster, "a tf.distribute.cluster_resolver.ClusterResolver, or None"
            )
        )
    if master is not None:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "master", master, "None, because `cluster` is given", "Pass only one of them."
            )
        )
    session_config = kwargs.get("session_config")
    if isinstance(session_config, tf.compat.v1.ConfigProto) and session_config.HasField(
        "cluster_def"
    ):
        raise errors.ArgumentError(
            errors.invalid_argument(
                "session_config",
                session_config,
                "a tf.compat.v1.ConfigProto without `cluster_def`, because `cluster` is given",
            )
        )
    return cluster


def _with_cluster_def(session_config: Any, cluster_spec: tf.train.ClusterSpec | None) -> Any:
    """Returns a copy of the session configuration with the addresses of a cluster."""
    if session_config is None:
        session_config = tf.compat.v1.ConfigProto(
            allow_soft_placement=True, isolate_session_state=True
        )
    if not cluster_spec or not isinstance(session_config, tf.compat.v1.ConfigProto):
        return session_config
    session_config = copy.deepcopy(session_config)
    session_config.cluster_def.CopyFrom(cluster_spec.as_cluster_def())
    return session_config
