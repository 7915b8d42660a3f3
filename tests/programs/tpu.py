"""TPUEstimator with `use_tpu=False`: batch sizes, pairs of functions and tensors, exports."""

import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tests.programs import tools

v1 = tf.compat.v1
CASES = tools.Cases()


def make_estimator(est: Any, model_dir: str, model_fn: Any, **arguments: Any) -> Any:
    config = arguments.pop("config", {})
    tpu_config = est.tpu.TPUConfig(**arguments.pop("tpu_config", {}))
    sizes = {"train_batch_size": 4, "eval_batch_size": 2, "predict_batch_size": 8}
    return est.tpu.TPUEstimator(
        model_fn,
        config=est.tpu.RunConfig(tpu_config, model_dir=model_dir, **config),
        use_tpu=False,
        **{**sizes, **arguments},
    )


def _input_fn(epochs: int = 3) -> Callable[[dict[str, Any]], tf.data.Dataset]:
    x, y = tools.regression()

    def input_fn(params: dict[str, Any]) -> tf.data.Dataset:
        dataset = tf.data.Dataset.from_tensor_slices((x, y)).repeat(epochs)
        return dataset.batch(params.get("batch_size", 3), drop_remainder=True)

    return input_fn


def _model_fn(est: Any, calls: list[Any], **fields: Any) -> Callable[..., Any]:
    """A regression; `fields` are functions of (outputs, labels, loss) by the field of the spec."""

    def model_fn(features: Any, labels: Any, mode: str, params: dict[str, Any]) -> Any:
        calls.append([mode, {key: params[key] for key in sorted(params)}])
        weights = v1.get_variable("w", [3, 1], initializer=v1.zeros_initializer())
        outputs = tf.matmul(features, weights)
        if mode == est.ModeKeys.PREDICT:
            return est.tpu.TPUEstimatorSpec(mode, predictions={"outputs": outputs})
        loss = tf.reduce_mean(tf.square(outputs - labels))
        train_op = v1.train.GradientDescentOptimizer(0.1).minimize(
            loss, global_step=v1.train.get_global_step()
        )
        others = {name: function(outputs, labels, loss) for name, function in fields.items()}
        return est.tpu.TPUEstimatorSpec(mode, loss=loss, train_op=train_op, **others)

    return model_fn


def _errors(outputs: Any, labels: Any) -> dict[str, Any]:
    return {
        "absolute": v1.metrics.mean_absolute_error(labels, outputs),
        "rows": v1.metrics.mean(tf.cast(tf.shape(outputs)[0], tf.float32)),
    }


@CASES
def batch_sizes(est: Any, model_dir: str) -> dict[str, Any]:
    """Each function gets the batch size of its mode, beside the hyperparameters of the user."""
    calls: list[Any] = []
    model_fn = _model_fn(
        est, calls, eval_metrics=lambda outputs, labels, _: (_errors, [outputs, labels])
    )
    inner = _input_fn()

    def input_fn(params: dict[str, Any]) -> tf.data.Dataset:
        calls.append(["input", {key: params[key] for key in sorted(params)}])
        return inner(params)

    estimator = make_estimator(est, model_dir, model_fn, params={"rate": 0.5, "use_tpu": "what"})
    estimator.train(input_fn)
    evaluated = estimator.evaluate(input_fn, steps=3)
    rows = list(estimator.predict(input_fn))
    batches = list(estimator.predict(input_fn, yield_single_examples=False))
    return {
        # The original calls the model_fn again for the second prediction.
        "calls": calls[:6],
        "evaluated": tools.plain(evaluated),
        "rows": len(rows),
        "batches": [list(batch["outputs"].shape) for batch in batches],
        "params": estimator.params,
        "log_step_count_steps": estimator.config.log_step_count_steps,
        "steps": tools.plain(estimator.get_variable_value("global_step")),
    }


@CASES
def without_batch_sizes(est: Any, model_dir: str) -> dict[str, Any]:
    calls: list[Any] = []
    sizes = dict.fromkeys(("train_batch_size", "eval_batch_size", "predict_batch_size"))
    config = {"log_step_count_steps": None}
    estimator = make_estimator(est, model_dir, _model_fn(est, calls), config=config, **sizes)
    estimator.train(_input_fn(), steps=2)
    evaluated = estimator.evaluate(_input_fn(), steps=2)
    return {"calls": calls, "evaluated": tools.plain(evaluated)}


