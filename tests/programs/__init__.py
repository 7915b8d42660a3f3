"""Small programs in the style of real tf.estimator code, run by the original and by kestimator.

Each module holds one idiom as *cases*: functions `(est, model_dir) -> dict` that take the estimator
library as an argument. `est` is `kestimator`, or the original as `programs.original.library()`
presents it. What a case returns is plain data (see `tools.plain`), so that `tests/golden/make.py`
can store what the original answers and `tests/parity` can compare.

    from tests import programs
    for name, program in programs.cases("inputs").items():
        program(kestimator, "some/empty/folder")

In the results, keys that begin with `about_` hold steps that the original itself does not always
hit exactly (it fetches the global step while the train op moves it); they may differ by 2.
Everything else is compared exactly, floating-point numbers to 1e-5 relative.
"""

import importlib
from collections.abc import Callable
from typing import Any

MODULES = (
    "batch_norm",
    "canned_baseline",
    "canned_deep",
    "canned_errors",
    "canned_linear",
    "canned_rnn",
    "canned_v1",
    "control_flow",
    "early_stopping",
    "exports",
    "graph_mode",
    "heads",
    "heads_eagerly",
    "hooks",
    "inputs",
    "keras2_estimators",
    "keras2_layers",
    "keras_optimizers",
    "kmeans",
    "metrics",
    "oddities",
    "op_names",
    "optimizers",
    "random_state",
    "resume",
    "run_config",
    "saved_models",
    "scaffold",
    "sdca",
    "specs",
    "summaries",
    "tf_layers",
    "tpu",
    "tpu_fine_tuning",
    "training",
    "variables",
    "warm_start",
    "wide_and_deep",
)

Program = Callable[[Any, str], dict[str, Any]]


def cases(module: str) -> dict[str, Program]:
    """The programs of one idiom by name, in the order in which they are written."""
    return dict(importlib.import_module(f"tests.programs.{module}").CASES)


def model_dirs(module: str) -> dict[str, Callable[[Any, str], Any]]:
    """The programs that write the model directories which an idiom trains on, by their names."""
    found = getattr(importlib.import_module(f"tests.programs.{module}"), "MODEL_DIRS", {})
    return dict(found)
