"""What a migration is going to change: expressions, calls, and imports.

Synopsis::

    plan = Plan(source)
    plan.replace(use, "kestimator.Estimator")     # and `tf` counts as used once less
    plan.need("kestimator")                       # "kestimator", or the name of an existing import
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import libcst as cst

from kestimator.migration.findings import Finding
from kestimator.migration.uses import Binding, Source, Use

CallChange = Callable[[cst.Call], cst.BaseExpression]


@dataclasses.dataclass(frozen=True)
class Move:
    """Where an import statement should take a name from.

    Attributes:
        module: The module, or "" to remove the name from the statement.
        name: The name in the module.
    """

    module: str
    name: str


class Plan:
    """Collects the changes of a source.

    Args:
        source: The source.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.expressions: dict[cst.CSTNode, str] = {}
        """The new text of expressions."""
        self.calls: dict[cst.CSTNode, CallChange] = {}
        """What makes a new call from a call whose arguments are already changed."""
        self.moves: dict[cst.ImportAlias, Move] = {}
        """What becomes of the parts of import statements."""
        self.new_imports: dict[str, str] = {}
        """The modules to import, and their names in the source."""
        self.wrapped: dict[cst.CSTNode, str] = {}
        """The functions that take the object of an attribute in place of the attribute."""
        self.environment: str = ""
        """The line that sets environment variables before TensorFlow is imported, if any."""
        self.startup: str = ""
        """The line that comes behind the imports, if any."""
        self.changes: list[Finding] = []
        """What the plan changes."""
        self.decisions: list[Finding] = list(source.problems)
        """What it leaves for a person."""
        self._kept: set[str] = set()
        self._consumed: dict[Binding, int] = {}

    def change(self, line: int, text: str) -> None:
        """Notes a change."""
        self.changes.append(Finding(line, text))

    def decide(self, line: int, text: str) -> None:
        """Notes a decision for a person."""
        self.decisions.append(Finding(line, text))

    def need(self, module: str) -> str:
        """The name of a module in the source, which imports it from now on.

        Args:
            module: "keras", "kestimator" or "tf_keras".
        """
        existing = self._source.global_name(module)
        if existing is not None:
            return existing
        if module not in self.new_imports:
            name = module
            while not self._source.is_free(name):
                name += "_"
            self.new_imports[module] = name
        return self.new_imports[module]

    def replace(self, use: Use, text: str) -> None:
        """Replaces a whole expression, and notes the change."""
        self.expressions[use.node] = text
        if not text.startswith(f"{use.root}."):
            self.consume(use)
        self.change(use.line, f"{_short(use)} -> {text}")

    def replace_call(self, call: cst.Call, use: Use, change: CallChange, text: str) -> None:
        """Replaces a call of a used name, and notes the change."""
        self.calls[call] = change
        self.consume(use)
        self.change(use.line, f"{_short(use)} -> {text}")

    def consume(self, use: Use) -> None:
        """Notes that an expression does not need its imports any more."""
        for binding in use.bindings:
            self._consumed[binding] = self._consumed.get(binding, 0) + 1

    def is_consumed(self, binding: Binding) -> bool:
        """Whether nothing is left that uses an import, but something did."""
        is_unused = 0 < binding.references == self._consumed.get(binding, 0)
        return is_unused and binding.name not in self._kept

    def keep(self, name: str) -> None:
        """Notes that new code uses a name that the source imports."""
        self._kept.add(name)


def _short(use: Use) -> str:
    """The expression as it is written."""
    rest = use.qualified.removeprefix(use.binding.qualified)
    return f"{use.root}{rest}"
