"""Writes a source anew as a plan says, with its comments and its layout.

Synopsis::

    rewritten(source, plan)      # the new text
"""

from __future__ import annotations

from collections.abc import Sequence

import libcst as cst
from libcst import matchers

from kestimator.migration.import_changes import REMOVED
from kestimator.migration.plans import Move, Plan
from kestimator.migration.uses import ImportNode, Source, dotted, names_of

_ROOTS = ("tensorflow", "keras", "kestimator", "tf_keras")

CELL_MARK = "__kestimator_cell__"
"""The function whose call stands before each cell, where a source is a notebook."""

_PRELUDE = tuple(
    matchers.SimpleStatementLine([matcher, matchers.ZeroOrMore()])
    for matcher in (
        matchers.Expr(matchers.SimpleString() | matchers.ConcatenatedString()),
        matchers.Expr(
            matchers.Call(matchers.Name(CELL_MARK), [matchers.Arg(matchers.Integer("0"))])
        ),
        matchers.ImportFrom(matchers.Name("__future__")),
    )
)

_IMPORT_OF_OS = matchers.SimpleStatementLine(
    [matchers.Import([matchers.ImportAlias(matchers.Name("os"), asname=None)])]
)


def rewritten(source: Source, plan: Plan) -> str:
    """The text of a source after the changes of a plan."""
    module = source.module.visit(_Rewriter(plan))
    return str(module.code)


