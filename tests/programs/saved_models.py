"""SavedModelEstimator: an estimator whose model_fn is the graphs of a SavedModel."""

import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import exported, exports, tools

CASES = tools.Cases()
v1 = tf.compat.v1
X, MORE_X = exports.X, exports.MORE_X


def written(est: Any, name: str, model_dir: str, modes: Any = None) -> tuple[Any, str]:
    """An estimator of a head after a step, and its export of some modes (of all for None)."""
    labels = exports.HEADS[name][1]
    estimator = exports.trained(est, exports.of_head(est, name), model_dir, labels)
    every = exports.receivers(est, labels)
    chosen = {mode: every[mode] for mode in modes or every}
    out = os.path.join(model_dir, "out")
    return estimator, estimator.experimental_export_all_saved_models(out, chosen).decode()


def supervised(name: str, epochs: int | None = 1) -> Callable[[], Any]:
    """An input_fn of two batches."""
    labels = exports.HEADS[name][1]

    def input_fn() -> Any:
        features = {"x": np.concatenate([X, MORE_X])}
        twice = tf.nest.map_structure(lambda values: np.concatenate([values, values]), labels)
        return tf.data.Dataset.from_tensor_slices((features, twice)).batch(3).repeat(epochs)

    return input_fn


def served(key: str = "inputs") -> Callable[[], Any]:
    """An input_fn of serialized examples."""
    return lambda: tf.data.Dataset.from_tensors({key: exports.examples()})


def steps_of(model_dir: str) -> list[str]:
    return tools.checkpoint_files(model_dir) if os.path.isdir(model_dir) else []


def _goes_on(name: str) -> Callable[..., dict[str, Any]]:
    def program(est: Any, model_dir: str) -> dict[str, Any]:
        """Evaluates, predicts and trains as the exported estimator does from its checkpoint."""
        estimator, path = written(est, name, model_dir)
        own_dir = os.path.join(model_dir, "again")
        again = est.SavedModelEstimator(path, own_dir)
        found = {
            "evaluated": tools.typed(again.evaluate(supervised(name))),
            "predicted": tools.plain(list(again.predict(served()))),
            "latest": os.path.relpath(again.latest_checkpoint(), path),
            "checkpoints before": steps_of(own_dir),
        }
        again.train(supervised(name, None), steps=4)
        estimator.train(supervised(name, None), steps=4)
        return {
            **found,
            "names": again.get_variable_names(),
            "checkpoints after": steps_of(own_dir),
            "trained": tools.checkpoint(own_dir),
            "trained by the estimator": tools.checkpoint(estimator.model_dir),
            "evaluated after": tools.typed(again.evaluate(supervised(name))),
            "loss of the estimator": tools.plain(estimator.evaluate(supervised(name))["loss"]),
            "predicted after": tools.plain(list(again.predict(served()))),
        }

    return program


CASES.update({name: _goes_on(name) for name in ("binary", "multi_class", "regression", "several")})


@CASES
def resumes(est: Any, model_dir: str) -> dict[str, Any]:
    """A second object goes on from the checkpoint of the first, not from the SavedModel."""
    _, path = written(est, "regression", model_dir)
    own_dir = os.path.join(model_dir, "again")
    est.SavedModelEstimator(path, own_dir).train(supervised("regression", None), steps=2)
    second = est.SavedModelEstimator(path, own_dir)
    second.train(supervised("regression", None), steps=2)
    reached = second.train(supervised("regression", None), max_steps=5)
    return {
        "returned itself": reached is second,
        "checkpoints": steps_of(own_dir),
        "trained": tools.checkpoint(own_dir),
    }


@CASES
def exports_in_turn(est: Any, model_dir: str) -> dict[str, Any]:
    """What was imported is exported again, after more training."""
    labels = exports.HEADS["regression"][1]
    _, path = written(est, "regression", model_dir)
    again = est.SavedModelEstimator(path, os.path.join(model_dir, "again"))
    again.train(supervised("regression", None), steps=2)

    def serving() -> Any:
        examples = v1.placeholder(tf.string, [None], name="given")
        return est.export.ServingInputReceiver({"inputs": examples}, {"inputs": examples})

    receiver = exports.supervised(est, labels)
    modes = {"train": receiver, "eval": receiver, "infer": serving}
    second = again.experimental_export_all_saved_models(
        os.path.join(model_dir, "second"), modes
    ).decode()
    fed = exports.batch(X, labels)
    definitions = exported.definitions(second)
    served_as = definitions["serve"].pop("signatures")["serving_default"]
    return {
        "definitions": definitions,
        "served": {key: served_as[key] for key in ("inputs", "outputs")},
        "variables": tools.checkpoint(os.path.join(second, "variables", "variables")),
        "predicted": exported.predicted(second, {"inputs": exports.examples()})["serving_default"],
        "evaluated": exported.evaluated(second, [fed, exports.batch(MORE_X, labels)]),
        "trained": exported.trained_on(second, fed),
        "third": tools.typed(
            est.SavedModelEstimator(second, os.path.join(model_dir, "third")).evaluate(
                supervised("regression")
            )
        ),
    }


