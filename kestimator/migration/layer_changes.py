"""Plans Keras layers for the functions of `tf.layers`, with the same variables in checkpoints.

Synopsis::

    plan_layers(source, plan)      # tf.layers.dense(x, 8) -> keras.layers.Dense(8)(x)

Automatic names (`dense`, `dense_1`) are counted in each variable scope, by both. A call stays as it
is where the names or the values of its variables could become others; the report says why.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

import libcst as cst

from kestimator.migration import arguments, tensorflow_names
from kestimator.migration.layer_signatures import (
    CLASSES,
    FUNCTIONS,
    NEEDLESS,
    WITHOUT_EFFECT,
    LayerFunction,
)
from kestimator.migration.plans import CallChange, Plan
from kestimator.migration.uses import Source, Use

# Arguments of a variable scope that tf.layers obey, and Keras layers do not.
_SCOPE_ARGUMENTS = (
    *("constraint", "custom_getter", "dtype", "initializer", "partitioner", "regularizer"),
)
_UPDATE_OPS = ("UPDATE_OPS", "update_ops")
_OF_IMAGES = re.compile(
    r"\.(?:\w*conv2d\w*|\w*pool2d|\w*pooling2d|max_pool|avg_pool)$", re.IGNORECASE
)
_OF_ROWS = re.compile(r"\.(?:dense|flatten|fully_connected)$", re.IGNORECASE)
_OTHER_VARIANCE = (
    "where batch normalization has inputs of four dimensions, tf.layers keeps a variance that is "
    "n / (n - 1) times that of Keras, for the n values of a channel in a batch"
)


@dataclasses.dataclass(frozen=True)
class _LayerCall:
    """A call of a function or a class of `tf.layers`."""

    use: Use
    call: cst.Call
    name: str
    function: LayerFunction
    obstacle: str

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters of what is called."""
        parameters = self.function.parameters
        return parameters if self.is_function else (*parameters[1:], "_reuse")

    @property
    def is_function(self) -> bool:
        """Whether the layer is called at once."""
        return self.name in FUNCTIONS

    @property
    def given_name(self) -> str:
        """The text of the name, if the layer has variables and the call names it."""
        named = arguments.named_arguments(self.call, self.parameters) or {}
        if not self.function.has_variables or "name" not in named:
            return ""
        return _text(named["name"].value)

    @property
    def is_unnamed(self) -> bool:
        """Whether the layer has variables whose names are counted."""
        return self.function.has_variables and not self.given_name


def plan_layers(source: Source, plan: Plan) -> None:
    """Plans the changes of all calls of `tf.layers` and of contrib's regularizers."""
    calls = [call for use in source.uses if (call := _layer_call(source, use)) is not None]
    calls = _with_clashes(source, calls)
    # One that stays counts its name apart from those that do not.
    staying = {
        call.function.keras_name: call for call in calls if call.obstacle and call.is_unnamed
    }
    for call in calls:
        other = staying.get(call.function.keras_name)
        obstacle = call.obstacle
        if not obstacle and other is not None and call.is_unnamed:
            obstacle = (
                f"without a name=, it is counted together with the layer in line {other.use.line}, "
                "which stays"
            )
        if obstacle:
            plan.decide(call.use.line, f"tf.layers.{call.name} stays: {obstacle}")
        else:
            name = f"{plan.need('keras')}.layers.{call.function.keras_name}"
            text = f"{name}(...)(...)" if call.is_function else name
            plan.replace_call(call.call, call.use, _change(call, name), text)
    converted = [call for call in calls if call.call in plan.calls]
    _note_random_numbers(plan, converted)
    _check_scopes(source, plan, converted)
    _check_normalizations(source, plan, converted)
    _check_objects(plan, converted)
    for use in source.uses:
        _plan_initializer(source, plan, use)


