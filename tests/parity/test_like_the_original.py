"""Each program of `tests/programs`, run by kestimator, answers as it did with tf.estimator 2.15."""

import pathlib
from typing import Any

import pytest

from tests import programs
from tests.parity.golden import assert_golden
from tests.selection import members

# LinearSDCA's steps vary in the original, too: test_sdca.py compares the optimum.
MODULES = [module for module in programs.MODULES if module != "sdca"]

# Modules whose programs differ in an argument only, with those that the fast suite runs. Of all
# other modules it runs every program.
FAST = {
    "canned_baseline": ["name_Adam", "regression", "three_classes"],
    "canned_deep": ["combined", "dnn_batch_norm", "layout_of_a_linear_part_alone", "dnn_adam"],
    "canned_linear": [
        *("combiner_sqrtn", "name_Ftrl", "no_optimizer", "object_adam", "object_clipnorm"),
        *("schedule_SGD", "three_classes_summed_and_weighted", "vocabulary", "with_a_head"),
    ],
    "canned_rnn": ["first_weights", "sequences_of_three", "simple"],
    "canned_v1": ["dnn"],
    "exports": [
        *("errors", "head_multi_class", "head_of_sequences", "saver_of_the_scaffold"),
        *("several_outputs", "some_modes", "too_few_inputs", "without_labels"),
    ],
    "heads": [
        *("binary_mean_weighted_named", "binary_of_soft_labels", "binary_with_everything"),
        *("keras_ftrl", "labels_out_of_range", "logistic_sum_weighted"),
        *("multi_class_sum_weighted_named", "multi_class_with_a_loss_fn"),
        *("multi_label_of_sparse_ids", "multi_label_with_everything", "no_data"),
        *("poisson_mean_weighted", "poisson_without_the_full_loss", "regression_of_two_sum"),
        *("regression_with_an_inverse_link", "several_heads_weighted"),
        *("several_heads_with_logits_of_their_own", "slots_of_a_train_op_fn", "update_ops"),
    ],
    "keras2_estimators": ["resumed_checkpoint"],
    "keras2_layers": ["guide"],
    "keras_optimizers": [
        *("canned_adam_decay", "canned_sgd_piecewise", "canned_sgd_variable"),
        *("head_adagrad_decay", "keras2_added_metrics", "keras2_canned_adam"),
        *("keras2_canned_nadam", "keras2_head_ftrl_shrinkage", "keras2_head_sgd_schedule"),
        *("keras2_metrics", "keras2_two_optimizers", "train_op_adam_decay"),
        *("train_op_sgd_decay_by_function", "train_op_sgd_numpy"),
    ],
    "op_names": ["v1_dnn_words", "v2_dnnlinearcombined_two"],
    "optimizers": [
        *("clipped_by_global_norm", "control_dependencies", "dense_adagrad", "dense_adam"),
        *("dense_ftrl_regularized", "embedding_adam", "embedding_ftrl_regularized"),
        *("embedding_momentum", "gradient_accumulation", "regularized_variables"),
        *("schedule_exponential_decay", "schedule_warm_up", "slots_below_a_scope"),
        *("train_op_is_a_tensor", "two_optimizers_one_step", "two_updates_per_step"),
        "written_down_but_not_run",
    ],
    "tf_layers": ["resumed"],
    "saved_models": ["binary", "errors", "exports_in_turn", "resumes", "with_a_vocabulary"],
    "tpu": ["batch_sizes", "configs", "errors", "exports", "host_call", "speed"],
    "tpu_fine_tuning": ["in_scaffold_fn"],
}


def of_every_module() -> list[Any]:
    assert set(FAST) <= set(MODULES)
    cases = {f"{module}.{case}" for module in FAST for case in FAST[module]}
    rest = [module for module in MODULES if module not in FAST]
    cases |= {f"{module}.{case}" for module in rest for case in programs.cases(module)}
    names = [f"{module}.{case}" for module in MODULES for case in programs.cases(module)]
    return members(names, fast=cases)


@pytest.mark.parametrize("name", of_every_module())
def test_like_the_original(name: str, tmp_path: pathlib.Path) -> None:
    module, case = name.split(".")
    if case.startswith("keras2") or module.startswith(("keras2", "tf_layers")):
        pytest.importorskip("tf_keras")
    assert_golden(module, case, tmp_path)