@CASES
def tensors_by_name(est: Any, model_dir: str) -> dict[str, Any]:
    model_fn = _model_fn(
        est,
        [],
        eval_metrics=lambda outputs, labels, _: (_errors, {"labels": labels, "outputs": outputs}),
    )
    estimator = make_estimator(est, model_dir, model_fn).train(_input_fn(), steps=3)
    return tools.plain(estimator.evaluate(_input_fn(epochs=1)))


@CASES
def host_call(est: Any, model_dir: str) -> dict[str, Any]:
    """A host call writes summaries with every step, in training and in evaluation."""

    def call(outputs: Any, labels: Any, loss: Any) -> Any:
        def summaries(batch: Any, loss: Any) -> Any:
            with tf.summary.create_file_writer(f"{model_dir}/host", max_queue=1000).as_default():
                tf.summary.scalar("rows", batch[0], step=tf.constant(7, tf.int64))
                tf.summary.scalar("loss", loss[0], step=tf.constant(7, tf.int64))
                return v1.summary.all_v2_summary_ops()

        return summaries, [tf.shape(outputs)[:1], tf.reshape(loss, [1])]

    estimator = make_estimator(est, model_dir, _model_fn(est, [], host_call=call))
    written = []
    for run in (estimator.train, estimator.evaluate):
        run(_input_fn(), steps=3)
        written.append(len(tools.events(f"{model_dir}/host")))
    return {"written": written, "host": tools.scalars(f"{model_dir}/host")}


@CASES
def host_call_of_tensors(est: Any, model_dir: str) -> dict[str, Any]:
    """A host call without summaries runs its tensors with every step."""
    seen: list[float] = []

    def call(outputs: Any, labels: Any, loss: Any) -> Any:
        def record(loss: Any) -> Any:
            return v1.py_func(lambda value: seen.append(float(value[0])), [loss], [])

        return record, {"loss": tf.reshape(loss, [1])}

    estimator = make_estimator(est, model_dir, _model_fn(est, [], host_call=call))
    estimator.train(_input_fn(), steps=3)
    estimator.evaluate(_input_fn(), steps=2)
    return {"seen": seen}


@CASES
def scaffold_and_hooks(est: Any, model_dir: str) -> dict[str, Any]:
    calls: list[str] = []

    class Hook(est.SessionRunHook):
        def __init__(self, name: str) -> None:
            self._name = name

        def begin(self) -> None:
            calls.append(self._name)

    def scaffold_fn() -> Any:
        calls.append("scaffold_fn")
        weights = next(v for v in v1.global_variables() if v.op.name == "w")
        assign = weights.assign([[1.0], [2.0], [3.0]])
        return v1.train.Scaffold(init_fn=lambda scaffold, session: session.run(assign))

    model_fn = _model_fn(
        est,
        [],
        scaffold_fn=lambda *_: scaffold_fn,
        training_hooks=lambda *_: [Hook("training")],
        evaluation_hooks=lambda *_: [Hook("evaluation")],
        prediction_hooks=lambda *_: [Hook("prediction")],
    )
    config = {"save_checkpoints_steps": 1, "tf_random_seed": 1}
    estimator = make_estimator(est, model_dir, model_fn, config=config)
    estimator.train(_input_fn(), steps=1).evaluate(_input_fn(), steps=1)
    return {
        "calls": calls,
        "start": tools.checkpoint(f"{model_dir}/model.ckpt-0"),
        "end": tools.checkpoint(model_dir),
    }


@CASES
def ordinary_spec(est: Any, model_dir: str) -> dict[str, Any]:
    """A model_fn may return an EstimatorSpec; `as_estimator_spec` makes one."""

    def model_fn(features: Any, labels: Any, mode: str, params: dict[str, Any]) -> Any:
        call = _errors, [2.0 * labels, labels]
        spec = _model_fn(est, [], eval_metrics=lambda *_: call)(features, labels, mode, params)
        return spec.as_estimator_spec() if mode == est.ModeKeys.TRAIN else spec

    estimator = make_estimator(est, model_dir, model_fn).train(_input_fn(), steps=2)
    return tools.plain(estimator.evaluate(_input_fn(), steps=1))


