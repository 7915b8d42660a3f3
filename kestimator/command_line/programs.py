"""Programs as Python runs them: as `__main__`, with their arguments, path and tracebacks.

Synopsis::

    program = script("train.py", ["--steps", "100"])
    exit_code = run(program)
"""

from __future__ import annotations

import builtins
import dataclasses
import importlib
import importlib.machinery
import importlib.util
import json
import linecache
import os
import sys
import traceback
import types
from collections.abc import Sequence
from typing import Any

from kestimator import errors
from kestimator.migration import notebooks


@dataclasses.dataclass
class Program:
    """A program.

    Attributes:
        path: The file of its source, absolute as Python has it.
        folder: Where it imports its other modules from.
        arguments: `sys.argv` as it sees it.
        parts: Its source, and what tracebacks call it. Each cell of a notebook is a part.
        spec: The spec of its module, if it runs as a module.
        builtins: The module of builtins that it gets.
    """

    path: str
    folder: str
    arguments: list[str]
    parts: list[tuple[str, str]]
    spec: Any = None
    builtins: types.ModuleType = builtins


def script(path: str, arguments: Sequence[str]) -> Program:
    """Reads a script, a notebook, or the `__main__.py` of a folder.

    Raises:
        errors.ProgramError: It cannot be read.
    """
    main = os.path.join(path, "__main__.py")
    file_path = os.path.abspath(main if os.path.isfile(main) else path)
    try:
        with open(file_path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise errors.ProgramError(f"can't open file {path!r}: {error.strerror}") from None
    is_notebook = path.endswith(".ipynb")
    read = _cells if is_notebook else _module_source
    parts = read(file_path, content)
    # Python resolves links here, and nowhere else.
    folder = os.path.dirname(os.path.realpath(file_path))
    return Program(file_path, folder, [path, *arguments], parts)


def module(name: str, arguments: Sequence[str]) -> Program:
    """Finds a module, or the `__main__` of a package. Nothing of the program is imported yet.

    Raises:
        errors.ProgramError: There is none.
    """
    if sys.path[0] != os.getcwd():
        sys.path.insert(0, os.getcwd())
    spec = _spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = _spec(f"{name}.__main__")
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise errors.ProgramError(f"no module named {name!r}, or none with Python source")
    program = script(spec.origin, arguments)
    return dataclasses.replace(program, spec=spec, folder=os.getcwd())


def _spec(name: str) -> importlib.machinery.ModuleSpec | None:
    """Returns the spec of a module. Its packages are not imported: they may need legacy names."""
    spec, path = None, None
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        spec = importlib.machinery.PathFinder.find_spec(".".join(parts[:end]), path)
        if spec is None or end == len(parts):
            break
        if spec.submodule_search_locations is None:
            return None
        path = [*spec.submodule_search_locations]
    return spec


def run(program: Program) -> int:
    """Runs a program as `__main__`, and returns the exit code.

    `SystemExit` passes through, as `sys.exit` in a program has to end the process.
    """
    main = types.ModuleType("__main__")
    main.__dict__.update(
        __builtins__=program.builtins,
        __file__=program.path,
        __loader__=importlib.machinery.SourceFileLoader("__main__", program.path),
        __spec__=program.spec,
        __package__=program.spec.parent if program.spec is not None else None,
        __cached__=None,
    )
    sys.modules["__main__"] = main
    sys.argv[:] = program.arguments
    if program.spec is None:
        sys.path[0] = program.folder
    try:
        if program.spec is not None and program.spec.parent:
            importlib.import_module(program.spec.parent)
        for source, name in program.parts:
            exec(compile(source, name, "exec", dont_inherit=True), main.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        _show(error, program)
        if isinstance(error, KeyboardInterrupt):
            return 130
        return 1
    return 0


def _show(error: BaseException, program: Program) -> None:
    """Prints the traceback that Python would print: it begins in the program."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in (__file__,):
        trace = trace.tb_next
    sys.stdout.flush()
    if sys.excepthook is sys.__excepthook__:
        # Python's own hook reads lines from files only; those of a notebook are in no file.
        traceback.print_exception(type(error), error.with_traceback(trace), trace)
    else:
        sys.excepthook(type(error), error.with_traceback(trace), trace)
    if isinstance(error, SyntaxError) and _is_python_2(error):
        print(
            f"{program.path} is written in Python 2. Convert it first, for example with "
            "`futurize --stage1 -w` of the package `future`.",
            file=sys.stderr,
        )


def _is_python_2(error: SyntaxError) -> bool:
    text = str(error)
    return any(
        hint in text
        for hint in (
            "Missing parentheses in call to 'print'",
            "Missing parentheses in call to 'exec'",
            "multiple exception types must be parenthesized",
            "leading zeros in decimal integer literals",
        )
    )


def _module_source(path: str, content: bytes) -> list[tuple[str, str]]:
    try:
        return [(importlib.util.decode_source(content), path)]
    except (SyntaxError, UnicodeDecodeError) as error:
        raise errors.ProgramError(f"can't read {path!r} as Python source: {error}") from None


def _cells(path: str, content: bytes) -> list[tuple[str, str]]:
    try:
        cells = json.loads(content)["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError) as error:
        raise errors.ProgramError(f"{path!r} is no notebook: {error!r}") from None
    parts = []
    for number, source in enumerate(sources, 1):
        name = f"{path}[cell {number}]"
        if not notebooks.is_python(source):
            magic = source.split(maxsplit=1)[0]
            print(f"kestimator: {name} is left out: its {magic} is no Python.", file=sys.stderr)
            continue
        lines = [
            line if beginning is None else _without_magic(line, beginning)
            for line, beginning in notebooks.cell_lines(source)
        ]
        source = "\n".join(lines)
        # Tracebacks show lines of what is no file from here.
        linecache.cache[name] = (len(source), None, [f"{line}\n" for line in lines], name)
        parts.append((source, name))
    return parts


def _without_magic(line: str, beginning: str) -> str:
    """The Python in a line that is a magic or a shell command: what `%time` measures."""
    name, _, statement = line.strip().partition(" ")
    is_timed = name == "%time" and statement
    return f"{beginning}{statement}" if is_timed else f"{beginning}pass  # {line.lstrip()}"
