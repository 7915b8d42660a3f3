"""The state of an optimizer that a rule computes, under the names of tf.estimator 2.15.

Synopsis::

    state = State(rule, step, used_names)
    slots = state.slots_of(variable)
    values = state.values()

The names are `training/<Optimizer>/<variable>/<slot>`, with the settings beside them and the
global step as the count of iterations. Each head of a model opens a scope `training`, so the
optimizer of a `MultiHead` of two heads is in `training_2`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from kestimator.adapters.optimizers import update_rules
from kestimator.validation import keras2

_v1 = tf.compat.v1
_SCOPE = re.compile(r"training(_\d+)?")


class State:
    """The variables of an optimizer, under the names of tf.estimator 2.15.

    Args:
        rule: The optimizer.
        step: The variable that counts its steps; None for its own.
        used_names: The names of other optimizers; the name of this one is added.
    """

    def __init__(
        self, rule: update_rules.Rule, step: tf.Variable | None, used_names: set[str]
    ) -> None:
        self._rule = rule
        candidates = (f"{rule.name}_{i}" if i else rule.name for i in itertools.count())
        self._name = next(name for name in candidates if name not in used_names)
        used_names.add(self._name)
        self._scope = _training_scope()
        self._schedule = _schedule(rule.learning_rate)
        self.step = self._scalar("iter", 0, tf.int64) if step is None else step
        # The original's checkpoints hold a decay as well.
        settings = {"decay": 0.0, **rule.settings}
        if self._schedule is None:
            settings["learning_rate"] = float(rule.learning_rate)
        self._settings = {
            name: self._scalar(name, value, tf.float32) for name, value in sorted(settings.items())
        }

    def _scalar(self, name: str, value: float, dtype: tf.DType) -> tf.Variable:
        return exact_variable(f"{self._scope}/{self._name}/{name}", [], value, dtype)

    def slots_of(self, variable: tf.Variable) -> dict[str, tf.Variable]:
        """The slots of a variable."""
        prefix = f"{self._scope}/{self._name}/{variable.name.split(':')[0]}"
        dtype = variable.dtype.base_dtype
        return {
            name: exact_variable(f"{prefix}/{name}", variable.shape, value, dtype)
            for name, value in self._rule.slots.items()
        }

    def values(self) -> dict[str, tf.Tensor]:
        """The values of the settings in this step."""
        step = self.step.read_value()
        values = {name: self._settings[name].read_value() for name in self._rule.settings}
        if self._schedule is None:
            values["learning_rate"] = self._settings["learning_rate"].read_value()
        else:
            values["learning_rate"] = tf.cast(self._schedule(step), tf.float32)
        return dict(self._rule.prepared(values, step))


def _training_scope() -> str:
    """The scope of the optimizer's state: that of the train op, which is the same for replicas."""
    scope = tf.get_current_name_scope()
    scope = scope if _SCOPE.fullmatch(scope) else "training"
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return scope
    # Every replica opens a scope of its own, with another number.
    return str(
        tf.distribute.get_replica_context().merge_call(
            lambda strategy, scopes: strategy.experimental_local_results(scopes)[0], args=(scope,)
        )
    )


def exact_variable(name: str, shape: Any, value: float, dtype: tf.DType) -> tf.Variable:
    """A variable called exactly `name`, whatever scope is open."""
    reuse = _v1.get_variable_scope().reuse  # as it is in the second of several replicas
    # The name holds the scopes of the trained variable already; an open scope would add to it.
    root = _v1.VariableScope(reuse=reuse, name="", use_resource=True)
    with _v1.variable_scope(root, auxiliary_name_scope=False):
        return _v1.get_variable(
            name,
            shape,
            dtype,
            _v1.constant_initializer(value),
            trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )


def _schedule(learning_rate: Any) -> Callable[[tf.Tensor], Any] | None:
    """A function from step to rate, if the rate is not a number: Keras takes functions, too."""
    kind = keras.optimizers.schedules.LearningRateSchedule
    if isinstance(learning_rate, kind) or keras2.is_schedule(learning_rate):
        return learning_rate  # type: ignore[no-any-return]
    return (lambda _: learning_rate()) if callable(learning_rate) else None
