"""Warm start from other models, and reading the variables of the latest checkpoint."""

from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import tools

v1 = tf.compat.v1
CASES = tools.Cases()


def _model_fn(est: Any, names: tuple[str, str] = ("hidden", "out"), units: int = 2) -> Any:
    """Two layers whose scopes are `names`, zeros at the start, Adagrad."""

    def layer(inputs: Any, width: int, start: float) -> Any:
        kernel = v1.get_variable(
            "kernel", [inputs.shape[1], width], initializer=v1.constant_initializer(start)
        )
        return tf.matmul(inputs, kernel) + v1.get_variable(
            "bias", [width], initializer=v1.zeros_initializer()
        )

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        with v1.variable_scope(names[0]):
            hidden = tf.tanh(layer(features, units, 0.1))
            moving = v1.get_variable(
                "moving", [], initializer=v1.zeros_initializer(), trainable=False
            )
        with v1.variable_scope(names[1]):
            outputs = layer(hidden, 1, 0.2)
        if mode == est.ModeKeys.PREDICT:
            return est.EstimatorSpec(mode, predictions=outputs)
        loss = tf.reduce_mean(tf.square(outputs - labels))
        with tf.control_dependencies([moving.assign_add(1.0)]):
            train_op = v1.train.AdagradOptimizer(0.2).minimize(
                loss, global_step=v1.train.get_global_step()
            )
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op)

    return model_fn


def _old(est: Any, model_dir: str) -> str:
    """A directory with checkpoints of steps 0, 2 and 4."""
    config = est.RunConfig(f"{model_dir}/old", save_checkpoints_steps=2)
    est.Estimator(_model_fn(est), config=config).train(tools.batches(*tools.regression()), steps=4)
    return f"{model_dir}/old"


def _start(
    est: Any, model_dir: str, name: str, warm_start_from: Any, **model: Any
) -> dict[str, Any]:
    """The state before the first step, and after one."""
    folder = f"{model_dir}/{name}"
    estimator = est.Estimator(_model_fn(est, **model), folder, warm_start_from=warm_start_from)
    estimator.train(tools.batches(*tools.regression()), steps=1)
    first = tools.checkpoint_files(folder)[0]
    return {
        "first": first,
        "start": tools.checkpoint(f"{folder}/{first}"),
        "after": tools.checkpoint(folder),
    }


@CASES
def from_a_directory(est: Any, model_dir: str) -> dict[str, Any]:
    return _start(est, model_dir, "new", _old(est, model_dir))


@CASES
def from_a_checkpoint(est: Any, model_dir: str) -> dict[str, Any]:
    return _start(est, model_dir, "new", f"{_old(est, model_dir)}/model.ckpt-2")


@CASES
def by_pattern(est: Any, model_dir: str) -> dict[str, Any]:
    old = _old(est, model_dir)
    return {
        "hidden": _start(
            est, model_dir, "hidden", est.WarmStartSettings(old, vars_to_warm_start="hidden")
        ),
        "kernels": _start(
            est, model_dir, "kernels", est.WarmStartSettings(old, vars_to_warm_start=".*kernel")
        ),
        "nothing": _start(
            est, model_dir, "nothing", est.WarmStartSettings(old, vars_to_warm_start=None)
        ),
    }


@CASES
def by_a_list_of_patterns(est: Any, model_dir: str) -> dict[str, Any]:
    settings = est.WarmStartSettings(
        _old(est, model_dir), vars_to_warm_start=["hidden/moving", "out/.*", "global_step"]
    )
    return _start(est, model_dir, "new", settings)


@CASES
def by_other_names(est: Any, model_dir: str) -> dict[str, Any]:
    settings = est.WarmStartSettings(
        _old(est, model_dir),
        vars_to_warm_start=".*",
        var_name_to_prev_var_name={"body/kernel": "hidden/kernel", "body/bias": "hidden/bias"},
    )
    return _start(est, model_dir, "new", settings, names=("body", "out"))


@CASES
def in_evaluate_and_predict(est: Any, model_dir: str) -> dict[str, Any]:
    old = _old(est, model_dir)
    estimator = est.Estimator(_model_fn(est), f"{model_dir}/new", warm_start_from=old)
    input_fn = tools.batches(*tools.regression(), epochs=1)
    evaluated = [tools.plain(estimator.evaluate(input_fn))]
    rows = tools.plain(list(estimator.predict(input_fn)))
    estimator.train(tools.batches(*tools.regression()), steps=2)
    evaluated.append(tools.plain(estimator.evaluate(input_fn)))
    return {"evaluated": evaluated, "rows": rows}


