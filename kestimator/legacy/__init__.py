"""The names that programs written for tf.estimator import, where they look for them.

Synopsis::

    install()                     # `tf.estimator` and its relatives are there
    uninstall()                   # and gone again

`names` says which name of the original is which one here, and what replaces those that are not.
`served_modules` makes modules of that, `installation` puts them in place. What libraries reach for
below the public API is in `library_functions`, `export_versions` and `v1_heads`.
"""

from __future__ import annotations

from kestimator.legacy.installation import install, uninstall

__all__ = ["install", "uninstall"]
