"""Names that TensorFlow no longer makes public, or has moved away from where libraries look."""

from __future__ import annotations

import types
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import ops
from tensorflow.python.ops import (
    array_ops,
    control_flow_ops,
    lookup_ops,
    summary_ops_v2,
    variable_scope,
)

_v1 = tf.compat.v1

contrib_lookup = lookup_ops
"""What was `tf.contrib.lookup`. Its tables are public, the choice of a hash for words is not."""
contrib_summary = summary_ops_v2
"""What was `tf.contrib.summary`. The functions of `tf.summary` have other arguments."""


def for_tf_slim() -> list[tuple[types.ModuleType, str, Any]]:
    """Returns what `tf_slim` 1.1 looks for in modules of TensorFlow, which have moved it since.

    Without these names, `slim.dropout`, `slim.create_train_op` and others fail.
    """
    return [
        (ops, "Tensor", tf.Tensor),
        (ops, "IndexedSlices", tf.IndexedSlices),
        (array_ops, "stack", _v1.stack),
        (array_ops, "unstack", _v1.unstack),
        (control_flow_ops, "Assert", _v1.Assert),
        (control_flow_ops, "case", _v1.case),
        (control_flow_ops, "cond", _v1.cond),
        (control_flow_ops, "while_loop", _v1.while_loop),
        (variable_scope, "variable", _v1.Variable),
    ]
