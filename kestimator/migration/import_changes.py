"""Plans the changes of import statements, after those of the names that they bind.

Synopsis::

    plan_imports(source, plan, is_tf1=True, is_legacy=True)
    # from tensorflow.estimator import RunConfig  ->  from kestimator import RunConfig
    # from tensorflow import estimator            ->  nothing, if all uses became kestimator.X
    # from tensorflow import losses               ->  from tensorflow.compat.v1 import losses
"""

from __future__ import annotations

import libcst as cst
from libcst import matchers

from kestimator.migration import estimator_names, tensorflow_names
from kestimator.migration.plans import Move, Plan
from kestimator.migration.uses import Binding, Source, dotted

_V1 = "tensorflow.compat.v1"
_GONE = ("contrib", "estimator")
REMOVED = Move("", "")


def plan_imports(source: Source, plan: Plan, *, is_tf1: bool, is_legacy: bool) -> None:
    """Plans the changes of all import statements that bind names of TensorFlow.

    Args:
        source: The source.
        plan: The plan, which has the changes of names already.
        is_tf1: Whether `tensorflow` means TensorFlow 1.
        is_legacy: Whether `tensorflow.keras` means Keras 2.
    """
    for binding in source.bindings:
        if isinstance(binding.node, cst.Import) and binding.alias.asname is None:
            _plan_dotted(plan, binding)
        elif plan.is_consumed(binding):
            plan.moves[binding.alias] = REMOVED
        elif estimator_names.is_estimator_name(binding.qualified):
            _plan_estimator(plan, binding, is_tf1=is_tf1)
        elif tensorflow_names.below_keras(binding.qualified) is not None:
            if is_legacy:
                _plan_keras(plan, binding)
        else:
            _plan_tensorflow(source, plan, binding, is_tf1=is_tf1)
    for node in matchers.findall(source.module, matchers.ImportFrom(names=matchers.ImportStar())):
        assert isinstance(node, cst.ImportFrom)
        module = dotted(node.module) if node.module is not None else ""
        if estimator_names.is_estimator_name(module):
            plan.decide(source.line(node), f"import the names one by one, not * of {module}")


def _plan_dotted(plan: Plan, binding: Binding) -> None:
    """`import tensorflow`, and `import tensorflow.estimator`, which binds `tensorflow`."""
    module = dotted(binding.alias.name)
    if plan.is_consumed(binding):
        plan.moves[binding.alias] = REMOVED
    elif module.startswith("tensorflow.") and module.split(".")[1] in _GONE:
        plan.moves[binding.alias] = Move("", "tensorflow")
        plan.change(binding.line, f"import {module} -> import tensorflow")
    elif module.startswith("tensorflow_estimator"):
        _decide_gone(plan, binding, module)


def _plan_estimator(plan: Plan, binding: Binding, *, is_tf1: bool) -> None:
    new = estimator_names.estimator_name(binding.qualified, is_tf1=is_tf1)
    module, _, name = (new or "").rpartition(".")
    if not isinstance(binding.node, cst.ImportFrom) or not module or name in estimator_names.NAMES:
        _decide_gone(plan, binding, binding.qualified)
        return
    plan.moves[binding.alias] = Move(module, name)
    plan.change(binding.line, f"import of {binding.qualified} -> {new}")


def _plan_keras(plan: Plan, binding: Binding) -> None:
    new = f"tf_keras.{tensorflow_names.below_keras(binding.qualified)}".removesuffix(".")
    module, _, name = new.rpartition(".")
    is_from = isinstance(binding.node, cst.ImportFrom) and module
    plan.moves[binding.alias] = Move(module, name) if is_from else Move("", new)
    plan.change(binding.line, f"import of {binding.qualified} -> {new}: Keras 2")


def _plan_tensorflow(source: Source, plan: Plan, binding: Binding, *, is_tf1: bool) -> None:
    name = tensorflow_names.below_tensorflow(binding.qualified)
    if name is None:
        if binding.qualified.startswith("tensorflow_estimator"):
            _decide_gone(plan, binding, binding.qualified)
        return
    if name.split(".")[0] == "contrib":
        advice = tensorflow_names.contrib_advice(name.partition(".")[2])
        plan.decide(binding.line, f"tf.{name} is gone: {advice}")
        return
    if not is_tf1 or tensorflow_names.is_v1_import(binding.qualified):
        return
    names = [
        tensorflow_names.below_tensorflow(use.qualified)
        for use in source.uses
        if binding in use.bindings
    ]
    if not any(one is not None and _is_of_tf1(one) for one in [name, *names]):
        return
    module, _, last = name.rpartition(".")
    if isinstance(binding.node, cst.ImportFrom):
        plan.moves[binding.alias] = Move(f"{_V1}.{module}" if module else _V1, last)
    else:
        plan.moves[binding.alias] = Move("", f"{_V1}.{name}")
    plan.change(binding.line, f"import of {binding.qualified} -> {_V1}.{name}")


def _is_of_tf1(name: str) -> bool:
    """Whether a name means something else in TensorFlow 2, or nothing."""
    if tensorflow_names.is_only_in_tf1(name):
        return True
    symbol = tensorflow_names.symbol(name)
    return symbol is not None and tensorflow_names.new_name(symbol) is not None


def _decide_gone(plan: Plan, binding: Binding, module: str) -> None:
    plan.decide(binding.line, f"TensorFlow has no {module} any more: this import fails")
