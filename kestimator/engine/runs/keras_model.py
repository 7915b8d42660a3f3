"""A program as a `keras.Model`, for Keras callbacks.

Synopsis::

    keras_model = ProgramModel(model)
    keras_model.train_step((features, labels))      # one step of the train op
    keras_model.predict_step(features)
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from kestimator.engine.programs import model_program
from kestimator.engine.programs import program as _program
from kestimator.engine.runs import batches


class ProgramModel(keras.Model):
    """A Keras model whose steps run a program.

    Its weights are the Keras variables that the program uses. Each step runs the program for one
    batch, on the variables of the estimator, in the mode that was traced.

    Args:
        model: The program.
    """

    def __init__(self, model: model_program.ModelProgram) -> None:
        super().__init__(name=f"estimator_{model.mode}")
        self._program_model = model
        self._program_variables = tuple(model.keras_variables)
        if model.keras_optimizer is not None:
            self.optimizer = model.keras_optimizer
        self.stop_training = False
        self.built = True

    @property
    def weights(self) -> list[keras.Variable]:
        """The Keras variables of the program."""
        return list(self._program_variables)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Trains on a batch `(features, labels)` and returns its loss."""
        return self._loss_of(data)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Updates the metrics with a batch `(features, labels)` and returns its loss."""
        return self._loss_of(data)

    def predict_step(self, data: Any) -> Any:
        """Returns the predictions for a batch, in the structure of the spec."""
        predictions = self._program_model.spec.predictions
        flat = self._step(data, tf.nest.flatten(predictions))
        return tf.nest.pack_sequence_as(predictions, flat)

    def _loss_of(self, data: Any) -> dict[str, tf.Tensor]:
        return {"loss": self._step(data, [self._program_model.spec.loss])[0]}

    def _step(self, data: Any, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        program = self._program_model.program
        function = program.function(tensors, self._program_model.operations)
        flat = _program.flatten(batches.features_and_labels(data))
        by_input = dict(zip(map(id, program.inputs), flat, strict=False))
        return function(*(by_input[id(tensor)] for tensor in function.inputs))
