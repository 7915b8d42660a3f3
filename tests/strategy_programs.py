"""Programs that train with and without a strategy; they need a process with two logical CPUs.

    python -m tests.strategy_programs <name of a program>

A process that imports TensorFlow for other tests has its devices already.
"""

import importlib
import json
import shutil
import sys
import tempfile
import warnings

import keras
import numpy as np
import tensorflow as tf

import kestimator as ks
from kestimator.estimator import state_of

v1 = tf.compat.v1
PROGRAMS = {}
ROWS = 24
X = np.linspace(-1.0, 1.0, ROWS * 2, dtype=np.float32).reshape(ROWS, 2)
Y = X @ np.array([[1.0], [-2.0]], np.float32) + 0.5


def program(function):
    PROGRAMS[function.__name__] = function
    return function


def mirrored(given=True):
    operations = tf.distribute.ReductionToOneDevice() if given else None
    return tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"], cross_device_ops=operations)


def batches(size, epochs=None):
    def input_fn():
        return tf.data.Dataset.from_tensor_slices(({"x": X}, Y)).repeat(epochs).batch(size)

    return input_fn


def uncounted(size, rows):
    """Batches of a Dataset that does not know how many there are."""

    def input_fn():
        dataset = tf.data.Dataset.from_tensor_slices(({"x": X}, Y)).repeat().take(rows)
        return dataset.filter(lambda x, y: True).batch(size)

    return input_fn


def tensors(size):
    """What TF1 scripts return: the tensors of an iterator's next element."""

    def input_fn():
        return v1.data.make_one_shot_iterator(batches(size)()).get_next()

    return input_fn


def tf1_model(optimizer, loss_of=None):
    def model_fn(features, labels, mode):
        w = v1.get_variable("w", [2, 1], initializer=v1.zeros_initializer())
        b = v1.get_variable("b", [1], initializer=v1.ones_initializer())
        outputs = features["x"] @ w + b
        if mode == ks.ModeKeys.PREDICT:
            return ks.EstimatorSpec(mode, predictions={"y": outputs})
        loss = (loss_of or mean_squares)(outputs, labels, w)
        train_op = optimizer().minimize(loss, global_step=v1.train.get_global_step())
        metrics = {"mae": v1.metrics.mean_absolute_error(labels, outputs)}
        return ks.EstimatorSpec(mode, loss=loss, train_op=train_op, eval_metric_ops=metrics)

    return model_fn


def mean_squares(outputs, labels, weights):
    return tf.reduce_mean((outputs - labels) ** 2)


def keras_model(optimizer, *, normalized=False, applied=False):
    def model_fn(features, labels, mode):
        layers = [keras.layers.Dense(3, kernel_initializer=keras.initializers.GlorotUniform(1))]
        if normalized:
            layers.append(keras.layers.BatchNormalization(momentum=0.5, name="norm"))
        layers.append(keras.layers.Dense(1, kernel_initializer=keras.initializers.GlorotUniform(2)))
        model = keras.Sequential(layers)
        outputs = model(features["x"], training=mode == ks.ModeKeys.TRAIN)
        if mode == ks.ModeKeys.PREDICT:
            return ks.EstimatorSpec(mode, predictions={"y": outputs})
        loss, train_op = tf.reduce_mean((outputs - labels) ** 2), optimizer()
        if applied and mode == ks.ModeKeys.TRAIN:
            weights = model.trainable_variables
            gradients = tf.gradients(loss, [weight.value for weight in weights])
            train_op.apply_gradients(zip(gradients, weights, strict=True))
        return ks.EstimatorSpec(mode, loss=loss, train_op=train_op)

    return model_fn


class Losses(v1.train.SessionRunHook):
    """Sees the loss of every step, as the event file and the log show it."""

    def __init__(self):
        self.values = []
        self.steps = []

    def before_run(self, run_context):
        loss = v1.get_default_graph().get_tensor_by_name("loss:0")
        return v1.train.SessionRunArgs((loss, v1.train.get_global_step()))

    def after_run(self, run_context, run_values):
        summary, step = run_values.results
        self.values.append(v1.Summary.FromString(summary).value[0].simple_value)
        self.steps.append(int(step))


