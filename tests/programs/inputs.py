"""What an input_fn may be and return: datasets, iterators' tensors, arrays, data frames."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import tools

v1 = tf.compat.v1
CASES = tools.Cases()


def _sgd() -> Any:
    return v1.train.GradientDescentOptimizer(0.1)


def _run(
    est: Any,
    model_dir: str,
    model_fn: Callable[..., Any],
    input_fn: Callable[..., Any],
    **limits: Any,
) -> Any:
    """Trains, evaluates, predicts on the same data."""
    losses: list[float] = []
    estimator = est.Estimator(model_fn, model_dir)
    estimator.train(input_fn, hooks=[tools.losses_hook(est, losses)], **limits)
    steps = limits.get("steps")
    return {
        "losses": losses,
        "evaluated": tools.plain(estimator.evaluate(input_fn, steps=steps)),
        "weights": tools.plain(estimator.get_variable_value("w")),
    }


def _spec(est: Any, mode: str, columns: Any, labels: Any) -> Any:
    """A linear regression of `labels` on a (batch, n) tensor."""
    weights = v1.get_variable("w", [columns.shape[1], 1], initializer=v1.zeros_initializer())
    outputs = tf.matmul(columns, weights)
    if labels is None:
        return est.EstimatorSpec(mode, predictions={"outputs": outputs})
    loss = tf.identity(tf.reduce_mean(tf.square(outputs - labels)), name="the_loss")
    train_op = _sgd().minimize(loss, v1.train.get_global_step())
    return est.EstimatorSpec(mode, predictions={"outputs": outputs}, loss=loss, train_op=train_op)


@CASES
def tuples_with_a_short_last_batch(est: Any, model_dir: str) -> dict[str, Any]:
    input_fn = tools.batches(*tools.regression(10), batch_size=4, epochs=1)
    estimator = est.Estimator(tools.linear_model_fn(est, _sgd), model_dir)
    losses: list[float] = []
    estimator.train(input_fn, hooks=[tools.losses_hook(est, losses)])
    estimator.train(input_fn, hooks=[tools.losses_hook(est, losses)], steps=100)
    rows = [tools.plain(row["outputs"]) for row in estimator.predict(input_fn)]
    return {"losses": losses, "evaluated": tools.typed(estimator.evaluate(input_fn)), "rows": rows}


@CASES
def dicts(est: Any, model_dir: str) -> dict[str, Any]:
    x, y = tools.regression()

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        assert sorted(features) == ["a", "b"]
        assert sorted(labels) == ["y"]
        return _spec(est, mode, tf.stack([features["a"], features["b"]], axis=1), labels["y"])

    input_fn = tools.batches({"a": x[:, 0], "b": x[:, 1]}, {"y": y}, epochs=3)
    return _run(est, model_dir, model_fn, input_fn)


@CASES
def nested(est: Any, model_dir: str) -> dict[str, Any]:
    x, y = tools.regression()

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        (first, second), extra = features["pair"], features["extra"]["z"]
        return _spec(est, mode, tf.stack([first, second, extra], axis=1), labels[0] + labels[1])

    input_fn = tools.batches(
        {"pair": (x[:, 0], x[:, 1]), "extra": {"z": x[:, 2]}}, (y, 2 * y), epochs=3
    )
    return _run(est, model_dir, model_fn, input_fn)


@CASES
def sparse(est: Any, model_dir: str) -> dict[str, Any]:
    dense = np.array([[1, 0, 2], [0, 3, 0], [0, 0, 0], [4, 5, 6]], np.float32)

    def input_fn() -> tf.data.Dataset:
        features = {"s": tf.sparse.from_dense(dense)}
        return (
            tf.data.Dataset.from_tensor_slices((features, dense.sum(1, keepdims=True)))
            .batch(2)
            .repeat(3)
        )

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        assert isinstance(features["s"], tf.SparseTensor)
        return _spec(
            est, mode, 0.1 * tf.ensure_shape(tf.sparse.to_dense(features["s"]), [None, 3]), labels
        )

    return _run(est, model_dir, model_fn, input_fn)


@CASES
def sparse_matmul(est: Any, model_dir: str) -> dict[str, Any]:
    dense = np.array([[1, 0, 2], [0, 3, 0], [0, 0, 0], [4, 5, 6]], np.float32)

    def input_fn() -> tuple[Any, Any]:
        dataset = tf.data.Dataset.from_tensor_slices(
            (tf.sparse.from_dense(dense), dense.sum(1, keepdims=True))
        )
        return v1.data.make_one_shot_iterator(dataset.batch(4).repeat(5)).get_next()

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        weights = v1.get_variable("w", [3, 1], initializer=v1.zeros_initializer())
        outputs = tf.sparse.sparse_dense_matmul(features, weights)
        loss = tf.identity(tf.reduce_mean(tf.square(outputs - labels)), name="the_loss")
        train_op = v1.train.GradientDescentOptimizer(0.01).minimize(
            loss, v1.train.get_global_step()
        )
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op)

    return _run(est, model_dir, model_fn, input_fn)


@CASES
def ragged(est: Any, model_dir: str) -> dict[str, Any]:
    rows = [[1.0, 2.0], [], [3.0], [4.0, 5.0, 6.0]]
    labels = np.array([[3.0], [0.0], [3.0], [15.0]], np.float32)

    def input_fn() -> tf.data.Dataset:
        return (
            tf.data.Dataset.from_tensor_slices(({"r": tf.ragged.constant(rows)}, labels))
            .batch(2)
            .repeat(3)
        )

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        assert isinstance(features["r"], tf.RaggedTensor)
        sums, lengths = (
            tf.reduce_sum(features["r"], axis=1),
            tf.cast(features["r"].row_lengths(), tf.float32),
        )
        return _spec(est, mode, 0.1 * tf.stack([sums, lengths], axis=1), labels)

    return _run(est, model_dir, model_fn, input_fn)


@CASES
def strings_and_integers(est: Any, model_dir: str) -> dict[str, Any]:
    words, numbers = np.array(["a", "b", "a", "c"]), np.array([1, 2, 3, 4], np.int64)

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        columns = tf.stack(
            [tf.cast(tf.equal(features["word"], "a"), tf.float32), tf.ones([2])], axis=1
        )
        return _spec(est, mode, columns, tf.cast(labels, tf.float32)[:, None])

    return _run(
        est, model_dir, model_fn, tools.batches({"word": words}, numbers, batch_size=2, epochs=3)
    )


@CASES
def features_only(est: Any, model_dir: str) -> dict[str, Any]:
    x, _ = tools.regression()
    seen = set()

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        seen.add(labels is None)
        return _spec(est, mode, features, 1.0)

    results = _run(est, model_dir, model_fn, tools.batches(x, epochs=3))
    return {**results, "labels_are_none": seen == {True}}


@CASES
def no_labels_argument(est: Any, model_dir: str) -> dict[str, Any]:
    x, y = tools.regression()

    def model_fn(features: Any, mode: str) -> Any:
        return _spec(est, mode, features, 1.0)

    results = _run(est, f"{model_dir}/one", model_fn, tools.batches(x, epochs=3))
    other = est.Estimator(model_fn, f"{model_dir}/two")
    return {
        **results,
        "labels_given": tools.error(lambda: other.train(tools.batches(x, y), steps=1), ValueError),
    }


@CASES
def v1_dataset(est: Any, model_dir: str) -> dict[str, Any]:
    def input_fn() -> Any:
        return v1.data.Dataset.from_tensor_slices(tools.regression()).repeat(2).batch(4)

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        return _spec(est, mode, features, labels)

    return _run(est, model_dir, model_fn, input_fn)


@CASES
def one_shot_iterator(est: Any, model_dir: str) -> dict[str, Any]:
    x, y = tools.regression()

    def input_fn() -> tuple[Any, Any]:
        dataset = tf.data.Dataset.from_tensor_slices(({"x": x}, y)).repeat(3).batch(4)
        features, labels = v1.data.make_one_shot_iterator(dataset).get_next()
        return {"x": 2.0 * features["x"]}, labels

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        return _spec(est, mode, features["x"], labels)

    return _run(est, model_dir, model_fn, input_fn)


@CASES
def one_shot_iterator_of_features(est: Any, model_dir: str) -> dict[str, Any]:
    x, y = tools.regression()

    def train_input_fn() -> tuple[Any, Any]:
        return v1.data.make_one_shot_iterator(tools.batches(x, y)()).get_next()

    def predict_input_fn() -> Any:
        return v1.data.make_one_shot_iterator(tools.batches(x, epochs=1)()).get_next()

    estimator = est.Estimator(tools.linear_model_fn(est, _sgd), model_dir)
    estimator.train(train_input_fn, steps=4)
    rows = []
    for row in estimator.predict(predict_input_fn):
        rows.append(tools.plain(row["outputs"]))
        if (
            len(rows) == 8
        ):  # without a Dataset or a queue the original does not notice the end of the data
            break
    return {"rows": rows}


class _InitializeIterator(v1.train.SessionRunHook):
    """A hook that many programs copy: feeds the arrays to the iterator's initializer."""

    def __init__(self) -> None:
        self.initialize: Callable[[Any], None] | None = None

    def after_create_session(self, session: Any, coord: Any) -> None:
        self.initialize(session)


