"""Heads of one task.

Not public: the names are in `kestimator.heads`.
"""
