"""Stores the signatures of the original's canned estimators and their helpers.

    python -m tests.golden.make_signatures

Needs an environment with tensorflow-cpu==2.15.1 and tensorflow-estimator==2.15.0.
"""

import inspect
import json
import operator
import pathlib

from tests.programs import original

PATH = pathlib.Path(__file__).resolve().parent / "canned_signatures.json"
NAMES = [
    *(
        f"{kind}{task}"
        for kind in ("Baseline", "DNN", "DNNLinearCombined", "Linear")
        for task in ("Classifier", "Estimator", "Regressor")
    ),
    *(
        f"v1.{kind}{task}"
        for kind in ("Baseline", "DNN", "DNNLinearCombined", "Linear")
        for task in ("Classifier", "Estimator", "Regressor")
    ),
    "add_metrics",
    "classifier_parse_example_spec",
    *(f"experimental.{name}" for name in ("KMeans", "LinearSDCA", "RNNClassifier", "RNNEstimator")),
    "regressor_parse_example_spec",
]


def parameter(found: inspect.Parameter) -> list[str]:
    default = found.default
    if default is found.empty:
        return [found.name]
    if type(default) is object:  # that says "not given"
        default = None
    return [found.name, getattr(default, "__name__", None) or repr(default)]


def main() -> None:
    library = original.library()
    signatures = {
        name: [
            parameter(found)
            for found in inspect.signature(operator.attrgetter(name)(library)).parameters.values()
        ]
        for name in NAMES
    }
    lines = [f" {json.dumps(name)}: {json.dumps(found)}" for name, found in signatures.items()]
    PATH.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