def _fed(
    x: np.ndarray, y: np.ndarray, epochs: int | None
) -> tuple[Callable[[], Any], _InitializeIterator]:
    hook = _InitializeIterator()

    def input_fn() -> Any:
        x_placeholder = v1.placeholder(x.dtype, x.shape)
        y_placeholder = v1.placeholder(y.dtype, y.shape)
        dataset = (
            tf.data.Dataset.from_tensor_slices((x_placeholder, y_placeholder))
            .repeat(epochs)
            .batch(4)
        )
        iterator = v1.data.make_initializable_iterator(dataset)
        feeds = {x_placeholder: x, y_placeholder: y}
        hook.initialize = lambda session: session.run(iterator.initializer, feed_dict=feeds)
        return iterator.get_next()

    return input_fn, hook


@CASES
def initializable_iterator_with_a_feeding_hook(est: Any, model_dir: str) -> dict[str, Any]:
    x, y = tools.regression()
    losses: list[float] = []
    estimator = est.Estimator(tools.linear_model_fn(est, _sgd), model_dir)
    train_input_fn, train_hook = _fed(x, y, None)
    estimator.train(train_input_fn, hooks=[train_hook, tools.losses_hook(est, losses)], steps=5)
    estimator.train(train_input_fn, hooks=[train_hook, tools.losses_hook(est, losses)], steps=2)
    eval_input_fn, eval_hook = _fed(2 * x, y, 1)
    evaluated = estimator.evaluate(eval_input_fn, hooks=[eval_hook])
    return {"losses": losses, "evaluated": tools.typed(evaluated)}


