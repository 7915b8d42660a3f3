"""Receivers: the inputs of an exported model.

Synopsis::

    receiver_fn = build_parsing_serving_input_receiver_fn(
        {"x": tf.io.FixedLenFeature([2], tf.float32)})
    receiver = receiver_fn()     # in the graph that is exported
    receiver.features            # what the model_fn receives
    receiver.receiver_tensors    # what a request feeds

For training and evaluation, a receiver also has labels: `SupervisedInputReceiver`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self

import tensorflow as tf

from kestimator import errors
from kestimator._types import Features, Labels, Tensor
from kestimator.validation import checks, kinds

_v1 = tf.compat.v1
_SINGLE_FEATURE = "feature"
_SINGLE_LABEL = "label"
SINGLE_RECEIVER = "input"
_FEATURES = (
    tf.io.FixedLenFeature,
    tf.io.FixedLenSequenceFeature,
    tf.io.RaggedFeature,
    tf.io.SparseFeature,
    tf.io.VarLenFeature,
)
_TENSORS = (tf.Tensor, tf.SparseTensor, tf.RaggedTensor)


class _ReceiverFields(NamedTuple):
    features: Any
    receiver_tensors: dict[str, Tensor]
    receiver_tensors_alternatives: dict[str, dict[str, Tensor]] | None


class ServingInputReceiver(_ReceiverFields):
    """The result of a `serving_input_receiver_fn`: placeholders, and features made of them.

    Attributes:
        features: A dict of tensors for the model_fn. A single tensor becomes
            `{"feature": tensor}`; use `TensorServingInputReceiver` to pass it unchanged.
        receiver_tensors: The placeholders that a request feeds, by name. A single one is called
            "input".
        receiver_tensors_alternatives: Other groups of tensors that can be fed instead, by name.
            Each creates signatures called `<name>:<output>`. None for no others.

    Raises:
        ArgumentError: Something is None or not a tensor, or a name is not a string.
    """

    __slots__ = ()

    def __new__(
        cls,
        features: Features,
        receiver_tensors: Tensor | Mapping[str, Tensor],
        receiver_tensors_alternatives: Mapping[str, Any] | None = None,
    ) -> Self:
        """Checks the fields and names single tensors."""
        return super().__new__(
            cls,
            _named_tensors("features", features, _SINGLE_FEATURE, key_types=(str, int)),
            _named_tensors("receiver_tensors", receiver_tensors, SINGLE_RECEIVER),
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
            _named_tensors("receiver_tensors", receiver_tensors, SINGLE_RECEIVER),
            _named_alternatives(receiver_tensors_alternatives),
        )


class UnsupervisedInputReceiver(ServingInputReceiver):
    """A receiver for the training or evaluation of a model that needs no labels.

    Attributes:
        features: As in `ServingInputReceiver`.
        receiver_tensors: As in `ServingInputReceiver`.

    Raises:
        ArgumentError: As for `ServingInputReceiver`.
    """

    __slots__ = ()

    def __new__(cls, features: Features, receiver_tensors: Tensor | Mapping[str, Tensor]) -> Self:
        """Checks the fields and names single tensors."""
        return super().__new__(cls, features, receiver_tensors)


class _SupervisedFields(NamedTuple):
    features: Any
    labels: Any
    receiver_tensors: dict[str, Tensor]


class SupervisedInputReceiver(_SupervisedFields):
    """A receiver for training or evaluation: placeholders, features and labels.

    Attributes:
        features: A tensor or a dict of tensors; the model_fn receives it unchanged.
        labels: A tensor or a dict of tensors; the model_fn receives it unchanged.
        receiver_tensors: The placeholders that are fed, by name. A single one is called "input".

    Raises:
        ArgumentError: Something is None or not a tensor, or a name is not a string.
    """

    __slots__ = ()

    def __new__(
        cls,
        features: Features,
        labels: Labels,
        receiver_tensors: Tensor | Mapping[str, Tensor],
    ) -> SupervisedInputReceiver:
        """Checks the fields and names a single receiver tensor."""
        _named_tensors("features", features, _SINGLE_FEATURE, key_types=(str, int))
        _named_tensors("labels", labels, _SINGLE_LABEL, key_types=(str, int))
        named = _named_tensors("receiver_tensors", receiver_tensors, SINGLE_RECEIVER)
        return super().__new__(cls, features, labels, named)


def build_parsing_serving_input_receiver_fn(
    feature_spec: Mapping[str, Any], default_batch_size: int | None = None
) -> Callable[[], ServingInputReceiver]:
    """Makes a receiver function for serialized `tf.train.Example`s.

    Args:
        feature_spec: The content of the examples: `tf.io.FixedLenFeature`s and the like, by name,
            as `tf.feature_column.make_parse_example_spec` returns them.
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
    for name, feature in feature_spec.items():
        kinds.checked_instance(
            f"feature_spec[{name!r}]", feature, _FEATURES, "a tf.io.FixedLenFeature or the like"
        )
    size = _checked_batch_size(default_batch_size)

    def serving_input_receiver_fn() -> ServingInputReceiver:
        examples = _v1.placeholder(tf.string, [size], name="input_example_tensor")
        features = _v1.io.parse_example(examples, dict(feature_spec))
        return ServingInputReceiver(features, {"examples": examples})

    return serving_input_receiver_fn


