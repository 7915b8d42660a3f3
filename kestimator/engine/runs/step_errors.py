"""Errors of steps in the words of the program: which feature or label the data is wrong in.

Synopsis::

    with explained(program, batches):
        runner.run()

TensorFlow names an op of the graph, at the end of the places where it was made. Here, one sentence
comes first: what is wrong, and the feature that the op reads.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow as tf

from kestimator import errors, logs
from kestimator.engine.programs import program as _program
from kestimator.engine.runs import batches as _batches
from kestimator.engine.runs import dataset_iterators, elements

SECONDS_TO_LOOK_FOR_NAN = 3.0
_MOST_BATCHES = 1000  # to look for NaN in
_OF_DATA = (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError)
_NODE = re.compile(r"\{\{node ([^}]+)\}\}")
_UNEQUAL = re.compile(
    r"Cannot batch tensors with different shapes in component (?P<component>\d+)\. "
    r"(?P<shapes>First element had shape .*?\]\.)"
)
_QUOTED = re.compile(r"(?<!\w)'[^']*'|\"[^\"]*\"")
_SAYS_NAN = re.compile(r"(?<!: )\bnan (?:in|values?)\b", re.IGNORECASE)
_ASSERTION = "assertion failed: "


@contextlib.contextmanager
def explained(program: _program.Program, batches: _batches.Batches) -> Iterator[None]:
    """Explains the errors of steps that run inside.

    Args:
        program: The program of the steps.
        batches: Its input.

    Raises:
        errors.NanLossError: The loss is NaN, and so is a feature or label.
        tf.errors.InvalidArgumentError: Data does not fit the model; the class may be another one
            of `tf.errors`, as TensorFlow raised it.
    """
    try:
        yield
    except errors.KestimatorError:
        raise
    except tf.compat.v1.train.NanLossDuringTrainingError as error:
        source = _if_it_works(_nan_source, batches)
        if source is None:
            raise
        raise errors.NanLossError(f"{error} {source}") from None
    except _OF_DATA as error:
        better = _if_it_works(_explanation, program, batches, error)
        if better is None:
            raise
        raise better from None


def _if_it_works(explain: Callable[..., Any], *arguments: Any) -> Any:
    """Returns an explanation, or None if an error prevents it: that of the step must be raised."""
    try:
        return explain(*arguments)
    except Exception:
        logs.debug("An error cannot be explained.", exc_info=True)
        return None


def _explanation(
    program: _program.Program, batches: _batches.Batches, error: Any
) -> tf.errors.OpError | None:
    """Returns an error that starts with one sentence; None if there is nothing to say."""
    sentence = _sentence(program, batches, error)
    if sentence is None:
        return None
    better: tf.errors.OpError = type(error)(error.node_def, error.op, f"{sentence}\n\n{error}")
    return better


def reason_of(error: tf.errors.OpError) -> str:
    """Returns what an op says is wrong, without the places where it was made."""
    *_, reason = str(error).partition("\n\t [[{{node")[0].rpartition("\n\n")
    return re.sub(r" \[Op:\w+\]( name: ?\S*)?$", "", reason).strip()


def _sentence(program: _program.Program, batches: _batches.Batches, error: Any) -> str | None:
    """Says what is wrong in one sentence; None if the error is not one of a graph."""
    text = str(error)
    unequal = _UNEQUAL.search(text)
    if unequal is not None:
        name = _batched_name(batches, int(unequal["component"]))
        if name is None:
            return None
        return f"The examples of a batch need {name} of one shape. {unequal['shapes']}"
    node = (_NODE.findall(text) or [""])[-1]
    if not (node or text.startswith("Graph execution error:")):
        return None
    reason = reason_of(error)
    if reason.startswith(_ASSERTION):
        # The values come after the text, which is in brackets.
        return re.sub(r"^\[(.*?)\] ", r"\1 ", reason.removeprefix(_ASSERTION), flags=re.S)
    if _SAYS_NAN.search(_QUOTED.sub("", reason)):
        source = _nan_source(batches)
        if source is not None:
            return f"{reason}. {source}"
    names = _inputs_of(program, batches, node)
    if not names:
        return reason
    return f"{reason}, in the op {node!r}, which reads {' and '.join(names)} of the input_fn."


def _inputs_of(program: _program.Program, batches: _batches.Batches, node: str) -> list[str]:
    """Returns the features and labels that are nearest to an op, on the way to its inputs."""
    op = _op_of(program.graph, node)
    names = _names(batches.element_spec)
    by_op = {
        tensor.op: names[position % len(names)] for position, tensor in enumerate(program.inputs)
    }
    layer, seen = ([op] if op is not None else []), set()
    while layer:
        nearest = {by_op[op]: None for op in layer if op in by_op}
        if nearest:
            return list(nearest)
        seen.update(layer)
        before = (tensor.op for op in layer for tensor in op.inputs)
        layer = list({op: None for op in before if op not in seen})
    return []


def _op_of(graph: tf.Graph, node: str) -> tf.Operation | None:
    """Returns the op that a node was made of; loops put their name before the op's."""
    while node:
        try:
            return graph.get_operation_by_name(node)
        except (KeyError, ValueError):
            node = node.partition("/")[2]
    return None


