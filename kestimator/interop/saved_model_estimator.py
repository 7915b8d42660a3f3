"""An estimator whose model_fn uses the graphs of a SavedModel.

Synopsis::

    path = estimator.experimental_export_all_saved_models("/tmp/exports", receiver_fns)
    again = SavedModelEstimator(path, "/tmp/model")
    again.evaluate(eval_input_fn)
    again.train(input_fn, steps=1000)     # starts from the exported variables
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from kestimator import errors, specs
from kestimator._types import Features, Labels
from kestimator.config import RunConfig
from kestimator.engine.saved_models import graph_import, tensor_infos
from kestimator.estimator import Estimator
from kestimator.exporting.export_outputs import (
    ClassificationOutput,
    ExportOutput,
    PredictOutput,
    RegressionOutput,
)
from kestimator.keys import EXPORT_TAGS, ModeKeys, SignatureKeys, SignatureMethods
from kestimator.validation import checks

_v1 = tf.compat.v1
_LOSS, _PREDICTIONS, _METRICS = "loss", "predictions", "metrics"
_VALUE, _UPDATE = "/value", "/update_op"
_METHODS = {ModeKeys.TRAIN: SignatureMethods.TRAIN, ModeKeys.EVAL: SignatureMethods.EVAL}


class SavedModelEstimator(Estimator):
    """Trains, evaluates and predicts with the graphs that an Estimator has exported.

    The export may come from kestimator or tf.estimator; neither that library nor the model_fn is
    needed. Variables start with the exported values; later checkpoints are in `model_dir`.

    `train` and `evaluate` take features and labels by the names of the receiver. `predict` takes
    the inputs of the signature "serving_default", for example serialized examples.

    Example:
        >>> supervised_fn = kestimator.export.build_raw_supervised_input_receiver_fn(
        ...     {"x": tf.zeros([1, 1])}, tf.zeros([1, 1], tf.int32))
        >>> path = estimator.train(input_fn).experimental_export_all_saved_models(
        ...     estimator.model_dir, {"train": supervised_fn, "eval": supervised_fn})
        >>> again = kestimator.SavedModelEstimator(path, estimator.model_dir + "/again")
        >>> metrics = again.evaluate(input_fn)
        >>> estimator.get_variable_value("global_step"), metrics["global_step"]
        (np.int64(2), np.int64(2))
        >>> again.train(input_fn).get_variable_value("global_step")
        np.int64(4)

    Args:
        saved_model_dir: The directory of the SavedModel.
        model_dir: The directory of checkpoints and events. By default, a new temporary directory.
        config: A `RunConfig` without a distribution strategy.

    Raises:
        errors.SavedModelError: The directory has no SavedModel of an Estimator.
        ValueError: `config` has a distribution strategy.
    """

    def __init__(
        self,
        saved_model_dir: str | bytes | os.PathLike[str],
        model_dir: str | os.PathLike[str] | None = None,
        *,
        config: RunConfig | None = None,
    ) -> None:
        directory = checks.checked_path("saved_model_dir", saved_model_dir)
        self._saved = graph_import.SavedModel(directory)
        self._modes = [mode for mode in EXPORT_TAGS if _signature(self._saved, mode) is not None]
        _check_one_replica(config)
        super().__init__(functools.partial(_model_fn, self._saved), model_dir, config)

    @property
    def saved_model_dir(self) -> str:
        """The directory of the SavedModel."""
        return self._saved.directory

    def latest_checkpoint(self) -> str:
        """Returns the newest checkpoint; before any training, that of the SavedModel."""
        return super().latest_checkpoint() or self._saved.variables

    def _check_mode(self, mode: str) -> None:
        """Checks that there is a graph for a mode.

        Raises:
            errors.ModeNotExportedError: There is no graph.
        """
        if mode not in self._modes:
            raise errors.ModeNotExportedError(
                f"{mode!r} mode is not available in the SavedModel in {self.saved_model_dir!r}. "
                f"It has graphs with the tags {self._saved.tags} and supports the modes "
                f"{self._modes}. Also export this mode with experimental_export_all_saved_models."
            )


def _check_one_replica(config: RunConfig | None) -> None:
    if isinstance(config, RunConfig) and (config.train_distribute or config.eval_distribute):
        raise errors.ArgumentError(
            errors.invalid_argument(
                "config",
                config,
                "a RunConfig without a distribution strategy",
                "The graphs of a SavedModel only support one replica.",
            )
        )


def _signature(saved: graph_import.SavedModel, mode: str) -> Any:
    """The signature of a mode, or None."""
    meta_graph = saved.meta_graph(EXPORT_TAGS[mode])
    key = SignatureKeys.SERVING_DEFAULT if mode == ModeKeys.PREDICT else mode
    if meta_graph is None or key not in meta_graph.signature_def:
        return None
    signature = meta_graph.signature_def[key]
    return signature if signature.method_name == _METHODS.get(mode, signature.method_name) else None


def _model_fn(
    saved: graph_import.SavedModel, features: Any, labels: Any, mode: str, config: RunConfig
) -> specs.EstimatorSpec:
    """Runs a graph of a SavedModel on a batch: the model_fn, bound to the SavedModel."""
    meta_graph, signature = saved.meta_graph(EXPORT_TAGS[mode]), _signature(saved, mode)
    feeds = _feeds(signature, features, labels)
    imported = saved.put_into_program(meta_graph, feeds)
    outputs = {key: imported.tensor_of(info) for key, info in signature.outputs.items()}
    arguments: dict[str, Any] = {"predictions": outputs}
    if mode == ModeKeys.PREDICT:
        arguments["export_outputs"] = _export_outputs(meta_graph, signature, imported)
    else:
        arguments = {
            "loss": outputs[_LOSS],
            "predictions": {k: v for k, v in outputs.items() if k.startswith(_PREDICTIONS)},
            "eval_metric_ops": _metrics(outputs),
        }
    scaffold = _scaffold(imported, saved.variables, config)
    return specs.EstimatorSpec(mode, train_op=imported.train_op, scaffold=scaffold, **arguments)


def _scaffold(imported: graph_import.Imported, variables: str, config: RunConfig) -> Any:
    """Returns a scaffold with the variables and a saver of the SavedModel."""
    return _v1.train.Scaffold(
        init_fn=lambda scaffold, session: scaffold.saver.restore(session, variables),
        local_init_op=imported.main_op,
        saver=imported.saver(config.keep_checkpoint_max, config.keep_checkpoint_every_n_hours),
    )


def _metrics(outputs: Mapping[str, Any]) -> dict[str, Any]:
    names = [key.removesuffix(_VALUE) for key in outputs if key.endswith(_VALUE)]
    return {
        name: (outputs[name + _VALUE], outputs[name + _UPDATE])
        for name in names
        if name.split("/")[0] == _METRICS and name + _UPDATE in outputs
    }


def _export_outputs(
    meta_graph: Any, default: Any, imported: graph_import.Imported
) -> dict[str, ExportOutput]:
    """Returns the signatures with the same inputs as the default one, to be exported again."""
    # Features only replace these inputs. The others stay placeholders that nobody feeds.
    fed = {info.name for info in default.inputs.values()}
    return {
        name: _export_output(signature, imported)
        for name, signature in meta_graph.signature_def.items()
        if {info.name for info in signature.inputs.values()} == fed
    }


def _export_output(signature: Any, imported: graph_import.Imported) -> ExportOutput:
    outputs = {key: imported.tensor_of(info) for key, info in signature.outputs.items()}
    if signature.method_name == SignatureMethods.CLASSIFY:
        return ClassificationOutput(**outputs)
    if signature.method_name == SignatureMethods.REGRESS:
        return RegressionOutput(outputs[SignatureKeys.OUTPUTS])
    return PredictOutput(outputs)


def _feeds(signature: Any, features: Features, labels: Labels) -> dict[str, tf.Tensor]:
    """Returns the tensors that replace the inputs of a signature, by tensor name.

    Raises:
        errors.ArgumentError: An input is missing, or has another dtype or shape.
    """
    feeds: dict[str, tf.Tensor] = {}
    values = _named(signature, features, labels)
    for key, info in signature.inputs.items():
        if key not in values:
            inputs = signature.inputs.items()
            expected = {name: tensor_infos.described(entry) for name, entry in sorted(inputs)}
            raise errors.ArgumentError(
                f"Key {key!r} not found in the features or labels of `input_fn`. Received: "
                f"{sorted(values, key=str)}. Expected by the exported SavedModel: {expected}."
            )
        if not tensor_infos.fits(info, values[key]):
            raise errors.ArgumentError(
                errors.invalid_argument(
                    f"{key} of the features or labels",
                    values[key],
                    f"{tensor_infos.described(info)}, as in the exported SavedModel",
                )
            )
        feeds.update(tensor_infos.feeds(info, values[key]))
    return feeds


def _named(signature: Any, features: Features, labels: Labels) -> dict[str, Any]:
    """Returns features and labels by name; a single tensor gets the remaining name."""
    named: dict[str, Any] = {}
    # Labels first: a single feature gets the name of the one remaining input.
    for part, single in ((labels, "label"), (features, None)):
        if isinstance(part, Mapping):
            named.update(part)
        elif part is not None:
            unused = sorted(set(signature.inputs) - set(named))
            named[single or (unused[0] if len(unused) == 1 else "input")] = part
    return named
