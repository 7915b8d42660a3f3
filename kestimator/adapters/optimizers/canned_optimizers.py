"""Optimizers of canned estimators: names, Keras and TF1 optimizers, and what makes one.

Synopsis::

    canned_optimizers.check("optimizer", "Adagrad")                   # at construction
    train_op = canned_optimizers.minimize("Adagrad", loss, variables, step=global_step)

Names, and Keras optimizers that compute the same, keep their state under the names that
tf.estimator 2.15 gives it; see `rule_state`. A checkpoint's settings win over the program's, as
they do there. Other Keras optimizers keep Keras' names, TF1 optimizers TF1's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras
import tensorflow as tf

from kestimator import errors, specs
from kestimator.adapters.optimizers import (
    keras2_optimizers,
    keras_optimizers,
    moment_rules,
    rule_state,
    sparse_updates,
    train_ops,
    update_rules,
)
from kestimator.engine.keras_internals import keras_rates, keras_state
from kestimator.engine.variables import variable_creator
from kestimator.validation import keras2, kinds

_v1 = tf.compat.v1
_ReduceOp: TypeAlias = tf.distribute.ReduceOp
_Pair = tuple[Any, tf.Variable]

SMALL_TABLE = 8_192
"""Tables with at most this many numbers are updated as a whole, if that does not change the result.
This takes a third of the time of 128 rows, which are summed, looked up and updated one by one."""
NAMES: dict[str, type[update_rules.Rule]] = {
    "Adagrad": update_rules.Adagrad,
    "Adam": moment_rules.Adam,
    "Ftrl": update_rules.Ftrl,
    "RMSProp": moment_rules.RMSprop,
    "SGD": update_rules.SGD,
}
_EXPECTED = (
    f"one of the names {', '.join(map(repr, NAMES))}, a keras.optimizers.Optimizer, a tf_keras "
    "optimizer, a tf.compat.v1.train.Optimizer, or a function without arguments that returns an "
    "optimizer"
)


@dataclasses.dataclass(frozen=True)
class _Clipping:
    """How gradients are clipped before they are applied.

    Attributes:
        clipnorm: The largest norm of each.
        clipvalue: The largest absolute value in each.
        global_clipnorm: The largest norm of all together.
        of_sums: Whether to sum repeated rows first, as columns of the original do.
    """

    clipnorm: float | None = None
    clipvalue: float | None = None
    global_clipnorm: float | None = None
    of_sums: bool = True

    def __call__(self, gradients: Sequence[Any]) -> list[Any]:
        if not (self.clipnorm or self.clipvalue or self.global_clipnorm):
            return list(gradients)
        if self.of_sums:
            gradients = [_with_different_rows(gradient) for gradient in gradients]
        # Keras lets an optimizer have only one of the three.
        if self.clipnorm:
            return [tf.clip_by_norm(gradient, self.clipnorm) for gradient in gradients]
        if self.global_clipnorm:
            return list(tf.clip_by_global_norm(gradients, self.global_clipnorm)[0])
        limit = self.clipvalue or 0.0
        return [tf.clip_by_value(gradient, -limit, limit) for gradient in gradients]


def _with_different_rows(gradient: Any) -> Any:
    """Sums repeated rows of a sparse gradient, so that its norm is the norm of the sums."""
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    rows, sums = sparse_updates.summed(gradient.indices, gradient.values)
    return tf.IndexedSlices(sums, rows, gradient.dense_shape)


@dataclasses.dataclass(frozen=True)
class _Named:
    """A rule, and how its gradients are clipped."""

    rule: update_rules.Rule
    clipping: _Clipping = _Clipping()


def check(argument: str, optimizer: Any) -> None:
    """Checks an optimizer as far as possible before a graph exists.

    Args:
        argument: The name of the caller's argument.
        optimizer: A name, an optimizer, or a function that returns one.

    Raises:
        errors.ArgumentError: It is none of these.
    """
    if isinstance(optimizer, str) and optimizer not in NAMES:
        raise errors.ArgumentError(
            errors.invalid_argument(
                argument,
                optimizer,
                _EXPECTED,
                "For other optimizers, pass an object such as keras.optimizers.AdamW(0.001).",
            )
        )
    if not (isinstance(optimizer, str) or _is_optimizer(optimizer)):
        kinds.checked_function(argument, optimizer, _EXPECTED, type_error=errors.ArgumentError)


def minimize(
    optimizer: Any,
    loss: tf.Tensor,
    variables: Sequence[tf.Variable],
    *,
    step: tf.Variable | None,
    learning_rate: float | None = None,
    clipnorm: float | None = None,
    used_names: set[str] | None = None,
    sum_over_replicas: bool = False,
    argument: str = "optimizer",
) -> tf.Operation:
    """Adds a training step to the graph.

    Args:
        optimizer: A name, an optimizer, or a function that returns one, which is called here.
        loss: The loss, a scalar.
        variables: The variables to train.
        step: The global step, which this step advances; None for a second optimizer, which has
            its own counter.
        learning_rate: The rate of an optimizer given by name. None: the optimizer's own default.
        clipnorm: The norm to which an optimizer given by name clips every gradient.
        used_names: The names of this model's other optimizers. A second optimizer of one kind gets
            another name, such as `Adagrad_1`.
        sum_over_replicas: Whether gradients of several replicas are summed; else they are averaged.
        argument: The name of the caller's argument.

    Returns:
        The operation that makes the step.

    Raises:
        errors.ArgumentError: There is nothing to train, or the result of a function is not an
            optimizer.
    """
    check(argument, optimizer)
    used_names = set() if used_names is None else used_names
    over_replicas = _ReduceOp.SUM if sum_over_replicas else _ReduceOp.MEAN
    if isinstance(optimizer, str):
        options = {} if learning_rate is None else {"learning_rate": learning_rate}
        named = _Named(NAMES[optimizer](**options), _Clipping(clipnorm))
        state = rule_state.State(named.rule, step, used_names)
        return _minimize_by_rule(named, loss, variables, state, over_replicas)
    is_function = not _is_optimizer(optimizer)
    if is_function:
        optimizer = _made(optimizer, argument)
    if keras2.is_optimizer(optimizer):
        optimizer = keras2_optimizers.legacy(optimizer)
        # An object may be used again by another call; what the function made is new anyway.
        if not is_function:
            optimizer = keras2_optimizers.copied(optimizer)
        return minimize_keras2(
            optimizer,
            loss,
            variables,
            step=step,
            used_names=used_names,
            sum_over_replicas=sum_over_replicas,
            sum_rows=True,
        )
    if isinstance(optimizer, keras.optimizers.Optimizer):
        equivalent = _as_rule(optimizer)
        if equivalent is not None:
            state = rule_state.State(equivalent.rule, step, used_names)
            return _minimize_by_rule(equivalent, loss, variables, state, over_replicas)
        optimizer = keras_optimizers.copied(optimizer)
    return train_ops.minimize(
        optimizer, loss, variables, counts=step is not None, sum_over_replicas=sum_over_replicas
    )


def minimize_keras2(
    optimizer: Any,
    loss: tf.Tensor,
    variables: Sequence[tf.Variable],
    *,
    step: tf.Variable | None,
    used_names: set[str],
    sum_over_replicas: bool,
    sum_rows: bool = False,
) -> tf.Operation:
    """Adds a training step of an optimizer of `tf_keras` to the graph.

    Args:
        optimizer: The optimizer.
        loss: As in `minimize`.
        variables: As there.
        step: As there.
        used_names: As there.
        sum_over_replicas: As there.
        sum_rows: Whether to sum repeated rows of a sparse gradient first.

    Raises:
        errors.ArgumentError: There is nothing to train, or the library cannot train on several
            replicas with this optimizer.
    """
    optimizer = keras2_optimizers.usable(keras2_optimizers.legacy(optimizer))
    equivalent = _as_rule_of_keras2(optimizer)
    # Other weights than the step are state of the optimizer, which a rule would not continue.
    if equivalent is not None and all(weight is step for weight in optimizer.weights):
        over_replicas = _ReduceOp.SUM if sum_over_replicas else _ReduceOp.MEAN
        state = rule_state.State(equivalent.rule, step, used_names)
        clipping = dataclasses.replace(equivalent.clipping, of_sums=sum_rows)
        equivalent = dataclasses.replace(equivalent, clipping=clipping)
        return _minimize_by_rule(equivalent, loss, variables, state, over_replicas)
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if replicas > 1:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "optimizer",
                optimizer,
                f"an optimizer that can train on {replicas} replicas",
                f"Use keras.optimizers.{type(optimizer).__name__} of Keras 3 instead.",
            )
        )
    pairs = _pairs(loss, variables)
    if sum_rows:
        pairs = [(_with_different_rows(gradient), variable) for gradient, variable in pairs]
    return keras2_optimizers.apply(optimizer, pairs, step)


def train_operation_of_keras2(spec: specs.EstimatorSpec) -> tf.Operation:
    """The train op of a spec that has an optimizer of `tf_keras` in its place.

    Raises:
        errors.ArgumentError: As for `minimize_keras2`.
    """
    # Leaves the scopes of the model_fn, so that the names of the ops begin with `training`.
    with _v1.name_scope(None), tf.name_scope("training"):
        return minimize_keras2(
            spec.train_op,
            spec.loss,
            _v1.trainable_variables(),
            step=_v1.train.get_global_step(),
            used_names=set(),
            sum_over_replicas=False,
        )


def _is_optimizer(value: Any) -> bool:
    kinds = keras.optimizers.Optimizer | _v1.train.Optimizer
    return isinstance(value, kinds) or keras2.is_optimizer(value)


def _made(make: Callable[[], Any], argument: str) -> Any:
    """Calls a function for its optimizer, whose variables join the program when they are used."""
    with tf.variable_creator_scope(_apart):
        result = make()
    if not _is_optimizer(result):
        raise errors.ArgumentError(
            errors.invalid_argument(
                f"{argument}()", result, "a Keras or TF1 optimizer as the result of the function"
            )
        )
    return result


def _apart(next_creator: Callable[..., tf.Variable], **kwargs: Any) -> tf.Variable:
    """Makes Keras' variables as outside of any trace: the counter of an optimizer, its rate."""
    if keras_state.variable_being_made() is None:
        return next_creator(**kwargs)
    return variable_creator.stored_variable(kwargs["name"], kwargs)


