r"""Paths of checkpoints that TensorFlow reads as they are written.

Synopsis::

    literal("/runs/lr[0.1]/model.ckpt-7")     # /tmp/…/0/model.ckpt-7, by a link to the folder

TensorFlow's reader and its op `RestoreV2` look for the files of a checkpoint by a pattern, in which
`[`, `*`, `?` and `\` have a meaning. They cannot be escaped: what the pattern finds is opened under
the same text.
"""

from __future__ import annotations

import functools
import os
import re
import tempfile

_PATTERN = re.compile(r"[\[\]*?\\]")


def literal(path: str) -> str:
    """Returns a path to the same local checkpoint without characters of patterns.

    Args:
        path: The prefix of a checkpoint.

    Returns:
        The path itself if it has no such characters; otherwise, a path by a symbolic link that
        exists as long as the process does.
    """
    if not _PATTERN.search(path):
        return path
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(_link(folder), name)


@functools.cache
def _links() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="kestimator")


@functools.cache
def _link(folder: str) -> str:
    # Readers open the data later, so the link stays.
    link = os.path.join(_links().name, str(len(os.listdir(_links().name))))
    os.symlink(folder, link, target_is_directory=True)
    return link
