"""Random ops of TF1 that draw from state that belongs to the program.

Synopsis::

    state = RandomState(graph)
    graph = traced_graph.TracedGraph("model_train", seed, state.stand_ins)
    ...                                 # tf.nn.dropout, tf.random.uniform in the graph
    state.restart()                     # the streams restart, as in a new session

A random op of TF1 keeps its place in its stream inside its kernel, and each function has its own
kernels. So a step that writes summaries would repeat the draws of the step before it. Therefore an
op with a seed is replaced by an op that draws from a variable of the program. A step then draws
the same numbers in every function that runs it.

Uniform and normal numbers are those of the original op, to the last bit. Both ops count the blocks
of the Philox generator (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011), and
skip 256 of them for each number. The other ops are replaced by a stateless op, or by several. These
draw other numbers from the same distribution, and their seed comes from such a state.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kestimator import errors
from kestimator.engine.random import candidate_samplers
from kestimator.engine.tf_internals import tf_operations
from kestimator.engine.tracing import execution_modes, traced_graph

CLASSICAL = "_kestimator_random_op"
"""The attribute of an op that names the TF1 op that it replaces, and its seeds."""
_PHILOX = 1  # `tf.random.Algorithm.PHILOX`
_SCOPE = "/kestimator/"
"""The scope, after the name of a draw, of the ops that are made for the draw."""

_Inputs = Sequence[tf.Tensor]
_Attrs = Mapping[str, Any]


@dataclasses.dataclass(eq=False)
class _State:
    """The place of one random op in its stream.

    Attributes:
        variable: The counter and the key of the generator, int64 of shape [3].
        start: The variable's value at the beginning of the stream.
        handle: The variable's placeholder in the program's graph.
        is_initial: Whether a variable's initializer draws from it. No step runs initializers.
        is_called: Whether a call of a function uses it already.
    """

    variable: tf.Variable
    start: list[int]
    handle: tf.Tensor
    is_initial: bool
    is_called: bool = False


class RandomState:
    """The states of a program's random ops: one per op, as in a TF1 session.

    Args:
        graph: The program's graph.
    """

    def __init__(self, graph: traced_graph.TracedGraph) -> None:
        self._graph = graph
        self._states: dict[int, _State] = {}  # by the ids of their handles
        self._originals: dict[str, Any] = {}  # the ops of TF1, by the names of their replacements
        self._is_initializing = False

    @property
    def stand_ins(self) -> dict[str, traced_graph.StandIn]:
        """The functions that replace random ops, by the type of the op."""
        return {
            **{kind: functools.partial(self._exact, kind, twin) for kind, twin in _EXACT.items()},
            **{kind: functools.partial(self._seeded, kind, make) for kind, make in _SEEDED.items()},
            **{kind: functools.partial(_refused, kind) for kind in _REFUSED},
        }

    @property
    def is_used_by_steps(self) -> bool:
        """Whether an op that a step may run draws from a state."""
        return not all(state.is_initial for state in self._states.values())

    @contextlib.contextmanager
    def initializing(self) -> Iterator[None]:
        """Marks ops made inside as part of a variable's initializer, which no step runs."""
        outer, self._is_initializing = self._is_initializing, True
        try:
            yield
        finally:
            self._is_initializing = outer

    def restart(self, *, initializers: bool = False) -> None:
        """Restarts streams, as in a new session.

        Args:
            initializers: Whether to restart the streams of initializers, or those of steps. A
                call that reads a checkpoint runs no initializer, so it can save the time.
        """
        with execution_modes.eager_mode():
            for state in self._states.values():
                if state.is_initial == initializers:
                    state.variable.assign(state.start)

    def _exact(
        self,
        kind: str,
        twin: Callable[..., tf.Tensor],
        inputs: _Inputs,
        attrs: _Attrs,
        name: str,
    ) -> tf.Operation | None:
        """Replaces an op by a draw of exactly the same numbers."""
        seeds = _seeds(attrs)
        if seeds is None:
            return None
        scope = _scope(name)
        with tf.name_scope(f"{scope}kestimator/"):
            alg = tf.constant(_PHILOX)
            place = tf.bitcast(self._advanced(seeds, _count(inputs[0]), alg), tf.uint64)
            # The layout of Philox: two words of counter, then one of key.
            counter, key = tf.split(place, [2, 1])
        drawn = twin(inputs, attrs, key, counter, alg, scope).op
        # In a branch or a loop, `restored` only finds the op by this mark.
        mark = f"{kind},{seeds[0]},{seeds[1]}".encode()
        tf_operations.set_attribute(drawn, CLASSICAL, mark)
        self._remember(kind, inputs, attrs, drawn)
        return drawn

    def _seeded(
        self,
        kind: str,
        make: Callable[[_Inputs, _Attrs, tf.Tensor, str], tf.Operation],
        inputs: _Inputs,
        attrs: _Attrs,
        name: str,
    ) -> tf.Operation | None:
        """Replaces an op by stateless ops, with a seed that changes with every draw."""
        seeds = _seeds(attrs)
        if seeds is None:
            return None
        scope = _scope(name)
        with tf.name_scope(f"{scope}kestimator/"):
            place = self._advanced(seeds, tf.constant(1, tf.uint64), tf.constant(_PHILOX))
            # Both seeds of the op, and the place in the stream, which counts by 256.
            seed = tf.stack([place[2], place[0] + tf.bitwise.left_shift(place[1], 32)])
        drawn = make(inputs, attrs, seed, scope)
        self._remember(kind, inputs, attrs, drawn)
        return drawn

    def _remember(self, kind: str, inputs: _Inputs, attrs: _Attrs, drawn: tf.Operation) -> None:
        """Keeps the definition of the TF1 op, for graphs that leave the program; see `restored`."""
        # Only ops of the program's own graph: nodes of functions are restored by their marks.
        if drawn.graph is not self._graph:
            return
        node = tf.compat.v1.NodeDef(op=kind, name=drawn.name, device=drawn.device)
        node.input.extend(self._graph.capture(tensor).name.removesuffix(":0") for tensor in inputs)
        node.input.extend(f"^{before.name}" for before in drawn.control_inputs)
        for key, value in attrs.items():
            node.attr[key].CopyFrom(value)
        self._originals[drawn.name] = node

    def take_over(self) -> None:
        """Replaces random ops that were imported. Must be called after the trace."""
        # An import adds ops as a whole, and does not ask `_create_op_internal` for each.
        stand_ins = self.stand_ins
        for op in self._graph.get_operations():
            make = stand_ins.get(op.type)
            if make is None or _seeds(op.node_def.attr) is None:
                continue
            with (
                self._graph.as_default(),
                tf.control_dependencies(None),
                tf.control_dependencies(op.control_inputs),
                tf.device(op.device),
            ):
                # The imported op stays in the graph and keeps its name, but nothing consumes it.
                drawn = make(op.inputs, op.node_def.attr, f"{op.name}/drawn")
            assert drawn is not None
            for old, new in zip(op.outputs, drawn.outputs, strict=True):
                for consumer in old.consumers():
                    for position, tensor in enumerate(consumer.inputs):
                        if tensor is old:
                            tf_operations.replace_input(consumer, position, new)

    def restored(self, graph_def: Any) -> Any:
        """Puts the random ops of TF1 back into a graph. Their kernels keep the state.

        Args:
            graph_def: The `GraphDef` of the program's graph. This function changes it.
        """
        for node in graph_def.node:
            if node.name in self._originals:
                node.CopyFrom(self._originals[node.name])
        # A state that a function gets as an input still has a user, and stays.
        unused = {
            state.handle.op.name
            for state in self._states.values()
            if all(_is_part_of(op.name, self._originals) for op in state.handle.consumers())
        }
        _drop(graph_def.node, lambda name: name in unused or _is_part_of(name, self._originals))
        for function in graph_def.library.function:
            _restore_in_function(function)
        return graph_def

    def _advanced(self, seeds: tuple[int, int], count: tf.Tensor, alg: tf.Tensor) -> tf.Tensor:
        """The state before the draw. The variable moves on by `count` numbers.

        Args:
            seeds: The seeds of the op.
            count: The number of numbers that the op draws, uint64.
            alg: The generator's algorithm, int32.
        """
        # TF1 seeds its generator the same way: `seed` is the key, `seed2` the counter's upper word.
        handle = self._new_state([0, seeds[1], seeds[0]])
        return tf.raw_ops.RngReadAndSkip(resource=handle, alg=alg, delta=count)

    def _new_state(self, start: list[int]) -> tf.Tensor:
        """Makes a state with a start value, and returns its handle in the program's graph."""
        with execution_modes.outside(), tf.device("/cpu:0"):
            variable = tf.Variable(start, trainable=False, dtype=tf.int64, name="random_state")
            memory = variable.handle
        with self._graph.as_default(), tf.control_dependencies(None), tf.name_scope("kestimator/"):
            handle = self._graph.placeholder_for(memory, "random_state")
        self._states[id(handle)] = _State(variable, start, handle, self._is_initializing)
        return handle

    def inputs_of(self, op_type: str, inputs: _Inputs) -> _Inputs:
        """The inputs of an op, with its own states if it calls a function that draws.

        In a TF1 graph, each call of a `tf.function` has its own kernels. All of them start from
        the seeds of the function's ops. If two calls shared a state, the first one to run would
        get its numbers, and nothing orders the calls.
        """
        if op_type not in CALLS or not self._states:
            return inputs
        return [self._own_state(tensor) for tensor in inputs]

    def _own_state(self, tensor: tf.Tensor) -> tf.Tensor:
        handle = _in_program(tensor) if tensor.dtype == tf.resource else tensor
        state = self._states.get(id(handle))
        if state is None:
            return tensor
        # The first call takes the state that the trace of the function made.
        if state.is_called:
            tensor = self._new_state(state.start)
            state = self._states[id(tensor)]
        state.is_called = True
        return tensor


