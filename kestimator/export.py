"""Exporting for serving: receivers, and SavedModels with many signatures.

Synopsis::

    receiver_fn = build_parsing_serving_input_receiver_fn(
        {"x": tf.io.FixedLenFeature([2], tf.float32)})
    path = estimator.export_saved_model("/tmp/exports", receiver_fn)

A *receiver* is the front of an exported model: the placeholders that a request feeds, and the
features that are computed from them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from kestimator import errors
from kestimator._types import Features, Nest, ServingInputReceiverFn, Tensor
from kestimator.engine import export_files as _export_files
from kestimator.engine import ordering as _ordering
from kestimator.engine import saved_model as _saved_model
from kestimator.export_outputs import (
    ClassificationOutput,
    EvalOutput,
    ExportOutput,
    PredictOutput,
    RegressionOutput,
)
from kestimator.keys import ModeKeys, SignatureKeys

__all__ = [
    "ClassificationOutput",
    "EvalOutput",
    "ExportOutput",
    "PredictOutput",
    "RegressionOutput",
    "ServingInputReceiver",
    "TensorServingInputReceiver",
    "build_parsing_serving_input_receiver_fn",
    "build_raw_serving_input_receiver_fn",
]

_v1 = tf.compat.v1
_logger = logging.getLogger("kestimator")
_SINGLE_FEATURE = "feature"
_SINGLE_RECEIVER = "input"
_TENSORS = (tf.Tensor, tf.SparseTensor, tf.RaggedTensor)
TAGS = {ModeKeys.PREDICT: ("serve",)}
"""What a loader finds the graph of a mode by."""


class _ReceiverFields(NamedTuple):
    features: Any
    receiver_tensors: dict[str, Tensor]
    receiver_tensors_alternatives: dict[str, dict[str, Tensor]] | None


class ServingInputReceiver(_ReceiverFields):
    """What a `serving_input_receiver_fn` returns: placeholders, and the features behind them.

    Attributes:
        features: A dict of tensors for the model_fn. A tensor alone becomes
            `{"feature": tensor}`; see `TensorServingInputReceiver` to pass it as it is.
        receiver_tensors: The placeholders that a request feeds, by name. One alone is called
            "input".
        receiver_tensors_alternatives: More groups of tensors that can be fed instead, by name.
            Each makes signatures called `<name>:<output>`. None for no others.

    Raises:
        ArgumentError: Something is None or not a tensor, or a name is not a string.
    """

    __slots__ = ()

    def __new__(
        cls,
        features: Features,
        receiver_tensors: Tensor | Mapping[str, Tensor],
        receiver_tensors_alternatives: Mapping[str, Any] | None = None,
    ) -> ServingInputReceiver:
        """Checks the fields and names single tensors."""
        return super().__new__(
            cls,
            _named_tensors("features", features, _SINGLE_FEATURE, key_types=(str, int)),
            _named_tensors("receiver_tensors", receiver_tensors, _SINGLE_RECEIVER),
            _named_alternatives(receiver_tensors_alternatives),
        )


class TensorServingInputReceiver(_ReceiverFields):
    """A `ServingInputReceiver` for a model_fn whose features are one tensor, not a dict.

    Attributes:
        features: The tensor.
        receiver_tensors: As in `ServingInputReceiver`.
        receiver_tensors_alternatives: As in `ServingInputReceiver`.

    Raises:
        ArgumentError: `features` is not a tensor, or as for `ServingInputReceiver`.
    """

    __slots__ = ()

    def __new__(
        cls,
        features: Tensor,
        receiver_tensors: Tensor | Mapping[str, Tensor],
        receiver_tensors_alternatives: Mapping[str, Any] | None = None,
    ) -> TensorServingInputReceiver:
        """Checks the fields and names single tensors."""
        _check_tensor("features", features)
        return super().__new__(
            cls,
            features,
            _named_tensors("receiver_tensors", receiver_tensors, _SINGLE_RECEIVER),
            _named_alternatives(receiver_tensors_alternatives),
        )


def build_parsing_serving_input_receiver_fn(
    feature_spec: Mapping[str, Any], default_batch_size: int | None = None
) -> Callable[[], ServingInputReceiver]:
    """Makes a receiver of serialized `tf.train.Example`s.

    Args:
        feature_spec: What the examples hold: `tf.io.FixedLenFeature`s and the like, by name, as
            `tf.feature_column.make_parse_example_spec` gives them.
        default_batch_size: The number of examples in a request; None takes any.

    Returns:
        A `serving_input_receiver_fn`. Its placeholder is called "examples" in signatures.

    Raises:
        ArgumentError: `feature_spec` is not a dict, or is empty.
    """
    if not isinstance(feature_spec, Mapping) or not feature_spec:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "feature_spec", feature_spec, "a dict such as {'x': tf.io.FixedLenFeature(...)}"
            )
        )

    def serving_input_receiver_fn() -> ServingInputReceiver:
        examples = _v1.placeholder(tf.string, [default_batch_size], name="input_example_tensor")
        features = _v1.io.parse_example(examples, dict(feature_spec))
        return ServingInputReceiver(features, {"examples": examples})

    return serving_input_receiver_fn


def build_raw_serving_input_receiver_fn(
    features: Mapping[str, Tensor], default_batch_size: int | None = None
) -> Callable[[], ServingInputReceiver]:
    """Makes a receiver that is fed the features as they are.

    Args:
        features: Tensors by name, in a graph or eager: only dtypes and shapes count. Their first
            dimension is the batch.
        default_batch_size: The size of a batch; None takes any.

    Returns:
        A `serving_input_receiver_fn`, whose placeholders have the names of the features.

    Raises:
        ArgumentError: `features` is not a dict of dense tensors.
    """
    if not isinstance(features, Mapping) or not features:
        raise errors.ArgumentError(
            errors.invalid_argument("features", features, "a dict of tensors by name")
        )
    described = {
        key: _placeholder_arguments(f"features[{key!r}]", tensor, default_batch_size)
        for key, tensor in features.items()
    }

    def serving_input_receiver_fn() -> ServingInputReceiver:
        placeholders = {key: _v1.placeholder(**given) for key, given in described.items()}
        return ServingInputReceiver(placeholders, placeholders)

    return serving_input_receiver_fn


def _placeholder_arguments(name: str, tensor: Any, batch_size: int | None) -> dict[str, Any]:
    if not isinstance(tensor, tf.Tensor):
        raise errors.ArgumentError(
            errors.invalid_argument(
                name,
                tensor,
                "a dense tf.Tensor",
                "Write a serving_input_receiver_fn of your own for other features.",
            )
        )
    shape = tf.TensorShape([batch_size]).concatenate(tensor.shape[1:])
    return {"dtype": tensor.dtype, "shape": shape, "name": _operation_name(tensor)}


def _operation_name(tensor: Any) -> str | None:
    """The name of a tensor's operation; eager tensors have none."""
    try:
        return str(tensor.op.name)
    except AttributeError:
        return None


