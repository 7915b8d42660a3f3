"""TF1 optimizers in canned estimators of the first generation: their names, and those of slots.

Synopsis::

    optimizer = NAMES["Adagrad"](0.05)
    with slots_called("t_0/", variables):
        optimizer.minimize(loss)                # `<variable>/t_0/Adagrad` in checkpoints
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import tensorflow as tf

_v1 = tf.compat.v1

NAMES: dict[str, Callable[..., Any]] = {
    "Adagrad": _v1.train.AdagradOptimizer,
    "Adam": _v1.train.AdamOptimizer,
    "Ftrl": _v1.train.FtrlOptimizer,
    "RMSProp": _v1.train.RMSPropOptimizer,
    "SGD": _v1.train.GradientDescentOptimizer,
}
"""Functions of a learning rate, by the names that `tf.compat.v1.estimator` knows."""


@contextlib.contextmanager
def slots_called(part: str, variables: Iterable[Any]) -> Iterator[None]:
    """Puts a part into the names of the slots that TF1 optimizers make, `<variable>/<slot>`.

    Args:
        part: The part, with a slash at its end; or nothing.
        variables: The variables to train.
    """
    if not part:
        yield
        return

    trained = {variable.name.split(":")[0] for variable in variables}

    def renamed(getter: Callable[..., Any], name: str, *args: Any, **kwargs: Any) -> Any:
        # TensorFlow ends the name with a slash, since the name of the scope is the whole name.
        variable, _, slot = name.rstrip("/").rpartition("/")
        # A function that makes the optimizer may ask for variables of its own.
        name = f"{variable}/{part}{slot}/" if variable in trained else name
        return getter(name, *args, **kwargs)

    scope = _v1.get_variable_scope()
    with _v1.variable_scope(scope, custom_getter=renamed, auxiliary_name_scope=False):
        yield
