"""Checks of arguments, signatures and tensors that several modules share.

Not public.
"""
