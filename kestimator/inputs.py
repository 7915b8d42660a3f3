"""Input functions over data in memory.

    input_fn = numpy_input_fn({"age": ages, "job": jobs}, labels, batch_size=32, shuffle=True)
    estimator.train(input_fn, steps=1000)

The returned functions create a `tf.data.Dataset`. A batch costs one gather per column, regardless
of its number of rows. A call after the first one costs about a millisecond, and puts no data into a
graph.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import functools
import random
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from kestimator import errors, py_datasets
from kestimator.validation import checks, kinds

__all__ = [
    "keras_input_fn",
    "numpy_input_fn",
    "pandas_input_fn",
]

if TYPE_CHECKING:
    import pandas

_KEPT_PIPELINES = 64
_BARE = "a bare tensor"
_is_called_by_estimator = contextvars.ContextVar("_is_called_by_estimator", default=False)


def numpy_input_fn(
    x: Mapping[str, np.ndarray] | np.ndarray,
    y: Mapping[str, np.ndarray] | np.ndarray | None = None,
    batch_size: int = 128,
    num_epochs: int | None = 1,
    shuffle: bool | None = None,
    queue_capacity: int = 1000,
    num_threads: int = 1,
) -> ArrayInput:
    """Returns an input_fn that feeds numpy arrays.

    Batches may span two epochs, and the last batch may be short: 5 rows in batches of 2 for 2
    epochs give 5 batches of 2.

    Args:
        x: Features: arrays by name, or one array. The first dimension is the batch.
        y: Labels in the same form, or None.
        batch_size: The number of examples in a batch.
        num_epochs: How often to repeat the data; None repeats it without end.
        shuffle: Whether each epoch has its own random order. Must be given.
        queue_capacity: Ignored; all rows take part in a shuffle.
        num_threads: Ignored.

    Returns:
        A function without arguments that returns a Dataset of features, or of
        (features, labels). It reads the arrays when it is called. In a graph, it returns tensors
        of the next batch; for example inside an `input_fn` that unpacks the result.

    Raises:
        ArgumentError: `shuffle` is not a bool, or `batch_size` or `num_epochs` is out of range.
            From the returned function: arrays without rows or of different lengths, names in both
            `x` and `y`, an empty dict.
        ArgumentTypeError: `num_epochs` is not an integer, or `x` or `y` has another type.
    """
    del queue_capacity, num_threads
    _check_shuffle(shuffle)
    size, epochs = _checked_batch_size(batch_size), _checked_epochs(num_epochs)
    for name, data in (("x", x), ("y", y)):
        if name == "x" or data is not None:
            kinds.checked_instance(
                name, data, Mapping | np.ndarray, "a dict of arrays, or an array"
            )

    def columns() -> tuple[_Columns, _Columns]:
        # A dict may be filled until then.
        _check_not_empty("x", x)
        _check_not_empty("y", y)
        _check_distinct_names(x, y)
        return _columns(x), _columns(y)

    return ArrayInput(columns, size, epochs, bool(shuffle))


def pandas_input_fn(
    x: pandas.DataFrame,
    y: pandas.Series | pandas.DataFrame | None = None,
    batch_size: int = 128,
    num_epochs: int | None = 1,
    shuffle: bool | None = None,
    queue_capacity: int = 1000,
    num_threads: int = 1,
    target_column: str = "target",
) -> ArrayInput:
    """Returns an input_fn that feeds a DataFrame, one feature per column.

    Args:
        x: The features. It is not changed.
        y: The labels: a Series for a tensor, a DataFrame for a dict, or None. The index must
            be that of `x`.
        batch_size: The number of examples in a batch.
        num_epochs: How often to repeat the data; None repeats it without end.
        shuffle: Whether each epoch has its own random order. Must be given.
        queue_capacity: Ignored; all rows take part in a shuffle.
        num_threads: Ignored.
        target_column: A name that no column of `x` may have if there are labels.

    Returns:
        A function without arguments that returns a Dataset of features, or of
        (features, labels); in a graph, as for `numpy_input_fn`, tensors of the next batch.

    Raises:
        ArgumentError: `shuffle` is not a bool, the indices differ, or `x` has a column called
            `target_column`.
        ArgumentTypeError: `x` or `y` has another type, or `target_column` is not a string.
            From the returned function: a column's dtype is not one of numpy's, nor one of pandas
            that stands for it (`category`, `Int64`, `boolean`).
    """
    del queue_capacity, num_threads
    _check_frames(x, y)
    _check_shuffle(shuffle)
    size, epochs = _checked_batch_size(batch_size), _checked_epochs(num_epochs)
    _check_target_column(x, y, target_column)

    return ArrayInput(lambda: (_frame(x), _frame(y)), size, epochs, bool(shuffle))


def keras_input_fn(
    py_dataset: keras.utils.PyDataset,
    num_epochs: int | None = 1,
    class_weight: Mapping[int, float] | None = None,
) -> Callable[[], tf.data.Dataset]:
    """Returns an input_fn that feeds the batches of a `keras.utils.PyDataset`.

    Args:
        py_dataset: Its items are batches: `x`, `(x,)`, `(x, y)` or, for the Estimators of
            `model_to_estimator`, `(x, y, sample_weight)`.
        num_epochs: How often to repeat it; None repeats it without end. `on_epoch_begin` and
            `on_epoch_end` are called around each epoch.
        class_weight: The weights of examples by their classes, as for `fit`; other classes have
            the weight 1. Labels are class ids or one-hot. For the Estimators of
            `model_to_estimator`.

    Returns:
        A function without arguments that returns a Dataset.

    Raises:
        ArgumentTypeError: An argument has another type.
        ArgumentError: A class or weight is not a number. From the returned function: the
            PyDataset is empty, or `class_weight` is given although its batches hold sample weights
            or several labels.
    """
    if not isinstance(py_dataset, keras.utils.PyDataset):
        raise errors.ArgumentTypeError(
            errors.invalid_argument("py_dataset", py_dataset, "a keras.utils.PyDataset")
        )
    epochs = _checked_epochs(num_epochs)
    weights = py_datasets.checked_class_weight(class_weight)
    return lambda: py_datasets.dataset_of(py_dataset, epochs, weights)


@dataclasses.dataclass(frozen=True)
class _Columns:
    """Arrays of the same length, and how a batch of them is structured.

    Attributes:
        names: The keys of a dict, `_BARE` for a tensor, None for nothing.
        arrays: The data, in the order of the names.
    """

    names: tuple[Any, ...] | str | None
    arrays: tuple[Any, ...] = ()

    def items(self) -> list[tuple[Any, Any]]:
        """Returns the arrays with their names for error messages."""
        names = self.names if isinstance(self.names, tuple) else (self.names,)
        return list(zip(names, self.arrays, strict=False))


@dataclasses.dataclass(frozen=True)
class ArrayInput:
    """An input_fn over arrays. When called, it makes a Dataset of them.

    Attributes:
        columns: Reads the features and the labels.
        batch_size: The number of examples in a batch.
        num_epochs: How often to repeat the data; None repeats it without end.
        shuffle: Whether each epoch has its own random order.
    """

    columns: Callable[[], tuple[_Columns, _Columns]]
    batch_size: int
    num_epochs: int | None
    shuffle: bool

    def __call__(self) -> Any:
        """Creates the Dataset of features or (features, labels); in a graph, their tensors."""
        # Before `init_scope`, which leaves the graph that the caller is in.
        as_tensors = _tensors_are_wanted()
        features, labels = self.columns()
        rows = _checked_rows(features, labels)
        with tf.init_scope(), tf.device("/cpu:0"):
            tensors = _tensors(features, labels)
            specs = tuple(map(_batch_spec, tensors))
            pipeline = _pipeline(
                features.names,
                labels.names,
                specs,
                self.batch_size,
                self.num_epochs is None,
                self.shuffle,
            )
            epochs = tf.constant(self.num_epochs or 0, tf.int64)
            # As in tf.estimator, only a random order counts among the random ops of the graph.
            seed = _seed() if self.shuffle else tf.constant(0, tf.int64)
            arguments = tensors, tf.constant(rows, tf.int64), epochs, seed
            if not as_tensors:
                return _not_to_be_unpacked(pipeline(*arguments))
        return _next_of(pipeline(*arguments))

    def only_batch(self) -> Any:
        """Returns the only batch of the Dataset; None for several batches or a random order.

        A prediction for one row needs no Dataset: creating one takes longer than the model does.
        """
        features, labels = self.columns()
        rows = _checked_rows(features, labels)
        if self.shuffle or self.num_epochs != 1 or rows > self.batch_size:
            return None
        with tf.init_scope(), tf.device("/cpu:0"):
            return _element(features.names, labels.names, iter(_tensors(features, labels)))


@contextlib.contextmanager
def called_by_estimator() -> Iterator[None]:
    """Marks the call of an input_fn: in a graph, functions of this module then return tensors."""
    token = _is_called_by_estimator.set(True)
    try:
        yield
    finally:
        _is_called_by_estimator.reset(token)


def _tensors_are_wanted() -> bool:
    """Returns whether the graph is that of a call of an input_fn, or a TF1 graph of the user."""
    is_function = tf.compat.v1.get_default_graph().building_function
    return not tf.executing_eagerly() and (_is_called_by_estimator.get() or not is_function)


def holds_arrays(dataset: tf.data.Dataset) -> bool:
    """Returns whether this module made a Dataset of arrays, which can be read once more."""
    return getattr(dataset, "holds_arrays", False)


def _not_to_be_unpacked(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns the same Dataset, with a class that refuses iteration inside an input_fn.

    `features, labels = numpy_input_fn(...)()` expects tensors, but would unpack two batches.
    """
    kind: Any = type(dataset)
    dataset.__class__ = _guarded(kind)
    return dataset