def _with_clashes(source: Source, calls: list[_LayerCall]) -> list[_LayerCall]:
    """The calls, with an obstacle where given names are like those that are counted.

    tf.layers count the names of layers and variable scopes together, whoever gave them. Outside of
    scopes, Keras counts only those that it gives itself.
    """
    given: list[tuple[int, str, _LayerCall | None]] = [
        *((call.use.line, call.given_name, call) for call in calls if call.given_name),
        *((line, name, None) for line, name in _scope_names(source)),
    ]
    for kind in {call.function.automatic_name for call in calls if call.is_unnamed}:
        like = re.compile(rf"[\"']{kind}(?:[\"']|_(?:[\"'%{{]|\d+))")
        clashing = [(line, call) for line, name, call in given if like.search(name)]
        for number, call in enumerate(calls):
            is_counted = call.is_unnamed and call.function.automatic_name == kind
            if clashing and (is_counted or any(other is call for _, other in clashing)):
                lines = ", ".join(str(line) for line, _ in clashing)
                obstacle = (
                    f"tf.layers count names such as {kind!r} (line {lines}) together with those of "
                    "layers without a name=, and Keras does not"
                )
                calls[number] = dataclasses.replace(call, obstacle=call.obstacle or obstacle)
    return calls


def _scope_names(source: Source) -> Iterator[tuple[int, str]]:
    """The lines and the texts of the names of variable scopes."""
    for use in source.uses:
        call = source.parent(use.node)
        if use.qualified.endswith(".variable_scope") and isinstance(call, cst.Call):
            names = arguments.named_arguments(call, ("name_or_scope", "default_name"))
            args = call.args[:2] if names is None else names.values()
            yield from ((use.line, _text(arg.value)) for arg in args)


def _layer_call(source: Source, use: Use) -> _LayerCall | None:
    module, _, name = (tensorflow_names.below_tensorflow(use.qualified) or "").partition(".")
    function = FUNCTIONS.get(name, CLASSES.get(name))
    call = source.parent(use.node)
    if module != "layers" or function is None:
        return None
    if not isinstance(call, cst.Call) or call.func is not use.node:
        return None
    layer_call = _LayerCall(use, call, name, function, "")
    return dataclasses.replace(layer_call, obstacle=_obstacle(source, layer_call))


def _obstacle(source: Source, call: _LayerCall) -> str:
    """Why a call must stay as it is, or ""."""
    named = arguments.named_arguments(call.call, call.parameters)
    if named is None:
        return "its arguments are not all written out"
    if call.is_function and "inputs" not in named:
        return "it has no inputs"
    for argument, values in NEEDLESS.items():
        if argument in named and _text(named[argument].value) not in values:
            remedy = ""
            if "reuse" in argument:
                remedy = "; call a Keras layer twice, or use a variable_scope with reuse"
            return f"Keras 3 has no {argument}={_text(named[argument].value)}{remedy}"
    name = named.get("name")
    if name is not None and "/" in _text(name.value):
        return "names of Keras layers have no slash; use a variable_scope for the first part"
    if call.function.has_variables and _sets_variables_by_scope(source):
        return (
            "init_from_checkpoint sets the variables of a scope for tf.layers, but not for Keras "
            "layers; name the variables one by one in its assignment_map, and convert the layer"
        )
    if call.function.has_variables and (scope := _scope_around(source, call.call)):
        return f"it obeys the {scope}= of a variable_scope, which Keras layers do not"
    return _difference(source, call, named)


def _difference(source: Source, call: _LayerCall, named: dict[str, cst.Arg]) -> str:
    """Why a layer of Keras would give other numbers for the same arguments, or ""."""
    kind = call.function.keras_name
    if kind == "Dropout" and "seed" in named and _text(named["seed"].value) != "None":
        return "Keras drops other values for the same seed="
    if kind == "BatchNormalization" and _is_fused(named) and _takes_images(source, call, named):
        return f"{_OTHER_VARIANCE}; with fused=False it is that of Keras"
    return ""


def _is_fused(named: dict[str, cst.Arg]) -> bool:
    return "fused" not in named or _text(named["fused"].value) != "False"


