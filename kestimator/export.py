"""Exporting: SavedModels with many signatures, for serving and for further training.

Synopsis::

    receiver_fn = build_parsing_serving_input_receiver_fn(
        {"x": tf.io.FixedLenFeature([2], tf.float32)})
    path = estimator.export_saved_model("/tmp/exports", receiver_fn)

    supervised = build_raw_supervised_input_receiver_fn({"x": x}, labels)
    path = estimator.experimental_export_all_saved_models(
        "/tmp/exports", {"train": supervised, "eval": supervised, "infer": receiver_fn})
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from kestimator import errors
from kestimator._types import Nest, ServingInputReceiverFn, Tensor
from kestimator.engine.graphs import ordering as _ordering
from kestimator.engine.programs import model_program as _model_program
from kestimator.engine.saved_models import export_files as _export_files
from kestimator.engine.saved_models import saved_model as _saved_model
from kestimator.exporting.export_outputs import (
    ClassificationOutput,
    EvalOutput,
    ExportOutput,
    PredictOutput,
    RegressionOutput,
    TrainOutput,
)
from kestimator.exporting.receivers import (
    SINGLE_RECEIVER,
    ServingInputReceiver,
    SupervisedInputReceiver,
    TensorServingInputReceiver,
    UnsupervisedInputReceiver,
    build_parsing_serving_input_receiver_fn,
    build_raw_serving_input_receiver_fn,
    build_raw_supervised_input_receiver_fn,
)
from kestimator.keys import ModeKeys, SignatureKeys

__all__ = [
    "ClassificationOutput",
    "EvalOutput",
    "ExportOutput",
    "PredictOutput",
    "RegressionOutput",
    "ServingInputReceiver",
    "SupervisedInputReceiver",
    "TensorServingInputReceiver",
    "TrainOutput",
    "UnsupervisedInputReceiver",
    "build_parsing_serving_input_receiver_fn",
    "build_raw_serving_input_receiver_fn",
    "build_raw_supervised_input_receiver_fn",
]

_v1 = tf.compat.v1
_logger = logging.getLogger("kestimator")
TAGS = {ModeKeys.TRAIN: ("train",), ModeKeys.EVAL: ("eval",), ModeKeys.PREDICT: ("serve",)}
"""The tags by which a loader finds the graph of a mode, in the order of writing."""


class ExportRequest(NamedTuple):
    """The checked arguments of an export.

    Attributes:
        base: The parent of the directory of the export.
        receiver_fns: The receiver functions by mode, in the order in which graphs are written.
            The variables of the first graph are written.
        assets_extra: Files to add: from paths below `assets.extra` to paths of the sources.
        as_text: Whether to write the SavedModel as text.
    """

    base: str
    receiver_fns: dict[str, ServingInputReceiverFn]
    assets_extra: dict[str, str]
    as_text: bool


def checked_request(
    export_dir_base: Any,
    receiver_fns: Mapping[str, ServingInputReceiverFn],
    assets_extra: Any,
    as_text: Any,
) -> ExportRequest:
    """Checks the arguments of `Estimator.export_saved_model` and similar methods.

    Args:
        export_dir_base: As for `Estimator.export_saved_model`.
        receiver_fns: Checked receiver functions by mode.
        assets_extra: As for `Estimator.export_saved_model`.
        as_text: As for `Estimator.export_saved_model`.

    Raises:
        ArgumentError: A value cannot be used.
        ArgumentTypeError: A type cannot be used.
    """
    return ExportRequest(
        _export_files.checked_base(export_dir_base),
        {mode: receiver_fns[mode] for mode in TAGS if mode in receiver_fns},
        _export_files.checked_assets(assets_extra),
        bool(as_text),
    )


def checked_mode(mode: Any, receiver_fn: Any) -> dict[str, ServingInputReceiverFn]:
    """Checks the single mode of an export: `experimental_mode` and `serving_input_receiver_fn`.

    Raises:
        ArgumentError: The mode does not exist, or the function is None.
        ArgumentTypeError: The function is not callable.
    """
    _check_mode("experimental_mode", mode)
    _check_receiver_fn("serving_input_receiver_fn", receiver_fn)
    return {mode: receiver_fn}


def checked_modes(input_receiver_fn_map: Any) -> dict[str, ServingInputReceiverFn]:
    """Checks the receiver functions of several modes.

    Raises:
        ArgumentError: The map is empty, a key is not a mode, or a function is None.
        ArgumentTypeError: It is not a map, or a function is not callable.
    """
    name = "input_receiver_fn_map"
    expected = f"a dict from modes (some of {list(TAGS)}) to functions that return receivers"
    if not isinstance(input_receiver_fn_map, Mapping):
        raise errors.ArgumentTypeError(
            errors.invalid_argument(name, input_receiver_fn_map, expected)
        )
    if not input_receiver_fn_map:
        raise errors.ArgumentError(errors.invalid_argument(name, input_receiver_fn_map, expected))
    for mode, receiver_fn in input_receiver_fn_map.items():
        _check_mode(f"key of {name}", mode)
        _check_receiver_fn(f"{name}[{mode!r}]", receiver_fn)
    return dict(input_receiver_fn_map)


def _check_mode(name: str, mode: Any) -> None:
    if not isinstance(mode, str) or mode not in TAGS:
        expected = f"one of ModeKeys: {', '.join(map(repr, TAGS))}"
        raise errors.ArgumentError(errors.invalid_argument(name, mode, expected))


def _check_receiver_fn(name: str, receiver_fn: Any) -> None:
    expected = "a function that returns a ServingInputReceiver or a SupervisedInputReceiver"
    if receiver_fn is None:
        raise errors.ArgumentError(
            errors.invalid_argument(
                name,
                None,
                expected,
                "Make one with build_parsing_serving_input_receiver_fn or, with labels, "
                "build_raw_supervised_input_receiver_fn.",
            )
        )
    if not callable(receiver_fn):
        raise errors.ArgumentTypeError(
            errors.invalid_argument(
                name,
                receiver_fn,
                expected,
                "If this is a receiver, pass the function that makes it. The exported graph needs "
                "new placeholders.",
            )
        )


def checked_receiver(receiver: Any) -> Any:
    """Checks the result of a receiver function, in the graph that is exported.

    Raises:
        ArgumentTypeError: It has no `features` or no `receiver_tensors`.
        ArgumentError: Its tensors belong to another graph.
    """
    if not hasattr(receiver, "features") or not hasattr(receiver, "receiver_tensors"):
        raise errors.ArgumentTypeError(
            errors.invalid_argument(
                "serving_input_receiver_fn's result",
                receiver,
                "a ServingInputReceiver, a TensorServingInputReceiver or a SupervisedInputReceiver",
            )
        )
    for name in ("receiver_tensors", "features", "labels", "receiver_tensors_alternatives"):
        field = getattr(receiver, name, None)
        for tensor in tf.nest.flatten(field, expand_composites=True):
            # A feature or label may be a constant; a placeholder has to be in the graph.
            _check_graph(name, tensor, may_be_eager=name in ("features", "labels"))
    return receiver


def _check_graph(name: str, tensor: Any, *, may_be_eager: bool) -> None:
    if not isinstance(tensor, tf.Tensor) or (may_be_eager and hasattr(tensor, "numpy")):
        return
    if hasattr(tensor, "numpy") or tensor.graph is not _v1.get_default_graph():
        raise errors.ArgumentError(
            errors.invalid_argument(
                f"{name} of the receiver",
                tensor,
                "tensors of the exported graph",
                "Make the placeholders and all tensors that use them in the receiver function.",
            )
        )


def outputs_for_mode(model: _model_program.ModelProgram) -> dict[str, ExportOutput]:
    """Returns the outputs of a program: its export outputs, or loss, predictions and metrics.

    Called in the graph of the program.
    """
    spec = model.spec
    if spec.mode == ModeKeys.PREDICT:
        return dict(spec.export_outputs or {})
    kind = TrainOutput if spec.mode == ModeKeys.TRAIN else EvalOutput
    return {spec.mode: kind(spec.loss, spec.predictions, model.metrics_to_export())}


def signature_defs(
    receiver: Any, export_outputs: Mapping[str, ExportOutput], mode: str = ModeKeys.PREDICT
) -> dict[str, Any]:
    """Describes every signature that the receiver's placeholders can serve.

    The others are left out, and the log says why: classifications and regressions, unless the
    receiver is one string tensor, and outputs that depend on a placeholder that is not fed.

    Args:
        receiver: The receiver.
        export_outputs: The outputs by name.
        mode: The mode of the graph.

    Returns:
        `SignatureDef`s by name: `<output>`, and `<alternative>:<output>` for alternatives.
    """
    signatures: dict[str, Any] = {}
    excluded: dict[str, str] = {}
    for name, output, tensors in _candidates(receiver, export_outputs):
        try:
            signature = output.as_signature_def(tensors)
            if mode == ModeKeys.PREDICT:
                _check_method(signature)
            _check_inputs_suffice(tensors, signature)
        except ValueError as error:
            excluded[name] = str(error)
        else:
            signatures[name] = signature
    default = SignatureKeys.SERVING_DEFAULT if mode == ModeKeys.PREDICT else mode
    _report(signatures, excluded, default)
    return signatures


def _candidates(
    receiver: Any, export_outputs: Mapping[str, ExportOutput]
) -> Iterator[tuple[str, ExportOutput, dict[str, Tensor]]]:
    placeholders = _by_name(receiver.receiver_tensors)
    for key, output in export_outputs.items():
        yield str(key), output, placeholders
    alternatives = getattr(receiver, "receiver_tensors_alternatives", None) or {}
    for prefix, tensors in alternatives.items():
        for key, output in export_outputs.items():
            yield f"{prefix}:{key}", output, _by_name(tensors)


def _by_name(tensors: Any) -> dict[str, Tensor]:
    return dict(tensors) if isinstance(tensors, Mapping) else {SINGLE_RECEIVER: tensors}


def _check_method(signature: Any) -> None:
    """Checks that TensorFlow Serving accepts the method, inputs and outputs of a signature."""
    if not _v1.saved_model.signature_def_utils.is_valid_signature(signature):
        raise errors.ArgumentError(
            f"TensorFlow Serving does not support a {signature.method_name!r} signature with the "
            f"inputs {sorted(signature.inputs)} and the outputs {sorted(signature.outputs)}."
        )


def _check_inputs_suffice(tensors: Mapping[str, Nest], signature: Any) -> None:
    """Checks that the outputs of a signature only depend on the given placeholders."""
    graph = _v1.get_default_graph()
    fed = {id(tensor) for tensor in tf.nest.flatten(dict(tensors), expand_composites=True)}
    outputs = [tensor for info in signature.outputs.values() for tensor in _tensors_of(info, graph)]
    # Placeholders of captures stand for variables and tables: nobody needs to feed them.
    captured = {id(internal.op) for _, internal in getattr(graph, "captures", ())}
    for operation in _ordering.reachable_operations(outputs, fed):
        if operation.type == "Placeholder" and id(operation) not in captured:
            raise errors.ArgumentError(
                f"The outputs {sorted(signature.outputs)} depend on the placeholder "
                f"{operation.name!r}, which is not among the inputs {sorted(signature.inputs)}."
            )


def _tensors_of(info: Any, graph: Any) -> list[Tensor]:
    tensor = _v1.saved_model.utils.get_tensor_from_tensor_info(info, graph=graph)
    return list(tf.nest.flatten(tensor, expand_composites=True))


def _report(signatures: Mapping[str, Any], excluded: Mapping[str, str], default: str) -> None:
    for name, reason in excluded.items():
        _logger.info("Signature %r is not exported: %s", name, reason)
    if not signatures:
        _logger.warning(
            "The export has no signatures, because none of %s can be served from the receiver's "
            "placeholders.",
            sorted(excluded),
        )
    elif default not in signatures:
        _logger.warning("The export has no signature %r, only %s.", default, sorted(signatures))


def write(
    request: ExportRequest,
    graphs: list[_saved_model.ServableGraph],
    checkpoint: str,
    session_config: Any,
) -> bytes:
    """Writes an export into a temporary directory, which is renamed when it is complete.

    Args:
        request: The checked arguments.
        graphs: The graphs.
        checkpoint: The path of the variables' values.
        session_config: A `ConfigProto`, or None.

    Returns:
        The path of the export.
    """
    directory = _export_files.ExportDirectory(request.base)
    try:
        temporary = _saved_model.write(
            directory.make,
            graphs,
            checkpoint,
            as_text=request.as_text,
            session_config=session_config,
        )
        _export_files.copy_assets(request.assets_extra, temporary)
        return directory.finish()
    except BaseException:
        directory.remove()
        raise
