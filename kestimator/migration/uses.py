r"""Finds out which names of a source mean TensorFlow, whatever they are called there.

Synopsis::

    source = Source(libcst.parse_module(b"import tensorflow as tf\ntf.log(x)"))
    [use.qualified for use in source.uses]        # ["tensorflow.log"]

A name that is assigned to something else where it is used is no use.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import libcst as cst
from libcst import metadata

from kestimator.migration import estimator_names, tensorflow_names
from kestimator.migration.findings import Finding

_ROOTS = ("tensorflow", "tensorflow_estimator", "keras", "kestimator", "tf_keras")

Expression = cst.Name | cst.Attribute
ImportNode = cst.Import | cst.ImportFrom


@dataclasses.dataclass(eq=False)
class Binding:
    """A name that an import statement binds.

    Attributes:
        node: The import statement.
        alias: Its part for this name.
        name: The name in the source.
        qualified: What it stands for.
        is_global: Whether the whole module has the name.
        references: How many expressions use it.
        line: The line of the statement.
    """

    node: ImportNode
    alias: cst.ImportAlias
    name: str
    qualified: str
    is_global: bool
    references: int
    line: int


@dataclasses.dataclass(eq=False)
class Use:
    """An expression `a.b.c` whose first name is imported.

    Attributes:
        node: The whole expression.
        root: The first name as it is written.
        qualified: The imported object that it means.
        bindings: The imports that bind the first name.
        line: Its line.
    """

    node: Expression
    root: str
    qualified: str
    bindings: tuple[Binding, ...]
    line: int

    @property
    def binding(self) -> Binding:
        """The import that the qualified name comes from."""
        return self.bindings[0]


class Source:
    """A parsed module, and what its names mean.

    Args:
        module: The module.
    """

    def __init__(self, module: cst.Module) -> None:
        self.wrapper = metadata.MetadataWrapper(module)
        self.module = self.wrapper.module
        self._positions = self.wrapper.resolve(metadata.PositionProvider)
        self._parents = self.wrapper.resolve(metadata.ParentNodeProvider)
        scopes = self.wrapper.resolve(metadata.ScopeProvider).values()
        self._scopes = list(dict.fromkeys(scope for scope in scopes if scope is not None))
        self.problems: list[Finding] = []
        """Names of TensorFlow that cannot be followed."""
        self._bindings: dict[metadata.ImportAssignment, Binding] = {}
        for assignment in self._import_assignments():
            binding = self._binding(assignment)
            if binding is not None:
                self._bindings[assignment] = binding
        self.uses = sorted(self._uses(), key=lambda use: use.line)
        """The uses, in the order of their lines."""

    @property
    def bindings(self) -> list[Binding]:
        """What the import statements bind, as far as it has to do with TensorFlow."""
        return sorted(set(self._bindings.values()), key=lambda binding: binding.line)

    def line(self, node: cst.CSTNode) -> int:
        """The line in which a node begins."""
        return int(self._positions[node].start.line)

    def parent(self, node: cst.CSTNode) -> cst.CSTNode | None:
        """The node around a node."""
        return self._parents.get(node)

    def ancestors(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        """The nodes around a node, from the inside to the outside."""
        parent = self.parent(node)
        while parent is not None:
            yield parent
            parent = self.parent(parent)

    def global_name(self, qualified: str) -> str | None:
        """The name by which the whole module can use an object, if it imports it."""
        names = (
            binding.name
            for binding in self.bindings
            if binding.is_global and binding.qualified == qualified
        )
        return next(names, None)

    def is_free(self, name: str) -> bool:
        """Whether no part of the module uses a name for anything."""
        return all(
            assignment.name != name for scope in self._scopes for assignment in scope.assignments
        )

    def _import_assignments(self) -> Iterator[metadata.ImportAssignment]:
        for scope in self._scopes:
            for assignment in scope.assignments:
                if isinstance(assignment, metadata.ImportAssignment):
                    yield assignment

    def _binding(self, assignment: metadata.ImportAssignment) -> Binding | None:
        node = assignment.node
        if not isinstance(node, (cst.Import, cst.ImportFrom)):
            return None
        alias = _alias_of(node, assignment.name)
        if alias is None:
            return None
        module = assignment.get_module_name_for_import()
        full = f"{module}.{dotted(alias.name)}" if module else dotted(alias.name)
        if full.split(".")[0] not in _ROOTS:
            return None
        name = alias.evaluated_alias or (dotted(alias.name).split(".")[0])
        # `import a.b` binds `a`; the dotted names below are what the source writes.
        is_dotted = isinstance(node, cst.Import) and alias.asname is None
        return Binding(
            node=node,
            alias=alias,
            name=name,
            qualified=name if is_dotted else full,
            is_global=isinstance(assignment.scope, metadata.GlobalScope),
            references=0,
            line=self.line(node),
        )

    def _uses(self) -> Iterator[Use]:
        accesses: dict[Expression, list[metadata.Access]] = {}
        for assignment in self._bindings:
            for access in assignment.references:
                node = access.node
                if not isinstance(node, (cst.Name, cst.Attribute)):
                    self._note_text(self._bindings[assignment], node)
                    continue
                accesses.setdefault(self._whole(_root(node)), []).append(access)
        for expression, of_expression in accesses.items():
            use = self._use(expression, of_expression)
            if use is not None:
                yield use

    def _use(self, node: Expression, accesses: list[metadata.Access]) -> Use | None:
        referents = {one for access in accesses for one in access.referents}
        bindings = [self._bindings[one] for one in referents if one in self._bindings]
        others = [one for one in referents if one not in self._bindings and not self._is_none(one)]
        bindings = list(dict.fromkeys(bindings))
        for binding in bindings:
            binding.references += 1
        if others:
            names = [self._meaning(one, node) for one in bindings]
            if not any(map(_is_to_migrate, names)):
                return None
            text = f"`{_root(node).value}` is also assigned to something else; left as it is"
            self.problems.append(Finding(self.line(node), text))
            return None
        # Of `try: import tensorflow.compat.v1 as tf`, `except: import tensorflow as tf`, the first
        # one works in TensorFlow 2.
        bindings.sort(key=lambda one: (not one.qualified.startswith("tensorflow.compat"), one.line))
        meaning = self._meaning(bindings[0], node)
        return Use(node, _root(node).value, meaning, tuple(bindings), self.line(node))

    def _meaning(self, binding: Binding, node: Expression) -> str:
        """The qualified name of an expression, if its first name is of an import."""
        rest = dotted(node).partition(".")[2]
        return f"{binding.qualified}.{rest}" if rest else binding.qualified

    def _whole(self, node: Expression) -> Expression:
        """The longest `a.b.c` that begins with a node."""
        parent = self.parent(node)
        while isinstance(parent, cst.Attribute) and parent.value is node:
            node, parent = parent, self.parent(parent)
        return node

    def _is_none(self, assignment: metadata.BaseAssignment) -> bool:
        """Whether an assignment is `tf = None`, as programs write it behind a failed import."""
        if not isinstance(assignment, metadata.Assignment):
            return False
        for node in self.ancestors(assignment.node):
            if isinstance(node, cst.Assign):
                return isinstance(node.value, cst.Name) and node.value.value == "None"
        return False

    def _note_text(self, binding: Binding, node: cst.BaseString) -> None:
        """Notes an annotation in quotes, which stays as it is."""
        binding.references += 1
        text = node.value if isinstance(node, cst.SimpleString) else ""
        if "estimator" in text.lower():
            self.problems.append(
                Finding(self.line(node), f"the annotation {text} is left as it is")
            )


def _is_to_migrate(qualified: str) -> bool:
    name = tensorflow_names.below_tensorflow(qualified)
    return estimator_names.is_estimator_name(qualified) or (
        name is not None and tensorflow_names.is_only_in_tf1(name)
    )


def dotted(node: cst.BaseExpression) -> str:
    """The text of a name or of `a.b.c`."""
    if isinstance(node, cst.Attribute):
        return f"{dotted(node.value)}.{node.attr.value}"
    return node.value if isinstance(node, cst.Name) else ""


def names_of(node: ImportNode) -> Iterable[cst.ImportAlias]:
    """The parts of an import statement; a star has none."""
    return () if isinstance(node.names, cst.ImportStar) else node.names


def _root(node: cst.BaseExpression) -> cst.Name:
    while isinstance(node, cst.Attribute):
        node = node.value
    assert isinstance(node, cst.Name)
    return node


def _alias_of(node: ImportNode, name: str) -> cst.ImportAlias | None:
    for alias in names_of(node):
        written = dotted(alias.name)
        if alias.asname is not None:
            if alias.evaluated_alias == name:
                return alias
        elif written == name:
            return alias
    return None
