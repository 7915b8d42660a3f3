"""Modules that legacy programs import: their names are looked up when a program asks for them.

Synopsis::

    finder = Finder()
    sys.meta_path.insert(0, finder)
    importlib.import_module("tensorflow_estimator.python.estimator.canned.dnn").DNNClassifierV2
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Sequence
from typing import Any

from kestimator import errors
from kestimator.legacy import keras2_modules, names, usage


class ServedModule(types.ModuleType):
    """A module of the original, with the names that are here.

    Args:
        name: The name by which programs import it.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, f"The names of {name} that kestimator has.")
        self._table_name = names.table_name(name) or name

    @property
    def __all__(self) -> list[str]:
        """The public names, for `from module import *`."""
        return sorted(name for name in names.targets(self._table_name) if not name.startswith("_"))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        targets = names.targets(self._table_name)
        if name in targets:
            usage.note(f"{self.__name__}.{name}", targets[name])
            module, _, attribute = targets[name].partition(":")
            return getattr(importlib.import_module(module), attribute)
        if self._table_name in keras2_modules.PATHS:
            usage.note(f"{self.__name__}.{name}", f"tf_keras:{name}")
            return keras2_modules.name_in(self._table_name, name)
        if serves(f"{self.__name__}.{name}"):
            return importlib.import_module(f"{self.__name__}.{name}")
        raise errors.MissingNameError(_missing(self.__name__, name))

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *names.targets(self._table_name)})


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of the original, before the folders of Python's path are searched."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Returns the spec of a module of the original, or None for all others.

        Raises:
            ModuleNotFoundError: The original had such a module, and here is none.
        """
        del path, target
        if serves(fullname):
            return _spec(fullname, self)
        package, _, name = fullname.rpartition(".")
        if serves(package):
            # Without the name of the module: `from package import name` would replace the error.
            raise ModuleNotFoundError(_missing(package, name))
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """Returns the module."""
        return ServedModule(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Does nothing: names are looked up later."""


def _spec(name: str, loader: Finder) -> importlib.machinery.ModuleSpec:
    return importlib.machinery.ModuleSpec(name, loader, origin="kestimator", is_package=True)


def module(name: str) -> types.ModuleType:
    """Returns a module of the original: as an import does, but without its packages."""
    if name not in sys.modules:
        sys.modules[name] = importlib.util.module_from_spec(_spec(name, Finder()))
    return sys.modules[name]


def serves(module: str) -> bool:
    """Whether a module is one of the original that is served."""
    return names.table_name(module) is not None


def forget() -> None:
    """Removes all served modules from those that are imported."""
    for name, module in list(sys.modules.items()):
        if isinstance(module, ServedModule):
            del sys.modules[name]
            parent, _, child = name.rpartition(".")
            if vars(sys.modules.get(parent, module)).get(child) is module:
                delattr(sys.modules[parent], child)


def _missing(module: str, name: str) -> str:
    instead = names.replacement(name)
    if not instead:
        instead = (
            "tf.estimator 2.15 may have had it, and kestimator does not. "
            "docs/migrating.md says what replaces what."
        )
    return f"module {module!r} has no attribute {name!r}. {instead}"
