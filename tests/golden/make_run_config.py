"""Records what the original's RunConfig does with many arguments and TF_CONFIGs.

Run it with the Python that has tensorflow 2.15 and tensorflow-estimator 2.15:

    python tests/golden/make_run_config.py

`tests/test_config.py` puts the same cases to kestimator's RunConfig and compares.
"""

import itertools
import json
import os
import pathlib

PROPERTIES = [
    "model_dir",
    "tf_random_seed",
    "save_summary_steps",
    "save_checkpoints_steps",
    "save_checkpoints_secs",
    "session_config",
    "keep_checkpoint_max",
    "keep_checkpoint_every_n_hours",
    "log_step_count_steps",
    "train_distribute",
    "device_fn",
    "protocol",
    "eval_distribute",
    "experimental_max_worker_delay_secs",
    "session_creation_timeout_secs",
    "checkpoint_save_graph_def",
    "task_type",
    "task_id",
    "is_chief",
    "num_ps_replicas",
    "num_worker_replicas",
    "master",
    "evaluation_master",
    "global_id_in_cluster",
    "service",
    "cluster_spec",
]

CLUSTER = {
    "chief": ["c:1"],
    "worker": ["w:1", "w:2"],
    "ps": ["p:1", "p:2"],
}
WITH_MASTER = {"master": ["m:1"], "worker": ["w:1", "w:2"], "ps": ["p:1"], "other": ["o:1"]}


def argument_cases():
    """Cases of constructor arguments."""
    values = {
        "model_dir": [None, "", "d", ["pathlib", "d"]],
        "tf_random_seed": [None, 0, 7, -1, 1.5, "7", True],
        "save_summary_steps": [None, 0, 1, -1, "1"],
        "save_checkpoints_steps": [None, 0, 1, -1, "1"],
        "save_checkpoints_secs": [None, 0, 1.5, -1, "1"],
        "session_config": [None, "x", {}, ["config"]],
        "keep_checkpoint_max": [None, 0, 1, -1, "1"],
        "keep_checkpoint_every_n_hours": [None, 0, 0.5, -1, "1"],
        "log_step_count_steps": [None, 0, 1, -1, "1"],
        "device_fn": [None, 3, ["op"], ["device"], ["op and more"]],
        "protocol": [None, "grpc", "grpc+verbs", "http", ""],
        "train_distribute": [None, ["one device"]],
        "eval_distribute": [None, ["one device"]],
        "experimental_max_worker_delay_secs": [None, 0, 5, -5, 1.5, "5"],
        "session_creation_timeout_secs": [None, 0, 1.5, -1, "1"],
        "checkpoint_save_graph_def": [None, False, True],
    }
    for name, choices in values.items():
        for choice in choices:
            yield {"arguments": {name: choice}}
    for pair in itertools.product([None, 0, 5, -1], [None, 0, 7, -1]):
        names = ("save_checkpoints_steps", "save_checkpoints_secs")
        yield {"arguments": dict(zip(names, pair, strict=True))}


def replace_cases():
    """Cases of `replace`, from three starting points."""
    changes = [
        {},
        {"save_checkpoints_steps": 3},
        {"save_checkpoints_secs": 3},
        {"save_checkpoints_steps": None},
        {"save_checkpoints_secs": None},
        {"save_checkpoints_steps": 3, "save_checkpoints_secs": None},
        {"save_checkpoints_steps": None, "save_checkpoints_secs": None},
        {"save_checkpoints_steps": None, "save_checkpoints_secs": 4},
        {"save_checkpoints_steps": 3, "save_checkpoints_secs": 4},
        {"model_dir": "e"},
        {"model_dir": None},
        {"model_dir": ""},
        {"tf_random_seed": "x"},
        {"keep_checkpoint_max": -1},
        {"train_distribute": ["one device"]},
        {"task_id": 1},
        {"is_chief": False},
        {"no_such_name": 1},
    ]
    starts = [{}, {"save_checkpoints_steps": 9, "model_dir": "d"}, {"save_checkpoints_secs": None}]
    for start, change in itertools.product(starts, changes):
        yield {"arguments": start, "replace": change}


