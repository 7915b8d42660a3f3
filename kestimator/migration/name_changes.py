"""Plans the changes of names: of tf.estimator, of TensorFlow 1, of contrib.

Synopsis::

    plan_names(source, plan, is_tf1=True, is_legacy=True)
"""

from __future__ import annotations

import libcst as cst
from libcst import matchers

from kestimator.migration import estimator_names, tensorflow_names
from kestimator.migration.arguments import in_a_row
from kestimator.migration.plans import CallChange, Plan
from kestimator.migration.uses import Binding, Source, Use

_TENSORFLOW = "tensorflow."
_V1 = "compat.v1"
_ITERATORS = ("make_initializable_iterator", "make_one_shot_iterator")
# What TensorFlow loads only where Keras 2 is there.
_WITH_KERAS_2 = ("layers.", "nn.rnn_cell.")
_DOUBT = (
    "tf.{0} is read as that of TensorFlow 2; in TensorFlow 1 it was tf.compat.v1.{0}, which "
    "differs. If the program is that old, run this with --tf1 before anything else"
)
_GRAPH_MODE = ("disable_eager_execution", "disable_v2_behavior")
_KERAS_2 = "TF_USE_LEGACY_KERAS"
# What TensorFlow 2 runs in another way, or refuses: sessions, and variables and writes in branches.
_OF_BEHAVIOR = ("Session", "InteractiveSession", "case", "cond", "while_loop")


def tf1_evidence(source: Source) -> Use | None:
    """The first name that only TensorFlow 1 had under `import tensorflow as tf`."""
    for use in source.uses:
        name = tensorflow_names.below_tensorflow(use.qualified)
        if name is None or tensorflow_names.is_v1_import(use.qualified):
            continue
        if estimator_names.is_only_in_tf1(use.qualified):
            return use
        if not estimator_names.is_estimator_name(use.qualified) and (
            tensorflow_names.is_only_in_tf1(name)
        ):
            return use
    return None


def uses_estimator(source: Source) -> bool:
    """Whether a source uses or imports names of tf.estimator."""
    names = {use.qualified for use in source.uses} | {one.qualified for one in source.bindings}
    return any(map(estimator_names.is_estimator_name, names))


def is_tf2(source: Source) -> bool:
    """Whether a source uses names that came with TensorFlow 2."""
    names = [
        (use.qualified, tensorflow_names.below_tensorflow(use.qualified)) for use in source.uses
    ]
    return any(
        qualified.startswith((f"{_TENSORFLOW}compat.", f"{_TENSORFLOW}keras.optimizers.legacy."))
        or (
            name is not None
            and tensorflow_names.exists(name)
            and tensorflow_names.symbol(name) is None
        )
        for qualified, name in names
    )


def plan_names(source: Source, plan: Plan, *, is_tf1: bool, is_legacy: bool) -> None:
    """Plans the changes of all names that no call has changed yet.

    Args:
        source: The source.
        plan: The plan, which may already change calls.
        is_tf1: Whether `tf` means TensorFlow 1.
        is_legacy: Whether `tf.keras` means Keras 2, as in all programs of tf.estimator.
    """
    for use in source.uses:
        if use.node not in plan.expressions and source.parent(use.node) not in plan.calls:
            _plan_name(source, plan, use, is_tf1=is_tf1, is_legacy=is_legacy)
    if not is_tf1 and not is_tf2(source):
        _plan_doubts(source, plan)
    _plan_iterators(source, plan)
    if is_tf1:
        _plan_uses_of_behavior(source, plan)
        _plan_dimensions(source, plan)


def _plan_doubts(source: Source, plan: Plan) -> None:
    for use in source.uses:
        name = use.qualified.removeprefix(_TENSORFLOW)
        is_name = estimator_names.differs_in_v1(use.qualified) or (
            tensorflow_names.below_tensorflow(use.qualified) == name
            and tensorflow_names.is_confusing(name)
        )
        if is_name:
            plan.decide(use.line, _DOUBT.format(name))


