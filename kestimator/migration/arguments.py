"""Takes calls apart and puts them together again, with the layout and the comments they had."""

from __future__ import annotations

from collections.abc import Container, Sequence

import libcst as cst


def named_arguments(call: cst.Call, parameters: Sequence[str]) -> dict[str, cst.Arg] | None:
    """The arguments of a call by the names of its parameters.

    Returns:
        The arguments, or None if the call passes `*args` or `**kwargs`, or arguments that the
        function does not have.
    """
    arguments: dict[str, cst.Arg] = {}
    for position, arg in enumerate(call.args):
        if arg.star or (arg.keyword is None and position >= len(parameters)):
            return None
        name = parameters[position] if arg.keyword is None else arg.keyword.value
        if name not in parameters or name in arguments:
            return None
        arguments[name] = arg
    return arguments


def with_keyword(arg: cst.Arg, name: str) -> cst.Arg:
    """An argument by its name."""
    return arg.with_changes(keyword=cst.Name(name), equal=_tight_equal())


def alone(arg: cst.Arg, name: str | None = None) -> cst.Arg:
    """An argument without the layout around it."""
    if name is None:
        return cst.Arg(arg.value)
    return cst.Arg(arg.value, keyword=cst.Name(name), equal=_tight_equal())


def in_a_row(arguments: Sequence[cst.Arg]) -> list[cst.Arg]:
    """Arguments in one line."""
    comma = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    return [*(arg.with_changes(comma=comma) for arg in arguments[:-1]), *arguments[-1:]]


def without(call: cst.Call, removed: Container[cst.Arg]) -> cst.Call:
    """A call without some of its arguments.

    Args:
        call: The call.
        removed: The arguments to leave out. Comments behind them stay.
    """
    kept: list[cst.Arg] = []
    before = call.whitespace_before_args
    for position, arg in enumerate(call.args):
        if arg not in removed:
            kept.append(arg)
        elif position == len(call.args) - 1:
            if kept:
                kept[-1] = _as_last(kept[-1], arg)
        elif isinstance(arg.comma, cst.Comma) and _has_comment(arg.comma.whitespace_after):
            if not kept:
                before = arg.comma.whitespace_after
            elif isinstance(kept[-1].comma, cst.Comma) and not _has_comment(
                kept[-1].comma.whitespace_after
            ):
                kept[-1] = kept[-1].with_changes(comma=arg.comma)
    if not kept:
        before = cst.SimpleWhitespace("")
    return call.with_changes(args=kept, whitespace_before_args=before)


def _as_last(arg: cst.Arg, removed: cst.Arg) -> cst.Arg:
    return arg.with_changes(comma=removed.comma, whitespace_after_arg=removed.whitespace_after_arg)


def _has_comment(whitespace: cst.BaseParenthesizableWhitespace) -> bool:
    return isinstance(whitespace, cst.ParenthesizedWhitespace) and (
        whitespace.first_line.comment is not None
        or any(line.comment is not None for line in whitespace.empty_lines)
    )


def _tight_equal() -> cst.AssignEqual:
    nothing = cst.SimpleWhitespace("")
    return cst.AssignEqual(whitespace_before=nothing, whitespace_after=nothing)
