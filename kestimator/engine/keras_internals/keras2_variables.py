"""The private name by which Keras 2 (`tf_keras`) knows which variables its session has initialized.

Synopsis::

    variable = left_to_the_program(variable)
"""

from __future__ import annotations

from typing import Any


def left_to_the_program(variable: Any) -> Any:
    """Marks a variable as initialized, and returns it.

    In a graph, Keras 2 opens a session of its own to compute a constant, and initializes first what
    it has not initialized yet. The variables of a program have no values in such a session.
    """
    variable._keras_initialized = True
    return variable
