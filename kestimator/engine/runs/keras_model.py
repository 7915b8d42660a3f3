"""A program as a `keras.Model`: what callbacks see, with the steps of the program as its own.

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
    """The Keras face of a program.

    Its weights are the Keras variables that the program uses, and each step runs the program for
    one batch, on the estimator's variables. A step belongs to the mode that was traced.

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
        """Trains on a batch `(features, labels)`, and gives its loss."""
        return self._loss_of(data)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Counts a batch `(features, labels)` into the metrics, and gives its loss."""
        return self._loss_of(data)

    def predict_step(self, data: Any) -> Any:
        """The predictions for a batch, as the spec has them."""
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
