"""`train_and_evaluate` and what belongs to it: exporters, early stopping, the best result.

Not public: the names are in `kestimator` and `kestimator.experimental`.
"""