def _takes_images(source: Source, call: _LayerCall, named: dict[str, cst.Arg]) -> bool:
    """Whether the inputs of a call may have four dimensions.

    The layer that was last assigned to the name of the inputs decides. If there is none, they may
    in a source that has layers of images.
    """
    inputs = _text(named["inputs"].value) if "inputs" in named else ""
    before = [use for use in source.uses if use.line < call.use.line]
    for use in sorted(before, key=lambda use: use.line, reverse=True):
        if inputs in _assigned_names(source, use):
            if _OF_IMAGES.search(use.qualified):
                return True
            if _OF_ROWS.search(use.qualified):
                return False
    return any(_OF_IMAGES.search(use.qualified) for use in source.uses)


def _assigned_names(source: Source, use: Use) -> list[str]:
    """The names to which the statement of a use assigns."""
    for ancestor in source.ancestors(use.node):
        if isinstance(ancestor, cst.Assign):
            return [_text(target.target) for target in ancestor.targets]
    return []


def _sets_variables_by_scope(source: Source) -> bool:
    # It finds the variables of a scope among those of `get_variable`, and passes over all others.
    return any(use.qualified.endswith(".init_from_checkpoint") for use in source.uses)


def _scope_around(source: Source, node: cst.CSTNode) -> str:
    """The argument of a variable scope around a node that Keras layers do not obey, or ""."""
    for ancestor in source.ancestors(node):
        if isinstance(ancestor, cst.With):
            for item in ancestor.items:
                arguments_of_scope = _scope_arguments(item.item)
                if arguments_of_scope:
                    return arguments_of_scope[0]
    return ""


def _scope_arguments(node: cst.BaseExpression) -> list[str]:
    if not isinstance(node, cst.Call) or not _text(node.func).endswith("variable_scope"):
        return []
    return [
        arg.keyword.value
        for arg in node.args
        if arg.keyword is not None
        and arg.keyword.value in _SCOPE_ARGUMENTS
        and _text(arg.value) != "None"
    ]


def _note_random_numbers(plan: Plan, converted: list[_LayerCall]) -> None:
    """Notes the layers that draw other random numbers as Keras layers."""
    for call in converted:
        named = arguments.named_arguments(call.call, call.parameters) or {}
        initializers = ("kernel_initializer", "depthwise_initializer", "pointwise_initializer")
        used = [name for name in initializers if name in call.parameters]
        if any(name not in named or _text(named[name].value) == "None" for name in used):
            plan.change(
                call.use.line,
                "in a new model_dir, the layer starts from other random numbers of the same "
                "distribution; in an old one, it trains on",
            )
        if call.function.keras_name == "Dropout" and "training" in named:
            plan.change(call.use.line, "the layer drops other values at random")


def _check_scopes(source: Source, plan: Plan, converted: list[_LayerCall]) -> None:
    if not any(call.function.has_variables for call in converted):
        return
    for use in source.uses:
        call = source.parent(use.node)
        if not use.qualified.endswith(".variable_scope") or not isinstance(call, cst.Call):
            continue
        for argument in _scope_arguments(call):
            plan.decide(
                use.line,
                f"Keras layers do not obey the {argument}= of a variable_scope: pass it to layers "
                "of functions that are called in it",
            )


def _check_normalizations(source: Source, plan: Plan, converted: list[_LayerCall]) -> None:
    named = [
        (call, arguments.named_arguments(call.call, call.parameters) or {})
        for call in converted
        if call.function.keras_name == "BatchNormalization"
    ]
    fused = [call for call, args in named if _is_fused(args)]
    if fused:
        plan.decide(fused[0].use.line, _OTHER_VARIANCE)
    updating = [call for call, args in named if "training" in args]
    if updating and not any(name in source.module.code for name in _UPDATE_OPS):
        plan.decide(
            updating[0].use.line,
            "this file does not run UPDATE_OPS; if no other one does, the moving statistics of "
            "batch normalization stayed as they were, and Keras layers update them in training",
        )


