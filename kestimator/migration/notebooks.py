"""Migrates the code cells of a notebook, as one program.

Synopsis::

    migration = migrate_notebook(text_of_the_ipynb_file)

Names that one cell imports are followed into the others. Cells in other languages (`%%bash`), line
magics and shell commands stay as they are; so do outputs, metadata and the layout of the file.
"""

from __future__ import annotations

import bisect
import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any

from kestimator import errors
from kestimator.migration.findings import Finding, Migration
from kestimator.migration.rewriting import CELL_MARK
from kestimator.migration.sources import migrate_source

# `%matplotlib inline`, `!pip install x`, `files = !ls`, `result = %timeit f()`, `f?`
_MAGIC = re.compile(r"^(\s*)(?:[%!?].*|[\w, ]+=\s*[%!].*|[\w.]+\?{1,2}\s*)$")
# Cell magics that run the Python below them.
_PYTHON_CELL = re.compile(r"^\s*%%(?:time|timeit|capture|prun)\b")
_MAGIC_MARK = "__kestimator_magic__"
_MARK_LINE = re.compile(rf"^(\s*)(?:# )?{_MAGIC_MARK}\((\d+)\)$")
_CELL_LINE = re.compile(rf"^{CELL_MARK}\((\d+)\)\n", re.MULTILINE)


@dataclasses.dataclass
class _Joined:
    """The cells of a notebook as one source."""

    text: str
    cells: list[int]  # the positions of the cells among all cells
    first_lines: list[int]  # the line in the text where each begins
    magics: list[str]

    def line_name(self, line: int) -> str:
        """The place of a line of the text in the notebook."""
        number = max(bisect.bisect_right(self.first_lines, line) - 1, 0)
        return f"cell {self.cells[number] + 1}, line {max(line - self.first_lines[number] + 1, 1)}"


def migrate_notebook(text: str, *, is_tf1: bool | None = None) -> Migration:
    """Migrates the text of an `.ipynb` file.

    Args:
        text: The text, which is JSON.
        is_tf1: As for `migrate_source`.

    Returns:
        The new text, and a report.

    Raises:
        errors.ProgramError: The text is no notebook, or its code is no Python 3.
    """
    notebook, cells = _read(text)
    joined = _join(cells)
    if not joined.cells:
        return Migration(text, text, (), ())
    try:
        migration = migrate_source(joined.text, is_tf1=is_tf1)
    except errors.ProgramError as error:
        raise errors.ProgramError(_with_cells(str(error), joined)) from error
    for position, source in _split(migration.after, joined).items():
        _put(cells[position], source)
    after = _written(notebook, text) if migration.is_changed else text
    decisions = [*migration.decisions, *_magic_decisions(joined)]
    return Migration(text, after, migration.changes, tuple(decisions), joined.line_name)


def _read(text: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    try:
        notebook = json.loads(text)
        cells = notebook["cells"]
        is_notebook = all(isinstance(cell.get("source", ""), str | list) for cell in cells)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise errors.ProgramError(
            f"No notebook of version 4 ({type(error).__name__}: {error}). Open it in Jupyter and "
            "save it again."
        ) from error
    if not is_notebook:
        raise errors.ProgramError("No notebook of version 4: a cell has no text.")
    return notebook, cells


def is_python(source: str) -> bool:
    """Whether a code cell is Python: it begins with no cell magic, or with one like `%%time`."""
    return not source.lstrip().startswith("%%") or _PYTHON_CELL.match(source) is not None


def cell_lines(source: str) -> Iterator[tuple[str, str | None]]:
    """Yields the lines of a cell, and of each that is no Python what to begin a stand-in with.

    That is the indentation, or a comment sign in the later lines of a shell command. It is None
    for a line of Python.
    """
    is_continued = False
    for line in source.split("\n"):
        match = _MAGIC.match(line)
        if is_continued:
            yield line, "# "
        else:
            yield line, None if match is None else match[1]
        is_continued = (is_continued or match is not None) and line.endswith("\\")


def _join(cells: list[dict[str, Any]]) -> _Joined:
    lines: list[str] = []
    joined = _Joined("", [], [], [])
    for position, cell in enumerate(cells):
        source = _source(cell)
        if cell.get("cell_type") != "code" or not is_python(source):
            continue
        lines.append(f"{CELL_MARK}({position})")
        joined.cells.append(position)
        joined.first_lines.append(len(lines) + 1)
        for line, beginning in cell_lines(source):
            if beginning is None:
                lines.append(line)
            else:
                lines.append(f"{beginning}{_MAGIC_MARK}({len(joined.magics)})")
                joined.magics.append(line)
    joined.text = "".join(f"{line}\n" for line in lines)
    return joined


def _split(text: str, joined: _Joined) -> dict[int, str]:
    """The sources of the cells, by their positions."""
    parts = _CELL_LINE.split(text)
    sources = {}
    for number, source in zip(parts[1::2], parts[2::2], strict=True):
        lines = source.removesuffix("\n").split("\n")
        sources[int(number)] = "\n".join(_unmarked(line, joined.magics) for line in lines)
    return sources


def _unmarked(line: str, magics: list[str]) -> str:
    match = _MARK_LINE.match(line)
    return line if match is None else magics[int(match[2])]


def _source(cell: dict[str, Any]) -> str:
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)


def _put(cell: dict[str, Any], source: str) -> None:
    if source == _source(cell):
        return
    cell["source"] = source if isinstance(cell["source"], str) else source.splitlines(keepends=True)


def _written(notebook: dict[str, Any], before: str) -> str:
    """The notebook as JSON, indented as before."""
    match = re.search(r"\n( +|\t+)", before)
    indent = match[1] if match else None
    ascii_only = before.isascii() and "\\u" in before
    text = json.dumps(notebook, indent=indent, ensure_ascii=ascii_only)
    return text + ("\n" if before.endswith("\n") else "")


def _with_cells(message: str, joined: _Joined) -> str:
    """A message about a line of the joined text, about the cell and its line."""
    return re.sub(r"line (\d+)", lambda match: joined.line_name(int(match[1])), message, count=1)


def _magic_decisions(joined: _Joined) -> list[Finding]:
    lines = joined.text.split("\n")
    return [
        Finding(number, f"a magic or a shell command stays: {joined.magics[int(match[2])].strip()}")
        for number, line in enumerate(lines, start=1)
        if (match := _MARK_LINE.match(line)) and "tf." in joined.magics[int(match[2])]
    ]