@CASES
def speed(est: Any, model_dir: str) -> dict[str, Any]:
    """Steps and examples per second: at which steps, and which of them is how many times more."""
    answers = {}
    for name, steps, iterations in (
        ("even", 4, 2),
        ("odd", 5, 2),
        ("long", 3, 10),
        ("none", None, 2),
    ):
        folder = os.path.join(model_dir, name)
        estimator = make_estimator(
            est,
            folder,
            _model_fn(est, []),
            config={"log_step_count_steps": steps, "save_checkpoints_steps": 100},
            tpu_config={"iterations_per_loop": iterations},
        )
        estimator.train(_input_fn(epochs=6))
        written = tools.scalars(folder, ["global_step/sec", "examples/sec"])
        speeds = [series["values"] for series in written.values()]
        answers[name] = {
            "steps": [series["steps"] for series in written.values()],
            "factors": sorted(
                {round(max(pair) / min(pair), 3) for pair in zip(*speeds, strict=True)}
            ),
        }
    return answers


@CASES
def exports(est: Any, model_dir: str) -> dict[str, Any]:
    """An export has no batch size; exporters of train_and_evaluate export this way, too."""
    calls: list[Any] = []

    def receiver_fn() -> Any:
        features = v1.placeholder(tf.float32, [None, 3], name="x")
        return est.export.TensorServingInputReceiver(features, features)

    config = {"save_checkpoints_steps": 2}
    estimator = make_estimator(
        est, model_dir, _model_fn(est, calls), config=config, export_to_tpu=False
    )
    est.train_and_evaluate(
        estimator,
        est.TrainSpec(_input_fn(), max_steps=4),
        est.EvalSpec(
            _input_fn(),
            steps=2,
            throttle_secs=0,
            exporters=est.LatestExporter("latest", receiver_fn),
        ),
    )
    before = len(calls)
    path = estimator.export_saved_model(f"{model_dir}/exported", receiver_fn)
    loaded = tf.saved_model.load(os.fsdecode(path)).signatures["serving_default"]
    served = loaded(tf.constant(tools.regression()[0][:2]))["outputs"]
    return {
        "call": calls[before:],
        "calls": sorted({str(call) for call in calls}),
        "served": tools.plain(served.numpy()),
        "latest": len(os.listdir(f"{model_dir}/export/latest")) > 0,
    }


@CASES
def configs(est: Any, model_dir: str) -> dict[str, Any]:
    class Resolver:
        def master(self) -> str:
            return "grpc://resolved"

        def cluster_spec(self) -> Any:
            return v1.train.ClusterSpec({"worker": ["a:1", "b:2"]})

    def described(config: Any) -> dict[str, Any]:
        session_config = config.session_config
        return {
            "tpu_config": list(config.tpu_config),
            "master": [config.master, config.evaluation_master],
            "cluster": [type(config.cluster).__name__, config.cluster_spec.as_dict()],
            "place": [config.is_chief, config.task_type, config.num_worker_replicas],
            "session": None if session_config is None else len(session_config.cluster_def.job),
            "others": [config.model_dir, config.save_checkpoints_steps],
        }

    run_config, tpu_config = est.tpu.RunConfig, est.tpu.TPUConfig
    before = run_config(tpu_config(9), master="a", model_dir="b")
    return {
        "default": described(run_config()),
        "by position": described(run_config(tpu_config("5m", 8), "evaluation", "training", None)),
        "master": described(run_config(master="training")),
        "evaluation_master": described(run_config(evaluation_master="evaluation")),
        "empty": described(run_config(master="", evaluation_master="")),
        "cluster": described(run_config(cluster=Resolver())),
        "session_config": described(
            run_config(cluster=Resolver(), session_config=v1.ConfigProto())
        ),
        "replaced": described(before.replace(tpu_config=tpu_config(7), save_checkpoints_steps=3)),
        "not replaced": described(before.replace(model_dir="c")),
        "input": list(tpu_config(per_host_input_for_training=False, num_cores_per_replica=2)),
        "fields": [*tpu_config._fields, *est.tpu.TPUEstimatorSpec._fields],
        "pipelines": {
            name: getattr(est.tpu.InputPipelineConfig, name)
            for name in ("PER_SHARD_V1", "PER_HOST_V1", "PER_HOST_V2", "BROADCAST", "SLICED")
        },
    }