def _plan_name(source: Source, plan: Plan, use: Use, *, is_tf1: bool, is_legacy: bool) -> None:
    name = tensorflow_names.below_tensorflow(use.qualified)
    if estimator_names.is_estimator_name(use.qualified):
        _plan_estimator(plan, use, is_tf1=is_tf1)
    elif is_legacy and tensorflow_names.below_keras(use.qualified) is not None:
        _plan_keras(source, plan, use, is_tf1=is_tf1)
    elif name is None:
        _check_keras(plan, use)
    elif name.split(".")[0] == "contrib":
        _plan_contrib(plan, use, name)
    elif tensorflow_names.is_v1_import(use.qualified):
        _check_v1(source, plan, use, name)
    elif is_tf1:
        _plan_tensorflow(source, plan, use, name)
    else:
        _check_tensorflow(plan, use, name)


def _plan_estimator(plan: Plan, use: Use, *, is_tf1: bool) -> None:
    prefix, rest = use.qualified, ""
    new = estimator_names.estimator_name(prefix, is_tf1=is_tf1)
    while new is None and "." in prefix:
        prefix, _, last = prefix.rpartition(".")
        rest = f".{last}{rest}"
        new = estimator_names.estimator_name(prefix, is_tf1=is_tf1)
    is_module = new is None or new == "kestimator" or new.split(".")[-1] in estimator_names.NAMES
    if new is None or (is_module and rest):
        plan.decide(use.line, f"kestimator has no {use.qualified}{_instead(use.qualified)}")
        return
    if _binds_object(use.binding):
        return  # the import statement changes, and the name in the source stays
    plan.replace(use, plan.need("kestimator") + new.removeprefix("kestimator") + rest)


def _instead(qualified: str) -> str:
    name = qualified.rpartition(".")[2]
    if "BoostedTrees" in name:
        return ": use a library for boosted trees, such as ydf"
    if name.startswith("_"):
        return ": it is a private name; use a head, kestimator.BinaryClassHead and its like"
    return ""


def _binds_object(binding: Binding) -> bool:
    """Whether an import binds an object of tf.estimator itself, and no module."""
    new = estimator_names.estimator_name(binding.qualified, is_tf1=False)
    return new is not None and new.rpartition(".")[2] not in ("kestimator", *estimator_names.NAMES)


def _plan_contrib(plan: Plan, use: Use, name: str) -> None:
    rest = name.removeprefix("contrib").removeprefix(".")
    exact = tensorflow_names.contrib_name(rest)
    if exact is not None and use.binding.qualified == "tensorflow":
        plan.replace(use, f"{use.root}.{exact}")
    else:
        plan.decide(use.line, f"tf.{name} is gone: {tensorflow_names.contrib_advice(rest)}")


def _plan_tensorflow(source: Source, plan: Plan, use: Use, name: str) -> None:
    symbol = tensorflow_names.symbol(name)
    if name.startswith(_WITH_KERAS_2):
        symbol = name
    if symbol is None:
        _check_tensorflow(plan, use, name)
        return
    if use.binding.qualified != "tensorflow":
        return  # the import statement changes, and the name in the source stays
    new = tensorflow_names.new_name(symbol)
    if name.startswith(_WITH_KERAS_2):
        new = f"{_V1}.{symbol}"
        _check_v1(source, plan, use, name)
        _plan_behavior(source, plan, use.line, f"tf.{name}")
    rest = name.removeprefix(symbol)
    if new is not None and symbol.startswith("train.") and symbol[6:] in estimator_names.HOOKS:
        plan.replace(use, f"{plan.need('kestimator')}.{symbol[6:]}{rest}")
    elif new is not None:
        plan.replace(use, f"{use.root}.{new}{rest}")
    elif not rest:
        _plan_call(source, plan, use, symbol)


