"""An Estimator with the arguments of a TPUEstimator, on the CPU or the GPU.

Synopsis::

    config = kestimator.tpu.RunConfig(model_dir="/tmp/model")
    estimator = TPUEstimator(model_fn, config=config, use_tpu=False, train_batch_size=32)
    estimator.train(input_fn, max_steps=1000)
"""

from __future__ import annotations

import enum
import os
from typing import Any

from kestimator import errors, specs
from kestimator._types import ModelFn
from kestimator.estimator import Estimator
from kestimator.keys import ModeKeys
from kestimator.tpu.calling_convention import TPUCallingConvention
from kestimator.tpu.experimental import NO_EMBEDDINGS
from kestimator.tpu.speed_logs import LogCadence
from kestimator.tpu.tpu_config import InputPipelineConfig, RunConfig
from kestimator.validation import checks, kinds, signatures


class ExportSavedModelApiVersion(enum.Enum):
    """Who adds the ops of a TPU to an export. It has no effect without a TPU."""

    V1 = 1
    V2 = 2


class TPUEstimator(Estimator):
    """An `Estimator` whose functions get the batch size in `params["batch_size"]`.

    It exists for programs that were written for TPUs, and runs them on the CPU or the GPU, with
    `use_tpu=False`. Each `input_fn` and the `model_fn` have to take `params`. A `model_fn` also
    gets `params["use_tpu"]`, which is False. In an export there is no batch size.

    Example:
        >>> def model_fn(features, labels, mode, params):
        ...     w = tf.compat.v1.get_variable("w", [1, 1])
        ...     outputs = features["x"] @ w
        ...     loss = tf.reduce_mean((outputs - labels) ** 2)
        ...     train_op = tf.compat.v1.train.GradientDescentOptimizer(0.1).minimize(
        ...         loss, global_step=tf.compat.v1.train.get_global_step())
        ...     return kestimator.tpu.TPUEstimatorSpec(mode, loss=loss, train_op=train_op)
        >>> def batches_fn(params):
        ...     x = np.ones([8, 1], np.float32)
        ...     return tf.data.Dataset.from_tensor_slices(({"x": x}, x)).batch(
        ...         params["batch_size"], drop_remainder=True)
        >>> estimator = kestimator.tpu.TPUEstimator(
        ...     model_fn, config=kestimator.tpu.RunConfig(), use_tpu=False, train_batch_size=4)
        >>> int(estimator.train(batches_fn).get_variable_value("global_step"))
        2

    Args:
        model_fn: Called with `features`, `params` and, if it takes them, `labels`, `mode` and
            `config`; returns a `TPUEstimatorSpec` or an `EstimatorSpec`.
        model_dir: As for `Estimator`.
        config: A `kestimator.tpu.RunConfig`.
        params: Hyperparameters: a dict, or an object with `add_hparam` and `set_hparam`. Without
            "batch_size" and "context".
        use_tpu: True refuses to train, to evaluate and to predict.
        train_batch_size: The batch size of training. None: `params` has none.
        eval_batch_size: The batch size of evaluation.
        predict_batch_size: The batch size of prediction.
        batch_axis: It has no effect.
        eval_on_tpu: False lets evaluations run here even if `use_tpu` is True.
        export_to_tpu: Whether exports are for TPUs. It has no effect: exports have no graph for
            TPUs.
        export_to_cpu: Whether exports are for CPUs and GPUs. False refuses to export.
        warm_start_from: As for `Estimator`.
        embedding_config_spec: None.
        export_saved_model_api_version: 1 or 2. It has no effect.

    Raises:
        ValueError: `config` is none; `params` has a reserved key; a batch size is not positive;
            `model_fn` does not take `params`; or an argument of `Estimator` cannot be used.
        TypeError: A batch size is not an integer.
    """

    def __init__(
        self,
        model_fn: ModelFn | None = None,
        model_dir: str | os.PathLike[str] | None = None,
        config: RunConfig | None = None,
        params: Any = None,
        use_tpu: bool = True,
        train_batch_size: int | None = None,
        eval_batch_size: int | None = None,
        predict_batch_size: int | None = None,
        batch_axis: Any = None,
        eval_on_tpu: bool = True,
        export_to_tpu: bool = True,
        export_to_cpu: bool = True,
        warm_start_from: str | bytes | specs.WarmStartSettings | None = None,
        embedding_config_spec: Any = None,
        export_saved_model_api_version: Any = ExportSavedModelApiVersion.V1,
    ) -> None:
        del batch_axis
        _check_model_fn(model_fn)
        config = _checked_config(config)
        params = _checked_params(params)
        _check_api_version(export_saved_model_api_version)
        if embedding_config_spec is not None:
            raise errors.ArgumentError(
                errors.invalid_argument(
                    "embedding_config_spec", embedding_config_spec, "None", NO_EMBEDDINGS
                )
            )
        uses_tpu = kinds.checked_flag("use_tpu", use_tpu)
        if uses_tpu and train_batch_size is None:
            raise errors.ArgumentError(
                errors.invalid_argument(
                    "train_batch_size", None, "an integer above 0, because `use_tpu` is True"
                )
            )
        convention = TPUCallingConvention(
            batch_sizes={
                ModeKeys.TRAIN: _checked_size("train_batch_size", train_batch_size),
                ModeKeys.EVAL: _checked_size("eval_batch_size", eval_batch_size),
                ModeKeys.PREDICT: _checked_size("predict_batch_size", predict_batch_size),
            },
            uses_tpu=uses_tpu,
            evaluates_on_tpu=kinds.checked_flag("eval_on_tpu", eval_on_tpu),
            exports_to_tpu=kinds.checked_flag("export_to_tpu", export_to_tpu),
            exports_to_cpu=kinds.checked_flag("export_to_cpu", export_to_cpu),
            is_sliced=(
                config.tpu_config.eval_training_input_configuration == InputPipelineConfig.SLICED
            ),
            log_cadence=LogCadence.of(config),
        )
        # The convention logs the speed, and the loss is not logged, as in the original.
        super().__init__(
            model_fn,  # type: ignore[arg-type]  # None is refused there
            model_dir,
            config.replace(log_step_count_steps=None),
            params,
            warm_start_from,
        )
        self._state.convention = convention


