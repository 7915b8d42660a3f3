"""The signatures of an export: what each output needs to be fed, and whether a receiver feeds it.

Synopsis::

    outputs = outputs_for_mode(model)
    signatures = signature_defs(receiver, outputs, mode)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from kestimator import errors, logs
from kestimator._types import Nest, Tensor
from kestimator.engine.graphs import ordering
from kestimator.engine.programs import model_program
from kestimator.exporting.export_outputs import EvalOutput, ExportOutput, TrainOutput
from kestimator.exporting.receivers import SINGLE_RECEIVER
from kestimator.keys import ModeKeys, SignatureKeys

_v1 = tf.compat.v1


def outputs_for_mode(model: model_program.ModelProgram) -> dict[str, ExportOutput]:
    """Returns the outputs of a program: its export outputs, or loss, predictions and metrics.

    Called in the graph of the program.
    """
    spec = model.spec
    if spec.mode == ModeKeys.PREDICT:
        return dict(spec.export_outputs or {})
    kind = TrainOutput if spec.mode == ModeKeys.TRAIN else EvalOutput
    return {model.mode: kind(spec.loss, spec.predictions, model.metrics_to_export())}


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
    for operation in ordering.reachable_operations(outputs, fed):
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
        logs.info("Signature %r is not exported: %s", name, reason)
    if not signatures:
        logs.warning(
            "The export has no signatures, because none of %s can be served from the receiver's "
            "placeholders.",
            sorted(excluded),
        )
    elif default not in signatures:
        logs.warning("The export has no signature %r, only %s.", default, sorted(signatures))
