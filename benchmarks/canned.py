"""Canned estimators that are measured, and an equal Keras model.

Synopsis::

    train = trainer("kestimator", "wide_and_deep", model_dir)
    train(100)
    estimator = estimator_of("deep", est, model_dir)      # kestimator or tf.estimator

13 numbers and 6 categories embedded in 8, hidden layers of 128 and 64, batches of 128; wide and
deep adds linear weights for the categories and for a cross of two in 10,000 buckets. Runs in both
environments: TensorFlow 2.21 and 2.15.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks import workloads

TASKS = ("deep", "wide_and_deep")
NUMBERS = tuple(f"number_{position}" for position in range(13))
CATEGORIES = tuple(f"category_{position}" for position in range(6))
CATEGORY_SIZE, EMBEDDING_SIZE, CROSS_SIZE = 1_000, 8, 10_000
HIDDEN_UNITS = [128, 64]
DENSE_OPTIMIZERS = ("Adam", "RMSProp")
EXAMPLES, BATCH_SIZE = 4_096, 128
_columns = tf.feature_column


def examples(category_size: int = CATEGORY_SIZE) -> tuple[workloads.Columns, np.ndarray]:
    """The features and the labels of two classes."""
    random = np.random.RandomState(1)
    columns = {name: random.rand(EXAMPLES).astype(np.float32) for name in NUMBERS}
    labels = (columns[NUMBERS[0]] + columns[NUMBERS[1]] > 1).astype(np.int64)
    for name in CATEGORIES:
        columns[name] = random.randint(0, category_size, EXAMPLES).astype(np.int64)
    return columns, labels


def training_data(category_size: int = CATEGORY_SIZE) -> tf.data.Dataset:
    """Endless batches, kept in memory as those of the other tasks."""
    dataset = tf.data.Dataset.from_tensor_slices(examples(category_size))
    return dataset.batch(BATCH_SIZE, drop_remainder=True).cache().repeat()


def evaluation_data() -> tf.data.Dataset:
    """All examples, once."""
    return tf.data.Dataset.from_tensor_slices(examples()).batch(BATCH_SIZE)


def estimator_of(task: str, est: Any, model_dir: str, config: Any = None) -> Any:
    """A canned estimator of `est`, which is kestimator or tf.estimator."""
    categories = _categories(CATEGORY_SIZE)
    deep = [*_numbers(), *_embedded(categories)]
    if task == "deep":
        return est.DNNClassifier(HIDDEN_UNITS, deep, model_dir=model_dir, config=config)
    cross = _columns.crossed_column(list(CATEGORIES[:2]), CROSS_SIZE)
    return est.DNNLinearCombinedClassifier(
        model_dir=model_dir,
        linear_feature_columns=[*categories, cross],
        dnn_feature_columns=deep,
        dnn_hidden_units=HIDDEN_UNITS,
        config=config,
    )


def receiver_fn(est: Any) -> Any:
    """A receiver of serialized examples with the features of a canned estimator."""
    numbers = {name: tf.io.FixedLenFeature([1], tf.float32) for name in NUMBERS}
    categories = {name: tf.io.FixedLenFeature([1], tf.int64) for name in CATEGORIES}
    return est.export.build_parsing_serving_input_receiver_fn({**numbers, **categories})


def requests(count: int) -> list[bytes]:
    """The first examples, serialized."""
    columns, _ = examples()

    def feature(name: str, row: int) -> Any:
        value = columns[name][row]
        if name in NUMBERS:
            return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    rows = [{name: feature(name, row) for name in columns} for row in range(count)]
    return [
        tf.train.Example(features=tf.train.Features(feature=row)).SerializeToString()
        for row in rows
    ]


def embedding_estimator(est: Any, table_rows: int, optimizer: Any, model_dir: str) -> Any:
    """A small network over one table of `table_rows` rows, without checkpoints."""
    (category, *_) = _categories(table_rows)
    # Checkpoints of a big table take as long as many steps: they are not what is measured.
    config = est.RunConfig(save_checkpoints_secs=None, save_checkpoints_steps=None)
    return est.DNNClassifier(
        [16], _embedded([category]), model_dir=model_dir, optimizer=optimizer, config=config
    )


def trainer(engine: str, task: str, model_dir: str) -> Callable[[int], None]:
    """What trains `task` for so many steps, with nothing built yet."""
    from benchmarks import engines

    if engine in engines.ESTIMATORS:
        estimator = estimator_of(task, engines.estimator_module(engine), model_dir)
        return lambda steps: estimator.train(training_data, steps=steps)
    if engine == "loop":
        return _loop_trainer(task)
    return _fit_trainer(task, steps_per_execution=int(engine.removeprefix("fit_")))


def multiplier() -> Callable[[int], None]:
    """What multiplies matrices as steps of the network do, and does nothing else.

    Three products forwards, three for the kernels' gradients and three for what comes before them.
    """
    sizes = [len(NUMBERS) + len(CATEGORIES) * EMBEDDING_SIZE, *HIDDEN_UNITS, 1]
    random = np.random.RandomState(1)
    inputs = tf.constant(random.rand(BATCH_SIZE, sizes[0]), tf.float32)
    kernels = [
        tf.constant(random.rand(*pair) / pair[0], tf.float32) for pair in itertools.pairwise(sizes)
    ]

    @tf.function
    def loop(steps: tf.Tensor, inputs: tf.Tensor, kernels: list[tf.Tensor]) -> tf.Tensor:
        total = tf.constant(0.0)
        for _ in tf.range(steps):
            # Each step needs the one before, so that none is left out or run beside it.
            layers = [inputs + 1e-30 * total]
            for kernel in kernels:
                layers.append(tf.matmul(layers[-1], kernel))
            gradient = layers.pop()
            for kernel in reversed(kernels):
                product = tf.matmul(layers.pop(), gradient, transpose_a=True)
                gradient = tf.matmul(gradient, kernel, transpose_b=True)
                total += product[0, 0]
            total += gradient[0, 0]
        return total

    return lambda steps: loop(tf.constant(steps), inputs, kernels).numpy()


def _numbers() -> list[Any]:
    return [_columns.numeric_column(name) for name in NUMBERS]


def _categories(size: int) -> list[Any]:
    return [_columns.categorical_column_with_identity(name, size) for name in CATEGORIES]


def _embedded(categories: list[Any]) -> list[Any]:
    return [_columns.embedding_column(category, EMBEDDING_SIZE) for category in categories]


def _keras_model(task: str) -> Any:
    """The network with plain gathers for its columns, and the linear part beside it."""
    import keras

    numbers = [keras.Input((), name=name) for name in NUMBERS]
    categories = [keras.Input((), name=name, dtype="int64") for name in CATEGORIES]
    embedded = [keras.layers.Embedding(CATEGORY_SIZE, EMBEDDING_SIZE)(x) for x in categories]
    values = keras.layers.Concatenate()(
        [*[keras.ops.expand_dims(x, 1) for x in numbers], *embedded]
    )
    for units in HIDDEN_UNITS:
        values = keras.layers.Dense(units, activation="relu")(values)
    logits = keras.layers.Dense(1)(values)
    if task == "wide_and_deep":
        cross = keras.layers.HashedCrossing(CROSS_SIZE)(categories[:2])
        weights = [keras.layers.Embedding(CATEGORY_SIZE, 1)(x) for x in categories]
        logits = keras.layers.Add()(
            [logits, *weights, keras.layers.Embedding(CROSS_SIZE, 1)(cross)]
        )
    return keras.Model([*numbers, *categories], logits)


def _keras_data() -> tf.data.Dataset:
    """The same batches, with the features in the order of the model's inputs."""

    def ordered(columns: workloads.Columns, labels: tf.Tensor) -> Any:
        return tuple(columns[name] for name in (*NUMBERS, *CATEGORIES)), labels[:, None]

    dataset = tf.data.Dataset.from_tensor_slices(examples())
    return dataset.batch(BATCH_SIZE, drop_remainder=True).map(ordered).cache().repeat()


def _optimizer_and_loss() -> tuple[Any, Any]:
    import keras

    return keras.optimizers.Adagrad(0.001), keras.losses.BinaryCrossentropy(from_logits=True)


def _loop_trainer(task: str) -> Callable[[int], None]:
    model, iterator = _keras_model(task), iter(_keras_data())
    optimizer, loss_of = _optimizer_and_loss()
    optimizer.build(model.trainable_variables)

    @tf.function
    def loop(steps: tf.Tensor, iterator: Any) -> tf.Tensor:
        loss = tf.constant(0.0)
        for _ in tf.range(steps):
            inputs, labels = next(iterator)
            with tf.GradientTape() as tape:
                loss = loss_of(labels, model(list(inputs), training=True))
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply(gradients, model.trainable_variables)
        return loss

    return lambda steps: loop(tf.constant(steps), iterator).numpy()


def _fit_trainer(task: str, steps_per_execution: int) -> Callable[[int], None]:
    model, data = _keras_model(task), _keras_data()
    optimizer, loss = _optimizer_and_loss()
    model.compile(optimizer, loss, steps_per_execution=steps_per_execution)
    return lambda steps: model.fit(data, steps_per_epoch=steps, verbose=0)
