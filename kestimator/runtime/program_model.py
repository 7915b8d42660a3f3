"""A program as a `keras.Model`, for Keras callbacks.

Synopsis::

    keras_model = ProgramModel(state, model, export)
    keras_model.train_step((features, labels))      # one step of the train op
    keras_model.get_weights()
    keras_model.save("trained.keras")
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from kestimator.engine.checkpoints import keras_writing
from kestimator.engine.programs import model_program
from kestimator.engine.programs import program as _program
from kestimator.engine.runs import elements
from kestimator.engine.saved_models import servable_graph
from kestimator.engine.variables import variable_store
from kestimator.runtime import runs
from kestimator.runtime.state import EstimatorState


class ProgramModel(keras.Model):
    """A Keras model whose steps run a program, on the variables of the estimator.

    Its weights are the variables of the model: those of Keras, and `tf.Variable`s where the
    model_fn made them. The global step and the state of optimizers are not among them.

    Args:
        state: The state of the estimator.
        model: The program. Its mode is that of the steps.
        export: Writes a Keras file, given its path and a checkpoint.
    """

    def __init__(
        self,
        state: EstimatorState,
        model: model_program.ModelProgram,
        export: Callable[[str, str], Any],
    ) -> None:
        super().__init__(name=f"estimator_{model.mode}")
        self._estimator_state = state
        self._program_model = model
        self._export_file = export
        self.optimizer = model.keras_optimizer
        self.stop_training = False
        self.built = True

    @property
    def source(self) -> keras.Model | None:
        """The Keras model that the model_fn names in its EstimatorSpec, if any."""
        model: keras.Model | None = self._program_model.spec.keras_model
        return model

    @property
    def layers(self) -> list[keras.Layer]:
        """The layers of the Keras model that the model_fn names; none for other models."""
        return [] if self.source is None else list(self.source.layers)

    @property
    def weights(self) -> list[Any]:
        """The variables of the model."""
        return [_of_model(slot) for slot in self._slots()]

    @property
    def variables(self) -> list[Any]:
        """The same as `weights`."""
        return self.weights

    @property
    def trainable_weights(self) -> list[Any]:
        """The variables that training changes."""
        # Not by their `trainable`, as Keras does: only a program's view of a TF1 variable has it.
        names = self._trainable_names()
        return [_of_model(slot) for slot in self._slots() if slot.name in names]

    @property
    def non_trainable_weights(self) -> list[Any]:
        """The other variables, such as moving averages."""
        names = self._trainable_names()
        return [_of_model(slot) for slot in self._slots() if slot.name not in names]

    @property
    def trainable_variables(self) -> list[Any]:
        """The same as `trainable_weights`."""
        return self.trainable_weights

    @property
    def non_trainable_variables(self) -> list[Any]:
        """The same as `non_trainable_weights`."""
        return self.non_trainable_weights

    def get_weights(self) -> list[Any]:
        """Returns the values of the variables, as arrays."""
        with self._estimator_state.tracker.lock, _program.eager_mode():
            return [weight.numpy() for weight in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Sets the variables; `weights` are arrays like those of `get_weights`."""
        with self._estimator_state.tracker.lock, _program.eager_mode():
            super().set_weights(weights)

    def save(self, filepath: Any, overwrite: bool = True, **_: Any) -> None:
        """Writes a `.keras` file, as `Estimator.export_keras` does, with the current values."""
        self._save(filepath, overwrite)

    def save_weights(self, filepath: Any, overwrite: bool = True, **_: Any) -> None:
        """Writes a `.weights.h5` file, as `Estimator.export_keras` does, with current values."""
        self._save(filepath, overwrite)

    def check_that_it_can_be_saved(self) -> None:
        """Writes the model to a temporary file, once for a program.

        Raises:
            errors.ArgumentError: There is no Keras model to write, or Keras cannot write it.
        """

        def check() -> bool:
            with tempfile.TemporaryDirectory() as directory:
                self.save(os.path.join(directory, "model.keras"))
            return True

        self._program_model.made_once("can be saved", check)

    def _save(self, filepath: Any, overwrite: bool) -> None:
        path = os.fspath(filepath)
        if not overwrite and os.path.exists(path):
            raise FileExistsError(f"The file {path!r} exists, and `overwrite` is False.")
        state, model = self._estimator_state, self._program_model
        session = runs.session_over(state, model, servable_graph.NoBatches())
        with tempfile.TemporaryDirectory() as directory, state.tracker.lock:
            with model.graph.as_default():
                # A copy of the saver: the real one would delete an older checkpoint of its own.
                saver_def = model.scaffold.saver.as_saver_def()
                saver = tf.compat.v1.train.Saver(saver_def=saver_def)
                checkpoint = os.path.join(directory, "model.ckpt")
                saver.save(session, checkpoint, write_meta_graph=False, write_state=False)
            self._export_file(path, checkpoint)

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

    def _trainable_names(self) -> set[str]:
        graph = self._program_model.graph
        views = graph.get_collection(tf.compat.v1.GraphKeys.TRAINABLE_VARIABLES)
        return {model_program.name(view) for view in views}

    def _slots(self) -> list[variable_store.Slot]:
        store, graph = self._estimator_state.store, self._program_model.graph
        views = graph.get_collection(tf.compat.v1.GraphKeys.GLOBAL_VARIABLES)
        names = keras_writing.weight_names([model_program.name(view) for view in views])
        return [store[name] for name in names if name in store]

    def _loss_of(self, data: Any) -> dict[str, tf.Tensor]:
        return {"loss": self._step(data, [self._program_model.spec.loss])[0]}

    def _step(self, data: Any, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        program = self._program_model.program
        function = program.function(tensors, self._program_model.operations)
        flat = _program.flatten(elements.features_and_labels(data))
        by_input = dict(zip(map(id, program.inputs), flat, strict=False))
        return function(*(by_input[id(tensor)] for tensor in function.inputs))


def _of_model(slot: variable_store.Slot) -> keras.Variable | tf.Variable:
    return slot.variable if slot.keras_variable is None else slot.keras_variable