def _in_program(tensor: tf.Tensor) -> tf.Tensor:
    """The tensor of the program's graph that a branch, loop or function captured as `tensor`."""
    graph = getattr(tensor, "graph", None)
    captures = () if isinstance(graph, traced_graph.TracedGraph) else getattr(graph, "captures", ())
    outside = next((external for external, internal in captures if internal is tensor), None)
    return tensor if outside is None else _in_program(outside)


def _seeds(attrs: _Attrs) -> tuple[int, int] | None:
    """The seeds of an op; None if it has none, so that every run draws other numbers."""
    # TensorFlow's kernels treat two zeros as no seed.
    seeds = attrs["seed"].i, attrs["seed2"].i
    return seeds if any(seeds) else None


def _is_part_of(name: str, draws: Container[str]) -> bool:
    """Whether an op was made as a helper for one of `draws`, by the scope in its name."""
    draw, scope, _ = name.rpartition(_SCOPE)
    return bool(scope) and draw in draws


def _drop(nodes: Any, is_dropped: Callable[[str], bool]) -> set[str]:
    """Drops nodes and the control edges that wait for them; returns the names of the nodes."""
    # From the end, so that a deletion does not move the nodes still to be deleted.
    names = [node.name for node in nodes]
    dropped = {name for name in names if is_dropped(name)}
    for position in reversed(range(len(names) if dropped else 0)):
        if names[position] in dropped:
            del nodes[position]
    for node in nodes if dropped else ():
        inputs = [name for name in node.input if name.removeprefix("^") not in dropped]
        if len(inputs) < len(node.input):
            node.input[:] = inputs
    return dropped