@CASES
def initializer_among_the_table_initializers(est: Any, model_dir: str) -> dict[str, Any]:
    def input_fn() -> Any:
        dataset = tf.data.Dataset.from_tensor_slices(tools.regression()).repeat(3).batch(4)
        iterator = v1.data.make_initializable_iterator(dataset)
        v1.add_to_collection(v1.GraphKeys.TABLE_INITIALIZERS, iterator.initializer)
        return iterator.get_next()

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        return _spec(est, mode, features, labels)

    return _run(est, model_dir, model_fn, input_fn)


@CASES
def constant_tensors(est: Any, model_dir: str) -> dict[str, Any]:
    x, y = tools.regression()

    def input_fn() -> Any:
        return {"x": tf.constant(x)}, tf.constant(y)

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        return _spec(est, mode, features["x"], labels)

    results = _run(est, model_dir, model_fn, input_fn, steps=4)
    predictions = est.Estimator(model_fn, model_dir).predict(lambda: {"x": tf.constant(x)})
    results["rows"] = [tools.plain(next(predictions)["outputs"]) for _ in range(10)]
    return results


@CASES
def a_list_of_two(est: Any, model_dir: str) -> dict[str, Any]:
    x, y = tools.regression()
    estimator = est.Estimator(tools.linear_model_fn(est, _sgd), model_dir)
    losses: list[float] = []
    hooks = [tools.losses_hook(est, losses)]
    estimator.train(lambda: [tf.constant(x), tf.constant(y)], hooks=hooks, steps=2)

    def three() -> Any:
        return tf.constant(x), tf.constant(y), tf.constant(y)

    return {
        "losses": losses,
        "three": tools.error(lambda: estimator.train(three, steps=1), ValueError),
    }


