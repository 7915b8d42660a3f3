"""The place of this process in a cluster, from the environment variable TF_CONFIG.

    >>> info = ClusterInfo.from_tf_config({
    ...     "cluster": {"chief": ["host0:2222"], "worker": ["host1:2222", "host2:2222"]},
    ...     "task": {"type": "worker", "index": 1},
    ... })
    >>> info.is_chief, info.num_worker_replicas, info.global_id_in_cluster, info.master
    (False, 3, 2, 'grpc://host2:2222')

An evaluator is a separate process, not part of the cluster: it is named under "task", not under
"cluster".
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from kestimator import errors, logs
from kestimator.keys import TaskType
from kestimator.validation import checks, kinds

TF_CONFIG_VARIABLE = "TF_CONFIG"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterInfo:
    """The place of this process in a cluster. The defaults are those of a single process.

    Attributes:
        task_type: "chief" ("master" in old clusters), "worker", "ps" or "evaluator".
        task_id: The index among the tasks of this type.
        is_chief: Whether this process writes checkpoints and summaries.
        num_ps_replicas: The number of parameter servers.
        num_worker_replicas: The number of workers, the chief included.
        master: The address of the server of this process, "" if none is needed.
        evaluation_master: The same for evaluation.
        global_id_in_cluster: An index among all tasks: the chief first, then the other types
            by name, parameter servers last. None for an evaluator.
        cluster_spec: All addresses; empty without a cluster and for an evaluator.
        service: The value of "service" in TF_CONFIG.
        model_dir: The value of "model_dir" in TF_CONFIG.

    Raises:
        ArgumentTypeError: A type cannot be used.
        ArgumentError: A number is negative.
    """

    task_type: str = TaskType.WORKER
    task_id: int = 0
    is_chief: bool = True
    num_ps_replicas: int = 0
    num_worker_replicas: int = 1
    master: str = ""
    evaluation_master: str = ""
    global_id_in_cluster: int | None = 0
    cluster_spec: tf.train.ClusterSpec = dataclasses.field(
        default_factory=lambda: tf.train.ClusterSpec({})
    )
    service: dict[str, Any] | None = None
    model_dir: str | None = None

    def __post_init__(self) -> None:
        kinds.checked_text("task_type", self.task_type, "the type of a task, such as 'worker'")
        kinds.checked_flag("is_chief", self.is_chief)
        for name in ("task_id", "num_ps_replicas", "num_worker_replicas"):
            checks.checked_int(name, getattr(self, name), 0, takes_bools=True)
        if self.global_id_in_cluster is not None:
            checks.checked_int(
                "global_id_in_cluster", self.global_id_in_cluster, 0, takes_bools=True
            )
        for name in ("master", "evaluation_master"):
            kinds.checked_text(name, getattr(self, name), "an address, or an empty string")
        kinds.checked_instance(
            "cluster_spec", self.cluster_spec, tf.train.ClusterSpec, "a tf.train.ClusterSpec"
        )
        kinds.checked_mapping("service", self.service, "a dict, or None")
        if self.model_dir is not None:
            checks.checked_path("model_dir", self.model_dir)

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] | None = None, *, first_worker_leads: bool = False
    ) -> ClusterInfo:
        """Reads the TF_CONFIG variable of `environment`, by default `os.environ`.

        Args:
            environment: The environment variables.
            first_worker_leads: As in `from_tf_config`.

        Raises:
            ArgumentError: It is not JSON, or not consistent (see `from_tf_config`).
            ArgumentTypeError: It is not a JSON object.
        """
        text = (os.environ if environment is None else environment).get(TF_CONFIG_VARIABLE)
        if not text:
            return cls()
        try:
            tf_config = json.loads(text)
        except json.JSONDecodeError as error:
            raise errors.ArgumentError(
                errors.invalid_argument("TF_CONFIG", text, "a JSON object", f"{error}.")
            ) from error
        logs.info("TF_CONFIG environment variable: %s", tf_config)
        return cls.from_tf_config(tf_config, first_worker_leads=first_worker_leads)

    @classmethod
    def from_tf_config(
        cls, tf_config: Mapping[str, Any], *, first_worker_leads: bool = False
    ) -> ClusterInfo:
        """Finds the place of this process from the content of TF_CONFIG.

        Args:
            tf_config: A mapping that may hold "cluster" (task types to lists of addresses),
                "task" ("type" and "index"), "session_master", "eval_session_master", "service"
                and "model_dir".
            first_worker_leads: Whether a cluster may have workers only. The first one is then the
                chief, as under `tf.distribute.MultiWorkerMirroredStrategy`.

        Returns:
            The place.

        Raises:
            ArgumentError: The cluster has no chief, or several; the task is not given, or is not
                in the cluster; the model_dir is empty.
            ArgumentTypeError: A part has a wrong type.
        """
        _check_mapping("TF_CONFIG", tf_config)
        _check_mapping("TF_CONFIG['task']", tf_config.get("task", {}))
        common: dict[str, Any] = {
            "service": _service(tf_config),
            "model_dir": _model_dir(tf_config),
        }
        cluster_spec = _cluster_spec(tf_config)
        if not cluster_spec:
            return cls(**common, **_lone_task(tf_config))
        chief_type = _chief_type(cluster_spec, first_worker_leads=first_worker_leads)
        task_type, task_id = _task(cluster_spec, tf_config.get("task", {}))
        if task_type == TaskType.EVALUATOR:
            return cls(**common, **_evaluator(tf_config, chief_type, task_id))
        return cls(
            **common,
            task_type=task_type,
            task_id=task_id,
            is_chief=task_type == chief_type and task_id == 0,
            num_ps_replicas=_count(cluster_spec, TaskType.PS),
            # The chief counts as a worker.
            num_worker_replicas=sum(
                _count(cluster_spec, job) for job in {TaskType.WORKER, chief_type}
            ),
            master=_master(tf_config, cluster_spec, task_type, task_id),
            global_id_in_cluster=_global_id(cluster_spec, chief_type, task_type, task_id),
            cluster_spec=cluster_spec,
        )


def _lone_task(tf_config: Mapping[str, Any]) -> dict[str, Any]:
    task = tf_config.get("task", {})
    task_type = task.get("type", TaskType.WORKER)
    if task_type != TaskType.WORKER:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "TF_CONFIG['task']['type']",
                task_type,
                "'worker', because TF_CONFIG has no 'cluster'",
                "Add a 'cluster' to TF_CONFIG, or remove its 'task'.",
            )
        )
    if _index(task.get("index", 0)) != 0:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "TF_CONFIG['task']['index']",
                task["index"],
                "0, because TF_CONFIG has no 'cluster'",
                "Add a 'cluster' to TF_CONFIG, or remove its 'task'.",
            )
        )
    return {
        "master": tf_config.get("session_master", ""),
        "evaluation_master": tf_config.get("eval_session_master", ""),
    }


def _evaluator(tf_config: Mapping[str, Any], chief_type: str, task_id: int) -> dict[str, Any]:
    if chief_type == TaskType.MASTER:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "TF_CONFIG['task']['type']",
                TaskType.EVALUATOR,
                "'master', 'worker' or 'ps', because the 'master' of this cluster evaluates",
                "To use an evaluator, rename the 'master' of the cluster to 'chief'.",
            )
        )
    return {
        "task_type": TaskType.EVALUATOR,
        "task_id": task_id,
        "is_chief": False,
        "num_worker_replicas": 0,
        "evaluation_master": tf_config.get("eval_session_master", ""),
        "global_id_in_cluster": None,
    }


def _service(tf_config: Mapping[str, Any]) -> dict[str, Any] | None:
    service = tf_config.get("service")
    if service is not None and not isinstance(service, dict):
        raise errors.ArgumentTypeError(
            errors.invalid_argument("TF_CONFIG['service']", service, "a JSON object, or no entry")
        )
    return service


def _model_dir(tf_config: Mapping[str, Any]) -> str | None:
    model_dir: str | None = tf_config.get("model_dir")
    if model_dir == "":
        raise errors.ArgumentError(
            errors.invalid_argument(
                "TF_CONFIG['model_dir']", model_dir, "a non-empty path, or no entry"
            )
        )
    return model_dir


def _cluster_spec(tf_config: Mapping[str, Any]) -> tf.train.ClusterSpec:
    cluster = tf_config.get("cluster", {})
    expected = "a mapping from task types to lists of addresses"
    if not isinstance(cluster, Mapping):
        raise errors.ArgumentTypeError(
            errors.invalid_argument("TF_CONFIG['cluster']", cluster, expected)
        )
    try:
        return tf.train.ClusterSpec(cluster)
    except ValueError as error:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "TF_CONFIG['cluster']",
                cluster,
                "a mapping from task types to non-empty lists of addresses",
            )
        ) from error


def _chief_type(cluster_spec: tf.train.ClusterSpec, *, first_worker_leads: bool) -> str:
    if TaskType.EVALUATOR in cluster_spec.jobs:
        logs.warning(
            "TF_CONFIG['cluster'] lists an 'evaluator'. It takes no part in training, so nothing "
            "should wait for it. Remove it from the cluster in every process."
        )
    chiefs = {TaskType.MASTER, TaskType.CHIEF} & set(cluster_spec.jobs)
    if first_worker_leads and not chiefs and TaskType.WORKER in cluster_spec.jobs:
        return TaskType.WORKER
    chief_type = TaskType.MASTER if TaskType.MASTER in cluster_spec.jobs else TaskType.CHIEF
    if len(chiefs) > 1 or _count(cluster_spec, chief_type) != 1:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "TF_CONFIG['cluster']",
                cluster_spec.as_dict(),
                "a cluster with exactly one 'chief' task (or, in old clusters, one 'master')",
            )
        )
    return chief_type


def _task(cluster_spec: tf.train.ClusterSpec, task: Mapping[str, Any]) -> tuple[str, int]:
    task_type, index = task.get("type"), task.get("index")
    if not task_type or index is None:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "TF_CONFIG['task']",
                dict(task),
                "an object with 'type' and 'index', because TF_CONFIG has a 'cluster'",
            )
        )
    task_id = _index(index)
    # An evaluator is not in the cluster, so its index cannot be checked there.
    if task_type == TaskType.EVALUATOR and task_id >= 0:
        return task_type, task_id
    if not 0 <= task_id < _count(cluster_spec, task_type):
        raise errors.ArgumentError(
            errors.invalid_argument(
                "TF_CONFIG['task']",
                dict(task),
                f"a task of the cluster {cluster_spec.as_dict()}, or an evaluator",
            )
        )
    return task_type, task_id


def _index(index: Any) -> int:
    try:
        return int(index)
    except (TypeError, ValueError) as error:
        raise errors.ArgumentError(
            errors.invalid_argument("TF_CONFIG['task']['index']", index, "a non-negative number")
        ) from error


def _master(
    tf_config: Mapping[str, Any], cluster_spec: tf.train.ClusterSpec, task_type: str, task_id: int
) -> str:
    if "session_master" in tf_config:
        return str(tf_config["session_master"])
    is_single = sum(cluster_spec.num_tasks(job) for job in cluster_spec.jobs) == 1
    return "" if is_single else f"grpc://{cluster_spec.task_address(task_type, task_id)}"


def _count(cluster_spec: tf.train.ClusterSpec, task_type: str) -> int:
    return int(cluster_spec.num_tasks(task_type)) if task_type in cluster_spec.jobs else 0


def _global_id(
    cluster_spec: tf.train.ClusterSpec, chief_type: str, task_type: str, task_id: int
) -> int:
    def rank(job: str) -> tuple[bool, bool, str]:
        return job == TaskType.PS, job != chief_type, job

    before = [job for job in cluster_spec.jobs if rank(job) < rank(task_type)]
    return sum(_count(cluster_spec, job) for job in before) + task_id


def _check_mapping(name: str, value: object) -> None:
    if not isinstance(value, Mapping):
        raise errors.ArgumentTypeError(errors.invalid_argument(name, value, "a JSON object"))
