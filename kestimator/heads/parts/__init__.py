"""What heads are made of: losses, metrics, classes, weights.

Not public.
"""
