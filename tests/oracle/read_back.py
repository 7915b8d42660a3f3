"""Trains on, with the original, in a model directory that kestimator wrote; prints JSON.

    python tests/oracle/read_back.py dense_adam some/model_dir

Run by an interpreter that has tensorflow-cpu==2.15.1 and tensorflow-estimator==2.15.0. The kinds
are those of `tests/programs/resume.py`.
"""

import json
import logging
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent))

from tests.programs import original, resume, tools


def main() -> None:
    kind, model_dir = sys.argv[1:]
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    found = tools.checkpoint(model_dir)
    print(json.dumps({"found": found, **resume.train_on(original.library(), model_dir, kind)}))


if __name__ == "__main__":
    main()