def build_raw_serving_input_receiver_fn(
    features: Mapping[str, Tensor], default_batch_size: int | None = None
) -> Callable[[], ServingInputReceiver]:
    """Makes a receiver function whose placeholders are the features.

    Args:
        features: Tensors by name, in a graph or eager: only dtypes and shapes are used. Their first
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
    size = _checked_batch_size(default_batch_size)
    described = _described("features", features, SINGLE_RECEIVER, size)

    def serving_input_receiver_fn() -> ServingInputReceiver:
        placeholders = _placeholders(described)
        return ServingInputReceiver(placeholders, placeholders)

    return serving_input_receiver_fn


def build_raw_supervised_input_receiver_fn(
    features: Tensor | Mapping[str, Tensor],
    labels: Tensor | Mapping[str, Tensor],
    default_batch_size: int | None = None,
) -> Callable[[], SupervisedInputReceiver]:
    """Makes a receiver function for training and evaluation, fed with features and labels.

    Example:
        >>> receiver_fn = kestimator.export.build_raw_supervised_input_receiver_fn(
        ...     {"x": tf.zeros([1, 1])}, tf.zeros([1, 1], tf.int64))
        >>> path = estimator.train(input_fn).experimental_export_all_saved_models(
        ...     estimator.model_dir, {"train": receiver_fn, "eval": receiver_fn})

    Args:
        features: A tensor, or tensors by name, in a graph or eager: only dtypes and shapes are
            used. Their first dimension is the batch.
        labels: A tensor, or tensors by name.
        default_batch_size: The size of a batch; None takes any.

    Returns:
        A receiver function, whose placeholders have the names of features and labels. A single
        feature tensor is fed as "input", a single label tensor as "label".

    Raises:
        ArgumentError: Something is not a dense tensor, or a feature and a label have the same
            name.
    """
    # Described now: a placeholder can be made only later, in the graph that is exported.
    size = _checked_batch_size(default_batch_size)
    described = _described("features", features, SINGLE_RECEIVER, size)
    answers = _described("labels", labels, _SINGLE_LABEL, size)
    if both := sorted(set(described) & set(answers), key=str):
        raise errors.ArgumentError(
            "Features and labels must have distinct keys, because a request feeds both by name. "
            f"Keys in both: {both}. Rename the label."
        )

    def supervised_input_receiver_fn() -> SupervisedInputReceiver:
        placeholders, label_placeholders = _placeholders(described), _placeholders(answers)
        return SupervisedInputReceiver(
            _as_given(features, placeholders),
            _as_given(labels, label_placeholders),
            {**placeholders, **label_placeholders},
        )

    return supervised_input_receiver_fn


def _checked_batch_size(default_batch_size: Any) -> int | None:
    if default_batch_size is None:
        return None
    return checks.checked_int(
        "default_batch_size",
        default_batch_size,
        0,
        maximum=checks.LARGEST_SIZE,
        takes_bools=True,
        expected="a number of examples, or None",
    )


def _as_given(tensors: Any, placeholders: Mapping[str, Tensor]) -> Any:
    """Returns placeholders in the structure of `tensors`: a dict, or one tensor."""
    return dict(placeholders) if isinstance(tensors, Mapping) else next(iter(placeholders.values()))


def _described(
    name: str, tensors: Any, single: str, batch_size: int | None
) -> dict[str, dict[str, Any]]:
    """Returns the arguments of placeholders by their names in signatures."""
    if not isinstance(tensors, Mapping):
        return {single: _placeholder_arguments(name, tensors, batch_size)}
    return {
        key: _placeholder_arguments(f"{name}[{key!r}]", tensor, batch_size)
        for key, tensor in tensors.items()
    }


def _placeholders(described: Mapping[str, Mapping[str, Any]]) -> dict[str, Tensor]:
    return {key: _v1.placeholder(**arguments) for key, arguments in described.items()}


def _placeholder_arguments(name: str, tensor: Any, batch_size: int | None) -> dict[str, Any]:
    if not isinstance(tensor, tf.Tensor):
        raise errors.ArgumentError(
            errors.invalid_argument(
                name,
                tensor,
                "a dense tf.Tensor",
                "For other tensors, such as sparse ones, write your own receiver function.",
            )
        )
    shape = tf.TensorShape([batch_size]).concatenate(tensor.shape[1:])
    return {"dtype": tensor.dtype, "shape": shape, "name": _operation_name(tensor)}


def _operation_name(tensor: Any) -> str | None:
    """Returns the name of the operation of a tensor; None for eager tensors."""
    try:
        return str(tensor.op.name)
    except AttributeError:
        return None


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
            raise errors.ArgumentError(errors.invalid_argument(f"key of {name}", key, "a string"))
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
        key: _named_tensors(f"receiver_tensors_alternatives[{key!r}]", tensors, SINGLE_RECEIVER)
        for key, tensors in alternatives.items()
    }


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
