"""The variables of an estimator: the store, its views in programs, and what creates them."""
