"""Imports TensorFlow without its notes about the CPU and about missing GPUs.

Import this before anything that imports TensorFlow. It is for programs that people watch; where
something goes wrong in the import, all that was held back is shown.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")


@contextlib.contextmanager
def stderr_held_back() -> Iterator[None]:
    """Keeps what C++ code writes to the standard error stream, and shows it after an exception.

    TensorFlow writes some of its notes before it looks at `TF_CPP_MIN_LOG_LEVEL`, so the stream
    itself has to be turned aside.
    """
    stream = 2
    sys.stderr.flush()
    kept = os.dup(stream)
    with tempfile.TemporaryFile("w+", errors="replace") as held:
        os.dup2(held.fileno(), stream)
        try:
            yield
        except BaseException:
            os.dup2(kept, stream)
            held.seek(0)
            shutil.copyfileobj(held, sys.stderr)
            raise
        finally:
            os.dup2(kept, stream)
            os.close(kept)


with stderr_held_back():
    import tensorflow  # noqa: F401
