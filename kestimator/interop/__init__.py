"""Ways in and out: Keras models, SavedModels.

Not public: the names are in `kestimator`.
"""