def estimator(model_fn, strategy, directory=None, **config):
    config = ks.RunConfig(
        train_distribute=strategy, tf_random_seed=1, log_step_count_steps=None, **config
    )
    return ks.Estimator(model_fn, directory or tempfile.mkdtemp(), config)


def checkpoint(trained):
    reader = tf.train.load_checkpoint(trained.latest_checkpoint())
    return {name: reader.get_tensor(name) for name in sorted(reader.get_variable_to_shape_map())}


def largest_difference(one, other):
    assert list(one) == list(other), (list(one), list(other))
    return max(float(np.max(np.abs(one[name] - other[name]))) for name in one)


def replica_difference(trained):
    """The largest difference between a replica's component and the first one."""
    store = state_of(trained).store
    differences = [
        np.max(np.abs(copy.variable.numpy() - store[primary(copy.name)].variable.numpy()))
        for copy in state_of(trained).distribution._copies
        if primary(copy.name) in store
    ]
    assert differences
    return float(max(differences))


def primary(name):
    return name.rsplit("/replica_", 1)[0]


def compared(model_fn, strategy=None, steps=12):
    """The same training on one replica with batches of 8 and on two with batches of 4."""
    single, double = estimator(model_fn, None), estimator(model_fn, strategy or mirrored())
    hooks = Losses(), Losses()
    single.train(batches(8), hooks=[hooks[0]], steps=steps)
    double.train(batches(4), hooks=[hooks[1]], steps=steps)
    evaluations = [
        {key: float(value) for key, value in each.evaluate(batches(8, 1)).items()}
        for each in (single, double)
    ]
    return {
        "names": list(checkpoint(double)),
        "weights": largest_difference(checkpoint(single), checkpoint(double)),
        "losses": float(np.max(np.abs(np.subtract(hooks[0].values, hooks[1].values)))),
        "steps": hooks[1].steps,
        "replicas": replica_difference(double),
        "evaluations": evaluations,
        "predictions": predictions(double).tolist(),
    }


def predictions(trained):
    return np.array([row["y"] for row in trained.predict(batches(8, 1))])


@program
def momentum():
    return compared(tf1_model(lambda: v1.train.MomentumOptimizer(0.1, 0.9)))


@program
def adam():
    return compared(tf1_model(lambda: v1.train.AdamOptimizer(0.1)))


@program
def decayed_rate():
    def optimizer():
        step = v1.train.get_global_step()
        return v1.train.GradientDescentOptimizer(v1.train.exponential_decay(0.2, step, 2, 0.7))

    return compared(tf1_model(optimizer))


@program
def default_cross_device_ops():
    return compared(tf1_model(lambda: v1.train.AdamOptimizer(0.1)), mirrored(given=False))


@program
def collected_losses():
    def loss_of(outputs, labels, weights):
        v1.losses.mean_squared_error(labels, outputs)
        return v1.losses.get_total_loss()

    return compared(tf1_model(lambda: v1.train.MomentumOptimizer(0.1, 0.9), loss_of))


@program
def regularized():
    def model_fn(features, labels, mode):
        with v1.variable_scope("linear", regularizer=lambda w: 0.3 * tf.reduce_sum(w**2)):
            w = v1.get_variable("w", [2, 1], initializer=v1.ones_initializer())
        outputs = features["x"] @ w
        if mode == ks.ModeKeys.PREDICT:
            return ks.EstimatorSpec(mode, predictions={"y": outputs})
        v1.losses.mean_squared_error(labels, outputs)
        loss = v1.losses.get_total_loss()
        optimizer = v1.train.GradientDescentOptimizer(0.1)
        train_op = optimizer.minimize(loss, global_step=v1.train.get_global_step())
        return ks.EstimatorSpec(mode, loss=loss, train_op=train_op)

    return compared(model_fn)


