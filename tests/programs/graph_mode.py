"""Code that asks where it is: what TensorFlow does in a graph and would do otherwise eagerly."""

import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import tools

v1 = tf.compat.v1
CASES = tools.Cases()


def _weight(value: float = 1.0, name: str = "w") -> Any:
    return v1.get_variable(name, [], initializer=v1.constant_initializer(value))


def _data(steps: int = 5) -> Any:
    pair = ({"x": [1.0, 2.0]}, [2.0, 4.0])
    return lambda: tf.data.Dataset.from_tensors(pair).repeat(steps)


def _trained(
    est: Any,
    model_dir: str,
    step: Callable[[Any, Any], Any],
    input_fn: Any = None,
    reads: tuple[str, ...] = ("w",),
) -> dict[str, Any]:
    """Trains with the loss and the train op that `step` gives; the names and some values."""

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        loss, train_op = step(features, labels)
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op)

    estimator = est.Estimator(model_fn, model_dir)
    estimator.train(input_fn or _data())
    values = {name: tools.plain(estimator.get_variable_value(name)) for name in reads}
    return {"names": sorted(estimator.get_variable_names()), **values}


def _squared(prediction: Any, labels: Any) -> Any:
    return tf.reduce_mean((prediction - labels) ** 2)


def _descent(loss: Any, rate: float = 0.01) -> Any:
    optimizer = v1.train.GradientDescentOptimizer(rate)
    return optimizer.minimize(loss, v1.train.get_global_step())


@CASES
def minimize_in_a_branch(est: Any, model_dir: str) -> dict[str, Any]:
    def step(features: Any, labels: Any) -> Any:
        loss, count = _squared(_weight() * features["x"], labels), v1.train.get_global_step()
        is_even = tf.equal(count % 2, 0)
        other = lambda: tf.group(count.assign_add(1))  # noqa: E731
        return loss, tf.cond(is_even, lambda: _descent(loss, 0.1), other)

    return _trained(est, model_dir, step)


@CASES
def minimize_of_a_loss_in_a_branch(est: Any, model_dir: str) -> dict[str, Any]:
    def step(features: Any, labels: Any) -> Any:
        weight, count = _weight(), v1.train.get_global_step()

        def train() -> Any:
            return _descent(_squared(weight * features["x"], labels), 0.1)

        loss = _squared(weight * features["x"], labels)
        return loss, tf.cond(count < 3, train, lambda: tf.group(count.assign_add(1)))

    return _trained(est, model_dir, step)


@CASES
def minimize_in_switch_case(est: Any, model_dir: str) -> dict[str, Any]:
    def step(features: Any, labels: Any) -> Any:
        first, second = _weight(), _weight(0.5, "v")
        loss, count = _squared(first * second * features["x"], labels), v1.train.get_global_step()

        def of(variable: Any) -> Callable[[], Any]:
            optimizer = v1.train.MomentumOptimizer(0.05, 0.9)
            return lambda: optimizer.minimize(loss, count, [variable])

        branch = tf.cast(count % 2, tf.int32)
        return loss, tf.switch_case(branch, [of(first), of(second)])

    return _trained(est, model_dir, step, reads=("w", "v"))


@CASES
def adam_with_loss_scale(est: Any, model_dir: str) -> dict[str, Any]:
    def step(features: Any, labels: Any) -> Any:
        loss = _squared(_weight() * features["x"], labels)
        scale = v1.mixed_precision.DynamicLossScale()
        optimizer = v1.train.AdamOptimizer(0.1)
        optimizer = v1.mixed_precision.MixedPrecisionLossScaleOptimizer(optimizer, scale)
        return loss, optimizer.minimize(loss, v1.train.get_global_step())

    return _trained(est, model_dir, step, reads=("w", "w/Adam", "beta1_power"))


@CASES
def gradients_in_a_loop(est: Any, model_dir: str) -> dict[str, Any]:
    def step(features: Any, labels: Any) -> Any:
        weight = _weight(0.7)

        def turn(i: Any, total: Any) -> Any:
            loss = tf.reduce_mean(tf.exp(weight * features["x"] * tf.cast(i + 1, tf.float32)))
            return i + 1, total + tf.gradients(loss, weight)[0]

        _, total = tf.while_loop(lambda i, _: i < 2, turn, (0, 0.0))
        change = weight.assign_sub(0.01 * total)
        with tf.control_dependencies([change]):
            return total, v1.assign_add(v1.train.get_global_step(), 1)

    return _trained(est, model_dir, step)