def _minimize_by_rule(
    named: _Named,
    loss: tf.Tensor,
    variables: Sequence[tf.Variable],
    state: rule_state.State,
    over_replicas: _ReduceOp,
) -> tf.Operation:
    pairs = _pairs(loss, variables)
    clipped = named.clipping([gradient for gradient, _ in pairs])
    slots = [state.slots_of(variable) for _, variable in pairs]
    work = list(zip(clipped, [variable for _, variable in pairs], slots, strict=True))
    values = state.values()
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        updates = tf.distribute.get_replica_context().merge_call(
            _update_replicas, args=(named.rule, work, values, over_replicas)
        )
    else:
        updates = [_update(v, g, s, values, named.rule) for g, v, s in work]
    with tf.control_dependencies(tf.nest.flatten(updates)):
        return state.step.assign_add(1, read_value=False)


def _pairs(loss: tf.Tensor, variables: Sequence[tf.Variable]) -> list[_Pair]:
    """Gradients and their variables, without those that the loss does not depend on."""
    gradients = tf.gradients(loss, list(variables)) if variables else []
    pairs = [(g, v) for g, v in zip(gradients, variables, strict=True) if g is not None]
    if not pairs:
        names = [variable.name for variable in variables]
        raise errors.ArgumentError(
            f"There is nothing to train: no gradient of the loss reaches any of the trainable "
            f"variables {names}. Check that the loss depends on the logits."
        )
    return pairs


