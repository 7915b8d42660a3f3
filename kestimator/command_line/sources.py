"""What the source of a program says: whether it needs TF 1.

Synopsis::

    reason = needs_tf1(program)     # "train.py uses tf.placeholder (line 12)", or None
"""

from __future__ import annotations

import ast
import itertools
import os
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from kestimator.command_line import programs

_OWN = ("estimator", "keras")  # in place in TF 1 and TF 2


def needs_tf1(program: programs.Program) -> str | None:
    """Returns why a program needs TF 1, or None if nothing says so.

    It does if it, or a module of its folder that it imports, uses a name that TF 1 has and TF 2
    has not, under a name that `import tensorflow` binds.
    """
    waiting = [(source, program.path) for source, _ in program.parts]
    if program.spec is not None:  # Python imports its packages first.
        waiting.append((f"import {program.spec.name}", program.path))
    seen = {os.path.abspath(program.path)}
    while waiting:
        source, path = waiting.pop(0)
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            continue
        for chain, line in sorted(_names_of_tensorflow(tree), key=lambda name: name[1]):
            if _is_gone(chain):
                return f"{path} uses tf.{'.'.join(chain)} (line {line})"
        for other in _files(tree, program.folder, os.path.dirname(os.path.abspath(path))):
            if other not in seen:
                seen.add(other)
                with open(other, "rb") as file:
                    waiting.append((file.read().decode("utf-8", "replace"), other))
    return None


def _names_of_tensorflow(tree: ast.AST) -> Iterator[tuple[list[str], int]]:
    """Yields what a module takes from TensorFlow: names below it, and lines."""
    aliases = set()
    for node, name, alias in _imports(tree):
        package, *below = name.split(".")
        if package != "tensorflow":
            continue
        if isinstance(node, ast.Import) and (not below or alias is None):
            aliases.add(alias or "tensorflow")
        if below:
            yield below, node.lineno
    for node in ast.walk(tree):
        chain: list[str] = []
        inner: Any = node
        while isinstance(inner, ast.Attribute):
            chain.insert(0, inner.attr)
            inner = inner.value
        if chain and isinstance(inner, ast.Name) and inner.id in aliases:
            yield chain, inner.lineno


def _imports(tree: ast.AST) -> Iterator[tuple[Any, str, str | None]]:
    """Yields each import: its node, the dotted name and what it is called; `.x` if relative."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name, alias.asname) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." if node.level else ""
            base += f"{node.module}." if node.module else ""
            yield from ((node, f"{base}{alias.name}", alias.asname) for alias in node.names)


def _is_gone(chain: list[str]) -> bool:
    """Whether TF 1 has a name that TF 2 has not."""
    if chain[0] in _OWN:
        return False
    return chain[0] == "contrib" or (not _has(tf, chain) and _has(tf.compat.v1, chain))


def _has(module: Any, chain: list[str]) -> bool:
    if chain[0] == "layers":  # a module of TF 1, which only Keras 2 fills
        return module is tf.compat.v1
    for name in chain:
        try:
            module = getattr(module, name)
        except (AttributeError, ImportError):
            return False
    return True


def _files(tree: ast.AST, *folders: str) -> Iterator[str]:
    """Yields the files in a program's folders that a module imports."""
    for _, name, _ in _imports(tree):
        parts = name.strip(".").split(".")
        # All packages before a module are imported. The last part may be a name in a module.
        for folder, end in itertools.product(folders, range(1, len(parts) + 1)):
            path = os.path.join(folder, *parts[:end])
            for candidate in (f"{path}.py", os.path.join(path, "__init__.py")):
                if os.path.isfile(candidate):
                    yield os.path.abspath(candidate)
