"""EstimatorSpec in each mode, and what evaluate and predict make of it."""

from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import tools

v1 = tf.compat.v1
CASES = tools.Cases()


def _train_op(loss: Any) -> Any:
    return v1.train.GradientDescentOptimizer(0.1).minimize(
        loss, global_step=v1.train.get_global_step()
    )


def _weights(columns: int = 3) -> Any:
    return v1.get_variable("w", [columns, 1], initializer=v1.constant_initializer(0.25))


def _trained(est: Any, model_dir: str, model_fn: Any) -> Any:
    return est.Estimator(model_fn, model_dir).train(tools.batches(*tools.regression()), steps=3)


def _unlabeled(rows: int = 5, batch_size: int = 2) -> Any:
    return tools.batches(tools.regression(rows)[0], batch_size=batch_size, epochs=1)


@CASES
def one_spec_for_every_mode(est: Any, model_dir: str) -> dict[str, Any]:
    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        outputs = tf.matmul(features, _weights())
        labels = tf.zeros_like(outputs) if labels is None else labels
        loss = tf.reduce_mean(tf.square(outputs - labels))
        return est.EstimatorSpec(
            mode=mode,
            predictions={"outputs": outputs, "signs": tf.sign(outputs)},
            loss=loss,
            train_op=_train_op(loss),
            eval_metric_ops={"mae": v1.metrics.mean_absolute_error(labels, outputs)},
            export_outputs={"serving_default": est.export.PredictOutput({"outputs": outputs})},
        )

    estimator = _trained(est, model_dir, model_fn)
    return {
        "evaluated": tools.typed(estimator.evaluate(tools.batches(*tools.regression(), epochs=1))),
        "rows": tools.plain(list(estimator.predict(_unlabeled()))),
        "global_step": tools.plain(estimator.get_variable_value("global_step")),
    }


def _predictor(est: Any, model_dir: str) -> Any:
    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        outputs = tf.matmul(features, _weights())
        if mode == est.ModeKeys.PREDICT:
            predictions = {
                "prob": tf.sigmoid(outputs),
                "probability_not": 1.0 - tf.sigmoid(outputs[:, 0]),
                "class": tf.cast(outputs[:, 0] > 0, tf.int64),
                "word": tf.where(outputs[:, 0] > 0, "positive", "negative"),
                "square": tf.reshape(tf.tile(outputs, [1, 4]), [-1, 2, 2]),
            }
            return est.EstimatorSpec(mode, predictions=predictions)
        loss = tf.reduce_mean(tf.square(outputs - labels))
        return est.EstimatorSpec(mode, loss=loss, train_op=_train_op(loss))

    return _trained(est, model_dir, model_fn)


@CASES
def predictions_of_many_types(est: Any, model_dir: str) -> dict[str, Any]:
    rows = list(_predictor(est, model_dir).predict(_unlabeled()))
    return {
        "rows": tools.plain(rows),
        "keys": list(rows[0]),
        "types": {
            key: [type(value).__name__, str(getattr(value, "dtype", None))]
            for key, value in rows[0].items()
        },
        "shapes": {key: list(np.shape(value)) for key, value in rows[0].items()},
    }