@CASES
def numpy_input_fn(est: Any, model_dir: str) -> dict[str, Any]:
    x, y = tools.regression(5)

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        return _spec(est, mode, features["x"], labels)

    input_fn = est.inputs.numpy_input_fn({"x": x}, y, batch_size=2, num_epochs=2, shuffle=False)
    results = _run(est, model_dir, model_fn, input_fn)
    unlabeled = est.inputs.numpy_input_fn({"x": x}, batch_size=2, shuffle=False)

    def predict_fn(features: Any, mode: str) -> Any:
        weights = v1.get_variable("w", [3, 1])
        return est.EstimatorSpec(mode, predictions={"outputs": tf.matmul(features["x"], weights)})

    estimator = est.Estimator(predict_fn, model_dir)
    batches = estimator.predict(unlabeled, yield_single_examples=False)
    results["batches"] = [tools.plain(batch["outputs"]) for batch in batches]
    return results


@CASES
def numpy_input_fn_of_an_array(est: Any, model_dir: str) -> dict[str, Any]:
    x, y = tools.regression(6)

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        if isinstance(labels, dict):
            labels = labels["y"]
        return _spec(est, mode, features, labels)

    array = est.inputs.numpy_input_fn(x, y, batch_size=4, num_epochs=1, shuffle=False)
    of_dict = est.inputs.numpy_input_fn(x, {"y": y}, batch_size=4, num_epochs=1, shuffle=False)
    return {
        "array": _run(est, f"{model_dir}/array", model_fn, array),
        "dict": _run(est, f"{model_dir}/dict", model_fn, of_dict),
    }


@CASES
def numpy_input_fn_shuffled_and_endless(est: Any, model_dir: str) -> dict[str, Any]:
    x, y = tools.regression(8)

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        return _spec(est, mode, features, labels)

    estimator = est.Estimator(model_fn, model_dir)
    endless = est.inputs.numpy_input_fn(x, y, batch_size=4, num_epochs=None, shuffle=True)
    losses: list[float] = []
    estimator.train(endless, hooks=[tools.losses_hook(est, losses)], steps=7)
    once = est.inputs.numpy_input_fn(x, batch_size=8, num_epochs=1, shuffle=True)

    def echo(features: Any, mode: str) -> Any:
        return est.EstimatorSpec(mode, predictions={"x": features})

    seen = [tools.plain(row["x"]) for row in est.Estimator(echo, f"{model_dir}/echo").predict(once)]
    return {"steps": len(losses), "all_rows_once": sorted(seen) == sorted(tools.plain(x))}


@CASES
def numpy_input_fn_mistakes(est: Any, model_dir: str) -> dict[str, Any]:
    x, y = tools.regression()
    make = functools.partial(est.inputs.numpy_input_fn, batch_size=2)

    def called(**arguments: Any) -> str | None:
        def call() -> Any:
            with tf.Graph().as_default():
                return make(shuffle=False, **arguments)()

        return tools.error(call, TypeError, ValueError)

    return {
        "shuffle_missing": tools.error(lambda: make(x, y), ValueError),
        "list": called(x=[1.0, 2.0]),
        "empty": called(x={}),
        "lengths": called(x={"a": x}, y=y[:3]),
        "same_key": called(x={"a": x}, y={"a": y}),
        "empty_y": called(x={"a": x}, y={}),
    }


