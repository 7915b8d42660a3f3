"""The updates of Adam and RMSprop; see `kestimator.adapters.optimizers.update_rules`.

Their moments decay in every row at every step. RMSprop with momentum is the exception: it changes
only the rows of a sparse gradient.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf

from kestimator.adapters.optimizers.update_rules import Handles, Rule, Values

_ops = tf.raw_ops


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
        # `step` counts the finished steps; the formula counts from 1.
        count = tf.cast(step + 1, values["beta_1"].dtype)
        powers = {f"{name}_power": tf.pow(values[name], count) for name in self.settings}
        return {**values, **powers}

    def dense(
        self, handle: tf.Tensor, gradient: tf.Tensor, slots: Handles, values: Values
    ) -> tf.Operation:
        """One op; the engine's `small_updates` may replace it by some small ones."""
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
        return tf.raw_ops.ResourceApplyAdam(**arguments)

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
            # Nobody fetches this write, so the update of the variable depends on it.
            stored = _ops.AssignVariableOp(resource=slots["vhat"], value=speed)
            with tf.control_dependencies([stored]):
                speed = tf.identity(speed)
        # Kingma and Ba, "Adam", the form at the end of section 2.
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
        """The averages of squared gradients; optionally, momentum and averages of gradients."""
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
        """All averages decay, and the rows move. With momentum, only the rows change."""
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
    # The order matters: the scatter adds to decayed values, and the read must see both writes.
    decay = _ops.AssignVariableOp(resource=handle, value=_read(handle, dtype) * factor)
    with tf.control_dependencies([decay]):
        add = _ops.ResourceScatterAdd(resource=handle, indices=rows, updates=added)
    with tf.control_dependencies([add]):
        return _read(handle, dtype)
