"""The parts of heads: losses, metrics, classes, weights.

Not public.
"""