@CASES
def pandas_input_fn(est: Any, model_dir: str) -> dict[str, Any]:
    import pandas as pd

    x, y = tools.regression(5)
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "word": np.array(list("uvuvu"), object)})
    frame["word"] = frame["word"].astype(object)

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        is_u = tf.cast(tf.equal(features["word"], "u"), tf.float32)
        if isinstance(labels, dict):
            labels = labels["first"] + labels["second"]
        return _spec(
            est, mode, tf.stack([features["a"], features["b"], is_u], axis=1), labels[:, None]
        )

    series = est.inputs.pandas_input_fn(
        frame, pd.Series(y[:, 0]), batch_size=2, num_epochs=2, shuffle=False
    )
    two = pd.DataFrame({"first": y[:, 0], "second": y[:, 0]})
    of_frame = est.inputs.pandas_input_fn(frame, two, batch_size=2, num_epochs=1, shuffle=False)
    other_index = pd.Series(y[:, 0], index=range(5, 10))

    def mismatch() -> Any:
        return est.inputs.pandas_input_fn(frame, other_index, shuffle=False)

    return {
        "series": _run(est, f"{model_dir}/series", model_fn, series),
        "frame": _run(est, f"{model_dir}/frame", model_fn, of_frame),
        "mismatch": tools.error(mismatch, ValueError),
    }


class _Reader:
    """An object with an input method and a call, as some programs pass."""

    def __init__(self, log: list[Any]) -> None:
        self.log = log

    def read(self, mode: str, params: Any) -> tf.data.Dataset:
        self.log.append(["method", mode, params["batch_size"]])
        return tools.batches(*tools.regression(), batch_size=params["batch_size"], epochs=1)()

    def __call__(self, params: Any, config: Any) -> tf.data.Dataset:
        self.log.append(["call", params["batch_size"], config.save_summary_steps])
        return tools.batches(*tools.regression(), batch_size=params["batch_size"], epochs=1)()


@CASES
def arguments(est: Any, model_dir: str) -> dict[str, Any]:
    log: list[Any] = []
    traced = set()

    def model_fn(features: Any, labels: Any, mode: str, params: Any, config: Any) -> Any:
        traced.add((mode, params["batch_size"], config.save_summary_steps, labels is None))
        return _spec(est, mode, features, labels)

    def with_all(mode: str, params: Any, config: Any) -> tf.data.Dataset:
        log.append(["all", mode, params["batch_size"], config.save_summary_steps])
        return tools.batches(*tools.regression(), batch_size=params["batch_size"], epochs=1)()

    def with_default(batch_size: int = 8, mode: str | None = None) -> tf.data.Dataset:
        log.append(["default", batch_size, mode])
        return tools.batches(*tools.regression(), batch_size=batch_size, epochs=1)()

    def with_extra(folder: str, params: Any) -> tf.data.Dataset:
        log.append(["extra", folder, params["batch_size"]])
        return tools.batches(*tools.regression(), batch_size=params["batch_size"], epochs=1)()

    config = est.RunConfig(model_dir=model_dir, save_summary_steps=7)
    estimator = est.Estimator(model_fn, config=config, params={"batch_size": 2})
    reader = _Reader(log)
    estimator.train(with_all)
    estimator.train(functools.partial(with_default, batch_size=4))
    estimator.train(with_default)
    estimator.train(functools.partial(with_extra, "data"))
    estimator.train(lambda params: with_extra("lambda", params))
    estimator.evaluate(reader.read)
    next(iter(estimator.predict(reader)))
    return {
        "log": log,
        "traced": tools.plain(sorted(traced)),
        "global_step": tools.plain(estimator.get_variable_value("global_step")),
    }


@CASES
def empty(est: Any, model_dir: str) -> dict[str, Any]:
    def input_fn() -> tf.data.Dataset:
        return tools.batches(*tools.regression(), epochs=1)().take(0)

    estimator = est.Estimator(tools.linear_model_fn(est, _sgd), model_dir)
    estimator.train(input_fn)
    return {
        "files": tools.checkpoint_files(model_dir),
        "evaluated": tools.typed(estimator.evaluate(input_fn)),
        "rows": list(estimator.predict(input_fn)),
    }


@CASES
def steps_and_the_end_of_the_data(est: Any, model_dir: str) -> dict[str, Any]:
    input_fn = tools.batches(*tools.regression(12), batch_size=4, epochs=1)
    estimator = est.Estimator(tools.linear_model_fn(est, _sgd), model_dir)
    reached = []
    for limits in ({"steps": 2}, {"max_steps": 4}, {"max_steps": 100}, {"steps": 100}, {}):
        estimator.train(input_fn, **limits)
        reached.append(tools.plain(estimator.get_variable_value("global_step")))
    evaluated = [estimator.evaluate(input_fn, steps=steps)["loss"] for steps in (1, 2, 3, 10, None)]
    return {"reached": reached, "evaluated": tools.plain(evaluated)}