def keras_losses_model(total):
    """Two towers that share a layer, with losses of Keras layers."""

    def model_fn(features, labels, mode):
        outputs = 0.0
        for scale in (1.0, 0.5):
            with v1.variable_scope("net", reuse=v1.AUTO_REUSE):
                dense = keras.layers.Dense(
                    1,
                    kernel_initializer="ones",
                    kernel_regularizer=keras.regularizers.L2(0.1),
                    activity_regularizer=keras.regularizers.L2(0.05),
                )
                outputs += dense(features["x"] * scale)
        if mode == ks.ModeKeys.PREDICT:
            return ks.EstimatorSpec(mode, predictions={"y": outputs})
        loss = v1.losses.mean_squared_error(labels, outputs)
        if total:
            loss = v1.losses.get_total_loss()
        return ks.EstimatorSpec(mode, loss=loss, train_op=keras.optimizers.SGD(0.05))

    return model_fn


@program
def keras_losses():
    return compared(keras_losses_model(total=False))


@program
def keras_losses_in_total():
    return compared(keras_losses_model(total=True))


@program
def heads():
    """How far two replicas end from one with their batches put together, by reduction."""

    def trained(reduction, optimizer, strategy, size):
        head = ks.RegressionHead(loss_reduction=reduction)

        def model_fn(features, labels, mode):
            w = v1.get_variable("w", [2, 1], initializer=v1.zeros_initializer())
            return head.create_estimator_spec(
                features,
                mode,
                features["x"] @ w,
                labels,
                optimizer=optimizer(0.01),
                trainable_variables=[w],
            )

        config = ks.RunConfig(train_distribute=strategy)
        estimator = ks.Estimator(model_fn, tempfile.mkdtemp(), config)
        estimator.train(batches(size), steps=5)
        return estimator.get_variable_value("w")

    optimizers = {"keras": keras.optimizers.SGD, "v1": v1.train.GradientDescentOptimizer}
    return {
        f"{reduction} {name}": float(
            np.abs(
                trained(reduction, optimizer, mirrored(), 4)
                - trained(reduction, optimizer, None, 8)
            ).max()
        )
        for reduction in ("sum", "sum_over_batch_size")
        for name, optimizer in optimizers.items()
    }


@program
def keras_decayed_rate():
    def optimizer():
        step = v1.train.get_global_step()
        return keras.optimizers.Adam(v1.train.exponential_decay(0.2, step, 2, 0.7))

    return compared(keras_model(optimizer))


@program
def keras_adam():
    return compared(keras_model(lambda: keras.optimizers.Adam(0.05, clipnorm=0.5)))


@program
def keras_sgd_applied():
    return compared(keras_model(lambda: keras.optimizers.SGD(0.05, 0.9), applied=True))


@program
def keras_layers_with_tf1_optimizer():
    def model_fn(features, labels, mode):
        dense = keras.layers.Dense(1, kernel_initializer="ones")
        outputs = dense(features["x"])
        if mode == ks.ModeKeys.PREDICT:
            return ks.EstimatorSpec(mode, predictions={"y": outputs})
        loss = tf.reduce_mean((outputs - labels) ** 2)
        train_op = v1.train.AdamOptimizer(0.1).minimize(
            loss, v1.train.get_global_step(), var_list=dense.trainable_variables
        )
        return ks.EstimatorSpec(mode, loss=loss, train_op=train_op)

    return compared(model_fn)


@program
def tf1_variables_with_keras_optimizer():
    def model_fn(features, labels, mode):
        w = v1.get_variable("w", [2, 1], initializer=v1.zeros_initializer())
        outputs = features["x"] @ w
        if mode == ks.ModeKeys.PREDICT:
            return ks.EstimatorSpec(mode, predictions={"y": outputs})
        loss = tf.reduce_mean((outputs - labels) ** 2)
        return ks.EstimatorSpec(mode, loss=loss, train_op=keras.optimizers.SGD(0.1, 0.9))

    return compared(model_fn)


@program
def embeddings():
    """Sparse gradients."""

    def model_fn(features, labels, mode):
        table = v1.get_variable("table", [5, 1], initializer=v1.ones_initializer())
        ids = tf.cast((features["x"][:, 0] + 1.0) * 2.0, tf.int32)
        outputs = tf.nn.embedding_lookup(table, ids)
        if mode == ks.ModeKeys.PREDICT:
            return ks.EstimatorSpec(mode, predictions={"y": outputs})
        loss = tf.reduce_mean((outputs - labels) ** 2)
        train_op = v1.train.AdagradOptimizer(0.3).minimize(loss, v1.train.get_global_step())
        return ks.EstimatorSpec(mode, loss=loss, train_op=train_op)

    return compared(model_fn)


