"""Which directories of exports are kept, for exporters of libraries.

Synopsis::

    keep = union(largest_export_versions(3), mod_export_version(10))
    for path in negation(keep)(paths_in(base, parser)):
        tf.io.gfile.rmtree(path.path)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import tensorflow as tf


class Path(NamedTuple):
    """A directory with its version; None if the version is not known."""

    path: str
    export_version: int | None


Filter: TypeAlias = Callable[[Sequence[Path]], list[Path]]


def paths_in(base_dir: str, parser: Callable[[Path], Path | None]) -> list[Path]:
    """Returns what is in a directory, sorted.

    Args:
        base_dir: The directory.
        parser: Returns a path with its version, or None to leave it out.
    """
    found = (
        parser(Path(os.path.join(base_dir, name.rstrip("/")), None))
        for name in tf.io.gfile.listdir(base_dir)
    )
    return sorted(path for path in found if path)


def largest_export_versions(n: int) -> Filter:
    """Returns a filter that keeps the `n` largest versions."""

    def keep(paths: Sequence[Path]) -> list[Path]:
        versions = [
            (path.export_version, path) for path in paths if path.export_version is not None
        ]
        return sorted(path for _, path in sorted(versions)[max(0, len(versions) - n) :])

    return keep


def one_of_every_n_export_versions(n: int) -> Filter:
    """Returns a filter that keeps the largest version of each interval 0 to n, n + 1 to 2n, ..."""

    def keep(paths: Sequence[Path]) -> list[Path]:
        largest: dict[int, Path] = {}
        for path in paths:
            version = path.export_version
            if version is None:
                continue
            interval = (version - 1) // n if version else 0
            kept = largest.get(interval)
            if kept is None or kept.export_version < version:  # type: ignore[operator]
                largest[interval] = path
        return sorted(largest.values())

    return keep


def mod_export_version(n: int) -> Filter:
    """Returns a filter that keeps the versions that `n` divides."""

    def keep(paths: Sequence[Path]) -> list[Path]:
        return sorted(
            path
            for path in paths
            if path.export_version is not None and path.export_version % n == 0
        )

    return keep


def union(first: Filter, second: Filter) -> Filter:
    """Returns a filter that keeps what one of two filters keeps."""
    return lambda paths: sorted({*first(paths), *second(paths)})


def negation(kept: Filter) -> Filter:
    """Returns a filter that keeps what another filter does not keep."""
    return lambda paths: sorted({*paths} - {*kept(paths)})