@CASES
def errors(est: Any, model_dir: str) -> dict[str, Any]:
    tpu = est.tpu
    tensor, loss = tf.constant([1.0]), tf.constant(1.0)

    def one(value: Any) -> dict[str, Any]:
        return {}

    def spec(**fields: Any) -> Callable[[], Any]:
        return lambda: tpu.TPUEstimatorSpec(est.ModeKeys.EVAL, loss=loss, **fields)

    def estimator(**arguments: Any) -> Callable[[], Any]:
        return lambda: make_estimator(est, model_dir, _model_fn(est, []), **arguments)

    def run(method: str, input_fn: Any = None, **arguments: Any) -> Callable[[], Any]:
        def call() -> None:
            result = getattr(estimator(**arguments)(), method)(input_fn or _input_fn())
            if method == "predict":
                next(result)

        return call

    calls = {
        **{
            f"iterations_per_loop={value!r}": lambda value=value: tpu.TPUConfig(value)
            for value in (0, 2.5, "10", "1d", "05s", None, "3m")
        },
        **{
            f"num_shards={value!r}": lambda value=value: tpu.TPUConfig(num_shards=value)
            for value in (0, 1.0, "2", 8)
        },
        **{
            f"cores={value!r}": lambda value=value: tpu.TPUConfig(num_cores_per_replica=value)
            for value in (0, 3, "2", 128)
        },
        **{
            f"sleep={value!r}": lambda value=value: tpu.TPUConfig(initial_infeed_sleep_secs=value)
            for value in (0, -1, 1.5)
        },
        **{
            f"eval_input={value!r}": (
                lambda value=value: tpu.TPUConfig(eval_training_input_configuration=value)
            )
            for value in (1, 2, 5, None)
        },
        **{
            f"dims={dims!r} {more}": (
                lambda dims=dims, more=more: tpu.TPUConfig(input_partition_dims=dims, **more)
            )
            for dims in ([], [[1, 2]])
            for more in (
                {},
                {"per_host_input_for_training": 3},
                {"per_host_input_for_training": 3, "num_cores_per_replica": 2},
            )
        },
        "two masters": lambda: tpu.RunConfig(
            master="a",
            cluster=tf.distribute.cluster_resolver.SimpleClusterResolver(
                v1.train.ClusterSpec({"worker": ["a:1"]})
            ),
        ),
        "replaced master": lambda: tpu.RunConfig().replace(master="a"),
        "eval_metrics is no pair": spec(eval_metrics=one),
        "eval_metrics has one element": spec(eval_metrics=(one,)),
        "eval_metrics has a tensor": spec(eval_metrics=(one, tensor)),
        "eval_metrics has no function": spec(eval_metrics=(3, [tensor])),
        "host_call has a tensor": spec(host_call=(one, tensor)),
        "host_call is good": spec(host_call=[one, [tensor]]),
        "no hook": spec(training_hooks=[3]),
        "no loss": lambda: tpu.TPUEstimatorSpec(est.ModeKeys.EVAL),
        "no config": lambda: tpu.TPUEstimator(_model_fn(est, []), use_tpu=False),
        "another config": lambda: tpu.TPUEstimator(_model_fn(est, []), config=est.RunConfig()),
        "batch_size in params": estimator(params={"batch_size": 3}),
        "context in params": estimator(params={"context": None}),
        "api version": estimator(export_saved_model_api_version=3),
        "api version 2": estimator(export_saved_model_api_version=2),
        "input_fn without params": run("train", tools.batches(*tools.regression())),
        "sliced": run("evaluate", tpu_config={"eval_training_input_configuration": 5}),
        "use_tpu without a size": lambda: tpu.TPUEstimator(
            _model_fn(est, []), config=tpu.RunConfig(model_dir=model_dir), use_tpu=True
        ),
    }
    return {name: tools.error(call, ValueError, TypeError) for name, call in calls.items()}


@CASES
def warm_start(est: Any, model_dir: str) -> dict[str, Any]:
    model_fn = _model_fn(est, [])
    make_estimator(est, f"{model_dir}/first", model_fn).train(_input_fn(), steps=3)
    second = make_estimator(
        est, f"{model_dir}/second", model_fn, warm_start_from=f"{model_dir}/first"
    )
    second.train(_input_fn(), steps=1)
    return {"start": tools.checkpoint(f"{model_dir}/second/model.ckpt-0")}
