"""Lets `import tensorflow` mean TF 1 in the modules of one program, and nowhere else.

Synopsis::

    turn_on(program)
    programs.run(program)

Keras and other libraries of the process go on importing TF 2. Python looks up `__import__` in the
builtins of the module that imports, so the modules of the program get builtins of their own.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.abc
import importlib.machinery
import os
import sys
import sysconfig
import types
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kestimator.command_line import programs
from kestimator.legacy import served_modules

_v1 = tf.compat.v1
_SAME_MODULES = ("compat", "contrib", "core", "python")  # in TF 1 and TF 2


def turn_on(program: programs.Program) -> None:
    """Turns off what TF 2 changed, and gives TF 1 to the modules of a program."""
    _v1.disable_v2_behavior()
    _v1.compat.v1 = _v1  # for `import tensorflow.compat.v1 as tf`, which looks there
    program.builtins = _builtins()
    sys.meta_path.insert(0, _ProgramFinder(program.folder, program.builtins))


def _builtins() -> types.ModuleType:
    """Returns a copy of Python's builtins, whose `__import__` knows TF 1."""
    copied = types.ModuleType("builtins")
    copied.__dict__.update(vars(builtins))

    def import_tf1(
        name: str, importer: Any = None, names: Any = None, fromlist: Any = (), level: int = 0
    ) -> Any:
        if name == "tensorflow" and level == 0:
            return _v1
        below_tf1 = _module_of_tf1(name) if level == 0 else None
        if below_tf1 is not None:
            if fromlist:
                _import_missing(below_tf1, fromlist)
            return below_tf1 if fromlist else _v1
        module = builtins.__import__(name, importer, names, fromlist, level)
        if module is not tf:
            return module
        _, _, below = name.partition(".")
        package = below.partition(".")[0]
        if package and not hasattr(_v1, package):  # such as `tensorflow.python`
            setattr(_v1, package, sys.modules[f"tensorflow.{package}"])
        return _v1

    copied.__dict__["__import__"] = import_tf1
    return copied


def _module_of_tf1(name: str) -> types.ModuleType | None:
    """Returns what a name such as `tensorflow.keras.layers` is in TF 1; None for other modules.

    The module that Python would import has the names of TF 2, with other meanings.
    """
    package, *below = name.split(".")
    if package != "tensorflow" or below[0] in _SAME_MODULES:
        return None
    module: Any = _v1
    for part in below:
        module = getattr(module, part, None)
    return module if isinstance(module, types.ModuleType) else None


def _import_missing(module: types.ModuleType, attributes: Sequence[str]) -> None:
    """Lets the names that kestimator serves say what replaces those that are not here."""
    if isinstance(module, served_modules.ServedModule):
        for attribute in attributes:
            if attribute != "*" and not hasattr(module, attribute):
                importlib.import_module(f"{module.__name__}.{attribute}")


class _ProgramFinder(importlib.abc.MetaPathFinder):
    """Finds the modules of the program: those that lie in no folder of Python's libraries."""

    def __init__(self, folder: str, own_builtins: types.ModuleType) -> None:
        self._folder = folder
        self._builtins = own_builtins

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or not isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            return None
        if not is_of_program(spec.origin or "", self._folder):
            return None
        spec.loader = _Loader(spec.loader.name, spec.loader.path, self._builtins)
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, fullname: str, path: str, own_builtins: types.ModuleType) -> None:
        super().__init__(fullname, path)
        self._builtins = own_builtins

    def exec_module(self, module: types.ModuleType) -> None:
        module.__dict__["__builtins__"] = self._builtins
        super().exec_module(module)


def is_of_program(path: str, folder: str) -> bool:
    """Whether a module lies in the folder of a program, and in none of Python's libraries."""
    path = os.path.realpath(path)
    libraries = {os.path.realpath(sysconfig.get_path(name)) for name in ("purelib", "platlib")}
    libraries.add(os.path.realpath(sysconfig.get_path("stdlib")))
    if any(os.path.commonpath([path, library]) == library for library in libraries):
        return False
    folder = os.path.realpath(folder)
    return os.path.commonpath([path, folder]) == folder
