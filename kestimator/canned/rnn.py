"""Recurrent networks over feature columns of sequences.

Synopsis::

    words = tf.feature_column.sequence_categorical_column_with_hash_bucket("words", 1000)
    columns = [tf.feature_column.embedding_column(words, 8)]
    estimator = kestimator.experimental.RNNClassifier(columns, units=32, cell_type="lstm")
    estimator.train(input_fn, steps=1000)

Features of sequences are sparse or ragged, `(batch, time)`. The layers are called
`rnn_model/<cell type>`, or `rnn_model/rnn` if they are made of cells, and `rnn_model/logits`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kestimator import errors, specs
from kestimator.adapters.feature_columns import column_features
from kestimator.adapters.optimizers import canned_optimizers
from kestimator.canned.parts import model_fns
from kestimator.canned.parts.recurrent import RecurrentPart
from kestimator.config import RunConfig
from kestimator.estimator import Estimator
from kestimator.heads import Head, SequentialHeadWrapper
from kestimator.validation import kinds

LEARNING_RATE, CLIPNORM = 0.05, 5.0


class RNNEstimator(Estimator):
    """A recurrent network with any head.

    Example:
        >>> import kestimator
        >>> estimator = kestimator.experimental.RNNEstimator(
        ...     kestimator.RegressionHead(),
        ...     [tf.feature_column.sequence_numeric_column("prices")],
        ...     units=[16, 8],
        ...     cell_type="gru",
        ... )

    Args:
        head: The head. It defines the loss, the predictions and the metrics.
        sequence_feature_columns: Columns of sequences: `sequence_numeric_column`s, embeddings and
            indicators of `sequence_categorical_column_with_…`.
        context_feature_columns: Dense columns, or Keras layers: the same at every step.
        units: The size of the recurrent layer, or a list of sizes of several.
        cell_type: "simple_rnn", "lstm", "gru", or a class of cells; None for "simple_rnn".
        rnn_cell_fn: In place of the two: a function that returns a cell, or a list of cells.
        return_sequences: Whether to have logits for every step, not only for the last one. The
            head then is a `SequentialHeadWrapper`.
        model_dir: The directory for checkpoints and events.
        optimizer: "Adagrad", "Adam", "Ftrl", "RMSProp" or "SGD", which have a rate of 0.05 and
            clip the norm of each gradient to 5; a Keras or TF1 optimizer; or a function that
            returns one, called when the graph exists.
        config: A `RunConfig`.

    Raises:
        errors.ArgumentError: An argument is invalid.
    """

    def __init__(
        self,
        head: Head,
        sequence_feature_columns: Any,
        context_feature_columns: Any = None,
        units: int | Sequence[int] | None = None,
        cell_type: Any = None,
        rnn_cell_fn: Callable[[], Any] | None = None,
        return_sequences: bool = False,
        model_dir: str | None = None,
        optimizer: Any = "Adagrad",
        config: RunConfig | None = None,
    ) -> None:
        _check_head(head, return_sequences)
        part = RecurrentPart.checked(
            sequence_feature_columns,
            context_feature_columns,
            units,
            cell_type,
            rnn_cell_fn,
            return_sequences,
        )
        super().__init__(_model_fn(head, part, optimizer), model_dir, config)


class RNNClassifier(RNNEstimator):
    """A recurrent classifier, of sequences or of their steps.

    Example:
        >>> import kestimator
        >>> words = tf.feature_column.sequence_categorical_column_with_hash_bucket("words", 1000)
        >>> columns = [tf.feature_column.embedding_column(words, 8)]
        >>> estimator = kestimator.experimental.RNNClassifier(columns, units=16, cell_type="lstm")

    Args:
        sequence_feature_columns: Columns of sequences: `sequence_numeric_column`s, embeddings and
            indicators of `sequence_categorical_column_with_…`.
        context_feature_columns: Dense columns, or Keras layers: the same at every step.
        units: The size of the recurrent layer, or a list of sizes of several.
        cell_type: "simple_rnn", "lstm", "gru", or a class of cells; None for "simple_rnn".
        rnn_cell_fn: In place of the two: a function that returns a cell, or a list of cells.
        return_sequences: Whether to classify every step, not the sequence. Labels are then
            (batch, time), and `weight_column` is a name.
        model_dir: The directory for checkpoints and events.
        n_classes: The number of classes, an integer >= 2.
        weight_column: The feature that weighs examples, or steps: its name or a numeric column.
        label_vocabulary: The names of the classes, if labels are strings. Otherwise labels are
            integers from 0 to n_classes - 1.
        optimizer: As for `RNNEstimator`.
        loss_reduction: How the losses of a batch are reduced: "sum_over_batch_size" or "sum".
        sequence_mask: With `return_sequences`, the feature that says which steps count, and what
            it is called among the predictions. Without such a feature the mask follows from the
            lengths of the sequences.
        config: A `RunConfig`.

    Raises:
        errors.ArgumentError: An argument is invalid.
    """

    def __init__(
        self,
        sequence_feature_columns: Any,
        context_feature_columns: Any = None,
        units: int | Sequence[int] | None = None,
        cell_type: Any = None,
        rnn_cell_fn: Callable[[], Any] | None = None,
        return_sequences: bool = False,
        model_dir: str | None = None,
        n_classes: int = 2,
        weight_column: Any = None,
        label_vocabulary: Sequence[str] | None = None,
        optimizer: Any = "Adagrad",
        loss_reduction: str = model_fns.SUM_OVER_BATCH_SIZE,
        sequence_mask: str = "sequence_mask",
        config: RunConfig | None = None,
    ) -> None:
        kinds.checked_text("sequence_mask", sequence_mask, "the name of a feature")
        head = model_fns.classification_head(
            n_classes, weight_column, label_vocabulary, loss_reduction
        )
        if kinds.checked_flag("return_sequences", return_sequences):
            head = SequentialHeadWrapper(head, sequence_mask, weight_column)
        super().__init__(
            head,
            sequence_feature_columns,
            context_feature_columns,
            units,
            cell_type,
            rnn_cell_fn,
            return_sequences,
            model_dir,
            optimizer,
            config,
        )


def _model_fn(
    head: Head, part: RecurrentPart, optimizer: Any
) -> Callable[..., specs.EstimatorSpec]:
    """Checks the arguments of an estimator, and makes its model_fn."""
    canned_optimizers.check("optimizer", optimizer)

    def model_fn(features: Any, labels: Any, mode: str) -> specs.EstimatorSpec:
        cached = column_features.Features(features)
        built, mask = part.build(cached, units=head.logits_dimension, mode=mode)
        if isinstance(head, SequentialHeadWrapper):
            features = {head.input_sequence_mask_key: mask, **features}
        training = model_fns.Training(built.variables, optimizer, LEARNING_RATE, clipnorm=CLIPNORM)
        return model_fns.spec(head, features, labels, mode, built.logits, [training])

    return model_fn


def _check_head(head: Any, return_sequences: bool) -> None:
    model_fns.check_head(head)
    is_sequential = isinstance(head, SequentialHeadWrapper)
    if kinds.checked_flag("return_sequences", return_sequences) != is_sequential:
        expected = "a SequentialHeadWrapper" if return_sequences else "a head for whole examples"
        raise errors.ArgumentError(
            errors.invalid_argument(
                "head",
                head,
                f"{expected}, because return_sequences={return_sequences}",
                "kestimator.experimental.SequentialHeadWrapper(head) applies a head to each step.",
            )
        )