@CASES
def second_derivatives(est: Any, model_dir: str) -> dict[str, Any]:
    def step(features: Any, labels: Any) -> Any:
        weight = _weight(0.7)
        loss = tf.reduce_mean(tf.exp(weight * features["x"]))
        curvature = tf.hessians(loss, weight)[0]
        gradient = tf.gradients(loss, weight)[0]
        product = tf.gradients(gradient * tf.stop_gradient(gradient), weight)[0]
        change = weight.assign_sub(0.01 * curvature + 0.001 * product)
        return loss, tf.group(change, v1.assign_add(v1.train.get_global_step(), 1))

    return _trained(est, model_dir, step, _data(2))


def _words() -> Any:
    words = ({"word": [["Rome"], ["?"]]}, [1.0, 2.0])
    return tf.data.Dataset.from_tensors(words).repeat(3)


def _vocabulary() -> Any:
    return tf.feature_column.categorical_column_with_vocabulary_list("word", ["Rome", "Oslo"])


@CASES
def vocabulary_as_an_indicator(est: Any, model_dir: str) -> dict[str, Any]:
    def step(features: Any, labels: Any) -> Any:
        columns = [tf.feature_column.indicator_column(_vocabulary())]
        rows = v1.feature_column.input_layer(features, columns)
        loss = _squared(_weight() * tf.reduce_sum(rows, 1), labels)
        return loss, _descent(loss, 0.1)

    return _trained(est, model_dir, step, _words)


@CASES
def vocabulary_in_a_linear_model(est: Any, model_dir: str) -> dict[str, Any]:
    def step(features: Any, labels: Any) -> Any:
        scores = v1.feature_column.linear_model(features, [_vocabulary()])
        loss = _squared(_weight() * scores[:, 0], labels)
        return loss, _descent(loss, 0.1)

    reads = ("w", "linear_model/word/weights", "linear_model/bias_weights")
    return _trained(est, model_dir, step, _words, reads)


@CASES
def table_in_the_model(est: Any, model_dir: str) -> dict[str, Any]:
    def step(features: Any, labels: Any) -> Any:
        entries = tf.lookup.KeyValueTensorInitializer(["Rome", "Oslo"], [3.0, 4.0])
        table = tf.lookup.StaticHashTable(entries, 0.5)
        loss = _squared(_weight() * table.lookup(features["word"])[:, 0], labels)
        return loss, _descent(loss)

    return _trained(est, model_dir, step, _words)


@CASES
def queue_in_the_model(est: Any, model_dir: str) -> dict[str, Any]:
    def step(features: Any, labels: Any) -> Any:
        queue = v1.FIFOQueue(100, [tf.float32], shapes=[[]])
        with tf.control_dependencies([queue.enqueue_many([features["x"]])]):
            replayed = queue.dequeue()
        loss = _squared(_weight() * replayed, labels)
        return loss, _descent(loss)

    return _trained(est, model_dir, step)


@CASES
def two_calls_with_a_queue(est: Any, model_dir: str) -> dict[str, Any]:
    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        queue = v1.FIFOQueue(100, [tf.float32], shapes=[[]])
        with tf.control_dependencies([queue.enqueue_many([features["x"]])]):
            replayed = queue.dequeue()
        loss = _squared(_weight() * replayed, labels)
        return est.EstimatorSpec(mode, loss=loss, train_op=_descent(loss))

    estimator = est.Estimator(model_fn, model_dir)
    estimator.train(_data(3)).train(_data(2))
    return {"w": tools.plain(estimator.get_variable_value("w"))}


