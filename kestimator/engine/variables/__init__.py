"""The variables of an estimator: the store, the views in programs, and the variable creators."""
