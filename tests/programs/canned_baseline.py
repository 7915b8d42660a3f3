"""Baseline estimators: losses, metrics, predictions, variables, tags."""

import functools
from typing import Any

from tests.programs import canned, tools

CASES = tools.Cases()


def _trained(
    est: Any, model_dir: str, kind: str = "two", name: str = "BaselineClassifier", **options: Any
) -> dict[str, Any]:
    """With one feature besides the weights: the original fails with several."""
    estimator = getattr(est, name)(config=canned.config(est, model_dir), **options)
    x = canned.features()
    given = {
        key: x[key] for key in ("weight", "age") if key != "weight" or "weight_column" in options
    }
    data = tools.batches(given, canned.labels(kind), canned.BATCH)
    once = tools.batches(given, canned.labels(kind), canned.BATCH, 1)
    estimator.train(data, steps=60)
    return {
        "losses": tools.scalars(model_dir, ["loss"])["loss"]["values"][::7],
        "evaluated": tools.typed(estimator.evaluate(once)),
        "row": tools.plain(next(estimator.predict(tools.batches(given, None, canned.BATCH, 1)))),
        "variables": tools.checkpoint(model_dir),
        "tags": canned.tags(model_dir),
    }


CASES.update(
    {f"name_{name}": functools.partial(_trained, optimizer=name) for name in canned.OPTIMIZERS}
)


@CASES
def three_classes(est: Any, model_dir: str) -> dict[str, Any]:
    return _trained(est, model_dir, "words", n_classes=3, label_vocabulary=canned.CLASSES)


@CASES
def weighted(est: Any, model_dir: str) -> dict[str, Any]:
    return _trained(est, model_dir, weight_column="weight", loss_reduction="sum")


@CASES
def regression(est: Any, model_dir: str) -> dict[str, Any]:
    return _trained(est, model_dir, "numbers", "BaselineRegressor", label_dimension=2)


@CASES
def with_a_head(est: Any, model_dir: str) -> dict[str, Any]:
    make = canned.optimizer(est, "SGD", 0.1)
    return _trained(
        est, model_dir, "number", "BaselineEstimator", head=est.RegressionHead(), optimizer=make
    )
