"""Functions over an iterator that run on the device until they are done.

Synopsis::

    drain = Compiled(build, parts=[step], arguments=(tf.int32,))
    outputs = drain(iterator, 100, on_one_thread=True)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from kestimator.engine.graphs import pruned_function
from kestimator.engine.programs import program
from kestimator.engine.tracing import execution_modes


class Compiled:
    """A function of an iterator and some numbers, built once for each kind of iterator.

    It has graph semantics, like a program: only what the outputs need runs, and ops wait only for
    their inputs and control inputs.

    Args:
        build: Called in the graph with an iterator (or None) and scalars; returns tensors.
        parts: The functions whose ops `build` puts into the graph.
        arguments: The dtypes of the scalars.

    Attributes:
        is_new: Whether the last call built the function, which makes it slow.
    """

    def __init__(
        self,
        build: Callable[..., list[tf.Tensor]],
        parts: Sequence[program.PrunedFunction],
        arguments: Sequence[tf.DType],
    ) -> None:
        self._build = build
        self._parts = parts
        self._arguments = arguments
        self._functions: dict[Any, program.PrunedFunction] = {}
        self.is_new = True

    def __call__(self, iterator: Any, *numbers: int, on_one_thread: bool) -> list[tf.Tensor]:
        """Runs the function.

        Args:
            iterator: The iterator, or None.
            *numbers: The values of the scalars.
            on_one_thread: Whether to run it op by op on the calling thread, if that is possible.
        """
        on_one_thread = on_one_thread and all(part.runs_on_one_thread for part in self._parts)
        with program.eager_mode(), execution_modes.on_one_thread(on_one_thread):
            # TensorFlow lowers loops in functions for many threads; one thread needs them whole.
            key = (on_one_thread, iterator and program.spec_key(iterator.element_spec))
            self.is_new = key not in self._functions
            if self.is_new:
                self._functions[key] = self._made(iterator)
            scalars = map(tf.constant, numbers, self._arguments)
            return self._functions[key](*_handles(iterator), *scalars)

    def _made(self, iterator: Any) -> program.PrunedFunction:
        graph = pruned_function.plain_graph("loop")
        placeholder = tf.compat.v1.placeholder
        with graph.as_default():
            feeds = [placeholder(handle.dtype, handle.shape) for handle in _handles(iterator)]
            source = feeds and tf.nest.pack_sequence_as(iterator, feeds, expand_composites=True)
            scalars = [placeholder(dtype, ()) for dtype in self._arguments]
            outputs = self._build(source or None, *scalars)
        return program.PrunedFunction(graph, [*feeds, *scalars], outputs)


def once(
    condition: tf.Tensor,
    make: Callable[[], Sequence[tf.Tensor]],
    otherwise: Sequence[tf.Tensor],
    shapes: Sequence[tf.TensorShape] | None = None,
) -> list[tf.Tensor]:
    """Returns the results of `make` if a condition holds, and `otherwise` if not.

    It is a loop of at most one turn. Unlike a branch, a loop can run on the calling thread.

    Args:
        condition: A scalar.
        make: Makes the tensors.
        otherwise: Tensors of the same dtypes.
        shapes: Shapes that both results fit; by default, the shapes of `otherwise`.
    """
    shapes = [value.shape for value in otherwise] if shapes is None else shapes
    _, *values = tf.while_loop(
        lambda pending, *_: pending,
        lambda *_: [tf.constant(False), *make()],
        [condition, *otherwise],
        shape_invariants=[condition.shape, *shapes],
        parallel_iterations=1,
    )
    return list(values)


def inlined(
    function: program.PrunedFunction,
    inputs: Sequence[tf.Tensor],
    values: Sequence[tf.Tensor],
    *,
    waits: bool = False,
) -> list[tf.Tensor]:
    """Copies the ops of a function into the current graph; outputs wait for its operations.

    Args:
        function: A function of some inputs of a program.
        inputs: The program's inputs.
        values: The tensors that replace them in the current graph.
        waits: As for `PrunedFunction.inlined`.
    """
    # The values may end with labels that the program of a prediction has no input for.
    by_input = dict(zip(map(id, inputs), values, strict=False))
    tensors, operations = function.inlined(
        *(by_input[id(tensor)] for tensor in function.inputs), waits=waits
    )
    with tf.control_dependencies(operations):
        return [tf.identity(tensor) for tensor in tensors]


def _handles(iterator: Any) -> list[tf.Tensor]:
    return [] if iterator is None else tf.nest.flatten(iterator, expand_composites=True)