def _plan_call(source: Source, plan: Plan, use: Use, symbol: str) -> None:
    """Plans the change of a call of a function that has other arguments in TensorFlow 2."""
    call = source.parent(use.node)
    if not isinstance(call, cst.Call) or call.func is not use.node:
        return
    if any(arg.star for arg in call.args):
        return
    positional = sum(arg.keyword is None for arg in call.args)
    keywords = [arg.keyword.value for arg in call.args if arg.keyword is not None]
    if tensorflow_names.fits_both(symbol, positional, keywords):
        return
    renamed = [tensorflow_names.RENAMED_ARGUMENTS.get(keyword, keyword) for keyword in keywords]
    if len(set(renamed)) == len(renamed) and tensorflow_names.fits_both(
        symbol, positional, renamed
    ):
        plan.calls[call] = _rename_arguments
        pairs = zip(keywords, renamed, strict=True)
        names = ", ".join(f"{old}= -> {new}=" for old, new in pairs if old != new)
        plan.change(use.line, f"{use.root}.{symbol}: {names}")
    else:
        plan.replace(use, f"{use.root}.{_V1}.{symbol}")


def _rename_arguments(call: cst.Call) -> cst.BaseExpression:
    def renamed(arg: cst.Arg) -> cst.Arg:
        if arg.keyword is None:
            return arg
        name = tensorflow_names.RENAMED_ARGUMENTS.get(arg.keyword.value, arg.keyword.value)
        return arg.with_changes(keyword=cst.Name(name))

    return call.with_changes(args=[renamed(arg) for arg in call.args])


def _check_tensorflow(plan: Plan, use: Use, name: str) -> None:
    if not tensorflow_names.exists(name) and not tensorflow_names.symbol(name):
        plan.decide(use.line, f"the installed TensorFlow has no tf.{name}")


def _check_v1(source: Source, plan: Plan, use: Use, name: str) -> None:
    if name.startswith(_WITH_KERAS_2):
        _plan_keras_2(source, plan, use.line, f"tf.{name}")
    elif not tensorflow_names.symbol(name):
        plan.decide(use.line, f"the installed TensorFlow has no tf.{_V1}.{name}")


def _check_keras(plan: Plan, use: Use) -> None:
    if use.qualified.startswith("tensorflow.keras."):
        name = use.qualified.removeprefix("tensorflow.")
        if not tensorflow_names.exists(name):
            plan.decide(use.line, f"Keras 3 has no tf.{name}")


def _plan_keras(source: Source, plan: Plan, use: Use, *, is_tf1: bool) -> None:
    """Plans Keras 2 for `tf.keras`, which is Keras 3 today."""
    name = tensorflow_names.below_keras(use.qualified)
    if not name:
        if not _binds_keras(use.binding):
            plan.replace(use, plan.need("tf_keras"))
        return
    if not tensorflow_names.exists_in_keras_2(name):
        plan.decide(use.line, f"Keras 2 has no tf.keras.{name}")
        return
    is_of_layers = name.startswith(tensorflow_names.KERAS_OF_LAYERS)
    if is_of_layers and any(node in plan.calls for node in source.ancestors(use.node)):
        plan.replace(use, f"{plan.need('keras')}.{name}")
    elif _binds_keras(use.binding):
        return  # the import statement changes, and the name in the source stays
    elif tensorflow_names.is_keras_of_both(name) or not (
        is_tf1 or tensorflow_names.is_v1_import(use.qualified)
    ):
        plan.replace(use, f"{plan.need('tf_keras')}.{name}")
    else:
        if not tensorflow_names.is_v1_import(use.qualified):
            plan.replace(use, f"{use.root}.{_V1}.keras.{name}")
            _plan_behavior(source, plan, use.line, f"tf.keras.{name}")
        _plan_keras_2(source, plan, use.line, f"tf.keras.{name}")


def _binds_keras(binding: Binding) -> bool:
    return tensorflow_names.below_keras(binding.qualified) is not None


def _plan_keras_2(source: Source, plan: Plan, line: int, name: str) -> None:
    """Plans that TensorFlow takes what it has of Keras from Keras 2."""
    if _KERAS_2 in source.module.code:
        return
    plan.environment = f'import os\n\nos.environ["{_KERAS_2}"] = "1"  # before TensorFlow\n'
    plan.change(
        line, f"{name} needs Keras 2: pip install 'kestimator[legacy]'; {_KERAS_2}=1 is set above"
    )


