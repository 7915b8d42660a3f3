"""Optimizers of TF1, Keras 2 and Keras 3, and the updates that canned estimators use."""
