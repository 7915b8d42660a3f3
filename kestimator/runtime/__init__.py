"""The implementation of the methods of `Estimator`: its programs and their runs.

Not public.
"""
