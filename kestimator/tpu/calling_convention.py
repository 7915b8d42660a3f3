"""How a TPUEstimator calls the functions of the user.

Synopsis::

    state.convention = TPUCallingConvention(batch_sizes={ModeKeys.TRAIN: 32}, ...)
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from kestimator import config, errors
from kestimator._types import InputFn
from kestimator.keys import ModeKeys
from kestimator.runtime.state import CallingConvention
from kestimator.tpu import cross_shard_optimizer
from kestimator.tpu.speed_logs import LogCadence
from kestimator.tpu.tpu_estimator_spec import TPUEstimatorSpec
from kestimator.validation import checks, signatures

_NO_TPU = (
    "A TPUEstimator of kestimator runs on the CPU and on GPUs, not on TPUs. Pass `use_tpu=False` "
    "to run the same model_fn and input_fn there. To train on a TPU, use a Keras model with "
    "tf.distribute.TPUStrategy."
)


@dataclasses.dataclass(frozen=True)
class TPUCallingConvention(CallingConvention):
    """The functions get the batch size of the mode, and may return a `TPUEstimatorSpec`.

    Attributes:
        batch_sizes: The batch sizes by mode, None where there is none.
        uses_tpu: Whether a TPU was asked for.
        evaluates_on_tpu: Whether it was asked for in evaluation, too.
        exports_to_tpu: Whether exports should serve on a TPU.
        exports_to_cpu: Whether exports should serve elsewhere.
        is_sliced: Whether evaluation and prediction need a TPU for their input.
        log_cadence: How often the speed is logged.
    """

    batch_sizes: Mapping[str, int | None]
    uses_tpu: bool
    evaluates_on_tpu: bool
    exports_to_tpu: bool
    exports_to_cpu: bool
    is_sliced: bool
    log_cadence: LogCadence

    def check_run(self, input_fn: InputFn, mode: str) -> None:
        """Checks that the mode needs no TPU, and that the input_fn takes `params`."""
        if self.uses_tpu and (mode != ModeKeys.EVAL or self.evaluates_on_tpu):
            raise errors.ArgumentError(errors.invalid_argument("use_tpu", True, "False", _NO_TPU))
        if self.is_sliced and mode != ModeKeys.TRAIN:
            raise errors.ArgumentError(
                "`TPUConfig.eval_training_input_configuration` is InputPipelineConfig.SLICED, "
                "which slices batches for the cores of a TPU. Leave it out to run without a TPU."
            )
        signatures.check_input_fn(input_fn)
        if "params" not in signatures.accepted_arguments(input_fn):
            raise errors.ArgumentError(
                errors.invalid_argument(
                    "input_fn",
                    input_fn,
                    "a function with an argument called `params`",
                    "A TPUEstimator passes the batch size as params['batch_size'].",
                )
            )

    def check_export(self) -> None:
        """Checks that exports are for CPUs and GPUs."""
        if not self.exports_to_cpu:
            raise errors.ArgumentError(
                errors.invalid_argument(
                    "export_to_cpu",
                    False,
                    "True, because an export has no graph for TPUs",
                    "The graph that it has serves on the CPU and on GPUs.",
                )
            )
        if self.exports_to_tpu:
            checks.warn_without_effect(
                "TPUEstimator(export_to_tpu=True)",
                "Exports have a graph with the tag 'serve', for the CPU and for GPUs, and none "
                "with the tags 'serve' and 'tpu'. Pass export_to_tpu=False.",
            )

    def input_params(self, params: Any, mode: str) -> Any:
        """Returns the hyperparameters with the batch size."""
        copied = copy.deepcopy(params)
        size = self.batch_sizes[mode]
        if size is not None:
            _set(copied, "batch_size", size)
        return copied

    def model_params(self, params: Any, mode: str, *, is_served: bool) -> Any:
        """Returns the hyperparameters with the batch size, unless requests decide about it."""
        copied = copy.deepcopy(params) if is_served else self.input_params(params, mode)
        _set(copied, "use_tpu", False)
        return copied

    def estimator_spec(self, result: Any) -> Any:
        """Returns the `EstimatorSpec` of a `TPUEstimatorSpec`, and other results unchanged."""
        if isinstance(result, TPUEstimatorSpec):
            result = result.as_estimator_spec()
        cross_shard_optimizer.check_graph(tf.compat.v1.get_default_graph())
        return result

    def training_hooks(self, config: config.RunConfig) -> list[Any]:
        """Returns the hook that logs the speed."""
        size = self.batch_sizes[ModeKeys.TRAIN]
        strategy = config.train_distribute
        if size is not None and strategy is not None:
            size *= strategy.num_replicas_in_sync  # each replica gets a batch
        directory = str(config.model_dir) if config.save_summary_steps else None
        return self.log_cadence.hooks(directory, size)


def _set(params: Any, key: str, value: Any) -> None:
    if not hasattr(params, "set_hparam"):
        params[key] = value
    elif key in params:
        params.set_hparam(key, value)
    else:
        params.add_hparam(key, value)
