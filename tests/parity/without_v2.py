"""Runs programs in a process that has turned TensorFlow 2 behaviour off; prints what differs.

    python -m tests.parity.without_v2 inputs.dicts optimizers.dense_adam

The original answers the same either way, so the golden files are the same.
"""

import pathlib
import sys
import tempfile

import tensorflow as tf

from tests.parity.golden import assert_golden


def main() -> int:
    tf.compat.v1.disable_v2_behavior()
    failed = 0
    for name in sys.argv[1:]:
        module, _, case = name.partition(".")
        try:
            with tempfile.TemporaryDirectory() as model_dir:
                assert_golden(module, case, pathlib.Path(model_dir))
        except Exception as error:
            print(f"{name}: {type(error).__name__}: {error}")
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