@CASES
def variable_of_the_input(est: Any, model_dir: str) -> dict[str, Any]:
    def input_fn() -> Any:
        start = v1.constant_initializer(2.0)
        scale = v1.get_variable("scale", [], initializer=start, trainable=False)
        features, labels = v1.data.make_one_shot_iterator(_data()()).get_next()
        return {"x": features["x"] * scale}, labels

    def step(features: Any, labels: Any) -> Any:
        loss = _squared(_weight() * features["x"], labels)
        return loss, _descent(loss)

    return _trained(est, model_dir, step, input_fn, ("w", "scale"))


@CASES
def input_that_counts_its_epochs(est: Any, model_dir: str) -> dict[str, Any]:
    def input_fn() -> Any:
        x = v1.train.limit_epochs(tf.constant([1.0, 2.0]), num_epochs=3)
        return {"x": x}, 2 * x

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        loss = _squared(_weight() * features["x"], labels)
        return est.EstimatorSpec(mode, loss=loss, train_op=_descent(loss))

    estimator = est.Estimator(model_fn, model_dir)
    estimator.train(input_fn)
    return {"evaluated": tools.plain(estimator.evaluate(input_fn))}


@CASES
def tensors_compare_by_identity(est: Any, model_dir: str) -> dict[str, Any]:
    found: list[Any] = []

    def step(features: Any, labels: Any) -> Any:
        first, second = features["x"], labels
        found.extend([second in [first, second], first in [second], first == None])  # noqa: E711
        found.extend([first == second, first != second, len({first: 1, second: 2})])
        loss = _squared(_weight() * first, second)
        return loss, _descent(loss)

    _trained(est, model_dir, step)
    return {"found": found}