def _check_objects(plan: Plan, converted: list[_LayerCall]) -> None:
    objects = [call for call in converted if not call.is_function and call.is_unnamed]
    for call in objects:
        same = [one for one in objects if one.name == call.name]
        if len(same) > 1:
            plan.decide(
                call.use.line,
                f"several {call.name} objects have no name=: tf.layers counts names in the order "
                "of their first calls, Keras in the order in which they are made",
            )


def _change(call: _LayerCall, name: str) -> CallChange:
    """What makes `keras.layers.Dense(8)(x)` from `tf.layers.dense(x, 8)`."""

    def change(updated: cst.Call) -> cst.BaseExpression:
        named = arguments.named_arguments(updated, call.parameters)
        assert named is not None  # as before
        outer: dict[str, cst.Arg | None] = {
            key: named.get(key) for key in ("inputs", "training") if key in call.parameters
        }
        dropped = [*NEEDLESS, *WITHOUT_EFFECT]
        removed = [arg for key, arg in named.items() if key in outer or key in dropped]
        layer = arguments.without(updated, removed)
        first = 1 if call.is_function else 0
        positional = call.parameters[first : first + call.function.positional]
        names = {id(arg): key for key, arg in named.items() if arg.keyword is None}
        # The layout of the last ones may have changed, so the names go by position.
        order = [names[id(arg)] for arg in updated.args if id(arg) in names and arg not in removed]
        args = list(layer.args)
        for position, key in enumerate(order):
            if key not in positional:
                args[position] = arguments.with_keyword(args[position], key)
        layer = layer.with_changes(args=args, func=cst.parse_expression(name))
        inputs = outer.get("inputs")
        if inputs is None:
            return layer
        return cst.Call(
            func=layer.with_changes(lpar=[], rpar=[]),
            args=arguments.in_a_row([arguments.alone(inputs), *_training(call, outer)]),
            lpar=layer.lpar,
            rpar=layer.rpar,
        )

    return change


def _training(call: _LayerCall, outer: dict[str, cst.Arg | None]) -> list[cst.Arg]:
    if not call.function.takes_training:
        return []
    training = outer.get("training") or cst.Arg(cst.Name("False"))
    return [arguments.alone(training, "training")]


def _plan_initializer(source: Source, plan: Plan, use: Use) -> None:
    """Plans what replaces contrib's regularizers, and its initializer with default arguments."""
    call = source.parent(use.node)
    if not isinstance(call, cst.Call) or call.func is not use.node:
        return
    name = use.qualified.removeprefix("tensorflow.contrib.layers.")
    if name == use.qualified:
        return
    if name in ("l1_regularizer", "l2_regularizer"):
        named = arguments.named_arguments(call, ("scale", "scope"))
        if named is not None and "scale" in named:
            keras_name = f"{plan.need('keras')}.regularizers.{name[:2].upper()}"
            half = name == "l2_regularizer"  # contrib's is half of the sum of squares
            plan.replace_call(call, use, _regularizer(keras_name, half=half), keras_name)
    if name in ("xavier_initializer", "xavier_initializer_conv2d"):
        keywords = [arg.keyword.value if arg.keyword else "" for arg in call.args]
        if set(keywords) <= {"seed", "dtype"} and use.binding.qualified == "tensorflow":
            new = f"{use.root}.compat.v1.glorot_uniform_initializer"
            plan.replace(use, new)


def _regularizer(name: str, *, half: bool) -> CallChange:
    def change(updated: cst.Call) -> cst.BaseExpression:
        named = arguments.named_arguments(updated, ("scale", "scope"))
        assert named is not None  # as before
        scale = named["scale"].value
        if half:
            if isinstance(scale, cst.BinaryOperation | cst.IfExp) and not scale.lpar:
                scale = scale.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
            scale = cst.BinaryOperation(cst.Float("0.5"), cst.Multiply(), scale)
        return updated.with_changes(func=cst.parse_expression(name), args=[cst.Arg(scale)])

    return change


def _text(node: cst.CSTNode) -> str:
    return cst.Module([]).code_for_node(node)
