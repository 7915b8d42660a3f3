"""The inputs (receivers) and the outputs of an exported model.

Not public: the names are in `kestimator.export`.
"""