@CASES
def where_the_code_is(est: Any, model_dir: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def look(place: str) -> None:
        with tf.init_scope():
            lifted = tf.executing_eagerly(), v1.get_default_graph() is graphs[-1]
        found[place] = {
            "executing_eagerly": tf.executing_eagerly(),
            "outside_functions": v1.executing_eagerly_outside_functions(),
            "init_scope": list(lifted),
        }

    graphs: list[Any] = []

    def input_fn() -> Any:
        features, labels = v1.data.make_one_shot_iterator(_data()()).get_next()
        graphs.append(v1.get_default_graph())
        look("input_fn")
        return features, labels

    def step(features: Any, labels: Any) -> Any:
        graphs.append(v1.get_default_graph())
        look("model_fn")
        found["graph"] = isinstance(graphs[-1], tf.Graph)

        def branch() -> Any:
            look("branch")
            return tf.constant(1.0)

        loss = _squared(_weight() * features["x"], labels)
        loss = loss * tf.cond(loss > 0, branch, lambda: tf.constant(1.0))
        return loss, _descent(loss)

    _trained(est, model_dir, step, input_fn)
    return found


class OwnOptimizer(v1.train.Optimizer):
    """Gradient descent that passes all arguments on by position, and counts its calls."""

    def __init__(self) -> None:
        super().__init__(use_locking=False, name="Own")

    def compute_gradients(  # type: ignore[override]
        self,
        loss: Any,
        var_list: Any = None,
        gate_gradients: Any = v1.train.Optimizer.GATE_OP,
        aggregation_method: Any = None,
        colocate_gradients_with_ops: bool = False,
        grad_loss: Any = None,
    ) -> Any:
        return super().compute_gradients(
            loss,
            var_list,
            gate_gradients,
            aggregation_method,
            colocate_gradients_with_ops,
            grad_loss,
        )

    def _create_slots(self, var_list: Any) -> None:
        for variable in var_list:
            self._zeros_slot(variable, "sum", self._name)
        self._create_non_slot_variable(0.0, "n", colocate_with=var_list[0])

    def _resource_apply_dense(self, grad: Any, var: Any) -> Any:
        count = self._get_non_slot_variable("n", graph=v1.get_default_graph())
        total = self.get_slot(var, "sum").assign_add(grad)
        return tf.group(var.assign_sub(0.01 * grad), total, count.assign_add(1.0))


@CASES
def own_optimizer(est: Any, model_dir: str) -> dict[str, Any]:
    def step(features: Any, labels: Any) -> Any:
        with v1.variable_scope("net", reuse=v1.AUTO_REUSE):
            loss = _squared(_weight() * features["x"], labels)
            return loss, OwnOptimizer().minimize(loss, v1.train.get_global_step())

    return _trained(est, model_dir, step, reads=("net/w",))


@CASES
def moving_averages_of_tensors(est: Any, model_dir: str) -> dict[str, Any]:
    def step(features: Any, labels: Any) -> Any:
        loss = _squared(_weight() * features["x"], labels)
        average = tf.train.ExponentialMovingAverage(0.5)
        with tf.control_dependencies([_descent(loss)]):
            return loss, average.apply([loss])

    found = _trained(est, model_dir, step)
    return {"names": len(found["names"]), "w": found["w"]}


class Encoder(tf.Module):
    """A SavedModel's: it scales by a variable."""

    def __init__(self) -> None:
        self.k = tf.Variable(3.0, name="k")

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def encode(self, x: Any) -> Any:
        """Scales."""
        return x * self.k


@CASES
def saved_model_in_the_model(est: Any, model_dir: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as path:
        with tf.__internal__.eager_context.eager_mode():
            tf.saved_model.save(Encoder(), path)

        def step(features: Any, labels: Any) -> Any:
            encoded = tf.saved_model.load(path).encode(features["x"])
            loss = _squared(_weight() * encoded, labels)
            return loss, _descent(loss)

        return _trained(est, model_dir, step, reads=("w", "k"))


@CASES
def imported_meta_graph(est: Any, model_dir: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = f"{folder}/m"
        with tf.Graph().as_default(), v1.Session() as session:
            k = v1.get_variable("k", initializer=3.0)
            x = v1.placeholder(tf.float32, [None], name="in")
            tf.multiply(x, k, name="out")
            session.run(k.initializer)
            v1.train.Saver().save(session, checkpoint)

        def step(features: Any, labels: Any) -> Any:
            inputs = {"in:0": features["x"]}
            v1.train.import_meta_graph(f"{checkpoint}.meta", input_map=inputs, import_scope="hub")
            v1.train.init_from_checkpoint(checkpoint, {"k": v1.global_variables("hub")[0]})
            encoded = v1.get_default_graph().get_tensor_by_name("hub/out:0")
            loss = _squared(_weight() * encoded, labels)
            return loss, _descent(loss)

        return _trained(est, model_dir, step, reads=("w", "hub/k"))


def _keras(est: Any) -> Any:
    import keras

    return keras if hasattr(est, "errors") else tf.keras


@CASES
def lookup_layer_of_keras(est: Any, model_dir: str) -> dict[str, Any]:
    def step(features: Any, labels: Any) -> Any:
        layer = _keras(est).layers.StringLookup(vocabulary=["Rome", "Oslo"])
        found = tf.cast(layer(features["word"]), tf.float32)[:, 0]
        loss = _squared(_weight() * found, labels)
        return loss, _descent(loss)

    return _trained(est, model_dir, step, _words)


@CASES
def slots_of_values_of_keras(est: Any, model_dir: str) -> dict[str, Any]:
    def step(features: Any, labels: Any) -> Any:
        keras = _keras(est)
        model = keras.Sequential([keras.layers.Dense(1, kernel_initializer="ones")])
        loss = _squared(model(features["x"][:, None])[:, 0], labels)
        weights = [getattr(weight, "value", weight) for weight in model.trainable_weights]
        weights = [weight() if callable(weight) else weight for weight in weights]
        if not hasattr(est, "errors"):
            weights = model.trainable_weights
        optimizer = v1.train.MomentumOptimizer(0.01, 0.9)
        return loss, optimizer.minimize(loss, v1.train.get_global_step(), weights)

    reads = ("sequential/dense/kernel/Momentum", "sequential/dense/kernel")
    return _trained(est, model_dir, step, reads=reads)


@CASES
def values_of_a_numpy_array(est: Any, model_dir: str) -> dict[str, Any]:
    """What is captured from outside: arrays, constants of NumPy, in branches too."""
    table = np.linspace(0.0, 1.0, 400, dtype=np.float32)

    def step(features: Any, labels: Any) -> Any:
        scale = tf.cond(features["x"][0] > 0, lambda: tf.gather(table, 100), lambda: 0.0)
        loss = _squared(_weight() * features["x"] * scale, labels)
        return loss, _descent(loss)

    return _trained(est, model_dir, step)