def _update_replicas(
    strategy: tf.distribute.Strategy,
    rule: update_rules.Rule,
    work: Sequence[tuple[Any, tf.Variable, dict[str, tf.Variable]]],
    values: dict[str, tf.Tensor],
    over_replicas: _ReduceOp,
) -> list[tf.Operation]:
    """Applies the reduced gradients of all replicas to every replica's variables."""
    gradients = strategy.extended.batch_reduce_to(
        over_replicas, [(gradient, variable) for gradient, variable, _ in work]
    )
    return [
        strategy.extended.update(variable, _update, args=(gradient, slots, values, rule))
        for gradient, (_, variable, slots) in zip(gradients, work, strict=True)
    ]


def _update(
    variable: tf.Variable,
    gradient: Any,
    slots: dict[str, tf.Variable],
    values: dict[str, tf.Tensor],
    rule: update_rules.Rule,
) -> tf.Operation:
    """Applies one gradient."""
    handles = {name: slot.handle for name, slot in slots.items()}
    values = {name: _as_dtype(value, variable.dtype) for name, value in values.items()}
    if not isinstance(gradient, tf.IndexedSlices):
        return rule.dense(variable.handle, gradient, handles, values)
    # Rows without a gradient keep their bits, so the dense op gives the same result.
    if rule.ignores_zeros and variable.shape.num_elements() <= SMALL_TABLE:
        sums = tf.math.unsorted_segment_sum(gradient.values, gradient.indices, variable.shape[0])
        return rule.dense(variable.handle, sums, handles, values)
    if rule.needs_different_rows:
        gradient = _with_different_rows(gradient)
    return rule.sparse(variable.handle, gradient.indices, gradient.values, handles, values)


