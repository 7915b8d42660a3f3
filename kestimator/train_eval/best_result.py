"""The best result: how results are compared, and the file with the best exported one.

Synopsis::

    record = read(export_path)                      # nothing yet: Record(None, None)
    write(export_path, record.starts("model.ckpt-100", {"loss": 0.5}, exports=[]))
    ...                                             # the export itself
    write(export_path, Record(best={"loss": 0.5}))

A process may be killed between any two of these steps. The file says which export was started, so
that the next process knows whether it was finished, and can finish it.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kestimator import errors, logs
from kestimator.engine.checkpoints import checkpoint_files
from kestimator.keys import MetricKeys
from kestimator.validation import kinds, signatures

_FILE_NAME = "best_eval_result.json"
_COMPARED = {"best_eval_result", "current_eval_result"}


@dataclasses.dataclass(frozen=True)
class ByMetric:
    """Compares results by one metric. Any number is better than NaN.

    Attributes:
        metric: The name of the metric.
        mode: 'min' if a smaller value is better, 'max' if a larger one is.
    """

    metric: str
    mode: str

    def __call__(
        self, best_eval_result: Mapping[str, Any], current_eval_result: Mapping[str, Any]
    ) -> bool:
        """Returns whether the current result is better than the best."""
        current = self.value(current_eval_result)
        # The best result may come from a run that was compared by another metric.
        if self.metric not in best_eval_result:
            return True
        best = self.value(best_eval_result)
        if math.isnan(best):
            return not math.isnan(current)
        return current < best if self.mode == "min" else current > best

    def value(self, eval_result: Mapping[str, Any]) -> float:
        """Returns the value of the metric.

        Raises:
            errors.ArgumentError: The result has no such number.
        """
        value = eval_result.get(self.metric) if eval_result else None
        if value is None or np.ndim(value) > 0:
            raise errors.ArgumentError(
                errors.invalid_argument(
                    "eval_result",
                    eval_result,
                    f"the metrics of an evaluation, including a number {self.metric!r}",
                    "Pass `metric=` and `mode=` to BestExporter to compare by another metric.",
                )
            )
        return float(value)


loss_is_smaller = ByMetric(MetricKeys.LOSS, "min")
"""How a `BestExporter` compares by default: the smaller loss is better."""


def checked_comparison(compare_fn: Any, metric: str | None, mode: str | None) -> Callable[..., Any]:
    """Returns the comparison that the arguments of `BestExporter` define.

    Raises:
        errors.ArgumentError: They define none, or two.
    """
    if metric is not None or mode is not None:
        if compare_fn is not loss_is_smaller:
            raise errors.ArgumentError(
                f"`compare_fn` and `metric` cannot both be given. Received: {compare_fn!r} and "
                f"{metric!r}. Pass one of them."
            )
        return _checked_metric(metric, mode)
    if compare_fn is None:
        expected = "a function of best_eval_result and current_eval_result"
        raise errors.ArgumentError(errors.invalid_argument("compare_fn", None, expected))
    names = signatures.accepted_arguments(compare_fn, "compare_fn")
    if names != _COMPARED:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "compare_fn",
                compare_fn,
                f"a function whose arguments are exactly {', '.join(sorted(_COMPARED))}",
                f"It takes {sorted(names)}.",
            )
        )
    return compare_fn  # type: ignore[no-any-return]


def _checked_metric(metric: Any, mode: Any) -> ByMetric:
    if not isinstance(metric, str) or not metric:
        expected = "the name of a metric that `evaluate` returns, with its `mode`"
        raise errors.ArgumentError(errors.invalid_argument("metric", metric, expected))
    expected = f"'min' if a smaller {metric!r} (the `metric`) is better, 'max' if a larger one is"
    return ByMetric(metric, kinds.checked_choice("mode", mode, ("min", "max"), expected))


@dataclasses.dataclass(frozen=True)
class Started:
    """An export that was started.

    Attributes:
        checkpoint_path: The checkpoint that it exports.
        eval_result: The metrics of that checkpoint.
        exports: The names of the exports that existed before.
    """

    checkpoint_path: str
    eval_result: dict[str, Any]
    exports: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Record:
    """What is known about the exports of one folder.

    Attributes:
        best: The metrics of the best exported model; None if they are not known.
        started: The export that was started last, unless it is known to be finished.
    """

    best: dict[str, Any] | None = None
    started: Started | None = None

    def starts(
        self, checkpoint_path: str, eval_result: Mapping[str, Any], exports: Sequence[str]
    ) -> Record:
        """Returns the same with the export of a better model started."""
        started = Started(checkpoint_path, dict(eval_result), tuple(exports))
        return dataclasses.replace(self, started=started)


def path_of(export_path: str) -> str:
    """Returns the path of the file for a folder of exports.

    It is beside that folder. In the folder, programs and servers look for versions, and the newest
    is the last name.
    """
    return f"{export_path.rstrip('/')}.{_FILE_NAME}"


def read(export_path: str) -> Record:
    """Reads the file; returns `Record()` if it is absent or, with a warning, unusable."""
    path = path_of(export_path)
    if not tf.io.gfile.exists(path):
        return Record()
    try:
        with tf.io.gfile.GFile(path) as file:
            return _record(json.loads(file.read()))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        logs.warning("Ignoring the file %s, which cannot be used: %s", path, error)
        return Record()


def write(export_path: str, record: Record) -> None:
    """Writes the file atomically."""
    path = path_of(export_path)
    tf.io.gfile.makedirs(_folder_of(path))
    checkpoint_files.write_whole(path, json.dumps(_plain(record), indent=1).encode())


def restore(export_path: str, record: Record) -> None:
    """Restores the file to its content before an export that failed."""
    if record != Record():
        write(export_path, record)
        return
    path = path_of(export_path)
    tf.io.gfile.remove(path)
    # There was no file, and perhaps no folder for it: the failed export leaves none.
    if not tf.io.gfile.listdir(_folder_of(path)):
        tf.io.gfile.rmtree(_folder_of(path))


def _folder_of(path: str) -> str:
    return os.path.dirname(path) or "."


def _plain(record: Record) -> dict[str, Any]:
    started = record.started
    return {
        "best": None if record.best is None else _plain_result(record.best),
        "started": started
        and {
            "checkpoint_path": started.checkpoint_path,
            "eval_result": _plain_result(started.eval_result),
            "exports": list(started.exports),
        },
    }


def _record(content: dict[str, Any]) -> Record:
    best, started = content["best"], content["started"]
    return Record(
        None if best is None else _result(best),
        started
        and Started(
            started["checkpoint_path"],
            _result(started["eval_result"]),
            tuple(started["exports"]),
        ),
    )


def _plain_result(eval_result: Mapping[str, Any]) -> dict[str, Any]:
    """Converts numbers, arrays and bytes to JSON; results of `evaluate` hold nothing else."""
    plain: dict[str, Any] = {}
    for key, value in eval_result.items():
        if isinstance(value, bytes):
            # JSON has no bytes; latin-1 maps each byte to one character and back.
            plain[key] = {"bytes": value.decode("latin-1")}
        elif (array := np.asarray(value)).dtype.kind in "biuf":
            plain[key] = {"dtype": array.dtype.name, "value": array.tolist()}
    return plain


def _result(plain: Mapping[str, Any]) -> dict[str, Any]:
    # `[()]` makes a scalar of an array without dimensions, and leaves other arrays alone.
    return {
        key: entry["bytes"].encode("latin-1")
        if "bytes" in entry
        else np.array(entry["value"], entry["dtype"])[()]
        for key, entry in plain.items()
    }
