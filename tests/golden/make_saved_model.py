"""Stores an export of every mode that the original wrote, for kestimator to go on with.

    python -m tests.golden.make_saved_model

Its answers are those of `saved_models.with_a_vocabulary` in `idioms`. Needs an environment with
tensorflow-cpu==2.15.1 and tensorflow-estimator==2.15.0.
"""

import pathlib
import shutil
import tempfile

from tests.programs import original, saved_models

DIRECTORY = pathlib.Path(__file__).resolve().parent / "saved_model"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = saved_models.with_vocabulary(original.library(), folder)
        shutil.rmtree(DIRECTORY, ignore_errors=True)
        shutil.copytree(path, DIRECTORY)


if __name__ == "__main__":
    main()
