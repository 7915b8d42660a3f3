"""Records the public names of the original's API modules, of TF 1 and of TF 2.

Run it with the Python that has tensorflow 2.15 and tensorflow-estimator 2.15:

    python -m tests.golden.make_legacy_names

`tests/legacy/test_installation.py` asks for each of them.
"""

import json
import pathlib
import types

import tensorflow as tf


def names_below(module, path):
    """The public names of a module and of those below it, by the paths of the modules."""
    found = {}
    own = []
    for name in sorted(dir(module)):
        value = getattr(module, name)
        if name.startswith("_"):
            continue
        own.append(name)
        if isinstance(value, types.ModuleType):
            found |= names_below(value, f"{path}.{name}")
    return {path: own, **found}


if __name__ == "__main__":
    names = {
        **names_below(tf.estimator, "tensorflow.estimator"),
        **names_below(tf.compat.v1.estimator, "tensorflow.compat.v1.estimator"),
    }
    path = pathlib.Path(__file__).with_name("legacy_names.json")
    path.write_text(json.dumps(names, indent=1) + "\n")
