"""What programs of TF 1 use of `tf.contrib`, where TF 2 or `tf_slim` can still do it.

Synopsis::

    install()          # with all that `kestimator.install` puts in place
    importlib.import_module("tensorflow.contrib.slim").conv2d

`tables` says which name is which one here, and `replacements` what replaces those that are not.
The other modules have what differs from its counterpart of today, each for a module of
`tf.contrib`. Layers and optimizers come from `tf_slim`.
"""

from __future__ import annotations

from kestimator.engine.tf_internals import tf_moved_names
from kestimator.legacy import installation
from kestimator.legacy.contrib import tables


def install() -> None:
    """Puts `tf.contrib` in place, until `kestimator.uninstall`. A second call changes nothing."""
    installation.extend(tables.TABLES, "contrib", tf_moved_names.for_tf_slim())


__all__ = ["install"]