WORDS, ONES = np.array(["c", "a", "z"]), np.ones(3, np.float32)


def words() -> Any:
    """An input_fn."""
    return tf.data.Dataset.from_tensors(({"word": WORDS}, ONES))


def with_vocabulary(est: Any, model_dir: str) -> str:
    """An export of a model with a table of a file, which comes along as an asset."""
    vocabulary = os.path.join(model_dir, "vocabulary.txt")
    pathlib.Path(vocabulary).write_text("a\nb\nc\n", encoding="utf-8")

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        table = tf.lookup.StaticVocabularyTable(
            tf.lookup.TextFileInitializer(
                vocabulary,
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            ),
            num_oov_buckets=1,
        )
        rows = v1.get_variable("rows", initializer=np.arange(4, dtype=np.float32))
        y = tf.gather(rows, table.lookup(features["word"]))
        if mode == est.ModeKeys.PREDICT:
            return est.EstimatorSpec(mode, predictions={"y": y})
        loss = tf.reduce_mean((y - labels) ** 2)
        metrics = {"mean": v1.metrics.mean(y)} if mode == est.ModeKeys.EVAL else None
        train_op = exports.minimized(loss) if mode == est.ModeKeys.TRAIN else None
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op, eval_metric_ops=metrics)

    estimator = est.Estimator(model_fn, os.path.join(model_dir, "model")).train(words)
    path = estimator.experimental_export_all_saved_models(
        os.path.join(model_dir, "out"), receivers_of_words(est)
    ).decode()
    os.remove(vocabulary)
    return path


def receivers_of_words(est: Any) -> dict[str, Any]:
    features = {"word": tf.constant(WORDS)}
    receiver = est.experimental.build_raw_supervised_input_receiver_fn(features, tf.constant(ONES))
    serving = est.export.build_raw_serving_input_receiver_fn(features)
    return {"train": receiver, "eval": receiver, "infer": serving}


def goes_on_with_words(est: Any, path: str, model_dir: str) -> dict[str, Any]:
    """What the estimator of an export of `with_vocabulary` answers before and after training."""
    again = est.SavedModelEstimator(path, model_dir)
    return {
        "evaluated": tools.typed(again.evaluate(words)),
        "predicted": tools.plain(list(again.predict(words))),
        "trained": tools.checkpoint(again.train(lambda: words().repeat(), steps=2).model_dir),
        "evaluated after": tools.typed(again.evaluate(words)),
        "predicted after": tools.plain(list(again.predict(words))),
    }


@CASES
def with_a_vocabulary(est: Any, model_dir: str) -> dict[str, Any]:
    path = with_vocabulary(est, model_dir)
    return goes_on_with_words(est, path, os.path.join(model_dir, "again"))


@CASES
def errors(est: Any, model_dir: str) -> dict[str, Any]:
    _, path = written(est, "regression", model_dir)
    _, only_served = written(est, "regression", os.path.join(model_dir, "b"), ["infer"])
    own_dir = os.path.join(model_dir, "again")
    every = est.SavedModelEstimator(path, own_dir)
    served_alone = est.SavedModelEstimator(only_served, own_dir)
    labels = exports.HEADS["regression"][1]

    def given(features: Any, labels: Any = labels) -> Callable[[], Any]:
        return lambda: tf.data.Dataset.from_tensors((features, labels))

    kinds = (RuntimeError, OSError, ValueError, TypeError)

    def error(call: Callable[[], Any]) -> str | None:
        return tools.error(call, *kinds)

    receiver = exports.supervised(est, labels)
    return {
        "train": error(lambda: served_alone.train(supervised("regression"))),
        "evaluate": error(lambda: served_alone.evaluate(supervised("regression"))),
        "predict": tools.plain(list(served_alone.predict(served()))),
        "export": error(
            lambda: served_alone.export_saved_model(own_dir, receiver, experimental_mode="train")
        ),
        "another name": error(lambda: every.evaluate(given({"z": X}))),
        "another dtype": error(lambda: every.evaluate(given({"x": X.astype(np.float64)}))),
        "another shape": error(lambda: every.evaluate(given({"x": X[:, :1]}))),
        "labels of another dtype": error(
            lambda: every.evaluate(given({"x": X}, labels.astype(np.int64)))
        ),
        "no labels": error(lambda: every.evaluate(lambda: tf.data.Dataset.from_tensors({"x": X}))),
        "no SavedModel": error(lambda: est.SavedModelEstimator(model_dir, own_dir)),
        "nothing there": error(lambda: est.SavedModelEstimator(own_dir + "x", own_dir)),
    }
