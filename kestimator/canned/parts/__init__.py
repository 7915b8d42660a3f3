"""The parts of canned estimators: networks, linear models, their model_fns.

Not public.
"""
