"""Imports of what is not here: a program that never uses what it imports runs all the same.

Synopsis::

    if missing_modules.can_wait():              # an import statement that no `try` guards
        sys.modules[name] = MissingModule(name, message)

A program that catches `ImportError` has a way of its own to go on, so it gets that error at once.
"""

from __future__ import annotations

import ast
import functools
import linecache
import traceback
import types
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, NoReturn

from kestimator import errors
from kestimator.legacy import usage

_IMPORT_ERRORS = {"ImportError", "ModuleNotFoundError"}
_ALL_ERRORS = {"Exception", "BaseException"}


class MissingModule(types.ModuleType):
    """Stands for a module, or a name in one, that a program imports: its first use is an error.

    Args:
        name: Its full name.
        message: What the error says.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(name, message)

    def _fail(self, *_: Any, **__: Any) -> NoReturn:
        raise errors.MissingNameError(self.__doc__)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # Python's own machinery looks for these
            raise AttributeError(name)
        self._fail()

    def __repr__(self) -> str:
        return f"<{self.__name__}, which is not here: {self.__doc__}>"

    # As a function, a base class, a class of instances, or a constant that is compared.
    __call__ = __mro_entries__ = __instancecheck__ = __subclasscheck__ = _fail
    __eq__ = __getitem__ = __iter__ = _fail
    __hash__ = types.ModuleType.__hash__


def can_wait() -> bool:
    """Whether the import that is going on may fail at the first use of what it imports.

    It may if it is an import statement, and no one catches its error: neither a `try` or a `with`
    around the statement, nor one that names `ImportError` and runs the code of the statement.
    """
    lines = _lines_of_program()
    statement = next(lines, None)
    if statement is None or not statement.imports_names():
        return False
    return not statement.is_guarded(_IMPORT_ERRORS | _ALL_ERRORS) and not any(
        line.is_guarded(_IMPORT_ERRORS) for line in lines
    )


class _Line(NamedTuple):
    """A line that is being executed."""

    tree: ast.AST
    number: int

    def imports_names(self) -> bool:
        """Whether it imports modules or names, but not all names of a module."""
        return any(
            _spans([node], self.number) and node.names[0].name != "*"
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
        )

    def is_guarded(self, exceptions: set[str]) -> bool:
        """Whether a `try` or a `with` around it names one of the exceptions, or a `try` all."""
        return any(
            _spans(node.body, self.number) and _catches(node, exceptions)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Try | ast.With)
        )


def _lines_of_program() -> Iterator[_Line]:
    """Yields the lines that are being executed, from the import outwards."""
    for frame, number in traceback.walk_stack(None):
        if usage.is_machinery(frame.f_globals.get("__name__") or ""):
            continue
        source = "".join(linecache.getlines(frame.f_code.co_filename, frame.f_globals))
        tree = _parsed(source)
        if tree is not None:
            yield _Line(tree, number)


@functools.lru_cache(maxsize=64)
def _parsed(source: str) -> ast.AST | None:
    try:
        return ast.parse(source)
    except SyntaxError:
        return None


def _spans(statements: Sequence[ast.stmt], line: int) -> bool:
    return statements[0].lineno <= line <= (statements[-1].end_lineno or 0)


def _catches(node: ast.Try | ast.With, exceptions: set[str]) -> bool:
    if isinstance(node, ast.With):  # such as `contextlib.suppress(ImportError)`
        expressions = [argument for item in node.items for argument in _arguments(item)]
    else:
        if any(handler.type is None for handler in node.handlers) and _ALL_ERRORS & exceptions:
            return True
        expressions = [handler.type for handler in node.handlers if handler.type is not None]
    names = {
        getattr(part, "attr", getattr(part, "id", None))
        for expression in expressions
        for part in ast.walk(expression)
    }
    return bool(names & exceptions)


def _arguments(item: ast.withitem) -> list[ast.expr]:
    return item.context_expr.args if isinstance(item.context_expr, ast.Call) else []
