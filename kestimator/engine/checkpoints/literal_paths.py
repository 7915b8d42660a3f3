r"""Paths of checkpoints that TensorFlow reads as they are written.

Synopsis::

    literal("/runs/lr[0.1]/model.ckpt-7")     # /tmp/…/link/model.ckpt-7

TensorFlow's reader and its op `RestoreV2` look for the files of a checkpoint by a pattern, in which
`[`, `*`, `?` and `\` have a meaning. They cannot be escaped: what the pattern finds is opened under
the same text.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading

_PATTERN = re.compile(r"[\[\]*?\\]")
_lock = threading.Lock()
_links: dict[str, tempfile.TemporaryDirectory[str]] = {}
"""By folder, the temporary directory with a link to it. Readers open the data later: it stays."""


def literal(path: str) -> str:
    """Returns a path to the same local checkpoint without characters of patterns.

    Args:
        path: The prefix of a checkpoint.

    Returns:
        The path itself if it has no such characters, or is not in the local file system.
        Otherwise, a path by a symbolic link that exists as long as the process does.
    """
    if not _PATTERN.search(path) or "://" in path:
        return path
    folder, name = os.path.split(os.path.abspath(path))
    with _lock:
        if folder not in _links:
            _links[folder] = tempfile.TemporaryDirectory(prefix="kestimator")
            os.symlink(folder, os.path.join(_links[folder].name, "link"), target_is_directory=True)
        return os.path.join(_links[folder].name, "link", name)
