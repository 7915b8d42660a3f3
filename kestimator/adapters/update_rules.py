"""The updates of the optimizers that canned estimators know by name, one fused op per variable.

Synopsis::

    rule = Adagrad()
    slots = {"accumulator": ...}                  # shaped like the variable, first `rule.slots`
    rule.dense(handle, gradient, slots, values)
    rule.sparse(handle, rows, gradients, slots, values)

Slots and settings are those that tf.estimator 2.15 stores in its checkpoints, and the numbers are
its numbers. Where the formula allows it, a sparse gradient touches the rows it has and no others:
SGD, Adagrad and Ftrl, and RMSprop with momentum. The moments of Adam and of RMSprop without
momentum decay in every row at every step.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

_ops = tf.raw_ops
Handles = Mapping[str, tf.Tensor]
"""The resources of a variable's slots, by the slot's name."""
Values = Mapping[str, tf.Tensor]
"""What the settings of an optimizer are in this step, by their names in checkpoints."""


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
        """What the optimizer is called in checkpoints."""

    @property
    @abc.abstractmethod
    def slots(self) -> dict[str, float]:
        """The slots of a variable, and the value that they start from."""

    @property
    def settings(self) -> dict[str, float]:
        """What is stored beside the learning rate."""
        return {}

    def prepared(self, values: Values, step: tf.Tensor) -> Values:
        """What the updates of all variables share.

        Args:
            values: The settings, the learning rate among them.
            step: How many steps were made before this one.
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
            values: What `prepared` gave.
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
            rows: The rows, (m,), each once, but for SGD without momentum.
            gradients: Their gradients, (m, ...).
            slots: The resources of its slots.
            values: What `prepared` gave.
        """

    @property
    def needs_different_rows(self) -> bool:
        """Whether `sparse` must get every row once."""
        return True


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
        """The rows alone."""
        if not self.momentum:
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
        """The rows alone."""
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
        """The rows alone."""
        arguments = self._arguments(handle, slots, values)
        return _ops.ResourceSparseApplyFtrl(**arguments, grad=gradients, indices=rows)


@dataclasses.dataclass(frozen=True)
class Adam(Rule):
    """Adam, or AMSGrad."""

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    amsgrad: bool = False

    @property
    def name(self) -> str:
        """As in checkpoints."""
        return "Adam"

    @property
    def slots(self) -> dict[str, float]:
        """Both moments; for AMSGrad, the greatest second one."""
        return {"m": 0.0, "v": 0.0, **({"vhat": 0.0} if self.amsgrad else {})}

    @property
    def settings(self) -> dict[str, float]:
        """As in checkpoints."""
        return {"beta_1": self.beta_1, "beta_2": self.beta_2}

    def prepared(self, values: Values, step: tf.Tensor) -> Values:
        """The powers of the betas."""
        count = tf.cast(step + 1, values["beta_1"].dtype)
        powers = {f"{name}_power": tf.pow(values[name], count) for name in self.settings}
        return {**values, **powers}

    def dense(
        self, handle: tf.Tensor, gradient: tf.Tensor, slots: Handles, values: Values
    ) -> tf.Operation:
        """One op."""
        arguments = {
            "var": handle,
            "m": slots["m"],
            "v": slots["v"],
            "beta1_power": values["beta_1_power"],
            "beta2_power": values["beta_2_power"],
            "lr": values["learning_rate"],
            "beta1": values["beta_1"],
            "beta2": values["beta_2"],
            "epsilon": tf.constant(self.epsilon, values["beta_1"].dtype),
            "grad": gradient,
        }
        if self.amsgrad:
            return _ops.ResourceApplyAdamWithAmsgrad(**arguments, vhat=slots["vhat"])
        return _ops.ResourceApplyAdam(**arguments)

    def sparse(
        self,
        handle: tf.Tensor,
        rows: tf.Tensor,
        gradients: tf.Tensor,
        slots: Handles,
        values: Values,
    ) -> tf.Operation:
        """The moments of all rows decay, and all rows move."""
        dtype = gradients.dtype
        first, second = values["beta_1"], values["beta_2"]
        moment = _decayed(slots["m"], first, rows, gradients * (1 - first), dtype)
        speed = _decayed(slots["v"], second, rows, tf.square(gradients) * (1 - second), dtype)
        if self.amsgrad:
            speed = tf.maximum(_read(slots["vhat"], dtype), speed)
            stored = _ops.AssignVariableOp(resource=slots["vhat"], value=speed)
            with tf.control_dependencies([stored]):
                speed = tf.identity(speed)
        rate = values["learning_rate"] * tf.sqrt(1 - values["beta_2_power"])
        rate = rate / (1 - values["beta_1_power"])
        change = rate * moment / (tf.sqrt(speed) + self.epsilon)
        return _ops.AssignSubVariableOp(resource=handle, value=change)


@dataclasses.dataclass(frozen=True)
class RMSprop(Rule):
    """RMSprop, with or without momentum, centered or not."""

    rho: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-7
    centered: bool = False

    @property
    def name(self) -> str:
        """As in checkpoints."""
        return "RMSprop"

    @property
    def slots(self) -> dict[str, float]:
        """The averages of squared gradients; momentum and averages of gradients, if asked for."""
        slots = {"rms": 0.0}
        if self.momentum:
            slots["momentum"] = 0.0
        if self.centered:
            slots["mg"] = 0.0
        return slots

    @property
    def settings(self) -> dict[str, float]:
        """As in checkpoints."""
        return {"momentum": self.momentum, "rho": self.rho}

    def _arguments(self, handle: tf.Tensor, slots: Handles, values: Values) -> dict[str, Any]:
        arguments = {
            "var": handle,
            "ms": slots["rms"],
            "mom": slots["momentum"],
            "lr": values["learning_rate"],
            "rho": values["rho"],
            "momentum": values["momentum"],
            "epsilon": tf.constant(self.epsilon, values["rho"].dtype),
        }
        return {**arguments, "mg": slots["mg"]} if self.centered else arguments

    def dense(
        self, handle: tf.Tensor, gradient: tf.Tensor, slots: Handles, values: Values
    ) -> tf.Operation:
        """One op with momentum, several without: no op has epsilon outside of the root."""
        if self.momentum:
            apply = (
                _ops.ResourceApplyCenteredRMSProp if self.centered else _ops.ResourceApplyRMSProp
            )
            return apply(**self._arguments(handle, slots, values), grad=gradient)
        rho, dtype = values["rho"], gradient.dtype
        speed = rho * _read(slots["rms"], dtype) + (1 - rho) * tf.square(gradient)
        updates = [_ops.AssignVariableOp(resource=slots["rms"], value=speed)]
        if self.centered:
            average = rho * _read(slots["mg"], dtype) + (1 - rho) * gradient
            updates.append(_ops.AssignVariableOp(resource=slots["mg"], value=average))
            speed = speed - tf.square(average)
        change = values["learning_rate"] * gradient / (tf.sqrt(speed) + self.epsilon)
        return tf.group(*updates, _ops.AssignSubVariableOp(resource=handle, value=change))

    def sparse(
        self,
        handle: tf.Tensor,
        rows: tf.Tensor,
        gradients: tf.Tensor,
        slots: Handles,
        values: Values,
    ) -> tf.Operation:
        """The averages of all rows decay, and the rows given move; with momentum, those alone."""
        if self.momentum:
            apply = (
                _ops.ResourceSparseApplyCenteredRMSProp
                if self.centered
                else _ops.ResourceSparseApplyRMSProp
            )
            arguments = self._arguments(handle, slots, values)
            return apply(**arguments, grad=gradients, indices=rows)
        rho, dtype = values["rho"], gradients.dtype
        squares = tf.square(gradients) * (1 - rho)
        speed = tf.gather(_decayed(slots["rms"], rho, rows, squares, dtype), rows)
        if self.centered:
            average = _decayed(slots["mg"], rho, rows, gradients * (1 - rho), dtype)
            speed = speed - tf.square(tf.gather(average, rows))
        change = -values["learning_rate"] * gradients / (tf.sqrt(speed) + self.epsilon)
        return _ops.ResourceScatterAdd(resource=handle, indices=rows, updates=change)


def _read(handle: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    return _ops.ReadVariableOp(resource=handle, dtype=dtype)


def _decayed(
    handle: tf.Tensor, factor: tf.Tensor, rows: tf.Tensor, added: tf.Tensor, dtype: tf.DType
) -> tf.Tensor:
    """Multiplies a slot by `factor`, adds to some of its rows, and gives what it holds then."""
    decay = _ops.AssignVariableOp(resource=handle, value=_read(handle, dtype) * factor)
    with tf.control_dependencies([decay]):
        add = _ops.ResourceScatterAdd(resource=handle, indices=rows, updates=added)
    with tf.control_dependencies([add]):
        return _read(handle, dtype)