@functools.cache
def _guarded(kind: Any) -> Any:
    def __iter__(self: Any) -> Any:  # noqa: N807
        if _is_called_by_estimator.get():
            raise errors.InputError(
                "An `input_fn` cannot iterate over the batches of numpy_input_fn or "
                "pandas_input_fn. It can return or transform their Dataset. In a graph, they "
                "return tensors instead."
            )
        return kind.__iter__(self)

    return type(kind.__name__, (kind,), {"__iter__": __iter__, "holds_arrays": True})


def _next_of(dataset: tf.data.Dataset) -> Any:
    """Returns tensors of the next batch; table initializers of the graph create the iterator."""
    iterator = tf.compat.v1.data.make_initializable_iterator(dataset)
    tf.compat.v1.add_to_collection(tf.compat.v1.GraphKeys.TABLE_INITIALIZERS, iterator.initializer)
    return iterator.get_next()


def _columns(data: Any) -> _Columns:
    if data is None:
        return _Columns(None)
    if isinstance(data, np.ndarray):
        return _Columns(_BARE, (data,))
    names = tuple(sorted(data))
    return _Columns(names, tuple(np.asarray(data[name]) for name in names))


def _frame(frame: Any) -> _Columns:
    if frame is None:
        return _Columns(None)
    if not hasattr(frame, "columns"):
        return _Columns(_BARE, (_series_array(frame.name, frame),))
    names = tuple(frame.columns)
    return _Columns(names, tuple(_series_array(name, frame[name]) for name in names))


