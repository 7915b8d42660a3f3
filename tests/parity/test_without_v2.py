"""Scripts whose first line is `tf.compat.v1.disable_v2_behavior()` run as the others do."""

import pathlib
import subprocess
import sys

import pytest

PROGRAMS = (
    "batch_norm.by_hand",
    "control_flow.cond",
    "control_flow.dynamic_rnn",
    "early_stopping.evaluator_in_memory",
    "exports.some_modes",
    "heads.binary_with_everything",
    "hooks.fetches",
    "hooks.order_of_training",
    "hooks.session_in_after_run",
    "inputs.arrays_taken_apart",
    "inputs.initializable_iterator_with_a_feeding_hook",
    "inputs.numpy_input_fn",
    "inputs.one_shot_iterator",
    "keras_optimizers.head_adagrad_decay",
    "metrics.of_classes",
    "optimizers.dense_adam",
    "resume.dense_momentum",
    "scaffold.init_from_checkpoint",
    "scaffold.table_in_the_model",
    "specs.one_spec_for_every_mode",
    "summaries.of_every_kind",
    "training.order_of_calls",
    "variables.scopes",
    "warm_start.from_a_directory",
)


OTHERS = (
    "early_stopping.higher",
    "early_stopping.reads_another_folder",
    "exports.without_labels",
    "heads.keras_adagrad",
    "heads.multi_class_mean_weighted_named",
    "heads.several_heads_weighted",
    "inputs.dicts",
    "keras_optimizers.canned_sgd_decay",
    "keras_optimizers.train_op_adam_decay",
    "optimizers.embedding_adagrad",
    "optimizers.schedule_exponential_decay",
    "saved_models.regression",
    "saved_models.with_a_vocabulary",
    "scaffold.moving_average",
    "training.best_of_a_run",
    "training.saved_models",
    "variables.tf_variables",
)


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(PROGRAMS, id="one of each kind"),
        pytest.param(OTHERS, id="others", marks=pytest.mark.slow),
    ],
)
def test_like_the_original_without_v2_behavior(names: tuple[str, ...]) -> None:
    root = pathlib.Path(__file__).resolve().parent.parent.parent
    command = [sys.executable, "-m", "tests.parity.without_v2", *names]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout or done.stderr