@CASES
def own_checkpoint_wins(est: Any, model_dir: str) -> dict[str, Any]:
    old = _old(est, model_dir)
    est.Estimator(_model_fn(est), f"{model_dir}/new").train(
        tools.batches(*tools.regression()), steps=3
    )
    estimator = est.Estimator(_model_fn(est), f"{model_dir}/new", warm_start_from=old)
    estimator.train(tools.batches(*tools.regression()), steps=1)
    return {"after": tools.checkpoint(f"{model_dir}/new")}


@CASES
def mistakes(est: Any, model_dir: str) -> dict[str, Any]:
    old = _old(est, model_dir)

    def train(name: str, settings: Any, **model: Any) -> str | None:
        return tools.error(
            lambda: _start(est, model_dir, name, settings, **model),
            tf.errors.NotFoundError,
            ValueError,
        )

    return {
        "missing_variable": train("a", est.WarmStartSettings(old), names=("elsewhere", "out")),
        "missing_path": train("b", f"{model_dir}/nowhere"),
        "other_shape": train("c", est.WarmStartSettings(old), units=3),
        "empty_path": tools.error(lambda: est.WarmStartSettings(""), ValueError),
    }


def _embedding_fn(est: Any, rows: int) -> Any:
    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        start = np.arange(rows * 2, dtype=np.float32).reshape(rows, 2) / 10.0
        embedding = v1.get_variable("embedding", initializer=start)
        vectors = tf.nn.embedding_lookup(embedding, features)
        loss = tf.reduce_mean(tf.square(tf.reduce_sum(vectors, axis=1) - labels))
        train_op = v1.train.AdagradOptimizer(0.2).minimize(
            loss, global_step=v1.train.get_global_step()
        )
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op)

    return model_fn


@CASES
def by_vocabulary(est: Any, model_dir: str) -> dict[str, Any]:
    for name, words in (
        ("old", ["apple", "banana", "cherry"]),
        ("new", ["banana", "date", "apple", "elder"]),
    ):
        with open(f"{model_dir}/{name}.txt", "w", encoding="utf-8") as file:
            file.write("\n".join(words) + "\n")
    ids, labels = np.array([0, 1, 2, 1], np.int64), np.array([1.0, 2.0, 3.0, 4.0], np.float32)
    est.Estimator(_embedding_fn(est, 4), f"{model_dir}/old").train(
        tools.batches(ids, labels), steps=3
    )
    results = {"old": tools.checkpoint(f"{model_dir}/old")}

    def remapped(name: str, rows: int, oov: int, **more: Any) -> None:
        vocabulary = est.VocabInfo(
            new_vocab=f"{model_dir}/new.txt",
            new_vocab_size=4,
            num_oov_buckets=oov,
            old_vocab=f"{model_dir}/old.txt",
            backup_initializer=v1.ones_initializer(),
            **more,
        )
        settings = est.WarmStartSettings(
            f"{model_dir}/old", var_name_to_vocab_info={"embedding": vocabulary}
        )
        estimator = est.Estimator(
            _embedding_fn(est, rows), f"{model_dir}/{name}", warm_start_from=settings
        )
        estimator.train(tools.batches(ids, labels), steps=1)
        results[name] = tools.checkpoint(f"{model_dir}/{name}/model.ckpt-0")

    remapped("no_oov", 4, 0)
    remapped("with_oov", 6, 2)
    remapped("first_two_old_words", 4, 0, old_vocab_size=2)
    return results


@CASES
def reading_variables(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = est.Estimator(_model_fn(est), f"{model_dir}/new")
    before = [
        estimator.latest_checkpoint(),
        tools.error(estimator.get_variable_names, ValueError),
        tools.error(lambda: estimator.get_variable_value("global_step"), ValueError),
    ]
    estimator.train(tools.batches(*tools.regression()), steps=2)
    value = estimator.get_variable_value("out/kernel")
    return {
        "before": before,
        "names": estimator.get_variable_names(),
        "value": tools.plain(value),
        "type": [type(value).__name__, str(value.dtype), list(value.shape)],
        "step": tools.plain(estimator.get_variable_value("global_step")),
        "slot": tools.plain(estimator.get_variable_value("out/kernel/Adagrad")),
        "unknown": tools.error(
            lambda: estimator.get_variable_value("nobody"), tf.errors.NotFoundError, KeyError
        ),
        "latest": estimator.latest_checkpoint() == f"{model_dir}/new/model.ckpt-2",
    }
