"""The programs of `tests/legacy/programs` after a migration: they run without `install()`.

They train on in the directories that they wrote before it, and print what they print then.
"""

import pathlib
import shutil

import pytest
import tensorflow as tf

from kestimator import migration
from kestimator.migration.findings import grouped
from tests.golden import make_legacy_programs
from tests.legacy.test_programs import GOLDEN, differences

_STAYS = (
    "tf.layers.dense stays: init_from_checkpoint sets the variables of a scope for tf.layers, but "
    "not for Keras layers; name the variables one by one in its assignment_map, and convert the "
    "layer"
)
_CANNED = "tensorflow_estimator.python.estimator.canned"
DECISIONS = {
    "tf1/bert_tpu": [f"lines 57, 67: {_STAYS}"],
    "tf1/conv_net": [
        "line 30: tf.layers.batch_normalization stays: where batch normalization has inputs of "
        "four dimensions, tf.layers keeps a variance that is n / (n - 1) times that of Keras, for "
        "the n values of a channel in a batch; with fused=False it is that of Keras",
        "line 36: tf.layers.dropout stays: Keras drops other values for the same seed=",
    ],
    "tf1/private_imports": [
        f"line 12: TensorFlow has no {_CANNED}.head any more: this import fails",
        *(
            f"line 13: TensorFlow has no {_CANNED}.{name} any more: this import fails"
            for name in ("metric_keys", "optimizers", "prediction_keys")
        ),
        f"line 43: kestimator has no {_CANNED}.head."
        "_binary_logistic_head_with_sigmoid_cross_entropy_loss: it is a private name; use a head, "
        "kestimator.BinaryClassHead and its like",
        f"line 46: kestimator has no {_CANNED}.optimizers.get_optimizer_instance",
        f"line 73: kestimator has no {_CANNED}.prediction_keys.PredictionKeys.LOGISTIC",
        f"line 98: kestimator has no {_CANNED}.metric_keys.MetricKeys.AUC",
        f"line 99: kestimator has no {_CANNED}.prediction_keys.PredictionKeys.PROBABILITIES",
    ],
    "tf1/text_lstm": [
        "line 39: Keras layers do not obey the initializer= of a variable_scope: pass it to layers "
        "of functions that are called in it"
    ],
    "tf1/warm_start": [f"lines 50, 51: {_STAYS}"],
}
UNEQUAL = {
    "tf1/private_imports": "a person must replace what it imports, see the report",
}

RUN_ONCE = {"tf1/deepfm", "tf2/early_stopping", "tf2/model_to_estimator"}
"""Programs that have nothing to do where they have already ended."""


def _go_back(model_dir):
    """Leaves the first checkpoint of a directory and of those in it, and nothing else."""
    for state in [*model_dir.glob("**/checkpoint")]:
        (first, *_) = tf.train.get_checkpoint_state(state.parent).all_model_checkpoint_paths
        for path in [*state.parent.iterdir()]:
            if path.is_file() and not path.name.startswith(f"{pathlib.Path(first).name}."):
                path.unlink()
            elif path.is_dir() and not [*path.glob("**/checkpoint")]:
                shutil.rmtree(path)
        state.write_text(f'model_checkpoint_path: "{pathlib.Path(first).name}"\n')


def migrated(name):
    return migration.migrate_source((make_legacy_programs.PROGRAMS / f"{name}.py").read_text())


@pytest.mark.parametrize("name", make_legacy_programs.program_names())
def test_report(name):
    result = migrated(name)
    assert sorted(grouped(result.decisions, result.line_name)) == DECISIONS.get(name, [])
    second = migration.migrate_source(result.after)
    assert (second.after, second.changes) == (result.after, ())


def _case(name):
    marks = [pytest.mark.slow]
    if name in UNEQUAL:
        marks.append(pytest.mark.xfail(reason=UNEQUAL[name], strict=True))
    return pytest.param(name, marks=marks)


@pytest.mark.parametrize("name", [_case(name) for name in make_legacy_programs.program_names()])
def test_program(name, tmp_path):
    path = tmp_path / "program.py"
    path.write_text(migrated(name).after)
    run = ["kestimator", "run"]
    old, new, fresh = (str(tmp_path / folder) for folder in ("old", "new", "fresh"))
    first = make_legacy_programs.answer([], name, fresh, path)
    assert not differences(GOLDEN[name], first)
    make_legacy_programs.answer(run, name, old)
    if name in RUN_ONCE:
        _go_back(tmp_path / "old")
    shutil.copytree(old, new)
    expected = make_legacy_programs.answer(run, name, old)
    actual = make_legacy_programs.answer([], name, new, path)
    assert not differences(expected, actual)