def _series_array(name: Any, series: Any) -> np.ndarray[Any, Any]:
    """Returns the values of a column as a numpy array; strings of pandas become objects."""
    is_category, numpy_dtype = hasattr(series, "cat"), getattr(series.dtype, "numpy_dtype", None)
    if is_category or isinstance(numpy_dtype, np.dtype):  # dtypes of pandas that may have gaps
        _check_no_gaps(name, series)
        series = series.astype(series.cat.categories.dtype if is_category else numpy_dtype)
    if str(series.dtype) in ("str", "string"):
        series = series.astype(object)
    if not isinstance(series.dtype, np.dtype) or series.dtype.kind in "mM":
        raise errors.ArgumentTypeError(
            errors.invalid_argument(
                f"column {name!r}",
                series.dtype,
                "a numpy dtype: numbers, bools, or objects that are strings",
                "Convert the column with its `astype` method.",
            )
        )
    return np.asarray(series)


def _check_no_gaps(name: Any, series: Any) -> None:
    if series.isna().any():
        raise errors.ArgumentError(
            errors.invalid_argument(
                f"column {name!r}",
                series.dtype,
                "a value in every row",
                "Replace missing values with the column's `fillna` method, or drop the rows.",
            )
        )


@functools.lru_cache(maxsize=_KEPT_PIPELINES)
def _pipeline(
    feature_names: Any,
    label_names: Any,
    specs: tuple[tf.TensorSpec, ...],
    batch_size: int,
    endless: bool,
    shuffle: bool,
) -> Callable[..., tf.data.Dataset]:
    """Returns the traced function from arrays to a Dataset; tracing is the largest cost."""

    def make_dataset(
        tensors: list[tf.Tensor], rows: tf.Tensor, epochs: tf.Tensor, seed: tf.Tensor
    ) -> tf.data.Dataset:
        def order(epoch: tf.Tensor) -> tf.Tensor:
            indices = tf.range(rows)
            if not shuffle:
                return indices
            return tf.random.experimental.stateless_shuffle(indices, seed=[seed, epoch])

        def batch(indices: tf.Tensor) -> Any:
            gathered = iter([tf.gather(tensor, indices) for tensor in tensors])
            return _element(feature_names, label_names, gathered)

        numbers = tf.data.Dataset.counter() if endless else tf.data.Dataset.range(epochs)
        batches = numbers.map(order).rebatch(batch_size, drop_remainder=endless).map(batch)
        # A loop skips the check for the end of the data only if the number of batches is known.
        size = tf.data.INFINITE_CARDINALITY if endless else -(-rows * epochs // batch_size)
        return batches.apply(tf.data.experimental.assert_cardinality(size))

    scalar = tf.TensorSpec([], tf.int64)
    function = tf.function(make_dataset, autograph=False)
    traced: Callable[..., tf.data.Dataset] = function.get_concrete_function(
        list(specs), scalar, scalar, scalar
    )
    return traced


def _element(feature_names: Any, label_names: Any, values: Iterator[tf.Tensor]) -> Any:
    """Returns a batch: features, or (features, labels)."""
    packed = _packed(feature_names, values)
    return packed if label_names is None else (packed, _packed(label_names, values))


def _packed(names: Any, gathered: Iterator[tf.Tensor]) -> Any:
    return next(gathered) if names == _BARE else {name: next(gathered) for name in names}


def _seed() -> tf.Tensor:
    """Returns a new seed, derived from `tf.random.set_seed` if that was called."""
    seeds: tuple[Any, Any] = tf.compat.v1.get_seed(None)
    of_graph, of_operation = seeds
    if of_graph is None:
        seed = random.SystemRandom().getrandbits(62)
    else:
        seed = (of_graph * 1_000_003 + of_operation) % 2**62
    return tf.constant(seed, tf.int64)


def _tensors(features: _Columns, labels: _Columns) -> list[tf.Tensor]:
    return [_tensor(name, array) for name, array in features.items() + labels.items()]


def _tensor(name: Any, array: np.ndarray[Any, Any]) -> tf.Tensor:
    if array.dtype != object:
        return tf.convert_to_tensor(array)
    try:
        return tf.convert_to_tensor(array, tf.string)
    except (TypeError, ValueError) as error:
        raise errors.ArgumentTypeError(
            errors.invalid_argument(
                f"column {name!r}",
                array,
                "only strings, because its dtype is object",
                "Fill in missing values, or convert it to a numeric dtype.",
            )
        ) from error


def _checked_rows(features: _Columns, labels: _Columns) -> int:
    shapes = {
        f"{side}[{name!r}]": np.shape(array)
        for side, columns in (("x", features), ("y", labels))
        for name, array in columns.items()
    }
    lengths = {shape[0] if shape else 0 for shape in shapes.values()}
    if len(lengths) != 1 or not all(lengths):
        raise errors.ArgumentError(
            errors.invalid_argument(
                "x and y", shapes, "arrays whose first dimensions are equal and not 0"
            )
        )
    return lengths.pop()


def _check_not_empty(name: str, data: Any) -> None:
    if isinstance(data, Mapping) and not data:
        remedy = "Pass None if there are no labels." if name == "y" else ""
        raise errors.ArgumentError(
            errors.invalid_argument(name, data, "at least one array", remedy)
        )


def _check_distinct_names(x: Any, y: Any) -> None:
    if isinstance(x, Mapping) and isinstance(y, Mapping) and set(x) & set(y):
        raise errors.ArgumentError(
            errors.invalid_argument(
                "y",
                sorted(y),
                f"names other than those of the features: {sorted({*x} & {*y})} are in both",
            )
        )


def _check_shuffle(shuffle: Any) -> None:
    if not isinstance(shuffle, bool):
        raise errors.ArgumentError(
            errors.invalid_argument(
                "shuffle", shuffle, "True or False", "True is best for training."
            )
        )


def _checked_batch_size(batch_size: Any) -> int:
    return checks.checked_int(
        "batch_size",
        batch_size,
        1,
        maximum=checks.LARGEST_SIZE,
        takes_bools=True,
        expected="a whole number above 0",
        type_error=errors.ArgumentError,
    )


def _checked_epochs(num_epochs: Any) -> int | None:
    if num_epochs is None:
        return None
    expected = "a non-negative integer, or None"
    return checks.checked_int(
        "num_epochs",
        num_epochs,
        0,
        maximum=checks.LARGEST_SIZE,
        takes_bools=True,
        expected=expected,
    )


def _check_frames(x: Any, y: Any) -> None:
    if not hasattr(x, "columns") or not hasattr(x, "index"):
        raise errors.ArgumentTypeError(errors.invalid_argument("x", x, "a pandas.DataFrame"))
    if y is None:
        return
    if not hasattr(y, "index") or not hasattr(y, "iloc"):
        raise errors.ArgumentTypeError(
            errors.invalid_argument("y", y, "a pandas.Series, a pandas.DataFrame or None")
        )
    if not x.index.equals(y.index):
        raise errors.ArgumentError(
            errors.invalid_argument(
                "y",
                y.index,
                f"the index of `x`, which is {x.index!r}",
                "`y.reindex(x.index)` puts the labels into the order of `x`.",
            )
        )


def _check_target_column(x: Any, y: Any, target_column: Any) -> None:
    if not isinstance(target_column, str):
        raise errors.ArgumentTypeError(
            errors.invalid_argument("target_column", target_column, "a string")
        )
    if y is not None and target_column in x.columns:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "target_column",
                target_column,
                f"a name that is not a column of `x`: {list(x.columns)}",
                "Remove the labels from the features, or pass another target_column.",
            )
        )


def _batch_spec(array: Any) -> tf.TensorSpec:
    tensor = tf.convert_to_tensor(array)
    return tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype)