def tf_config_cases():
    """Cases of the TF_CONFIG environment variable."""
    task_types = ("chief", "worker", "ps", "evaluator", "master", "other", "")
    for cluster in (CLUSTER, WITH_MASTER, None):
        for task_type, index in itertools.product(task_types, (0, 1, 2, 9, -1, "1", None)):
            task = {"type": task_type, "index": index}
            content = {"task": {key: task[key] for key in task if task[key] is not None}}
            yield {"tf_config": content if cluster is None else {**content, "cluster": cluster}}
    lone_chief = {"cluster": {"chief": ["a:1"]}, "task": {"type": "chief", "index": 0}}
    worker = {"cluster": CLUSTER, "task": {"type": "worker", "index": 1}}
    evaluator = {"cluster": CLUSTER, "task": {"type": "evaluator", "index": 0}}
    contents = [
        {},
        lone_chief,
        {"cluster": CLUSTER},
        {"cluster": CLUSTER, "task": {"type": "chief"}},
        {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}},
        {"cluster": {"chief": ["a:1", "b:1"]}, "task": {"type": "chief", "index": 0}},
        {"cluster": {"chief": []}, "task": {"type": "chief", "index": 0}},
        {"cluster": {"chief": {"0": "a:1"}}, "task": {"type": "chief", "index": 0}},
        {"cluster": {**CLUSTER, "master": ["m:1"]}, "task": {"type": "worker", "index": 0}},
        {"cluster": {**CLUSTER, "evaluator": ["e:1"]}, "task": {"type": "evaluator", "index": 0}},
        {"cluster": 3},
        {"task": {"type": "worker", "index": "x"}},
        {"service": {"a": 1}},
        {"service": 3},
        {"model_dir": "d"},
        {"model_dir": ""},
        {"session_master": "s", "eval_session_master": "e"},
        {**worker, "session_master": "s", "eval_session_master": "e"},
        {**evaluator, "session_master": "s", "eval_session_master": "e"},
    ]
    for content in contents:
        yield {"tf_config": content}
    yield {"tf_config": {"model_dir": "d"}, "arguments": {"model_dir": "d"}}
    yield {"tf_config": {"model_dir": "d"}, "arguments": {"model_dir": "e"}}
    yield {"tf_config": {"model_dir": "d"}, "replace": {"model_dir": "e"}}
    yield {"tf_config": worker, "arguments": {"session_config": ["config"]}}
    yield {"tf_config": worker, "replace": {"save_summary_steps": 3}}


def build(value):
    """Makes an argument from what stands for it in JSON."""
    import tensorflow as tf

    if not isinstance(value, list):
        return value
    return {
        "pathlib": lambda: pathlib.Path(value[-1]),
        "config": lambda: tf.compat.v1.ConfigProto(log_device_placement=True),
        "one device": lambda: tf.distribute.OneDeviceStrategy("/cpu:0"),
        "op": lambda: lambda op: "/cpu:0",
        "device": lambda: lambda device: "/cpu:0",
        "op and more": lambda: lambda op, more=1: "/cpu:0",
    }[value[0]]()


def plain(value):
    """Turns a property's value into something that JSON can hold."""
    if value is None or isinstance(value, bool | int | float | str | dict):
        return value
    if hasattr(value, "as_dict"):
        return value.as_dict()
    if hasattr(value, "SerializeToString"):
        return sorted(str(value).split("\n"))
    return "a function" if callable(value) else type(value).__name__


def observe(run_config_class, case):
    """Returns the properties that a case leads to, or the exception's builtin type."""
    environment = case.get("tf_config")
    os.environ.pop("TF_CONFIG", None)
    if environment is not None:
        os.environ["TF_CONFIG"] = json.dumps(environment)
    try:
        arguments = {name: build(value) for name, value in case.get("arguments", {}).items()}
        config = run_config_class(**arguments)
        if "replace" in case:
            changes = {name: build(value) for name, value in case["replace"].items()}
            config = config.replace(**changes)
    except Exception as error:
        builtin = next(c for c in type(error).__mro__ if c.__module__ == "builtins")
        return {"error": builtin.__name__}
    finally:
        os.environ.pop("TF_CONFIG", None)
    return {"properties": {name: plain(getattr(config, name)) for name in PROPERTIES}}


def changed_properties(observed, defaults):
    """Leaves out what equals the defaults, to keep the file small."""
    if "error" in observed:
        return observed
    properties = observed["properties"]
    return {"properties": {k: v for k, v in properties.items() if v != defaults[k]}}


def main():
    import tensorflow as tf

    original = tf.estimator.RunConfig
    defaults = observe(original, {})["properties"]
    records = []
    for case in itertools.chain(argument_cases(), replace_cases(), tf_config_cases()):
        observed = observe(original, case)
        records.append({"case": case, **changed_properties(observed, defaults)})
    lines = ",\n".join(json.dumps(record, sort_keys=True) for record in records)
    text = f'{{"defaults": {json.dumps(defaults, sort_keys=True)},\n"records": [\n{lines}\n]}}\n'
    pathlib.Path(__file__).with_name("run_config_arguments.json").write_text(text)


if __name__ == "__main__":
    main()