@program
def batch_normalization():
    """Moving statistics are the mean over replicas of what each one alone would keep."""
    model_fn = keras_model(lambda: keras.optimizers.SGD(0.0), normalized=True)
    both = estimator(model_fn, mirrored())
    both.train(batches(4), steps=3)
    parts = []
    for position in range(2):
        each = estimator(model_fn, None)
        each.train(lambda position=position: batches(4)().shard(2, position), steps=3)
        parts.append(checkpoint(each))
    found = checkpoint(both)
    statistics = [name for name in found if "moving_" in name]
    mean = {name: (parts[0][name] + parts[1][name]) / 2 for name in statistics}
    return {
        "names": statistics,
        "difference": largest_difference(mean, {name: found[name] for name in statistics}),
        "moved": float(np.max(np.abs(parts[0][statistics[0]] - parts[1][statistics[0]]))),
        "replicas": replica_difference(both),
    }


@program
def resumed():
    """Twelve steps in three estimators over one directory, and in one."""
    model_fn = tf1_model(lambda: v1.train.AdamOptimizer(0.1))
    straight = estimator(model_fn, None)
    straight.train(batches(24), steps=12)
    directory = tempfile.mkdtemp()
    for strategy, size in ((mirrored(), 12), (None, 24), (mirrored(), 12)):
        last = estimator(model_fn, strategy, directory)
        last.train(batches(size), steps=4)
    return {
        "weights": largest_difference(checkpoint(straight), checkpoint(last)),
        "step": int(last.get_variable_value("global_step")),
    }


@program
def evaluated_in_between():
    """An evaluation of an old checkpoint changes nothing for the train call after it."""
    model_fn = tf1_model(lambda: v1.train.AdamOptimizer(0.1))
    straight, looked_at = estimator(model_fn, mirrored()), estimator(model_fn, mirrored())
    for each in (straight, looked_at):
        each.train(batches(12), steps=2)
        first = each.latest_checkpoint()
        each.train(batches(12), steps=2)
        if each is looked_at:
            each.evaluate(batches(24, 1), checkpoint_path=first)
        each.train(batches(12), steps=2)
    return {
        "weights": largest_difference(checkpoint(straight), checkpoint(looked_at)),
        "replicas": replica_difference(looked_at),
    }


@program
def ends():
    """The steps that inputs of so many batches give."""
    model_fn = tf1_model(lambda: v1.train.AdamOptimizer(0.1))
    found = {}
    for hooked in (False, True):
        for name, input_fn in {
            "counted 3": batches(8, 1),
            "counted 4": batches(6, 1),
            "counted 5, last short": batches(5, 1),
            "uncounted 3": uncounted(8, 24),
            "uncounted 6": uncounted(4, 24),
        }.items():
            each = estimator(model_fn, mirrored())
            each.train(input_fn, hooks=[Losses()] if hooked else [])
            found[f"{name}{' hooked' if hooked else ''}"] = int(
                each.get_variable_value("global_step")
            )
    return found


@program
def tensors_as_input():
    model_fn = tf1_model(lambda: v1.train.AdamOptimizer(0.1))
    one, other = estimator(model_fn, mirrored()), estimator(model_fn, mirrored())
    one.train(batches(4), steps=6)
    other.train(tensors(4), steps=6)
    return {"weights": largest_difference(checkpoint(one), checkpoint(other))}


@program
def one_device():
    found = {}
    models = {
        "tf1": tf1_model(lambda: v1.train.AdamOptimizer(0.1)),
        "keras": keras_model(lambda: keras.optimizers.Adam(0.1), normalized=True),
    }
    for name, model_fn in models.items():
        plain = estimator(model_fn, None)
        plain.train(batches(8), steps=5)
        for kind, strategy in {
            "one device": tf.distribute.OneDeviceStrategy("/cpu:1"),
            "mirrored": tf.distribute.MirroredStrategy(["/cpu:0"]),
        }.items():
            each = estimator(model_fn, strategy)
            each.train(batches(8), steps=5)
            found[f"{name}, {kind}"] = largest_difference(checkpoint(plain), checkpoint(each))
    return found