def _names(element_spec: Any) -> list[str]:
    """Returns what to call each flat tensor of a batch."""
    features, labels = element_spec
    return [*_named("feature", features), *_named("label", labels)]


def _named(kind: str, structure: Any) -> Iterator[str]:
    if isinstance(structure, Mapping):
        for key in sorted(structure):
            yield from _all(f"the {kind} {key!r}", structure[key])
    else:
        yield from _all(f"the {kind}s", structure)


def _all(name: str, structure: Any) -> list[str]:
    return [name for _ in _program.flatten(structure)]


def _batched_name(batches: _batches.Batches, component: int) -> str | None:
    """Returns what to call a component of the op that batches; None if that is not certain."""
    dataset = batches.source
    if dataset is None or not dataset_iterators.is_batched_last(dataset):
        return None
    numbers = range(len(tf.nest.flatten(dataset.element_spec)))
    numbered = elements.features_and_labels(tf.nest.pack_sequence_as(dataset.element_spec, numbers))
    return dict(zip(_program.flatten(numbered), _names(numbered), strict=True)).get(component)


def _nan_source(batches: _batches.Batches) -> str | None:
    """Says in which feature or label of the data there is a NaN; None if none is found.

    The batch of the step is gone, so the data is read again, unless that could change it or call a
    function of the program.
    """
    dataset = batches.source
    if dataset is None or not dataset_iterators.can_repeat(dataset):
        return None
    bad: list[str] = []
    end = time.monotonic() + SECONDS_TO_LOOK_FOR_NAN
    # One batch may take minutes, which nothing but a thread can be left in.
    reader = threading.Thread(target=_look_for_nan, args=[dataset, end, bad], daemon=True)
    reader.start()
    reader.join(SECONDS_TO_LOOK_FOR_NAN)
    if not bad:
        return None
    sources = " and ".join(dict.fromkeys(bad))
    return f"The data has NaN in {sources}. Remove or replace it in the input_fn."


def _look_for_nan(dataset: tf.data.Dataset, end: float, bad: list[str]) -> None:
    """Puts the names of the tensors that have NaN in the first such batch into `bad`."""
    names = _names(elements.features_and_labels(dataset.element_spec))
    with contextlib.suppress(Exception), _program.eager_mode():
        for element in dataset.take(_MOST_BATCHES):
            batch = _program.flatten(elements.features_and_labels(element))
            bad += [
                name
                for name, tensor in zip(names, batch, strict=True)
                if tensor.dtype.is_floating and bool(tf.reduce_any(tf.math.is_nan(tensor)))
            ]
            if bad or time.monotonic() > end:
                break