def _restore_in_function(function: Any) -> None:
    """Puts the random ops of TF1 back into a branch or loop."""
    restored = set()
    for node in function.node_def:
        if CLASSICAL not in node.attr:
            continue
        kind, seed, seed2 = node.attr[CLASSICAL].s.decode().split(",")
        inputs = [name for name in node.input if not name.startswith("^")]
        waits = [name for name in node.input if name.startswith("^")]
        original_inputs = [inputs[0], *inputs[4:]]  # without key, counter and algorithm
        node.op = kind
        node.input[:] = [*original_inputs, *waits]
        del node.attr[CLASSICAL]
        if kind == "RandomUniformInt":
            node.attr["Tout"].CopyFrom(node.attr["dtype"])
            del node.attr["dtype"]
        node.attr["T"].CopyFrom(node.attr["Tshape"])
        del node.attr["Tshape"]
        node.attr["seed"].i, node.attr["seed2"].i = int(seed), int(seed2)
        restored.add(node.name)
    dropped = _drop(function.node_def, lambda name: _is_part_of(name, restored))
    for key, name in list(function.control_ret.items()):
        if name in dropped:
            del function.control_ret[key]
            function.signature.control_output.remove(key)


def _scope(name: str) -> str:
    """The name of an op as a scope. A name that ends in a slash is used as it is."""
    graph = tf.compat.v1.get_default_graph()
    return name if name.endswith("/") else f"{graph.unique_name(name)}/"