@program
def many_steps():
    trained = estimator(tf1_model(lambda: v1.train.AdamOptimizer(0.01)), mirrored())
    trained.train(batches(4), steps=1000)
    return {
        "replicas": replica_difference(trained),
        "step": int(trained.get_variable_value("global_step")),
    }


@program
def own_saver_and_hooks():
    """A Scaffold's saver, summaries, metrics and a hook that assigns, all over mirrored names."""
    seen = {}

    class Doubles(v1.train.SessionRunHook):
        def begin(self):
            (w,) = [v for v in v1.trainable_variables() if v.name == "w:0"]
            self.variable, self.double = w, w.assign(2 * w)

        def after_create_session(self, session, coord):
            seen["before"] = session.run(self.variable).tolist()
            session.run(self.double)

    def model_fn(features, labels, mode):
        w = v1.get_variable("w", [2, 1], initializer=v1.ones_initializer())
        outputs = features["x"] @ w
        loss = tf.reduce_mean((outputs - labels) ** 2)
        mean, update = v1.metrics.mean(loss)
        v1.summary.scalar("running", mean)
        optimizer = v1.train.GradientDescentOptimizer(0.0)
        with tf.control_dependencies([update]):
            train_op = optimizer.minimize(loss, global_step=v1.train.get_global_step())
        scaffold = v1.train.Scaffold(saver=v1.train.Saver())
        return ks.EstimatorSpec(mode, loss=loss, train_op=train_op, scaffold=scaffold)

    trained = estimator(model_fn, mirrored(), save_summary_steps=1)
    trained.train(batches(4), hooks=[Doubles()], steps=2)
    trained.train(batches(4), steps=2)
    return {
        **seen,
        "after": trained.get_variable_value("w").tolist(),
        "names": trained.get_variable_names(),
        "replicas": replica_difference(trained),
    }


@program
def input_contexts():
    found = {}

    def input_fn(mode, input_context):
        found[mode] = [
            input_context.num_input_pipelines,
            input_context.input_pipeline_id,
            input_context.num_replicas_in_sync,
        ]
        return batches(4)()

    trained = estimator(tf1_model(lambda: v1.train.AdamOptimizer(0.1)), mirrored())
    trained.train(input_fn, steps=1)
    trained.evaluate(input_fn, steps=1)
    return found


@program
def errors():
    def failing(features, labels, mode):
        raise ValueError("from the model_fn")

    central = tf.distribute.experimental.CentralStorageStrategy(["/cpu:0", "/cpu:1"])
    found = {}
    for name, (model_fn, strategy) in {
        "central": (tf1_model(lambda: v1.train.AdamOptimizer(0.1)), central),
        "model_fn": (failing, mirrored()),
    }.items():
        try:
            estimator(model_fn, strategy).train(batches(4), steps=1)
        except ValueError as error:
            found[name] = str(error)
    return found


def canned(make):
    """A canned model over numbers and ids with a table; labels as its head wants them."""
    column = tf.feature_column.categorical_column_with_identity("id", 5)
    columns = [tf.feature_column.numeric_column("x", shape=2)]
    columns.append(tf.feature_column.embedding_column(column, 2))
    inner = make(columns).model_fn

    def model_fn(features, labels, mode, config):
        ids = tf.cast(tf.round(tf.abs(features["x"][:, 0] * 4)), tf.int64)
        spec = inner({**features, "id": ids}, labels, mode, config)
        return spec._replace(predictions={"y": spec.predictions["predictions"]})

    return compared(model_fn)


@program
def canned_network():
    return canned(lambda columns: ks.DNNRegressor([3], columns, optimizer="Adam"))


@program
def canned_linear():
    return canned(lambda columns: ks.LinearRegressor(columns))