class ExportRequest(NamedTuple):
    """The checked arguments of an export.

    Attributes:
        base: The directory in which the export gets a directory of its own.
        receiver_fn: The serving_input_receiver_fn.
        assets_extra: Files to add: from paths below `assets.extra` to paths of the sources.
        as_text: Whether to write the SavedModel as text.
        mode: The mode of the exported graph.
    """

    base: str
    receiver_fn: ServingInputReceiverFn
    assets_extra: dict[str, str]
    as_text: bool
    mode: str


def checked_request(
    export_dir_base: Any,
    serving_input_receiver_fn: Any,
    assets_extra: Any,
    as_text: Any,
    experimental_mode: Any,
) -> ExportRequest:
    """Checks the arguments of `Estimator.export_saved_model`.

    Raises:
        ArgumentError: A value cannot be used.
        ArgumentTypeError: A type cannot be used.
    """
    if not isinstance(export_dir_base, str | bytes | os.PathLike):
        raise errors.ArgumentTypeError(
            errors.invalid_argument("export_dir_base", export_dir_base, "the path of a directory")
        )
    if serving_input_receiver_fn is None:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "serving_input_receiver_fn",
                None,
                "a function that returns a ServingInputReceiver",
                "build_parsing_serving_input_receiver_fn makes one.",
            )
        )
    if not callable(serving_input_receiver_fn):
        raise errors.ArgumentTypeError(
            errors.invalid_argument(
                "serving_input_receiver_fn",
                serving_input_receiver_fn,
                "a function that returns a ServingInputReceiver",
                "If this is a receiver, pass the function that makes it: its placeholders have to "
                "be made anew in the exported graph.",
            )
        )
    if experimental_mode not in TAGS:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "experimental_mode",
                experimental_mode,
                f"ModeKeys.PREDICT ({ModeKeys.PREDICT!r}), the one mode that can be exported",
            )
        )
    return ExportRequest(
        os.fsdecode(export_dir_base),
        serving_input_receiver_fn,
        _export_files.checked_assets(assets_extra),
        bool(as_text),
        experimental_mode,
    )


def checked_receiver(receiver: Any) -> Any:
    """Checks what a serving_input_receiver_fn returned.

    Raises:
        ArgumentTypeError: It has no `features` or no `receiver_tensors`.
    """
    if not hasattr(receiver, "features") or not hasattr(receiver, "receiver_tensors"):
        raise errors.ArgumentTypeError(
            errors.invalid_argument(
                "serving_input_receiver_fn's result",
                receiver,
                "a ServingInputReceiver or a TensorServingInputReceiver",
            )
        )
    return receiver