def _check_model_fn(model_fn: Any) -> None:
    if callable(model_fn) and "params" not in signatures.accepted_arguments(model_fn):
        raise errors.ArgumentError(
            errors.invalid_argument(
                "model_fn",
                model_fn,
                "a function with an argument called `params`",
                "A TPUEstimator passes the batch size as params['batch_size'].",
            )
        )


def _checked_config(config: Any) -> RunConfig:
    if not isinstance(config, RunConfig):
        raise errors.ArgumentError(
            errors.invalid_argument("config", config, "a kestimator.tpu.RunConfig")
        )
    return config


def _checked_params(params: Any) -> Any:
    if params is None:
        return {}
    is_dict = all(hasattr(params, name) for name in ("__setitem__", "__contains__", "keys"))
    if isinstance(params, type) or not (is_dict or hasattr(params, "set_hparam")):
        raise errors.ArgumentTypeError(
            errors.invalid_argument(
                "params",
                params,
                "a dict, an object with `add_hparam` and `set_hparam`, or None",
                "A TPUEstimator adds the batch size.",
            )
        )
    reserved = [key for key in ("batch_size", "context") if key in params]
    if reserved:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "params",
                params,
                f"hyperparameters without {', '.join(map(repr, reserved))}, which a TPUEstimator "
                "sets",
                "Pass `train_batch_size`, `eval_batch_size` and `predict_batch_size`.",
            )
        )
    return params


def _checked_size(name: str, value: Any) -> int | None:
    return (
        None if value is None else checks.checked_int(name, value, 1, maximum=checks.LARGEST_SIZE)
    )


def _check_api_version(version: Any) -> None:
    number = checks.plain_number(version)
    if not isinstance(version, ExportSavedModelApiVersion) and number not in (1, 2):
        raise errors.ArgumentError(
            errors.invalid_argument("export_saved_model_api_version", version, "1 or 2")
        )