@CASES
def predict_keys(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = _predictor(est, model_dir)

    def keys(predict_keys: Any) -> list[str]:
        return sorted(next(iter(estimator.predict(_unlabeled(), predict_keys=predict_keys))))

    return {
        "list": keys(["class", "prob"]),
        "string": keys("prob"),
        "longer_string": keys("probability_not"),
        "tuple_with_unknown": keys(("word", "what")),
        "unknown": tools.error(lambda: keys(["what"]), ValueError),
    }


@CASES
def whole_batches(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = _predictor(est, model_dir)
    batches = estimator.predict(_unlabeled(), predict_keys=["prob"], yield_single_examples=False)
    return {"batches": tools.plain(list(batches))}


@CASES
def endless_predictions(est: Any, model_dir: str) -> dict[str, Any]:
    x, _ = tools.regression(3)
    predictions = _predictor(est, model_dir).predict(tools.batches(x, batch_size=2))
    rows = [next(predictions)["prob"] for _ in range(7)]
    predictions.close()
    return {"rows": tools.plain(rows)}


@CASES
def bare_tensor(est: Any, model_dir: str) -> dict[str, Any]:
    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        outputs = tf.matmul(features, _weights())
        if mode == est.ModeKeys.PREDICT:
            return est.EstimatorSpec(mode, predictions=outputs)
        loss = tf.reduce_mean(tf.square(outputs - labels))
        return est.EstimatorSpec(mode, loss=loss, predictions=outputs, train_op=_train_op(loss))

    estimator = _trained(est, model_dir, model_fn)
    rows = list(estimator.predict(_unlabeled()))
    return {
        "rows": tools.plain(rows),
        "type": [type(rows[0]).__name__, list(rows[0].shape)],
        "batches": tools.plain(list(estimator.predict(_unlabeled(), yield_single_examples=False))),
        "keys": tools.error(
            lambda: next(iter(estimator.predict(_unlabeled(), predict_keys=["a"]))), ValueError
        ),
        "evaluated": tools.typed(estimator.evaluate(tools.batches(*tools.regression(), epochs=1))),
    }


@CASES
def loss_with_one_element(est: Any, model_dir: str) -> dict[str, Any]:
    losses: list[float] = []

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        outputs = tf.matmul(features, _weights())
        loss = tf.identity(
            tf.reduce_mean(tf.square(outputs - labels), keepdims=True)[0], name="the_loss"
        )
        assert loss.shape.as_list() == [1]
        return est.EstimatorSpec(mode, loss=loss, train_op=_train_op(loss))

    estimator = est.Estimator(model_fn, model_dir)
    estimator.train(
        tools.batches(*tools.regression()), hooks=[tools.losses_hook(est, losses)], steps=3
    )
    return {
        "losses": losses,
        "evaluated": tools.typed(estimator.evaluate(tools.batches(*tools.regression(), epochs=1))),
    }


@CASES
def features_as_a_tuple(est: Any, model_dir: str) -> dict[str, Any]:
    x, y = tools.regression()

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        first, rest = features
        outputs = tf.matmul(tf.concat([first, rest], axis=1), _weights())
        if mode == est.ModeKeys.PREDICT:
            return est.EstimatorSpec(mode, predictions={"outputs": outputs})
        loss = tf.reduce_mean(tf.square(outputs - labels))
        return est.EstimatorSpec(mode, loss=loss, train_op=_train_op(loss))

    estimator = est.Estimator(model_fn, model_dir)
    estimator.train(tools.batches((x[:, :1], x[:, 1:]), y), steps=3)
    unlabeled = tools.batches(((x[:, :1], x[:, 1:]), y), epochs=1)
    return {
        "evaluated": tools.plain(
            estimator.evaluate(tools.batches((x[:, :1], x[:, 1:]), y, epochs=1))
        ),
        "rows": tools.plain(list(estimator.predict(unlabeled))),
    }


@CASES
def features_none(est: Any, model_dir: str) -> dict[str, Any]:
    losses: list[float] = []

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        assert features is None
        assert labels is None
        value = v1.get_variable("value", [2], initializer=v1.constant_initializer(4.0))
        loss = tf.identity(tf.reduce_sum(tf.square(value)), name="the_loss")
        return est.EstimatorSpec(
            mode, predictions={"value": value}, loss=loss, train_op=_train_op(loss)
        )

    estimator = est.Estimator(model_fn, model_dir)
    estimator.train(lambda: (None, None), hooks=[tools.losses_hook(est, losses)], steps=3)
    return {
        "losses": losses,
        "evaluated": tools.typed(estimator.evaluate(lambda: (None, None), steps=2)),
        "value": tools.plain(estimator.get_variable_value("value")),
    }


@CASES
def no_gradient_step(est: Any, model_dir: str) -> dict[str, Any]:
    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        loss = tf.reduce_mean(tf.square(labels))
        return est.EstimatorSpec(
            mode, loss=loss, train_op=v1.assign_add(v1.train.get_global_step(), 1)
        )

    estimator = _trained(est, model_dir, model_fn)
    return {
        "variables": tools.checkpoint(model_dir),
        "evaluated": tools.typed(estimator.evaluate(tools.batches(*tools.regression(), epochs=1))),
    }


@CASES
def untrained(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = est.Estimator(tools.linear_model_fn(est, lambda: None), model_dir)
    return {
        "evaluated": tools.typed(estimator.evaluate(tools.batches(*tools.regression(), epochs=1))),
        "rows": tools.plain(list(estimator.predict(_unlabeled()))),
        "files": tools.checkpoint_files(model_dir),
        "latest": estimator.latest_checkpoint(),
    }


@CASES
def predictions_of_unequal_lengths(est: Any, model_dir: str) -> dict[str, Any]:
    def model_fn(features: Any, mode: str) -> Any:
        return est.EstimatorSpec(
            mode, predictions={"rows": features, "total": tf.reduce_sum(features, axis=0)[:1]}
        )

    estimator = est.Estimator(model_fn, model_dir)
    whole = estimator.predict(_unlabeled(4), yield_single_examples=False)
    return {
        "split": tools.error(lambda: list(estimator.predict(_unlabeled(4))), ValueError),
        "whole": tools.plain(list(whole)),
    }


@CASES
def fields_and_defaults(est: Any, model_dir: str) -> dict[str, Any]:
    with tf.Graph().as_default():
        spec = est.EstimatorSpec("infer", predictions={"a": tf.constant([1.0])})
        evaluation = est.EstimatorSpec(est.ModeKeys.EVAL, loss=tf.constant(1.0))
        return {
            "fields": list(spec._fields[:11]),  # kestimator has one more
            "export_outputs": {
                key: type(value).__name__ for key, value in spec.export_outputs.items()
            },
            "scaffold": type(spec.scaffold).__name__,
            "hooks": tools.plain(
                [
                    spec.training_hooks,
                    spec.training_chief_hooks,
                    spec.evaluation_hooks,
                    spec.prediction_hooks,
                ]
            ),
            "evaluation": [
                evaluation.export_outputs,
                evaluation.predictions,
                evaluation.eval_metric_ops,
            ],
            "modes": [est.ModeKeys.TRAIN, est.ModeKeys.EVAL, est.ModeKeys.PREDICT],
        }


@CASES
def mistakes(est: Any, model_dir: str) -> dict[str, Any]:
    with tf.Graph().as_default():
        other = tf.constant(1.0)
    with tf.Graph().as_default():
        loss, train_op, vector = tf.constant(1.0), tf.no_op(), tf.constant([1.0, 2.0])

        def spec(mode: str, **fields: Any) -> str | None:
            return tools.error(lambda: est.EstimatorSpec(mode, **fields), TypeError, ValueError)

        one, two = est.export.PredictOutput(vector), est.export.PredictOutput(vector)
        return {
            "train_without_loss": spec("train", train_op=train_op),
            "train_without_train_op": spec("train", loss=loss),
            "eval_without_loss": spec("eval"),
            "predict_without_predictions": spec("infer"),
            "python_loss": spec("eval", loss=1.0),
            "vector_loss": spec("eval", loss=vector),
            "train_op": spec("train", loss=loss, train_op="not an op"),
            "predictions": spec("infer", predictions={"a": 1.0}),
            "metrics": spec("eval", loss=loss, eval_metric_ops=[loss]),
            "metric": spec("eval", loss=loss, eval_metric_ops={"a": loss}),
            "hook": spec("train", loss=loss, train_op=train_op, training_hooks=["none"]),
            "scaffold": spec("train", loss=loss, train_op=train_op, scaffold="none"),
            "exports": spec("infer", predictions=vector, export_outputs=[one]),
            "export": spec("infer", predictions=vector, export_outputs={"a": vector}),
            "no_default_export": spec(
                "infer", predictions=vector, export_outputs={"a": one, "b": two}
            ),
            "other_graph": spec("eval", loss=other),
        }


@CASES
def wrong_model_fns(est: Any, model_dir: str) -> dict[str, Any]:
    def made(model_fn: Any, **arguments: Any) -> str | None:
        return tools.error(lambda: est.Estimator(model_fn, model_dir, **arguments), ValueError)

    def no_spec(features: Any, labels: Any, mode: str) -> Any:
        return tf.reduce_mean(features)

    returned = est.Estimator(no_spec, model_dir)
    return {
        "none": made(None),
        "without_features": made(lambda labels: None),
        "unknown_argument": made(lambda features, labels, extra: None),
        "params_not_taken": made(lambda features, labels, mode: None, params={"a": 1}),
        "config": made(lambda features: None, config={"model_dir": model_dir}),
        "warm_start": made(lambda features: None, warm_start_from=3),
        "two_dirs": made(lambda features: None, config=est.RunConfig(model_dir="/somewhere/else")),
        "no_spec": tools.error(
            lambda: returned.train(tools.batches(*tools.regression()), steps=1), ValueError
        ),
    }
