"""A compiled Keras model as an Estimator.

Synopsis::

    model.compile(keras.optimizers.Adam(), "mse", metrics=["mae"])
    estimator = model_to_estimator(model, model_dir="/tmp/model")
    estimator.train(input_fn, max_steps=1000)
    estimator.export_keras("/tmp/trained.keras")

A training step computes the same as a step of `fit`. Evaluation returns the metrics of
`Model.evaluate`. Predictions are those of `Model.predict`, by the names of the outputs.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from kestimator import errors, specs
from kestimator.adapters.keras_models import (
    keras2_models,
    keras_io,
    keras_loading,
    keras_source,
    keras_steps,
)
from kestimator.adapters.optimizers import keras2_optimizers
from kestimator.config import RunConfig
from kestimator.engine.checkpoints import checkpoint_files
from kestimator.engine.programs import keras_losses
from kestimator.engine.tracing import execution_modes
from kestimator.estimator import Estimator
from kestimator.exporting.export_outputs import ExportOutput, PredictOutput
from kestimator.keys import ModeKeys, SignatureKeys
from kestimator.runtime import arguments
from kestimator.validation import checks, keras2, kinds

_FORMATS = ("checkpoint", "saver")
_Source = keras_source.Source | keras2_models.Source


def model_to_estimator(
    keras_model: keras.Model | None = None,
    keras_model_path: str | os.PathLike[str] | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    model_dir: str | os.PathLike[str] | None = None,
    config: RunConfig | None = None,
    checkpoint_format: str | None = "checkpoint",
    metric_names_map: Mapping[str, str] | None = None,
    export_outputs: Mapping[str, type[ExportOutput]] | None = None,
) -> KerasEstimator:
    """Makes an Estimator of a compiled Keras model.

    A copy of the model is trained; the model itself does not change. The copy starts with the
    weights of the model, and with the state of its optimizer if it has been trained. A checkpoint
    in `model_dir` takes precedence over both.

    Features are a dict by the names of the inputs, a tensor for a single input, or a tuple of
    tensors in the order of the inputs. Labels are the same as for `fit`. An `input_fn` may return
    `(features, labels, sample_weights)` or a Dataset of such triples, as for `fit`. As in
    tf.estimator, `{"features": features, "sample_weights": weights}` weights the examples, too.
    Names in checkpoints are the paths of the model's variables, numbered as if nothing else had
    been created in the process.

    A model of Keras 2 (`tf_keras`, or `tf.keras` with TF_USE_LEGACY_KERAS=1) computes and stores
    the same as in tf.estimator, whose directories train on. Its optimizer starts anew.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input([1], name="x"), keras.layers.Dense(1)])
        >>> model.compile(keras.optimizers.SGD(0.1), "mse", metrics=["mae"])
        >>> estimator = kestimator.model_to_estimator(model)
        >>> sorted(estimator.train(input_fn, steps=2).evaluate(input_fn))
        ['global_step', 'loss', 'mae']

    Args:
        keras_model: The model: functional, Sequential, or of a custom class that has
            `get_config`.
        keras_model_path: A `.keras` or `.h5` file with the model, instead of `keras_model`. No
            code in it is run. With TF_USE_LEGACY_KERAS=1, Keras 2 loads it.
        custom_objects: Classes and functions that the configuration of the model refers to, by
            name.
        model_dir: The directory of checkpoints and events, as for `Estimator`.
        config: A `RunConfig`.
        checkpoint_format: "checkpoint" or "saver", as in tf.estimator. Either way a checkpoint
            holds variables by name. Only those of a Keras 2 model hold them by the paths of
            objects if it is "checkpoint"; a model of its own class then needs "saver".
        metric_names_map: Names for the results of `evaluate`, by the Keras names of the compiled
            metrics: for all metrics, and optionally for losses of several outputs.
        export_outputs: Classes of additional signatures to export, by the names of outputs. The
            signature "serving_default" always predicts all outputs.

    Returns:
        The Estimator.

    Raises:
        ValueError: Neither or both of `keras_model` and `keras_model_path` are given; the model
            is not compiled or cannot be copied; `checkpoint_format` has another value.
        KeyError: `export_outputs` names an output that the model does not have.
        OSError: The file `keras_model_path` does not exist or is damaged.
    """
    if checkpoint_format is not None:
        kinds.checked_choice("checkpoint_format", checkpoint_format, _FORMATS)
    custom_objects = kinds.checked_mapping(
        "custom_objects", custom_objects, "a dict from names to classes or functions, or None"
    )
    model = _given_model(keras_model, keras_model_path, custom_objects)
    _check_compiled(model)
    outputs = _checked_outputs(export_outputs)
    resolved = arguments.resolved_config(config, model_dir)
    source: _Source
    if keras2.is_model(model):
        source = _source_of_keras2(model, custom_objects, checkpoint_format, resolved)
        _check_output_names(outputs, source.output_names)
    else:
        source = keras_source.Source(model, custom_objects, resolved.tf_random_seed)
        _check_output_names(outputs, keras_io.output_names(source.model))
    return KerasEstimator(source, resolved, _checked_map(metric_names_map), outputs)


class KerasEstimator(Estimator):
    """The result of `model_to_estimator`: an Estimator that knows its Keras model.

    Args:
        source: The model.
        config: A `RunConfig`.
        metric_names: Names of metrics by their Keras names.
        export_outputs: Classes of signatures by the names of outputs.
    """

    def __init__(
        self,
        source: _Source,
        config: RunConfig,
        metric_names: Mapping[str, str],
        export_outputs: Mapping[str, type[ExportOutput]],
    ) -> None:
        def model_fn(features: Any, labels: Any, mode: str) -> specs.EstimatorSpec:
            if isinstance(source, keras2_models.Source):
                step = source.step(features, labels, mode)
                return _spec_of_keras2(step, mode, metric_names, export_outputs)
            # The `compute_loss` of the model counts the losses of layers; adding them here would
            # count them twice.
            with keras_losses.left_to_keras():
                return _spec(source, features, labels, mode, metric_names, export_outputs)

        super().__init__(model_fn, config=config)
        self._state.takes_weights = True
        self._state.takes_constants = False
        self._source = source

    def to_keras(self, checkpoint_path: str | None = None) -> keras.Model:
        """Makes an independent Keras model: trained, and compiled with the optimizer's state.

        The optimizer of a Keras 2 model starts anew.

        Args:
            checkpoint_path: The checkpoint; by default the latest.

        Returns:
            A copy of the model that the estimator was made from, with the values of the checkpoint.

        Raises:
            errors.CheckpointNotFoundError: There is no checkpoint.
        """
        path = self._checkpoint(checkpoint_path) or self._trained()
        if isinstance(self._source, keras2_models.Source):
            with execution_modes.outside(), checkpoint_files.unreadable_as_error(path):
                return self._source.with_values(path)
        checkpoint = checkpoint_files.reader(path)
        # A hook or an exporter may call this while the graph of training is the default one.
        with execution_modes.outside(), checkpoint_files.unreadable_as_error(path):
            return self._source.with_values(checkpoint.has_tensor, checkpoint.get_tensor)


def _given_model(model: Any, path: Any, custom_objects: Mapping[str, Any] | None) -> keras.Model:
    if model is None and path is None:
        raise errors.ArgumentError(
            "Either `keras_model` or `keras_model_path` needs to be given: a compiled Keras model, "
            "or a '.keras' or '.h5' file that contains one."
        )
    if model is not None and path is not None:
        raise errors.ArgumentError(
            f"`keras_model` and `keras_model_path` ({path!r}) are both given. Pass one of them."
        )
    if model is None:
        path = checks.checked_path("keras_model_path", path)
        if keras2_models.is_default():
            return keras2_models.load(path, custom_objects)
        return keras_loading.load(path, custom_objects)
    if not (isinstance(model, keras.Model) or keras2.is_model(model)):
        raise errors.ArgumentTypeError(
            errors.invalid_argument("keras_model", model, "a keras.Model or a tf_keras.Model")
        )
    return model


def _check_compiled(model: Any) -> None:
    is_compiled = model.optimizer if keras2.is_model(model) else model.compiled
    if not is_compiled:
        raise errors.ArgumentError(
            f"The Keras model {model.name!r} has not been compiled yet. Call its `compile` with an "
            "optimizer and a loss before `model_to_estimator`."
        )


def _source_of_keras2(
    model: Any,
    custom_objects: Mapping[str, Any] | None,
    checkpoint_format: str | None,
    config: RunConfig,
) -> keras2_models.Source:
    saves_objects = checkpoint_format != "saver"
    if saves_objects and not keras2_models.is_of_layers(model):
        raise errors.ArgumentError(
            errors.invalid_argument(
                "checkpoint_format",
                checkpoint_format,
                "'saver' for a model of its own class",
                "Checkpoints by the paths of objects are only for functional and Sequential "
                "models of Keras 2, as in tf.estimator.",
            )
        )
    make_saver = functools.partial(
        tf.compat.v1.train.Saver,
        sharded=True,
        max_to_keep=config.keep_checkpoint_max,
        keep_checkpoint_every_n_hours=config.keep_checkpoint_every_n_hours,
        save_relative_paths=True,
    )
    return keras2_models.Source(
        model,
        custom_objects,
        make_optimizer=keras2_optimizers.maker_like(model.optimizer),
        make_saver=make_saver if saves_objects else None,
    )


def _spec_of_keras2(
    step: keras2_models.Step,
    mode: str,
    metric_names: Mapping[str, str],
    export_outputs: Mapping[str, type[ExportOutput]],
) -> specs.EstimatorSpec:
    if metric_names and mode == ModeKeys.EVAL:
        _check_metric_names(metric_names, list(step.metrics), [])
    return specs.EstimatorSpec(
        mode,
        predictions=step.predictions,
        loss=step.loss,
        train_op=step.train_op,
        eval_metric_ops={metric_names.get(n, n): m for n, m in step.metrics.items()},
        export_outputs=_signatures_of(step.predictions, export_outputs),
        scaffold=step.scaffold,
    )


def _checked_map(names: Any) -> dict[str, str]:
    expected = "a dict that maps metric names to new names, or None"
    return kinds.checked_texts("metric_names_map", names, expected)


def _checked_outputs(outputs: Any) -> dict[str, type[ExportOutput]]:
    usable = isinstance(outputs, Mapping) and all(map(callable, outputs.values()))
    if outputs is not None and not usable:
        raise errors.ArgumentTypeError(
            errors.invalid_argument(
                "export_outputs",
                outputs,
                "a dict that maps output names to classes, such as "
                "{'price': kestimator.export.RegressionOutput}",
            )
        )
    return dict(outputs or {})


def _check_output_names(outputs: Mapping[str, Any], names: list[str]) -> None:
    unknown = sorted(set(outputs) - set(names))
    # No names: the model does not know its outputs yet, and `_signatures_of` checks them.
    if names and unknown:
        raise errors.NamesError(
            errors.invalid_argument(
                "export_outputs", unknown, f"names of the model's outputs among {names}"
            )
        )


def _spec(
    source: keras_source.Source,
    features: Any,
    labels: Any,
    mode: str,
    metric_names: Mapping[str, str],
    export_outputs: Mapping[str, type[ExportOutput]],
) -> specs.EstimatorSpec:
    """Runs the model on a batch: the model_fn."""
    features, weights = keras_steps.split_weights(features)
    x = keras_io.inputs_of(source.model, features)
    model = source.lent(x, mode)
    if mode == ModeKeys.PREDICT:
        predictions = keras_io.named_outputs(model, keras_steps.predict(model, x))
        return specs.EstimatorSpec(
            mode,
            predictions=predictions,
            export_outputs=_signatures_of(predictions, export_outputs),
            keras_model=model,
        )
    keras_io.check_labels(model, labels, model.loss)
    batch = keras_steps.Batch(x, labels, weights)
    if mode == ModeKeys.TRAIN:
        outputs, loss, train_op = keras_steps.train(model, batch)
        if metric_names:
            _check_metric_names(metric_names, *keras_steps.metric_names(model, batch, outputs))
        return specs.EstimatorSpec(mode, loss=loss, train_op=train_op, keras_model=model)
    outputs, loss, metrics = keras_steps.evaluate(model, batch)
    if metric_names:
        _check_metric_names(metric_names, *keras_steps.metric_names(model, batch, outputs))
    return specs.EstimatorSpec(
        mode,
        predictions=keras_io.named_outputs(model, outputs),
        loss=loss,
        eval_metric_ops={metric_names.get(name, name): metrics[name] for name in metrics},
        keras_model=model,
    )


def _signatures_of(
    predictions: Mapping[str, Any], kinds: Mapping[str, type[ExportOutput]]
) -> dict[str, ExportOutput]:
    _check_output_names(kinds, list(predictions))
    extra = {name: kind(predictions[name]) for name, kind in kinds.items()}  # type: ignore[call-arg]
    return {SignatureKeys.SERVING_DEFAULT: PredictOutput(dict(predictions)), **extra}


def _check_metric_names(names: Mapping[str, str], metrics: list[str], losses: list[str]) -> None:
    missing, unknown = set(metrics) - set(names), set(names) - set(metrics) - set(losses)
    if missing or unknown:
        raise errors.ArgumentError(
            "Invalid argument `metric_names_map`. Expected: names for all metrics of the model, "
            f"{metrics}, and optionally for losses, {losses}. Received: {dict(names)}. Missing: "
            f"{sorted(missing)}. Unknown: {sorted(unknown)}."
        )
