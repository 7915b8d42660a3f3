"""The updates of the optimizers that canned estimators know by name, one fused op per variable.

Synopsis::

    rule = Adagrad()
    slots = {"accumulator": ...}                  # shaped like the variable, first `rule.slots`
    rule.dense(handle, gradient, slots, values)
    rule.sparse(handle, rows, gradients, slots, values)

Slots and settings are those that tf.estimator 2.15 stores in its checkpoints, and the numbers are
its numbers. Where the formula allows it, a sparse gradient changes only the rows that it contains:
SGD, Adagrad and Ftrl here. Rules with moments are in
`kestimator.adapters.optimizers.moment_rules`.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

_ops = tf.raw_ops
Handles = Mapping[str, tf.Tensor]
"""The resources of a variable's slots, by slot name."""
Values = Mapping[str, tf.Tensor]
"""The values of an optimizer's settings in this step, by their names in checkpoints."""


@dataclasses.dataclass(frozen=True)
class Rule(abc.ABC):
    """How one optimizer updates a variable.

    Attributes:
        learning_rate: A number or a `keras.optimizers.schedules.LearningRateSchedule`.
    """

    learning_rate: Any = 0.001

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """The optimizer's name in checkpoints."""

    @property
    @abc.abstractmethod
    def slots(self) -> dict[str, float]:
        """The slots of a variable, with their initial values."""

    @property
    def settings(self) -> dict[str, float]:
        """The settings that checkpoints store besides the learning rate."""
        return {}

    def prepared(self, values: Values, step: tf.Tensor) -> Values:
        """The values that the updates of all variables share.

        Args:
            values: The settings, including the learning rate.
            step: The number of steps before this one.
        """
        del step
        return values

    @abc.abstractmethod
    def dense(
        self, handle: tf.Tensor, gradient: tf.Tensor, slots: Handles, values: Values
    ) -> tf.Operation:
        """Updates a variable.

        Args:
            handle: The variable's resource.
            gradient: Its gradient, of its shape.
            slots: The resources of its slots.
            values: The result of `prepared`.
        """

    @abc.abstractmethod
    def sparse(
        self,
        handle: tf.Tensor,
        rows: tf.Tensor,
        gradients: tf.Tensor,
        slots: Handles,
        values: Values,
    ) -> tf.Operation:
        """Updates a variable whose gradient is zero outside of some rows.

        Args:
            handle: The variable's resource.
            rows: The rows, (m,), each once; SGD without momentum also takes repeated rows.
            gradients: Their gradients, (m, ...).
            slots: The resources of its slots.
            values: The result of `prepared`.
        """

    @property
    def needs_different_rows(self) -> bool:
        """Whether `sparse` must get every row once."""
        return True

    @property
    def ignores_zeros(self) -> bool:
        """Whether `dense` keeps values whose gradient is zero exactly as they are."""
        return False


@dataclasses.dataclass(frozen=True)
class SGD(Rule):
    """Gradient descent, with or without momentum."""

    learning_rate: Any = 0.01
    momentum: float = 0.0
    nesterov: bool = False

    @property
    def name(self) -> str:
        """As in checkpoints."""
        return "SGD"

    @property
    def slots(self) -> dict[str, float]:
        """The momentum, if there is any."""
        return {"momentum": 0.0} if self.momentum else {}

    @property
    def settings(self) -> dict[str, float]:
        """As in checkpoints."""
        return {"momentum": self.momentum}

    @property
    def needs_different_rows(self) -> bool:
        """Sums of rows commute as long as there is no momentum."""
        return bool(self.momentum)

    def dense(
        self, handle: tf.Tensor, gradient: tf.Tensor, slots: Handles, values: Values
    ) -> tf.Operation:
        """One op."""
        if not self.momentum:
            return _ops.ResourceApplyGradientDescent(
                var=handle, alpha=values["learning_rate"], delta=gradient
            )
        return _ops.ResourceApplyKerasMomentum(
            var=handle,
            accum=slots["momentum"],
            lr=values["learning_rate"],
            grad=gradient,
            momentum=values["momentum"],
            use_nesterov=self.nesterov,
        )

    def sparse(
        self,
        handle: tf.Tensor,
        rows: tf.Tensor,
        gradients: tf.Tensor,
        slots: Handles,
        values: Values,
    ) -> tf.Operation:
        """Updates only the rows."""
        if not self.momentum:
            # The scatter adds up repeated rows, so they need no sum before it.
            change = -values["learning_rate"] * gradients
            return _ops.ResourceScatterAdd(resource=handle, indices=rows, updates=change)
        return _ops.ResourceSparseApplyKerasMomentum(
            var=handle,
            accum=slots["momentum"],
            lr=values["learning_rate"],
            grad=gradients,
            indices=rows,
            momentum=values["momentum"],
            use_nesterov=self.nesterov,
        )


