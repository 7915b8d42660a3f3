"""Modules that legacy programs import: their names are looked up when a program asks for them.

Synopsis::

    finder = Finder()
    sys.meta_path.insert(0, finder)
    importlib.import_module("tensorflow_estimator.python.estimator.canned.dnn").DNNClassifierV2
"""

from __future__ import annotations

import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Mapping, Sequence
from typing import Any

from kestimator import errors
from kestimator.legacy import missing_modules, names, usage


class ServedModule(types.ModuleType):
    """A module of the original, with the names that are here.

    Args:
        name: The name by which programs import it.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, f"The names of {name} that kestimator has.")
        self._table_name = names.table_name(name) or name

    @functools.cached_property
    def _targets(self) -> Mapping[str, str]:
        return names.targets(self._table_name)

    @property
    def __all__(self) -> list[str]:
        """The public names, for `from module import *`."""
        return sorted(name for name in self._names() if not name.startswith("_"))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        full_name = f"{self.__name__}.{name}"
        target = self._target(name)
        if target is not None:
            # TensorFlow itself asks for names of other packages, see the tables.
            if full_name.startswith("tensorflow"):
                usage.note(full_name, target)
            return _value(target, full_name)
        if serves(full_name):
            return importlib.import_module(full_name)
        raise errors.MissingNameError(_missing(self.__name__, name))

    def _target(self, name: str) -> str | None:
        if name in self._targets or "*" not in self._targets:
            return self._targets.get(name)
        library = self._targets["*"]
        has_name = hasattr(_imported(library, f"{self.__name__}.{name}"), name)
        return f"{library}:{name}" if has_name else None

    def _names(self) -> set[str]:
        listed = {*self._targets} - {"*"}
        if "*" in self._targets:
            library = _imported(self._targets["*"], self.__name__)
            listed |= {*getattr(library, "__all__", dir(library))}
        return listed

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._names()})


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
        if isinstance(sys.modules.get(package), _Module):
            if missing_modules.can_wait():
                usage.note(fullname, "")
                return _spec(fullname, self)
            # Without the name of the module: `from package import name` would replace the error.
            raise ModuleNotFoundError(_missing(package, name))
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """Returns the module."""
        if serves(spec.name):
            return ServedModule(spec.name)
        package, _, name = spec.name.rpartition(".")
        return missing_modules.MissingModule(spec.name, _missing(package, name))

    def exec_module(self, module: types.ModuleType) -> None:
        """Does nothing: names are looked up later."""


_Module = ServedModule | missing_modules.MissingModule


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
        if isinstance(module, _Module):
            del sys.modules[name]
            parent, _, child = name.rpartition(".")
            if vars(sys.modules.get(parent, module)).get(child) is module:
                delattr(sys.modules[parent], child)


def _value(target: str, full_name: str) -> Any:
    """Returns what a target leads to.

    Raises:
        errors.MissingNameError: It leads to a package that is not installed.
    """
    module, _, attribute = target.partition(":")
    return functools.reduce(getattr, attribute.split("."), _imported(module, full_name))


def _imported(module: str, full_name: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if (error.name or "").partition(".")[0] != package:
            raise
        raise errors.MissingNameError(
            f"{full_name} needs the package {package}, which is not installed. Run "
            "`pip install 'kestimator[legacy]'`, or use the layers of Keras 3."
        ) from error


def _missing(module: str, name: str) -> str:
    path = names.path_in_tables(f"{module}.{name}") or name
    instead = names.replacement(path) or names.replacement(name)
    if not instead:
        instead = (
            "tf.estimator 2.15 may have had it, and kestimator does not. "
            "docs/migrating.md says what replaces what."
        )
    return f"module {module!r} has no attribute {name!r}. {instead}"
