"""The rows of the benchmark's table and their targets."""

from __future__ import annotations

from benchmarks.table import Row, Target

_ALL_ENGINES = ("kestimator", "tf_estimator", "fit_1", "fit_100", "loop")
_ORIGINAL = "tf_estimator"


def _steps(title: str, task: str, *, targets: tuple[Target, ...]) -> Row:
    return Row(
        f"{title}: steps per second",
        "steps",
        task,
        "steps_per_second",
        engines=_ALL_ENGINES,
        more_is_better=True,
        targets=targets,
    )


_STEP_TARGETS = (Target(4, _ORIGINAL), Target(0.9, "loop"))


def _canned(title: str, task: str) -> list[Row]:
    return [
        Row(
            f"{title}: steps per second",
            "canned_steps",
            task,
            "steps_per_second",
            engines=_ALL_ENGINES,
            more_is_better=True,
            targets=_STEP_TARGETS,
        ),
        Row(
            f"{title}, ten times 200 steps and an evaluation: seconds",
            "alternation",
            task,
            "seconds",
            targets=(Target(5, _ORIGINAL),),
        ),
    ]


def _canned_embedding(optimizer: str, *, touches_rows_alone: bool) -> list[Row]:
    title = f"DNNClassifier over one embedding, {optimizer}"
    numbers = (
        ("microseconds a step, 1,000 rows", "step_microseconds_1000"),
        ("microseconds a step, 3,000,000 rows", "step_microseconds_3000000"),
        ("a step with the big table to one with the small", "big_to_small"),
    )
    targets = (Target(1.5, at_least=False),) if touches_rows_alone else ()
    return [
        Row(
            f"{title}: {what}",
            "canned_embedding",
            optimizer,
            key,
            engines=("kestimator",),
            once=not touches_rows_alone,
            targets=targets if key == "big_to_small" else (),
        )
        for what, key in numbers
    ]


def _embedding(optimizer: str, title: str) -> list[Row]:
    with_keras = optimizer.endswith("_keras")
    engines = ("kestimator",) if with_keras else ("kestimator", _ORIGINAL)
    return [
        Row(
            f"embedding, {title}: microseconds a step, 1,000 rows",
            "embedding",
            optimizer,
            "step_microseconds_1000",
            engines=engines,
        ),
        Row(
            f"embedding, {title}: microseconds a step, 3,000,000 rows",
            "embedding",
            optimizer,
            "step_microseconds_3000000",
            engines=engines,
        ),
        Row(
            f"embedding, {title}: a step with the big table to one with the small",
            "embedding",
            optimizer,
            "big_to_small",
            engines=engines,
            targets=(Target(1.5, at_least=False),),
        ),
    ]


def _memory(title: str, key: str, *, targets: tuple[Target, ...] = ()) -> Row:
    return Row(
        title,
        "memory",
        "network",
        key,
        targets=targets,
        # 2,000 predictions of the original take a quarter of an hour; its growth is per call.
        engine_scale=((_ORIGINAL, 0.2),),
        once=True,
    )


def _one_row(title: str, measure: str) -> Row:
    return Row(
        title,
        measure,
        "network",
        "again_seconds",
        scale=1000,
        targets=(Target(100, _ORIGINAL), Target(5, at_least=False)),
    )


ROWS: list[Row] = [
    _steps("linear regression, batch 32", "linear", targets=_STEP_TARGETS),
    _steps("13-64-32-2 network, Adam, batch 64", "network", targets=_STEP_TARGETS),
    _steps("linear regression, every example shuffled", "linear_shuffled", targets=()),
    Row(
        "second evaluation of two batches: milliseconds",
        "evaluate",
        "network",
        "again_seconds",
        scale=1000,
        targets=(Target(20, _ORIGINAL),),
    ),
    _one_row("second prediction of one row, from an array: milliseconds", "predict_one_array"),
    _one_row("second prediction of one row, from a Dataset: milliseconds", "predict_one"),
    Row(
        "prediction of 20,000 rows of six outputs: rows per second",
        "predict_many",
        "network",
        "rows_per_second",
        more_is_better=True,
        targets=(Target(10, _ORIGINAL),),
    ),
    Row(
        "constructor to the end of the first step: seconds",
        "start",
        "network",
        "first_step_seconds",
        targets=(Target(1, _ORIGINAL),),
    ),
    Row("constructor to the end of 200 steps: seconds", "start", "network", "steps_200_seconds"),
    Row(
        "peak memory at the end of the first step: MiB",
        "start",
        "network",
        "peak_mib",
        targets=(Target(1, _ORIGINAL),),
    ),
    Row(
        "the same, without what the imports took: MiB", "start", "network", "peak_mib_over_imports"
    ),
    *_embedding("sgd", "TF1 gradient descent"),
    *_embedding("adagrad", "TF1 Adagrad"),
    *_embedding("ftrl", "TF1 FTRL"),
    *_embedding("sgd_keras", "Keras SGD"),
    *_embedding("adagrad_keras", "Keras Adagrad"),
    *_embedding("ftrl_keras", "Keras FTRL"),
    *_canned("DNNClassifier, 13 numbers and 6 embeddings", "deep"),
    Row(
        "DNNClassifier, nothing but its products of matrices: steps per second",
        "multiplications",
        "deep",
        "steps_per_second",
        engines=("loop",),
        more_is_better=True,
    ),
    *_canned("the same, wide and deep with a cross", "wide_and_deep"),
    Row(
        "DNNClassifier, train_and_evaluate of 2,000 steps with 10 evaluations: seconds",
        "train_and_evaluate",
        "deep",
        "seconds",
        targets=(Target(5, _ORIGINAL),),
    ),
    Row(
        "DNNClassifier, second export for serving: milliseconds",
        "export",
        "deep",
        "again_seconds",
        scale=1000,
        targets=(Target(1, _ORIGINAL),),
    ),
    Row(
        "DNNClassifier, its export called with 32 examples: calls per second",
        "serving",
        "deep",
        "calls_per_second",
        more_is_better=True,
        targets=(Target(0.95, _ORIGINAL),),
    ),
    *_canned_embedding("SGD", touches_rows_alone=True),
    *_canned_embedding("Adagrad", touches_rows_alone=True),
    *_canned_embedding("Ftrl", touches_rows_alone=True),
    *_canned_embedding("Adam", touches_rows_alone=False),
    *_canned_embedding("RMSProp", touches_rows_alone=False),
    *_canned_embedding("LazyAdam", touches_rows_alone=True),
    *_canned_embedding("LazyRMSprop", touches_rows_alone=True),
    _memory("resident memory after 10 cycles of train and evaluate: MiB", "mib_after_10_cycles"),
    _memory(
        "growth over the cycles from there: MiB",
        "cycles_growth_mib",
        targets=(Target(10, at_least=False),),
    ),
    _memory("cycles made", "cycles"),
    _memory("resident memory after 10 predictions: MiB", "mib_after_10_calls"),
    _memory(
        "growth over the predictions from there: MiB",
        "calls_growth_mib",
        targets=(Target(10, at_least=False),),
    ),
    _memory("predictions made", "calls"),
]