@dataclasses.dataclass(frozen=True)
class Adagrad(Rule):
    """Adagrad."""

    initial_accumulator_value: float = 0.1
    epsilon: float = 1e-7

    @property
    def name(self) -> str:
        """As in checkpoints."""
        return "Adagrad"

    @property
    def slots(self) -> dict[str, float]:
        """The sums of squared gradients."""
        return {"accumulator": self.initial_accumulator_value}

    @property
    def ignores_zeros(self) -> bool:
        """The change is a multiple of the gradient, and epsilon keeps the divisor above zero."""
        return self.epsilon > 0

    def _arguments(self, handle: tf.Tensor, slots: Handles, values: Values) -> dict[str, Any]:
        return {
            "var": handle,
            "accum": slots["accumulator"],
            "lr": values["learning_rate"],
            "epsilon": tf.constant(self.epsilon, values["learning_rate"].dtype),
        }

    def dense(
        self, handle: tf.Tensor, gradient: tf.Tensor, slots: Handles, values: Values
    ) -> tf.Operation:
        """One op."""
        arguments = self._arguments(handle, slots, values)
        return _ops.ResourceApplyAdagradV2(**arguments, grad=gradient)

    def sparse(
        self,
        handle: tf.Tensor,
        rows: tf.Tensor,
        gradients: tf.Tensor,
        slots: Handles,
        values: Values,
    ) -> tf.Operation:
        """Updates only the rows."""
        arguments = self._arguments(handle, slots, values)
        return _ops.ResourceSparseApplyAdagradV2(**arguments, grad=gradients, indices=rows)


@dataclasses.dataclass(frozen=True)
class Ftrl(Rule):
    """Follow the regularized leader: its weights are a function of its slots."""

    learning_rate_power: float = -0.5
    initial_accumulator_value: float = 0.1
    l1_regularization_strength: float = 0.0
    l2_regularization_strength: float = 0.0
    beta: float = 0.0

    @property
    def name(self) -> str:
        """As in checkpoints."""
        return "Ftrl"

    @property
    def slots(self) -> dict[str, float]:
        """The sums of squared gradients, and the sums that the weights follow from."""
        return {"accumulator": self.initial_accumulator_value, "linear": 0.0}

    @property
    def settings(self) -> dict[str, float]:
        """As in checkpoints."""
        return {
            "beta": self.beta,
            "l1_regularization_strength": self.l1_regularization_strength,
            "l2_regularization_strength": self.l2_regularization_strength,
            "learning_rate_power": self.learning_rate_power,
        }

    def prepared(self, values: Values, step: tf.Tensor) -> Values:
        """L2 with the part of beta."""
        del step
        # The op has no beta. In its formula this term of L2 has the same effect.
        half = values["beta"] / (2.0 * values["learning_rate"])
        return {**values, "l2": values["l2_regularization_strength"] + half}

    def _arguments(self, handle: tf.Tensor, slots: Handles, values: Values) -> dict[str, Any]:
        return {
            "var": handle,
            "accum": slots["accumulator"],
            "linear": slots["linear"],
            "lr": values["learning_rate"],
            "l1": values["l1_regularization_strength"],
            "l2": values["l2"],
            "lr_power": values["learning_rate_power"],
        }

    def dense(
        self, handle: tf.Tensor, gradient: tf.Tensor, slots: Handles, values: Values
    ) -> tf.Operation:
        """One op."""
        arguments = self._arguments(handle, slots, values)
        return _ops.ResourceApplyFtrl(**arguments, grad=gradient)

    def sparse(
        self,
        handle: tf.Tensor,
        rows: tf.Tensor,
        gradients: tf.Tensor,
        slots: Handles,
        values: Values,
    ) -> tf.Operation:
        """Updates only the rows."""
        arguments = self._arguments(handle, slots, values)
        return _ops.ResourceSparseApplyFtrl(**arguments, grad=gradients, indices=rows)