def _plan_uses_of_behavior(source: Source, plan: Plan) -> None:
    for use in source.uses:
        name = tensorflow_names.below_tensorflow(use.qualified)
        is_v1 = tensorflow_names.is_v1_import(use.qualified)
        if name is not None and not is_v1 and _needs_behavior(source, use, name):
            _plan_behavior(source, plan, use.line, f"tf.{name}")


def _needs_behavior(source: Source, use: Use, name: str) -> bool:
    """Whether a name means what it meant only without the behavior of TensorFlow 2."""
    if name in _OF_BEHAVIOR:
        return True
    if name != "placeholder":
        return False
    functions = [node for node in source.ancestors(use.node) if isinstance(node, cst.FunctionDef)]
    return all(function.name.value == "main" for function in functions)


def _plan_behavior(source: Source, plan: Plan, line: int, name: str) -> None:
    """Plans that TensorFlow behaves as TensorFlow 1 did."""
    if any(use.qualified.endswith(_GRAPH_MODE) for use in source.uses):
        return
    tf, v1 = source.global_name("tensorflow"), source.global_name("tensorflow.compat.v1")
    if tf is None and v1 is None:
        plan.decide(
            line, f"{name} needs tf.{_V1}.disable_v2_behavior() before anything of TensorFlow"
        )
        return
    module = v1 or f"{tf}.{_V1}"
    call = f"{module}.disable_v2_behavior()"
    plan.startup = f"{call}\n"
    if "keras" in plan.new_imports or source.global_name(
        "keras"
    ):  # some layers of Keras 3 compute with dimensions
        plan.startup += f"{module}.enable_v2_tensorshape()  # for Keras layers\n"
    plan.keep(v1 or tf or "")
    plan.change(line, f"{name} needs the behavior of TensorFlow 1: {call}")


def _plan_dimensions(source: Source, plan: Plan) -> None:
    """Plans `tf.compat.dimension_value(x.shape[1])` for `x.shape[1].value`."""
    shape = matchers.Attribute(attr=matchers.Name("shape")) | matchers.Call(
        func=matchers.Attribute(attr=matchers.Name("get_shape"))
    )
    pattern = matchers.Attribute(matchers.Subscript(shape), matchers.Name("value"))
    tf = source.global_name("tensorflow")
    for node in matchers.findall(source.module, pattern):
        if tf is None:
            plan.decide(source.line(node), "dimensions have no .value: use the dimension itself")
        else:
            plan.keep(tf)
            plan.wrapped[node] = f"{tf}.compat.dimension_value"
            plan.change(source.line(node), f".shape[...].value -> {plan.wrapped[node]}(...)")


def _plan_iterators(source: Source, plan: Plan) -> None:
    """Plans `tf.compat.v1.data.make_one_shot_iterator(dataset)`, for the method of that name."""
    name = matchers.OneOf(*(matchers.Name(name) for name in _ITERATORS))
    method_call = matchers.Call(func=matchers.Attribute(attr=name))
    tf = source.global_name("tensorflow")
    used = {use.node for use in source.uses}
    for call in matchers.findall(source.module, method_call):
        assert isinstance(call, cst.Call)
        assert isinstance(call.func, cst.Attribute)
        if call.func in used or source.global_name("tensorflow.compat.v1"):
            continue
        line = source.line(call)
        method = call.func.attr.value
        if tf is None:
            plan.decide(line, f"Datasets have no .{method}(): use tf.{_V1}.data.{method}(dataset)")
            continue
        plan.keep(tf)
        plan.calls[call] = _iterator_change(tf)
        plan.change(line, f".{method}() -> {tf}.{_V1}.data.{method}(...)")


def _iterator_change(tf: str) -> CallChange:
    def change(call: cst.Call) -> cst.BaseExpression:
        assert isinstance(call.func, cst.Attribute)
        function = cst.parse_expression(f"{tf}.{_V1}.data.{call.func.attr.value}")
        arguments = in_a_row([cst.Arg(call.func.value), *call.args])
        return call.with_changes(func=function, args=arguments)

    return change