@program
def canned_combined():
    return canned(
        lambda columns: ks.DNNLinearCombinedRegressor(
            linear_feature_columns=columns, dnn_feature_columns=columns, dnn_hidden_units=[3]
        )
    )


@program
def recurrent():
    """Weights of an RNN with both batches less those of replicas with one each."""
    tokens = np.random.RandomState(1).randint(0, 5, (ROWS, 4))
    labels = (tokens[:, :1] > 2).astype(np.int64)
    column = tf.feature_column.sequence_categorical_column_with_identity("token", 5)

    def input_fn(size):
        dataset = tf.data.Dataset.from_tensor_slices((tokens, labels)).repeat().batch(size)
        return dataset.map(lambda ids, y: ({"token": tf.sparse.from_dense(ids)}, y))

    def trained(strategy, size):
        estimator = ks.experimental.RNNClassifier(
            [tf.feature_column.embedding_column(column, 3)],
            units=4,
            cell_type="gru",
            model_dir=tempfile.mkdtemp(),
            optimizer="SGD",
            config=ks.RunConfig(train_distribute=strategy, tf_random_seed=1),
        )
        estimator.train(lambda: input_fn(size), steps=5)
        return {name: estimator.get_variable_value(name) for name in estimator.get_variable_names()}

    one, two = trained(None, 8), trained(mirrored(), 4)
    assert list(one) == list(two)
    return max(float(np.max(np.abs(one[name] - two[name]))) for name in one)


@program
def refusals():
    """What the estimators say that train on one replica alone, and whether they wrote anything."""
    config = ks.RunConfig(train_distribute=mirrored())
    column = tf.feature_column.numeric_column("x", shape=2)
    sdca = ks.experimental.LinearSDCA("example")
    kmeans = ks.experimental.KMeans(2, tempfile.mkdtemp(), config=config)
    linear = ks.LinearRegressor([column], tempfile.mkdtemp(), optimizer=sdca, config=config)

    def named():
        names = tf.data.Dataset.range(ROWS).map(tf.strings.as_string)
        rows = tf.data.Dataset.zip((tf.data.Dataset.from_tensor_slices((X, Y)), names))
        return rows.map(lambda row, name: ({"x": row[0], "example": name}, row[1])).batch(6)

    return [
        refusal(kmeans, lambda: tf.data.Dataset.from_tensor_slices(X).batch(6)),
        refusal(linear, named),
    ]


def refusal(estimator, input_fn):
    try:
        estimator.train(input_fn, steps=1)
    except ks.errors.ArgumentError as error:
        return str(error), estimator.latest_checkpoint()


def converted(strategy, directory):
    """An estimator of a Keras model with a regularizer, a schedule and clipping."""
    keras.utils.set_random_seed(5)
    model = keras.Sequential(
        [
            keras.Input([2], name="x"),
            keras.layers.Dense(3, "tanh", kernel_regularizer="l2"),
            keras.layers.Dense(1, name="y"),
        ]
    )
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5)
    model.compile(keras.optimizers.Adam(schedule, global_clipnorm=1.0), "mse", metrics=["mae"])
    config = ks.RunConfig(directory, train_distribute=strategy, log_step_count_steps=None)
    return ks.model_to_estimator(model, config=config)


@program
def keras_model_to_estimator():
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        single, double = converted(None, one), converted(mirrored(), two)
        single.train(batches(8), steps=6)
        double.train(batches(4), steps=3)
        resumed = converted(mirrored(), two).train(batches(4), steps=3)
        names = single.get_variable_names()
        differences = [
            np.abs(single.get_variable_value(name) - resumed.get_variable_value(name)).max()
            for name in names
        ]
        metrics = [one.evaluate(batches(8, 1)) for one in (single, resumed)]
        loaded = keras.models.load_model(resumed.export_keras(f"{two}/model.keras"))
        rows = [row["y"] for row in resumed.predict(batches(8, 1))]
        return {
            "weights": float(max(differences)),
            "same names": resumed.get_variable_names() == names,
            "metrics": float(abs(metrics[0]["mae"] - metrics[1]["mae"])),
            "exported": float(np.abs(loaded(X) - rows).max()),
        }


