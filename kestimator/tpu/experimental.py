"""The names of `tf.compat.v1.estimator.tpu.experimental`."""

from __future__ import annotations

from typing import Any

from kestimator import errors

__all__ = ["EmbeddingConfigSpec"]

NO_EMBEDDINGS = (
    "TPU embeddings live in the memory of a TPU, and kestimator runs without one. Make the tables "
    "with tf.compat.v1.get_variable and tf.nn.embedding_lookup, tf.feature_column.embedding_column "
    "or keras.layers.Embedding in the model_fn, and leave out `embedding_config_spec`."
)


class EmbeddingConfigSpec:
    """The tables of TPU embeddings. It only exists to say what to use instead.

    Args:
        feature_columns: The columns of the tables.
        optimization_parameters: The optimizer of the tables.
        clipping_limit: The limit of the gradients.
        pipeline_execution_with_tensor_core: Whether lookups run beside the model.
        experimental_gradient_multiplier_fn: The factor of the gradients.
        feature_to_config_dict: The features of the tables.
        table_to_config_dict: The tables.
        partition_strategy: How the tables are split.
        profile_data_directory: The directory of learned statistics.

    Raises:
        ArgumentError: Always.
    """

    def __init__(
        self,
        feature_columns: Any = None,
        optimization_parameters: Any = None,
        clipping_limit: Any = None,
        pipeline_execution_with_tensor_core: bool = False,
        experimental_gradient_multiplier_fn: Any = None,
        feature_to_config_dict: Any = None,
        table_to_config_dict: Any = None,
        partition_strategy: str = "div",
        profile_data_directory: str | None = None,
    ) -> None:
        raise errors.ArgumentError(f"EmbeddingConfigSpec cannot be used. {NO_EMBEDDINGS}")
