"""What canned estimators are made of: networks, linear models, their model_fns.

Not public.
"""