class _Rewriter(cst.CSTTransformer):
    """Applies a plan, whose keys are nodes of the module before the first change."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._plan = plan
        self._removed: set[int] = set()  # the ids of statements that stand for nothing
        self._kept_alive: list[cst.CSTNode] = []

    def leave_Attribute(  # noqa: N802
        self, original_node: cst.Attribute, updated_node: cst.Attribute
    ) -> cst.BaseExpression:
        return self._expression(original_node, updated_node)

    def leave_Name(  # noqa: N802
        self, original_node: cst.Name, updated_node: cst.Name
    ) -> cst.BaseExpression:
        return self._expression(original_node, updated_node)

    def leave_Call(  # noqa: N802
        self, original_node: cst.Call, updated_node: cst.Call
    ) -> cst.BaseExpression:
        change = self._plan.calls.get(original_node)
        return updated_node if change is None else change(updated_node)

    def leave_SimpleStatementLine(  # noqa: N802
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.BaseStatement | cst.FlattenSentinel[cst.BaseStatement]:
        body: list[cst.BaseSmallStatement] = []
        for before, after in zip(original_node.body, updated_node.body, strict=True):
            body.extend(self._imports(before, after))
        if len(body) == len(updated_node.body) and all(
            one is other for one, other in zip(body, updated_node.body, strict=True)
        ):
            return updated_node
        if not body:
            nothing = updated_node.with_changes(body=[cst.Pass()])
            self._removed.add(id(nothing))
            self._kept_alive.append(nothing)
            return nothing
        if len(original_node.body) == 1:  # one statement became several: each gets a line
            first = updated_node.with_changes(body=body[:1])
            others = [cst.SimpleStatementLine([statement]) for statement in body[1:]]
            return cst.FlattenSentinel([first, *others])
        return updated_node.with_changes(body=_without_last_semicolon(body))

    def leave_IndentedBlock(  # noqa: N802
        self, original_node: cst.IndentedBlock, updated_node: cst.IndentedBlock
    ) -> cst.BaseSuite:
        del original_node
        body, comments = self._without_removed(updated_node.body)
        if len(body) == len(updated_node.body):
            return updated_node
        if not body:
            body = [cst.SimpleStatementLine([cst.Pass()])]
        return updated_node.with_changes(body=body, footer=[*comments, *updated_node.footer])

    def leave_Module(  # noqa: N802
        self, original_node: cst.Module, updated_node: cst.Module
    ) -> cst.Module:
        del original_node
        body = self._with_new_imports(updated_node)
        body, comments = self._without_removed(body)
        body = self._with_startup(body)
        return updated_node.with_changes(body=body, footer=[*comments, *updated_node.footer])

    def _expression(
        self, original_node: cst.Attribute | cst.Name, updated_node: cst.Attribute | cst.Name
    ) -> cst.BaseExpression:
        function = self._plan.wrapped.get(original_node)
        if function is not None:
            assert isinstance(updated_node, cst.Attribute)
            return cst.Call(cst.parse_expression(function), [cst.Arg(updated_node.value)])
        text = self._plan.expressions.get(original_node)
        if text is None:
            return updated_node
        expression = cst.parse_expression(text)
        return expression.with_changes(lpar=updated_node.lpar, rpar=updated_node.rpar)

    def _imports(
        self, before: cst.BaseSmallStatement, after: cst.BaseSmallStatement
    ) -> list[cst.BaseSmallStatement]:
        """The statements that take the place of an import statement, or of any other one."""
        if not isinstance(before, cst.Import | cst.ImportFrom):
            return [after]
        assert isinstance(after, cst.Import | cst.ImportFrom)
        aliases = list(zip(names_of(before), names_of(after), strict=True))
        moves = [self._plan.moves.get(alias) for alias, _ in aliases]
        if not any(moves):
            return [after]
        modules: dict[str | None, list[cst.ImportAlias]] = {}
        for (_, alias), move in zip(aliases, moves, strict=True):
            if move is None:
                modules.setdefault(None, []).append(alias)
            elif move != REMOVED:
                modules.setdefault(move.module, []).append(_moved(alias, move))
        # What stays where it was comes first.
        ordered = sorted(modules.items(), key=lambda item: item[0] is not None)
        return [_import_of(after, module, names) for module, names in ordered]

    def _without_removed(
        self, body: Sequence[cst.BaseStatement]
    ) -> tuple[list[cst.BaseStatement], list[cst.EmptyLine]]:
        """The statements that are left, and the comments of removed ones behind the last."""
        kept: list[cst.BaseStatement] = []
        carried: list[cst.EmptyLine] = []
        for statement in body:
            lines = list(getattr(statement, "leading_lines", ()))
            if id(statement) in self._removed:
                carried.extend(lines)
                continue
            if carried and (not lines or any(line.comment for line in carried)):
                statement = statement.with_changes(leading_lines=[*carried, *lines])
            carried = []
            kept.append(statement)
        return kept, [line for line in carried if line.comment]

    def _with_new_imports(self, module: cst.Module) -> Sequence[cst.BaseStatement]:
        modules = sorted(self._plan.new_imports)
        if not modules:
            return module.body
        new = [self._new_import(name) for name in modules]
        body = list(module.body)
        position = next((i for i, one in enumerate(body) if self._imports_tensorflow(one)), None)
        if position is None:
            position = _behind_prelude(body)
            lines = [cst.EmptyLine(indent=False)] if position else []
            return [
                *body[:position],
                new[0].with_changes(leading_lines=lines),
                *new[1:],
                *body[position:],
            ]
        neighbour = body[position]
        lines = list(getattr(neighbour, "leading_lines", ()))
        is_removed = id(neighbour) in self._removed
        if any(line.comment for line in lines) and not is_removed:
            return [*body[: position + 1], *new, *body[position + 1 :]]
        new[0] = new[0].with_changes(leading_lines=lines)
        rest = body[position + 1 :]
        if not is_removed:
            rest = [neighbour.with_changes(leading_lines=()), *rest]
        return [*body[:position], *new, *rest]

    def _with_startup(self, body: list[cst.BaseStatement]) -> list[cst.BaseStatement]:
        """The statements, with those that set TensorFlow up before and behind its imports."""
        position = next((i for i, one in enumerate(body) if self._imports_tensorflow(one)), None)
        if self._plan.startup and position is not None:
            last = position
            while last + 1 < len(body) and _is_import(body[last + 1]):
                last += 1
            blank = cst.EmptyLine(indent=False)
            new = _statements(self._plan.startup)
            new[0] = new[0].with_changes(leading_lines=[blank])
            body = [*body[: last + 1], *new, *body[last + 1 :]]
            after = last + 1 + len(new)
            if after < len(body) and not getattr(body[after], "leading_lines", ()):
                body[after] = body[after].with_changes(leading_lines=[blank])
        if self._plan.environment:
            body = [one for one in body if not matchers.matches(one, _IMPORT_OF_OS)]
            start = _behind_prelude(body)
            new = _statements(self._plan.environment)
            lines = list(getattr(body[start], "leading_lines", ())) if start < len(body) else []
            new[0] = new[0].with_changes(leading_lines=lines)
            if start < len(body) and not any(line.comment for line in lines):
                blank = cst.EmptyLine(indent=False)
                body[start] = body[start].with_changes(leading_lines=[blank])
            body = [*body[:start], *new, *body[start:]]
        return body

    def _new_import(self, module: str) -> cst.SimpleStatementLine:
        name = self._plan.new_imports[module]
        text = f"import {module}" if name == module else f"import {module} as {name}"
        statement = cst.parse_statement(text)
        assert isinstance(statement, cst.SimpleStatementLine)
        return statement

    def _imports_tensorflow(self, statement: cst.BaseStatement) -> bool:
        if id(statement) in self._removed:
            return True
        if isinstance(statement, cst.FunctionDef | cst.ClassDef):
            return False
        imports = matchers.findall(statement, matchers.Import() | matchers.ImportFrom())
        return any(_root(node) in _ROOTS for node in imports)


def _is_import(statement: cst.BaseStatement) -> bool:
    return matchers.matches(
        statement, matchers.SimpleStatementLine([matchers.Import() | matchers.ImportFrom()])
    )


def _statements(text: str) -> list[cst.BaseStatement]:
    return [*cst.parse_module(text).body]


def _root(node: cst.CSTNode) -> str:
    """The package that an import statement imports from."""
    if isinstance(node, cst.ImportFrom):
        return dotted(node.module).split(".")[0] if node.module and not node.relative else ""
    assert isinstance(node, cst.Import)
    return dotted(node.names[0].name).split(".")[0]


def _moved(alias: cst.ImportAlias, move: Move) -> cst.ImportAlias:
    """A part of an import statement that takes its name from elsewhere."""
    name = cst.parse_expression(move.name)
    assert isinstance(name, cst.Name | cst.Attribute)
    asname = alias.asname
    is_renamed = move.name.split(".")[0] != dotted(alias.name).split(".")[0]
    if asname is None and is_renamed and (move.module or "." not in dotted(alias.name)):
        asname = cst.AsName(cst.Name(dotted(alias.name)))
    return alias.with_changes(name=name, asname=asname)


def _import_of(
    node: ImportNode, module: str | None, names: list[cst.ImportAlias]
) -> cst.BaseSmallStatement:
    is_whole = len(names) == len(list(names_of(node)))
    if not is_whole:
        # The last one has the layout before the bracket, if there is one.
        last = list(names_of(node))[-1]
        names = [*names[:-1], names[-1].with_changes(comma=last.comma)]
    if isinstance(node, cst.Import) or module is None:
        return node.with_changes(names=names)
    if not module:  # `from tensorflow import keras` becomes `import tf_keras as keras`
        return cst.Import([alias.with_changes(comma=cst.MaybeSentinel.DEFAULT) for alias in names])
    new = cst.parse_expression(module)
    assert isinstance(new, cst.Name | cst.Attribute)
    return node.with_changes(module=new, names=names)


def _behind_prelude(body: Sequence[cst.BaseStatement]) -> int:
    """The place behind the docstring, the mark of the first cell and the imports of the future."""
    for position, statement in enumerate(body):
        if not any(matchers.matches(statement, matcher) for matcher in _PRELUDE):
            return position
    return len(body)


def _without_last_semicolon(
    body: list[cst.BaseSmallStatement],
) -> list[cst.BaseSmallStatement]:
    return [*body[:-1], body[-1].with_changes(semicolon=cst.MaybeSentinel.DEFAULT)]
