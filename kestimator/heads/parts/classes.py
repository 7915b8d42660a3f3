"""The classes of a classifier: their names come from a vocabulary, or are their ids."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from kestimator import errors
from kestimator._types import Labels, Tensor
from kestimator.engine.graphs import op_names
from kestimator.exporting.export_outputs import ClassificationOutput
from kestimator.heads.parts import value_checks
from kestimator.validation import checks

_WORDS_SHOWN = 20
_REMEDY = (
    "Labels of shape (batch,) or (batch, 1) are class ids, not one-hot vectors. Convert one-hot "
    "vectors with tf.argmax. Also check `n_classes` of the head."
)


class Classes:
    """The classes of a head.

    Args:
        count: Their number.
        vocabulary: Their names by id, or None.

    Raises:
        errors.ArgumentError: The vocabulary does not name each class once.
    """

    def __init__(self, count: int, vocabulary: Any = None) -> None:
        self.count = count
        self.vocabulary = None if vocabulary is None else _checked_vocabulary(vocabulary, count)

    @property
    def names(self) -> list[str]:
        """The name of each class."""
        return self.vocabulary or [str(position) for position in range(self.count)]

    def names_of(self, ids: Tensor) -> Tensor:
        """The names of classes by id, strings in the shape of the ids."""
        if self.vocabulary is None:
            return tf.strings.as_string(ids, name="str_classes")
        return tf.gather(self.names, ids, name="hash_table_Lookup/LookupTableFindV2")

    def ids_of(self, names: Tensor) -> Tensor:
        """The ids of classes by name, int64; -1 for other names."""
        keys, ids = tf.constant(self.names), tf.range(self.count, dtype=tf.int64)
        table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, ids), -1)
        return table.lookup(names)

    def checked_ids_of(self, names: Tensor) -> Tensor:
        """The ids of classes by name, int64; an unknown name is an error."""
        ids = self.ids_of(names)
        words = ", ".join(self.names[:_WORDS_SHOWN])
        more = ", ..." if self.count > _WORDS_SHOWN else ""
        message = f"Invalid argument `labels`. Expected: words of the vocabulary {words}{more}."
        return value_checks.tensor_where(tf.reduce_all(ids >= 0), ids, message, names)

    def checked_ids(self, name: str, classes: Any) -> list[int]:
        """The ids of classes that an argument gives by id or name, each once.

        Raises:
            errors.ArgumentError: There is no such class, or a name and no vocabulary.
            errors.ArgumentTypeError: Not a list of ids or names.
        """
        if classes is None:
            return []
        if not isinstance(classes, (list, tuple)):
            raise errors.ArgumentTypeError(
                errors.invalid_argument(name, classes, "a list of class ids or names, or None")
            )
        return list(dict.fromkeys(self._checked_id(name, item) for item in classes))

    def _checked_id(self, name: str, item: Any) -> int:
        if isinstance(item, str):
            if self.vocabulary is None or item not in self.vocabulary:
                expected = "class ids, because the head has no `label_vocabulary`"
                if self.vocabulary is not None:
                    expected = f"a word of the `label_vocabulary` {self.vocabulary}"
                raise errors.ArgumentError(errors.invalid_argument(name, item, expected))
            return self.vocabulary.index(item)
        last = self.count - 1
        expected = f"class ids from 0 to {last}"
        return checks.checked_int(name, item, 0, maximum=last, expected=expected)

    def all_ids(self, logits: Tensor) -> Tensor:
        """All ids in each row, int32 [batch, count]."""
        return _in_each_row(tf.range(self.count), logits)

    def all_names(self, logits: Tensor) -> Tensor:
        """All names in each row, strings [batch, count]."""
        return _in_each_row(tf.constant(self.names), logits)

    def output(self, scores: Tensor) -> ClassificationOutput:
        """The output of a served classifier: the score of each class, and all names."""
        return ClassificationOutput(scores=scores, classes=self.all_names(scores))


def label_tensor(labels: Labels, shape: str) -> Tensor:
    """Returns labels that have to be dense as a tensor.

    Args:
        labels: The labels; or a dict of nothing else, which a frame of one column becomes.
        shape: Their shape as a message says it.

    Raises:
        errors.ArgumentError: There are none, or they are not dense.
    """
    labels = _only_value(labels)
    if labels is None or isinstance(labels, (tf.SparseTensor, tf.RaggedTensor, dict)):
        way_out = (
            "Return (features, labels) from the input_fn."
            if labels is None
            else "Only a MultiHead takes several labels, as a dict."
            if isinstance(labels, dict)
            else "Convert them with tf.sparse.to_dense or RaggedTensor.to_tensor."
        )
        raise errors.ArgumentError(
            errors.invalid_argument("labels", labels, f"a dense tensor of shape {shape}", way_out)
        )
    return tf.convert_to_tensor(labels)


def _only_value(labels: Labels) -> Labels:
    is_single = isinstance(labels, dict) and len(labels) == 1
    return next(iter(labels.values())) if is_single else labels


def class_ids(
    labels: Labels,
    logits: Tensor,
    classes: Classes,
    error: type[errors.KestimatorError] = errors.ArgumentError,
) -> Tensor:
    """The labels as class ids, `[d0, ..., dn, 1]`, not checked for their range.

    Args:
        labels: The labels.
        logits: The logits.
        classes: The classes.
        error: The error for ids if the vocabulary requires names.

    Raises:
        errors.ArgumentError: They have another shape.
    """
    tensor = value_checks.shaped("labels", label_tensor(labels, "(batch, 1)"), logits, 1, _REMEDY)
    op_names.also_named(tensor, "labels")
    if classes.vocabulary is None:
        return tensor
    if tensor.dtype != tf.string:
        raise error(
            errors.invalid_argument(
                "labels", tensor, "strings, because the head has a `label_vocabulary`"
            )
        )
    return classes.checked_ids_of(tensor)


def likeliest(scores: Tensor, name: str = "ExpandDims") -> Tensor:
    """The class of each example with the highest score, int64 `[..., 1]`; the first of several."""
    return tf.expand_dims(tf.argmax(scores, axis=-1, name="class_ids"), -1, name=name)


def check_numbers(labels: Tensor) -> None:
    """Checks that labels are numbers or flags.

    Raises:
        errors.ArgumentError: They are strings.
    """
    if labels.dtype == tf.string:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "labels", labels, "numbers", "Classifiers take names with a `label_vocabulary`."
            )
        )


def checked_thresholds(thresholds: Any) -> tuple[float, ...]:
    """Returns the thresholds at which a head has metrics.

    Raises:
        errors.ArgumentError: One is not between 0 and 1.
        errors.ArgumentTypeError: Not a list of numbers.
    """
    if thresholds is None:
        return ()
    if not isinstance(thresholds, (list, tuple)):
        raise errors.ArgumentTypeError(
            errors.invalid_argument("thresholds", thresholds, "a list of numbers, or None")
        )
    expected = "numbers between 0 and 1"
    return tuple(
        checks.checked_numbers("thresholds", thresholds, expected, lambda number: 0 < number < 1)
    )


def _checked_vocabulary(vocabulary: Any, count: int) -> list[str]:
    expected = f"a list of {count} unique strings, the names of the classes in the order of ids"
    if not isinstance(vocabulary, (list, tuple)):
        raise errors.ArgumentError(
            errors.invalid_argument("label_vocabulary", vocabulary, expected)
        )
    words = [word.decode() if isinstance(word, bytes) else word for word in vocabulary]
    all_strings = all(isinstance(word, str) for word in words)
    if not all_strings or len(words) != count or len(set(words)) != count:
        raise errors.ArgumentError(
            errors.invalid_argument("label_vocabulary", vocabulary, expected)
        )
    return words


def _in_each_row(values: Tensor, logits: Tensor) -> Tensor:
    return tf.tile(values[tf.newaxis], [tf.shape(logits)[0], 1])