@CASES
def predict_drops_labels(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = est.Estimator(tools.linear_model_fn(est, _sgd), model_dir)
    input_fn = tools.batches(*tools.regression(5), batch_size=2, epochs=1)
    estimator.train(input_fn)
    return {"rows": [tools.plain(row["outputs"]) for row in estimator.predict(input_fn)]}


@CASES
def queue(est: Any, model_dir: str) -> dict[str, Any]:
    x, y = tools.regression()

    def input_fn() -> Any:
        row, label = v1.train.slice_input_producer(
            [tf.constant(x), tf.constant(y)], num_epochs=3, shuffle=False
        )
        return v1.train.batch([row, label], batch_size=4, num_threads=1)

    losses: list[float] = []
    estimator = est.Estimator(tools.linear_model_fn(est, _sgd), model_dir)
    estimator.train(input_fn, hooks=[tools.losses_hook(est, losses)])
    return {"losses": losses}


@CASES
def mistakes(est: Any, model_dir: str) -> dict[str, Any]:
    input_fn = tools.batches(*tools.regression())
    estimator = est.Estimator(tools.linear_model_fn(est, _sgd), model_dir)

    def train(**limits: Any) -> str | None:
        return tools.error(lambda: estimator.train(input_fn, **limits), ValueError, TypeError)

    return {
        "both": train(steps=1, max_steps=1),
        "zero_steps": train(steps=0),
        "negative_max_steps": train(max_steps=-1),
        "hook": train(steps=1, hooks=["no hook"]),
        "listener": train(steps=1, saving_listeners=["no listener"]),
        "evaluate_zero": tools.error(lambda: estimator.evaluate(input_fn, steps=0), ValueError),
        "written": tools.checkpoint_files(model_dir),
    }


@CASES
def arrays_taken_apart(est: Any, model_dir: str) -> dict[str, Any]:
    """An input_fn that calls another one, and works with its tensors."""
    import pandas as pd

    x = np.arange(10, dtype=np.float32)

    def taken_apart(make: Any, has_labels: bool = True) -> Any:
        def input_fn() -> Any:
            if not has_labels:
                features = make()()
                features["twice"] = 2 * features["x"]
                return features
            features, labels = make()()
            features["twice"] = 2 * features["x"]
            return features, labels + 1

        return input_fn

    def of_numpy(size: int, epochs: int | None, y: Any = 3 * x) -> Any:
        return lambda: est.inputs.numpy_input_fn({"x": x}, y, size, epochs, shuffle=False)

    def of_pandas(size: int) -> Any:
        frame, series = pd.DataFrame({"x": x}), pd.Series(3 * x)
        return lambda: est.inputs.pandas_input_fn(frame, series, size, 2, shuffle=False)

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        weight = v1.get_variable("w", [], initializer=v1.zeros_initializer())
        y = weight * features["x"] + features["twice"]
        if mode == est.ModeKeys.PREDICT:
            return est.EstimatorSpec(mode, predictions={"x": features["x"], "y": y})
        loss = tf.identity(tf.reduce_mean(tf.square(y - labels)), name="the_loss")
        train_op = v1.train.GradientDescentOptimizer(0.001).minimize(
            loss, v1.train.get_global_step()
        )
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op)

    losses: list[float] = []
    hook = tools.losses_hook(est, losses)
    estimator = est.Estimator(model_fn, model_dir)
    for make in (of_numpy(4, 1), of_numpy(5, 1), of_numpy(4, 3), of_pandas(5), of_numpy(128, 2)):
        estimator.train(taken_apart(make), hooks=[hook])
    estimator.train(taken_apart(of_numpy(3, None)), hooks=[hook], steps=5)
    return {
        "losses": losses,
        "evaluated": tools.typed(estimator.evaluate(taken_apart(of_numpy(4, 1)))),
        "rows": [
            [tools.plain(row) for row in estimator.predict(taken_apart(make, has_labels=False))]
            for make in (of_numpy(4, 2, None), of_numpy(128, 1, None))
        ],
        "variables": tools.checkpoint(model_dir),
    }
