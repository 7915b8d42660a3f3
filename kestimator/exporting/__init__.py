"""What the front and the outputs of an exported model are.

Not public: the names are in `kestimator.export`.
"""
