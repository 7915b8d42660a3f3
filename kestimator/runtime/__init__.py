"""What an Estimator's methods do: its programs, and the runs over them.

Not public.
"""
