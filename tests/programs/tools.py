"""What the programs share: cases, deterministic data, hooks that record, readers of files."""

import os
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1


class Cases(dict):
    """A module's programs by name; used as a decorator."""

    def __call__(self, program: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        self[program.__name__] = program
        return program


def regression(rows: int = 8, columns: int = 3, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Features (rows, columns) and labels (rows, 1), float32, the same on every machine."""
    random = np.random.RandomState(seed)
    x = random.uniform(-1.0, 1.0, size=(rows, columns)).astype(np.float32)
    y = x @ np.linspace(1.0, 2.0, columns, dtype=np.float32)[:, None] + np.float32(0.5)
    return x, y.astype(np.float32)


def batches(
    x: Any, y: Any = None, batch_size: int = 4, epochs: int | None = None
) -> Callable[[], tf.data.Dataset]:
    """An input_fn over arrays; endless unless `epochs` says otherwise."""

    def input_fn() -> tf.data.Dataset:
        dataset = tf.data.Dataset.from_tensor_slices(x if y is None else (x, y))
        return dataset.repeat(epochs).batch(batch_size)

    return input_fn


def plain(value: Any) -> Any:
    """The value as JSON can hold it: numpy arrays become nested lists, bytes become strings."""
    if isinstance(value, dict):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, bytes):
        return value.decode("utf-8")
    return value


def typed(results: dict[str, Any]) -> dict[str, Any]:
    """What evaluate returned, with the order of its keys and the type of its values."""
    return {
        "keys": list(results),
        "types": [_type_name(value) for value in results.values()],
        "values": plain(results),
    }


def _type_name(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"array of {value.dtype} {list(value.shape)}"
    # Numpy renamed its scalar types (bool_) in version 2, the dtypes have kept their names.
    return value.dtype.name if isinstance(value, np.generic) else type(value).__name__


def error(call: Callable[[], Any], *kinds: type[BaseException]) -> str | None:
    """Which of `kinds` the call raises, the first that fits; None when it returns."""
    try:
        call()
    except kinds as raised:
        return next(kind.__name__ for kind in kinds if isinstance(raised, kind))
    return None


def losses_hook(est: Any, into: list[float], tensor: str = "the_loss:0") -> Any:
    """A hook that fetches a tensor by name at every step and keeps its values."""

    class Losses(est.SessionRunHook):
        def before_run(self, run_context: Any) -> Any:
            return est.SessionRunArgs(tensor)

        def after_run(self, run_context: Any, run_values: Any) -> None:
            into.append(plain(run_values.results))

    return Losses()


def logged_losses(est: Any, into: list[float], tensor: Any = "the_loss:0") -> Any:
    """A LoggingTensorHook whose formatter keeps the values instead of making text of them."""

    def keep(values: dict[str, Any]) -> str:
        into.append(plain(values["loss"]))
        return f"loss is {values['loss']}"

    return est.LoggingTensorHook({"loss": tensor}, every_n_iter=1, formatter=keep)


def linear_model_fn(est: Any, optimizer: Callable[[], Any], width: int = 1) -> Callable[..., Any]:
    """A regression `x @ w + b` from zeros, whose loss tensor is called `the_loss:0`."""

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        weights = v1.get_variable(
            "w", [features.shape[1], width], initializer=v1.zeros_initializer()
        )
        bias = v1.get_variable("b", [width], initializer=v1.constant_initializer(0.1))
        outputs = tf.matmul(features, weights) + bias
        if mode == est.ModeKeys.PREDICT:
            return est.EstimatorSpec(mode, predictions={"outputs": outputs})
        loss = tf.identity(tf.reduce_mean(tf.square(outputs - labels)), name="the_loss")
        if mode == est.ModeKeys.EVAL:
            return est.EstimatorSpec(mode, loss=loss)
        train_op = optimizer().minimize(loss, global_step=v1.train.get_global_step())
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op)

    return model_fn


def checkpoint(path: str) -> dict[str, Any]:
    """Every variable of a checkpoint (or of a directory's latest) with type, shape and values."""
    reader = tf.train.load_checkpoint(path)
    shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    return {
        name: {
            "dtype": dtypes[name].name,
            "shape": list(shapes[name]),
            "values": plain(np.ravel(reader.get_tensor(name))),
        }
        for name in sorted(shapes)
    }


def names_and_shapes(path: str) -> dict[str, list[int]]:
    """The layout of a checkpoint without its values."""
    shapes = tf.train.load_checkpoint(path).get_variable_to_shape_map()
    return {name: list(shapes[name]) for name in sorted(shapes)}


def checkpoint_files(model_dir: str) -> list[str]:
    """The prefixes of the whole checkpoints in a folder, oldest step first; `.meta` graphs are
    optional.
    """
    prefixes = {
        name[: -len(".index")]
        for name in os.listdir(model_dir)
        if re.fullmatch(r"model\.ckpt-\d+\.index", name)
    }
    whole = [
        name
        for name in prefixes
        if os.path.exists(os.path.join(model_dir, f"{name}.data-00000-of-00001"))
    ]
    return sorted(whole, key=lambda name: int(name.rpartition("-")[2]))


def checkpoint_state(model_dir: str) -> dict[str, Any]:
    """What the file `checkpoint` says, read as text because that is what other programs rely on."""
    with open(os.path.join(model_dir, "checkpoint"), encoding="utf-8") as file:
        lines = [line.split(": ", 1) for line in file.read().splitlines()]
    return {
        "latest": [value.strip('"') for key, value in lines if key == "model_checkpoint_path"],
        "all": [value.strip('"') for key, value in lines if key == "all_model_checkpoint_paths"],
    }


def events(folder: str) -> list[dict[str, Any]]:
    """The summary values in a folder's event files, in the order in which they were written."""
    found = []
    for name in sorted(
        name for name in os.listdir(folder) if name.startswith("events.out.tfevents")
    ):
        for event in v1.train.summary_iterator(os.path.join(folder, name)):
            found += [{"step": event.step, **_event_value(value)} for value in event.summary.value]
    return found


def _event_value(value: Any) -> dict[str, Any]:
    kind = value.WhichOneof("value")
    if kind == "simple_value":
        return {"tag": value.tag, "kind": "scalar", "value": value.simple_value}
    if kind == "histo":
        histogram = value.histo
        return {
            "tag": value.tag,
            "kind": "histogram",
            "value": [histogram.num, histogram.min, histogram.max, histogram.sum],
        }
    if kind == "image":
        return {
            "tag": value.tag,
            "kind": "image",
            "value": [value.image.height, value.image.width, value.image.colorspace],
        }
    tensor = tf.make_ndarray(value.tensor)
    if tensor.ndim == 0 and tensor.dtype == np.float32:
        return {"tag": value.tag, "kind": "scalar", "value": plain(tensor)}
    return {"tag": value.tag, "kind": "tensor", "value": plain(tensor)}


def scalars(folder: str, tags: Iterable[str] | None = None) -> dict[str, Any]:
    """Steps and values of scalar summaries by tag."""
    kept: dict[str, Any] = {}
    for event in events(folder):
        if event["kind"] == "scalar" and (tags is None or event["tag"] in tags):
            series = kept.setdefault(event["tag"], {"steps": [], "values": []})
            series["steps"].append(event["step"])
            series["values"].append(event["value"])
    return kept