def _as_dtype(value: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    return value if value.dtype == dtype.base_dtype else tf.cast(value, dtype.base_dtype)


_SAME: dict[type, tuple[type[update_rules.Rule], tuple[str, ...]]] = {
    keras.optimizers.Adagrad: (update_rules.Adagrad, ("initial_accumulator_value", "epsilon")),
    keras.optimizers.Adam: (moment_rules.Adam, ("beta_1", "beta_2", "epsilon", "amsgrad")),
    keras.optimizers.Ftrl: (
        update_rules.Ftrl,
        (
            "learning_rate_power",
            "initial_accumulator_value",
            "l1_regularization_strength",
            "l2_regularization_strength",
            "beta",
        ),
    ),
    keras.optimizers.RMSprop: (moment_rules.RMSprop, ("rho", "momentum", "epsilon", "centered")),
    keras.optimizers.SGD: (update_rules.SGD, ("momentum", "nesterov")),
}
_OF_KERAS2 = {kind.__name__: rule for kind, rule in _SAME.items()}
_CLIPPING = ("clipnorm", "clipvalue", "global_clipnorm")
# No rule computes these. The last one is an option of Ftrl, in Keras 2 as well.
_OPTIONS_OF_KERAS = (
    "weight_decay",
    "use_ema",
    "loss_scale_factor",
    "gradient_accumulation_steps",
    "l2_shrinkage_regularization_strength",
)


def _as_rule(optimizer: keras.optimizers.Optimizer) -> _Named | None:
    """The rule that computes what a Keras optimizer computes, or None.

    Keras' RMSprop is the same only with momentum: without it, Keras has epsilon inside the root.
    The two definitions of Adagrad also differ if an accumulator may be zero.
    """
    kind, options = _SAME.get(type(optimizer), (None, ()))
    if kind is None or any(getattr(optimizer, option, None) for option in _OPTIONS_OF_KERAS):
        return None
    if isinstance(optimizer, keras.optimizers.RMSprop) and not optimizer.momentum:
        return None
    if isinstance(optimizer, keras.optimizers.Adagrad) and (
        # The place of epsilon in the formula matters if the accumulator may be near it.
        optimizer.initial_accumulator_value < 1e4 * optimizer.epsilon
    ):
        return None
    clipping = _Clipping(optimizer.clipnorm, optimizer.clipvalue, optimizer.global_clipnorm)
    settings = {option: getattr(optimizer, option) for option in options}
    return _Named(kind(keras_optimizers.learning_rate(optimizer), **settings), clipping)


def _as_rule_of_keras2(optimizer: Any) -> _Named | None:
    """The rule that computes what a legacy optimizer of `tf_keras` computes, or None."""
    name, settings = type(optimizer).__name__, keras2_optimizers.settings_of(optimizer)
    # A subclass may compute something else, another name gives other names in checkpoints, and no
    # rule has a decay.
    is_own = not type(optimizer).__module__.startswith("tf_keras.")
    changed = settings["name"] != name or settings.get("decay")
    if name not in _OF_KERAS2 or is_own or changed or settings.get(_OPTIONS_OF_KERAS[-1]):
        return None
    kind, options = _OF_KERAS2[name]
    rate = settings["learning_rate"]
    if isinstance(rate, tf.Tensor | tf.Variable):
        rate = keras_rates.TensorRate(rate)
    clip: dict[str, Any] = {key: settings.get(key) for key in _CLIPPING}
    return _Named(kind(rate, **{key: settings[key] for key in options}), _Clipping(**clip))
