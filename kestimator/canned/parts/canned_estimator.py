"""The base of canned estimators: an Estimator that knows the parts of its model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras

from kestimator import specs
from kestimator.canned.parts import generations
from kestimator.config import RunConfig
from kestimator.engine.checkpoints import checkpoint_files
from kestimator.engine.tracing import execution_modes
from kestimator.estimator import Estimator
from kestimator.interop import to_keras


@dataclasses.dataclass(frozen=True)
class CannedModel:
    """A model: how the engine runs it, and what it is made of.

    Attributes:
        model_fn: The model_fn.
        blueprint: The head and the parts.
    """

    model_fn: Callable[..., specs.EstimatorSpec]
    blueprint: to_keras.Blueprint


class CannedEstimator(Estimator):
    """An Estimator over a canned model.

    Args:
        model: The model.
        model_dir: The directory for checkpoints and events.
        config: A `RunConfig`.
        warm_start_from: A checkpoint, a directory, a Keras file or `WarmStartSettings`.
    """

    _generation = generations.V2

    def __init__(
        self,
        model: CannedModel,
        model_dir: str | None,
        config: RunConfig | None,
        warm_start_from: Any = None,
    ) -> None:
        super().__init__(model.model_fn, model_dir, config, warm_start_from=warm_start_from)
        self._blueprint = model.blueprint
        # Its numbers are the same with tensors, and one program then serves all arrays of a shape.
        self._state.takes_constants = False

    def to_keras(
        self, checkpoint_path: str | None = None, *, inputs: Mapping[str, Any] | None = None
    ) -> keras.Model:
        """Makes a plain Keras model with the trained weights.

        It has only Keras' own layers, so it is saved and loaded without kestimator. It predicts
        what `predict` does, as a dict of the head's numbers: "logits", "probabilities" and so on
        (under "<head>/<key>" for a `MultiHead`). `warm_start_from` takes its files.

        Example:
            >>> import kestimator
            >>> import tensorflow as tf
            >>> columns = [tf.feature_column.numeric_column("age")]
            >>> estimator = kestimator.LinearRegressor(columns)
            >>> def input_fn():
            ...     return tf.data.Dataset.from_tensors(({"age": [[1.0]]}, [[2.0]]))
            >>> model = estimator.train(input_fn).to_keras()
            >>> sorted(model.output)
            ['predictions']

        Args:
            checkpoint_path: The checkpoint; by default the latest.
            inputs: Keras inputs by feature name, for features with several values of an example
                (`keras.Input([3], name="visited", dtype="int64")`, padded with -1 or "") or of
                another dtype. By default a feature has one value, or what a numeric column says.

        Returns:
            A functional model from a dict of features, (batch, 1) or (batch,), to a dict of
            predictions, (batch, n).

        Raises:
            errors.ArgumentError: A column, an activation function or the head has no equal in
                Keras; the message names it, and says what to do.
            errors.CheckpointNotFoundError: There is no checkpoint.
        """
        path = self._checkpoint(checkpoint_path) or self._trained()
        # A hook or an exporter may call this while the graph of training is the default one.
        with execution_modes.outside():
            return to_keras.build(
                self._blueprint, lambda name: checkpoint_files.value(path, name), inputs
            )
