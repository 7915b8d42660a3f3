"""What a migration says of a file: what it changed, and what a person must decide."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Iterable


@dataclasses.dataclass(frozen=True)
class Finding:
    """A sentence about a line.

    Attributes:
        line: The number of the line in the source before the migration, from 1.
        text: What changed there, or what to decide.
    """

    line: int
    text: str


@dataclasses.dataclass(frozen=True)
class Migration:
    """A migrated source.

    Attributes:
        before: The source as it was.
        after: The source as it should be.
        changes: What differs.
        decisions: What was left for a person.
        line_name: Says where a line is: "line 3", or "cell 2, line 1" of a notebook.
    """

    before: str
    after: str
    changes: tuple[Finding, ...]
    decisions: tuple[Finding, ...]
    line_name: Callable[[int], str] = "line {}".format

    @property
    def is_changed(self) -> bool:
        """Whether the migration would write another source."""
        return self.before != self.after


@dataclasses.dataclass(frozen=True)
class MigratedFile:
    """A file and its migration.

    Attributes:
        path: The file.
        migration: The migration of its text, or None if there is an error.
        error: Why the file could not be migrated.
        encoding: How the text is encoded.
    """

    path: pathlib.Path
    migration: Migration | None = None
    error: str = ""
    encoding: str = "utf-8"


def grouped(findings: Iterable[Finding], line_name: Callable[[int], str]) -> list[str]:
    """A text for each different finding, after all its lines, in the order of the lines."""
    lines: dict[str, list[int]] = {}
    for finding in sorted(findings, key=lambda finding: finding.line):
        of_text = lines.setdefault(finding.text, [])
        if finding.line not in of_text:
            of_text.append(finding.line)
    return [f"{_places(numbers, line_name)}: {text}" for text, numbers in lines.items()]


def _places(lines: list[int], line_name: Callable[[int], str]) -> str:
    names = [line_name(line) for line in lines]
    prefix = "line "
    if len(names) > 1 and all(name.startswith(prefix) for name in names):
        return f"lines {', '.join(name.removeprefix(prefix) for name in names)}"
    return "; ".join(names)
