"""What the programs of canned estimators share: data, columns, optimizers, what is recorded."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import tools

fc = tf.feature_column
ROWS, BATCH = 24, 8
COLORS = ["red", "green", "blue"]
CLASSES = ["low", "middle", "high"]
OPTIMIZERS = ("Adagrad", "Adam", "Ftrl", "RMSProp", "SGD")
Optimizer = Callable[[], Any]


def features() -> dict[str, np.ndarray]:
    """Numbers, words with unknown and missing ones, ids with missing ones, weights."""
    random = np.random.RandomState(3)
    words = np.array([*COLORS, "violet", ""], dtype="S6")
    return {
        "age": random.uniform(10, 70, ROWS).astype(np.float32),
        "color": words[random.randint(0, 5, ROWS)],
        "id": random.randint(-1, 6, ROWS).astype(np.int64),
        "pair": random.uniform(-1, 1, (ROWS, 2)).astype(np.float32),
        "several": random.randint(-1, 4, (ROWS, 3)).astype(np.int64),
        "weight": random.uniform(0.2, 2.0, ROWS).astype(np.float32),
    }


def labels(kind: str) -> np.ndarray:
    """Labels of two or three classes, words or numbers, or of regressions."""
    x, random = features(), np.random.RandomState(4)
    score = x["age"] / 20 - 2 + x["pair"][:, 0] + random.normal(0, 0.5, ROWS)
    classes = np.digitize(score, [-0.6, 0.5])
    return {
        "two": (score > 0).astype(np.int64),
        "three": classes.astype(np.int64),
        "words": np.array(CLASSES, dtype="S6")[classes],
        "number": score.astype(np.float32),
        "numbers": np.stack([score, -2 * score + 1], 1).astype(np.float32),
    }[kind]


def age(normalized: bool = True) -> Any:
    return fc.numeric_column("age", normalizer_fn=(lambda x: x / 50.0) if normalized else None)


def color() -> Any:
    return fc.categorical_column_with_vocabulary_list("color", COLORS)


def identity(key: str = "id") -> Any:
    return fc.categorical_column_with_identity(key, 6)


def bucketized() -> Any:
    return fc.bucketized_column(fc.numeric_column("age"), [18, 30, 45, 60])


def linear_columns() -> list[Any]:
    """One of each kind that a linear model is made of."""
    cross = fc.crossed_column([bucketized(), "color"], 16)
    pair = fc.numeric_column("pair", shape=2)
    return [age(), pair, color(), identity(), bucketized(), cross]


def deep_columns() -> list[Any]:
    """One of each kind that a network is made of."""
    cross = fc.crossed_column([bucketized(), "color"], 16)
    return [
        age(),
        fc.numeric_column("pair", shape=2),
        fc.embedding_column(identity(), 2),
        fc.embedding_column(identity("several"), 3, combiner="sqrtn"),
        fc.embedding_column(cross, 2),
        fc.indicator_column(color()),
        bucketized(),
    ]


def optimizer(est: Any, name: str, *args: Any, **options: Any) -> Optimizer:
    """What makes an optimizer: the original takes those of Keras 2 alone."""
    is_original = not hasattr(est, "errors")
    module = tf.keras.optimizers.legacy if is_original else tf.keras.optimizers
    return lambda: getattr(module, name)(*args, **options)


def decayed() -> Any:
    return tf.keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.8)


def config(est: Any, model_dir: str) -> Any:
    """Every step's loss in the event file, and few checkpoints."""
    return est.RunConfig(model_dir, save_summary_steps=1, keep_checkpoint_max=1)


def input_fn(kind: str, epochs: int | None = None) -> Callable[[], tf.data.Dataset]:
    return tools.batches(features(), labels(kind), BATCH, epochs)


def trained(estimator: Any, kind: str, steps: int, thin: int = 1) -> dict[str, Any]:
    """Trains, evaluates and predicts; what is left in the model directory."""
    first = _last_step(estimator.model_dir)
    estimator.train(input_fn(kind), steps=steps)
    evaluated = tools.typed(estimator.evaluate(input_fn(kind, 1)))
    rows = [
        row
        for row, _ in zip(
            estimator.predict(tools.batches(features(), None, BATCH, 1)), range(4), strict=False
        )
    ]
    losses = tools.scalars(estimator.model_dir, ["loss"])["loss"]
    pairs = [
        pair
        for pair in zip(losses["steps"], losses["values"], strict=True)
        if pair[0] > first and (pair[0] - first - 1) % thin == 0
    ]
    return {
        "losses": [loss for _, loss in pairs],
        "steps": [step for step, _ in pairs],
        "evaluated": evaluated,
        "rows": {key: tools.plain(np.stack([row[key] for row in rows]).ravel()) for key in rows[0]},
        "types": [[key, str(value.dtype), list(value.shape)] for key, value in rows[0].items()],
        "variables": tools.checkpoint(estimator.model_dir),
        "tags": tags(estimator.model_dir),
        "eval tags": tags(f"{estimator.model_dir}/eval"),
    }


def tags(folder: str) -> list[list[str]]:
    """The tags of summaries, with their kinds."""
    found = {(event["tag"], event["kind"]) for event in tools.events(folder)}
    return sorted([tag, kind] for tag, kind in found if tag != "global_step/sec")


def _last_step(model_dir: str) -> int:
    path = tf.train.latest_checkpoint(model_dir)
    return int(path.rpartition("-")[2]) if path else 0