def signature_defs(receiver: Any, export_outputs: Mapping[str, ExportOutput]) -> dict[str, Any]:
    """Describes every signature that the receiver's placeholders can serve.

    Those that they cannot are left out, and logged: classifications and regressions for any
    other receiver than one string tensor, and outputs that depend on something not fed.

    Args:
        receiver: The receiver.
        export_outputs: The outputs by name.

    Returns:
        `SignatureDef`s by name: `<output>`, and `<alternative>:<output>` for alternatives.
    """
    found: dict[str, Any] = {}
    excluded: dict[str, str] = {}
    for name, output, tensors in _candidates(receiver, export_outputs):
        try:
            signature = output.as_signature_def(tensors)
            _check_servable(tensors, signature)
        except ValueError as error:
            excluded[name] = str(error)
        else:
            found[name] = signature
    _report(found, excluded)
    return found


def _candidates(
    receiver: Any, export_outputs: Mapping[str, ExportOutput]
) -> Iterator[tuple[str, ExportOutput, dict[str, Tensor]]]:
    own = _by_name(receiver.receiver_tensors)
    for key, output in export_outputs.items():
        yield str(key), output, own
    alternatives = getattr(receiver, "receiver_tensors_alternatives", None) or {}
    for prefix, tensors in alternatives.items():
        for key, output in export_outputs.items():
            yield f"{prefix}:{key}", output, _by_name(tensors)


def _by_name(tensors: Any) -> dict[str, Tensor]:
    return dict(tensors) if isinstance(tensors, Mapping) else {_SINGLE_RECEIVER: tensors}


def _check_servable(tensors: Mapping[str, Nest], signature: Any) -> None:
    """Checks that a signature can be served, by itself and from the given placeholders."""
    if not _v1.saved_model.signature_def_utils.is_valid_signature(signature):
        raise errors.ArgumentError(
            f"TensorFlow Serving knows no {signature.method_name!r} signature with the inputs "
            f"{sorted(signature.inputs)} and the outputs {sorted(signature.outputs)}."
        )
    graph = _v1.get_default_graph()
    fed = {id(tensor) for tensor in tf.nest.flatten(dict(tensors), expand_composites=True)}
    outputs = [tensor for info in signature.outputs.values() for tensor in _tensors_of(info, graph)]
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


def _report(found: Mapping[str, Any], excluded: Mapping[str, str]) -> None:
    for name, reason in excluded.items():
        _logger.info("Signature %r is not exported: %s", name, reason)
    if not found:
        _logger.warning(
            "The export has no signatures at all: none of %s can be served from the receiver's "
            "placeholders.",
            sorted(excluded),
        )
    elif SignatureKeys.SERVING_DEFAULT not in found:
        _logger.warning(
            "The export has no signature %r, only %s.",
            SignatureKeys.SERVING_DEFAULT,
            sorted(found),
        )


def write(
    request: ExportRequest,
    graphs: list[_saved_model.ServableGraph],
    checkpoint: str,
    session_config: Any,
) -> bytes:
    """Writes an export: into a temporary directory, which is renamed when it is whole.

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


def _named_tensors(
    name: str, tensors: Any, single: str, key_types: tuple[type, ...] = (str,)
) -> dict[Any, Tensor]:
    if tensors is None:
        raise errors.ArgumentError(
            errors.invalid_argument(name, None, "a tensor, or a dict of tensors by name")
        )
    if not isinstance(tensors, Mapping):
        tensors = {single: tensors}
    for key, tensor in tensors.items():
        if not isinstance(key, key_types):
            raise errors.ArgumentError(errors.invalid_argument(f"{name}, a key", key, "a string"))
        _check_tensor(f"{name}[{key!r}]", tensor)
    return dict(tensors)


def _check_tensor(name: str, tensor: Any) -> None:
    if not isinstance(tensor, _TENSORS):
        raise errors.ArgumentError(
            errors.invalid_argument(name, tensor, "a tf.Tensor, tf.SparseTensor or tf.RaggedTensor")
        )


def _named_alternatives(alternatives: Any) -> dict[str, dict[str, Tensor]] | None:
    if alternatives is None:
        return None
    if not isinstance(alternatives, Mapping):
        raise errors.ArgumentError(
            errors.invalid_argument(
                "receiver_tensors_alternatives",
                alternatives,
                "a dict from names to groups of tensors, or None",
            )
        )
    return {
        key: _named_tensors(f"receiver_tensors_alternatives[{key!r}]", tensors, _SINGLE_RECEIVER)
        for key, tensors in alternatives.items()
    }