def _count(shape: tf.Tensor) -> tf.Tensor:
    static_shape = tf.get_static_value(shape)
    if static_shape is not None:
        return tf.constant(int(np.prod(static_shape, dtype=np.int64)), tf.uint64)
    return tf.cast(tf.reduce_prod(tf.cast(shape, tf.int64)), tf.uint64)


def _floats(draw: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    def twin(
        inputs: _Inputs,
        attrs: _Attrs,
        key: tf.Tensor,
        counter: tf.Tensor,
        alg: tf.Tensor,
        name: str,
    ) -> tf.Tensor:
        dtype = tf.as_dtype(attrs["dtype"].type)
        return draw(shape=inputs[0], key=key, counter=counter, alg=alg, dtype=dtype, name=name)

    return twin


def _integers(
    inputs: _Inputs,
    attrs: _Attrs,
    key: tf.Tensor,
    counter: tf.Tensor,
    alg: tf.Tensor,
    name: str,
) -> tf.Tensor:
    shape, least, limit = inputs
    return tf.raw_ops.StatelessRandomUniformIntV2(
        shape=shape, key=key, counter=counter, alg=alg, minval=least, maxval=limit, name=name
    )


_EXACT: dict[str, Callable[..., tf.Tensor]] = {
    "RandomUniform": _floats(tf.raw_ops.StatelessRandomUniformV2),
    "RandomStandardNormal": _floats(tf.raw_ops.StatelessRandomNormalV2),
    "TruncatedNormal": _floats(tf.raw_ops.StatelessTruncatedNormalV2),
    "RandomUniformInt": _integers,
}


def _shuffled(inputs: _Inputs, attrs: _Attrs, seed: tf.Tensor, name: str) -> tf.Operation:
    with tf.name_scope(f"{name}kestimator/"):
        shuffled = tf.random.experimental.stateless_shuffle(inputs[0], seed)
    return tf.identity(shuffled, name=name).op


def _multinomial(inputs: _Inputs, attrs: _Attrs, seed: tf.Tensor, name: str) -> tf.Operation:
    logits, count = inputs
    dtype = tf.as_dtype(attrs["output_dtype"].type)
    return tf.raw_ops.StatelessMultinomial(
        logits=logits, num_samples=count, seed=seed, output_dtype=dtype, name=name
    ).op


def _gamma(inputs: _Inputs, attrs: _Attrs, seed: tf.Tensor, name: str) -> tf.Operation:
    shape, alpha = inputs
    with tf.name_scope(f"{name}kestimator/"):
        whole = _followed_by(shape, alpha)
    return tf.raw_ops.StatelessRandomGammaV2(shape=whole, seed=seed, alpha=alpha, name=name).op


def _poisson(inputs: _Inputs, attrs: _Attrs, seed: tf.Tensor, name: str) -> tf.Operation:
    shape, rate = inputs
    dtype = tf.as_dtype(attrs["dtype"].type)
    with tf.name_scope(f"{name}kestimator/"):
        whole = _followed_by(shape, rate)
    return tf.raw_ops.StatelessRandomPoisson(
        shape=whole, seed=seed, lam=rate, dtype=dtype, name=name
    ).op


def _followed_by(shape: tf.Tensor, parameter: tf.Tensor) -> tf.Tensor:
    """The shape of a draw of `shape` numbers for each element of a parameter."""
    return tf.concat([shape, tf.shape(parameter, shape.dtype)], 0)


def _truncated(inputs: _Inputs, attrs: _Attrs, seed: tf.Tensor, name: str) -> tf.Operation:
    shape, *parameters = inputs
    with tf.name_scope(f"{name}kestimator/"):
        # A parameter has one value per batch, so it needs ones for the other dimensions.
        ones = tf.ones([tf.size(shape) - 1], tf.int32)
        means, deviations, least, limit = (
            tf.broadcast_to(tf.reshape(p, tf.concat([[-1], ones], 0)), shape) for p in parameters
        )
    return tf.raw_ops.StatelessParameterizedTruncatedNormal(
        shape=shape,
        seed=seed,
        means=means,
        stddevs=deviations,
        minvals=least,
        maxvals=limit,
        name=name,
    ).op


def _bounding_box(inputs: _Inputs, attrs: _Attrs, seed: tf.Tensor, name: str) -> tf.Operation:
    size, boxes, *covered = inputs
    least = covered[0] if covered else tf.constant(attrs["min_object_covered"].f)
    return tf.raw_ops.StatelessSampleDistortedBoundingBox(
        image_size=size,
        bounding_boxes=boxes,
        min_object_covered=least,
        seed=seed,
        aspect_ratio_range=list(attrs["aspect_ratio_range"].list.f),
        area_range=list(attrs["area_range"].list.f),
        max_attempts=attrs["max_attempts"].i,
        use_image_if_no_bounding_boxes=attrs["use_image_if_no_bounding_boxes"].b,
        name=name,
    ).begin.op


_SEEDED: dict[str, Callable[[_Inputs, _Attrs, tf.Tensor, str], tf.Operation]] = {
    "RandomShuffle": _shuffled,
    "Multinomial": _multinomial,
    "RandomGamma": _gamma,
    "RandomPoisson": _poisson,
    "RandomPoissonV2": _poisson,
    "ParameterizedTruncatedNormal": _truncated,
    "SampleDistortedBoundingBox": _bounding_box,
    "SampleDistortedBoundingBoxV2": _bounding_box,
    "UniformCandidateSampler": candidate_samplers.uniform,
    "LogUniformCandidateSampler": candidate_samplers.log_uniform,
    "FixedUnigramCandidateSampler": candidate_samplers.fixed_unigram,
}

_REFUSED = {
    "LearnedUnigramCandidateSampler": "tf.random.log_uniform_candidate_sampler, or "
    "tf.random.fixed_unigram_candidate_sampler with the counts",
    "ThreadUnsafeUnigramCandidateSampler": "tf.random.log_uniform_candidate_sampler",
    "FractionalMaxPool": "tf.nn.max_pool2d, or deterministic=True",
    "FractionalAvgPool": "tf.nn.avg_pool2d, or deterministic=True",
    "RandomCrop": "tf.image.random_crop",
}


def _refused(kind: str, inputs: _Inputs, attrs: _Attrs, name: str) -> None:
    """Refuses an op that would draw the same numbers again in each function that runs it.

    Raises:
        errors.ArgumentError: The op has a seed.
    """
    # `deterministic=True` fixes the numbers on purpose.
    is_fixed = "deterministic" in attrs and attrs["deterministic"].b
    if _seeds(attrs) is not None and not is_fixed:
        raise errors.ArgumentError(
            f"{kind} ({name.rstrip('/')!r}) has an op-level or graph-level seed, but kestimator "
            "cannot share its random state between the functions that run a step. Its numbers "
            f"would repeat. Use {_REFUSED[kind]} instead, or RunConfig(tf_random_seed=None) for "
            "unseeded numbers."
        )


CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
"""The types of the ops that call a function."""

TYPES = frozenset([*_EXACT, *_SEEDED, *_REFUSED])
"""The types of the ops that are replaced or refused."""
