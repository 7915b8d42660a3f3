"""Stores the signatures of the original's canned estimators and their helpers.

    python -m tests.golden.make_signatures

Needs an environment with tensorflow-cpu==2.15.1 and tensorflow-estimator==2.15.0.
"""

import inspect
import json
import pathlib

import tensorflow as tf

PATH = pathlib.Path(__file__).resolve().parent / "canned_signatures.json"
NAMES = [
    *(
        f"{kind}{task}"
        for kind in ("Baseline", "DNN", "DNNLinearCombined", "Linear")
        for task in ("Classifier", "Estimator", "Regressor")
    ),
    "add_metrics",
    "classifier_parse_example_spec",
    "regressor_parse_example_spec",
]


def parameter(found: inspect.Parameter) -> list[str]:
    default = found.default
    if default is found.empty:
        return [found.name]
    return [found.name, getattr(default, "__name__", None) or repr(default)]


def main() -> None:
    signatures = {
        name: [
            parameter(found)
            for found in inspect.signature(getattr(tf.estimator, name)).parameters.values()
        ]
        for name in NAMES
    }
    lines = [f" {json.dumps(name)}: {json.dumps(found)}" for name, found in signatures.items()]
    PATH.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