@program
def keras_model_with_its_own_step():
    class Own(keras.Model):
        def train_step(self, data):
            return super().train_step(data)

    given = keras.Input([2], name="x")
    model = Own(given, keras.layers.Dense(1)(given))
    model.compile("sgd", "mse")
    try:
        ks.model_to_estimator(model, config=ks.RunConfig(train_distribute=mirrored())).train(
            batches(4), steps=1
        )
    except ks.errors.ArgumentError as error:
        return str(error)


def exported_for_every_mode(model_fn):
    """Trains on several replicas, and on from the exports of them: one replica each."""
    trained = estimator(model_fn, mirrored()).train(batches(4), steps=3)
    features, labels = {"x": tf.constant(X)}, tf.constant(Y)
    receiver = ks.export.build_raw_supervised_input_receiver_fn(features, labels)
    serving = ks.export.build_raw_serving_input_receiver_fn(features)
    path = trained.experimental_export_all_saved_models(
        tempfile.mkdtemp(), {"train": receiver, "eval": receiver, "infer": serving}
    )
    again = ks.SavedModelEstimator(path, tempfile.mkdtemp())
    alone = estimator(model_fn, None, tempfile.mkdtemp())
    shutil.copytree(trained.model_dir, alone.model_dir, dirs_exist_ok=True)
    loss = again.evaluate(batches(8, 1))["loss"], trained.evaluate(batches(8, 1))["loss"]
    for one in (again, alone):
        one.train(batches(8), steps=3)
    trained.train(batches(4), steps=3)
    return {
        "losses": [float(value) for value in loss],
        "weights": largest_difference(checkpoint(again), checkpoint(alone)),
        "goes on": [int(one.get_variable_value("global_step")) for one in (trained, again)],
    }


@program
def exported_with_tf1():
    return exported_for_every_mode(tf1_model(lambda: v1.train.AdamOptimizer(0.1)))


@program
def exported_with_keras():
    return exported_for_every_mode(keras_model(lambda: keras.optimizers.Adam(0.1), normalized=True))


def keras2_model(train_op):
    """Two layers of Keras 2, one of them of `tf.layers`."""
    tf_keras = importlib.import_module("tf_keras")
    functions = importlib.import_module("tf_keras.api._v1.keras.__internal__.legacy.layers")

    def model_fn(features, labels, mode):
        initializer = v1.constant_initializer(0.3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tf.layers says that it is deprecated
            hidden = functions.dense(features["x"], 3, kernel_initializer=initializer)
        outputs = tf_keras.layers.Dense(1, kernel_initializer="ones", name="last")(hidden)
        loss = tf.reduce_mean((outputs - labels) ** 2)
        return ks.EstimatorSpec(mode, {"y": outputs}, loss, train_op(tf_keras, loss))

    return model_fn


def keras2_step(tf_keras, loss):
    optimizer = tf_keras.optimizers.legacy.SGD(0.1)
    optimizer.iterations = v1.train.get_global_step()
    return tf.group(*optimizer.get_updates(loss, v1.trainable_variables()))


@program
def keras2_layers():
    model_fn = keras2_model(lambda tf_keras, loss: tf_keras.optimizers.legacy.Adam(0.1))
    several = estimator(model_fn, mirrored()).train(batches(4), steps=4)
    one = estimator(model_fn, None).train(batches(8), steps=4)
    tf_keras = importlib.import_module("tf_keras")
    model = tf_keras.Sequential([tf_keras.Input([2], name="x"), tf_keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    refused = []
    for other in (
        estimator(keras2_model(keras2_step), mirrored()),
        ks.model_to_estimator(model, config=ks.RunConfig(train_distribute=mirrored())),
    ):
        try:
            other.train(batches(4), steps=1)
        except ValueError as error:
            refused.append("replicas" in str(error) and "`train_distribute`" in str(error))
    weights = largest_difference(checkpoint(several), checkpoint(one))
    return {"weights": weights, "refused": refused}


if __name__ == "__main__":
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    print(json.dumps({name: PROGRAMS[name]() for name in sys.argv[1:] or PROGRAMS}))
