"""Which names of `tf.contrib` are here, and which ones they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kestimator.legacy import keras2_modules
from kestimator.legacy.contrib.replacements import REPLACEMENTS
from kestimator.legacy.names import Tables, targets_in

_HERE: Final = "kestimator.legacy.contrib"
_MOVED: Final = "kestimator.engine.tf_internals.tf_moved_names"
_EXPERIMENTAL_DATA: Final = """Counter CsvDataset Optional RandomDataset Reducer SqlDataset
    TFRecordWriter bucket_by_sequence_length choose_from_datasets copy_to_device
    dense_to_sparse_batch enumerate_dataset get_next_as_optional get_single_element
    group_by_reducer group_by_window ignore_errors make_batched_features_dataset make_csv_dataset
    make_saveable_from_iterator map_and_batch parallel_interleave parse_example_dataset
    prefetch_to_device rejection_resample sample_from_datasets scan shuffle_and_repeat unbatch
    unique AUTOTUNE"""
_SLIM: Final = "evaluation learning losses metrics nets queues summaries"
_NETS: Final = """alexnet inception inception_v1 inception_v2 inception_v3 overfeat resnet_utils
    resnet_v1 resnet_v2 vgg"""


def _below(path: str, names: str) -> dict[str, str]:
    """The targets of names that TensorFlow has in the module `path` of its own."""
    return targets_in("tensorflow", " ".join(f"{name}={path}.{name}" for name in names.split()))


def _of_tensorflow(module: str, names: str) -> dict[str, str]:
    """The targets of names in a module of TensorFlow that is not public."""
    pairs = (name.partition("=") for name in names.split())
    return {old: f"{_MOVED}:{module}.{new or old}" for old, _, new in pairs}


_CLUSTER_RESOLVER = _below(
    "distribute.cluster_resolver",
    """ClusterResolver GCEClusterResolver KubernetesClusterResolver SimpleClusterResolver
    SlurmClusterResolver TFConfigClusterResolver TPUClusterResolver""",
) | targets_in("tensorflow", "UnionClusterResolver=distribute.cluster_resolver.UnionResolver")

_DATA = (
    _below("compat.v1.data.experimental", _EXPERIMENTAL_DATA)
    | _below(
        "compat.v1.data",
        "Dataset FixedLengthRecordDataset Iterator TFRecordDataset TextLineDataset",
    )
    | targets_in(
        f"{_HERE}.data",
        "batch_and_drop_remainder padded_batch_and_drop_remainder sloppy_interleave",
    )
)

_DISTRIBUTE = _below(
    "compat.v1.distribute",
    """CrossDeviceOps OneDeviceStrategy ReplicaContext get_loss_reduction get_replica_context
    get_strategy has_strategy in_cross_replica_context""",
) | targets_in(
    f"{_HERE}.distribute",
    "CollectiveAllReduceStrategy=multi_worker_strategy MirroredStrategy=mirrored_strategy",
)

_ESTIMATOR = (
    targets_in(
        f"{_HERE}.estimator",
        """RNNClassifier=rnn_classifier RNNEstimator=rnn_estimator binary_classification_head
        export_all_saved_models export_saved_model_for_mode logistic_regression_head
        multi_class_head multi_head multi_label_head poisson_regression_head regression_head""",
    )
    | targets_in(
        "kestimator",
        "SavedModelEstimator add_metrics forward_features",
    )
    | targets_in(
        "kestimator.v1",
        "BaselineEstimator DNNEstimator DNNLinearCombinedEstimator LinearEstimator",
    )
    | targets_in(
        "kestimator.experimental",
        """InMemoryEvaluatorHook build_raw_supervised_input_receiver_fn call_logit_fn
        dnn_logit_fn_builder linear_logit_fn_builder make_early_stopping_hook
        make_stop_at_checkpoint_step_hook stop_if_higher_hook stop_if_lower_hook
        stop_if_no_decrease_hook stop_if_no_increase_hook""",
    )
    | targets_in("kestimator.legacy.library_functions", "read_eval_metrics")
)

_FRAMEWORK = (
    targets_in(
        "tf_slim.ops.variables",
        """VariableDeviceChooser add_model_variable assign_from_checkpoint
        assign_from_checkpoint_fn assign_from_values assign_from_values_fn filter_variables
        get_local_variables get_model_variables get_trainable_variables get_unique_variable
        get_variable_full_name get_variables get_variables_by_name get_variables_by_suffix
        get_variables_to_restore global_variable local_variable model_variable variable""",
    )
    | targets_in(
        "tf_slim.ops.arg_scope",
        "add_arg_scope arg_scope arg_scoped_arguments current_arg_scope has_arg_scope",
    )
    | targets_in("tf_slim.ops.framework_ops", "get_graph_from_inputs get_name_scope")
    | targets_in(f"{_HERE}.framework", "assert_or_get_global_step is_tensor smart_cond")
    | targets_in(
        "tensorflow",
        """TensorSpec argsort py_func=compat.v1.py_func
        smart_constant_value=get_static_value sort zero_initializer=compat.v1.zeros_initializer""",
    )
    | _below(
        "compat.v1.train",
        """assert_global_step create_global_step get_global_step get_or_create_global_step
        init_from_checkpoint list_variables load_checkpoint load_variable""",
    )
    | _below(
        "compat.v1",
        """assert_scalar is_non_decreasing is_numeric_tensor is_strictly_increasing""",
    )
    | _below("compat.v1.debugging", "assert_same_float_dtype")
)

_LAYERS = (
    targets_in(
        f"{_HERE}.feature_columns",
        """bucketized_column create_feature_spec_for_parsing embedding_column one_hot_column
    real_valued_column shared_embedding_columns sparse_column_with_hash_bucket
    sparse_column_with_integerized_feature sparse_column_with_keys
    sparse_column_with_vocabulary_file weighted_sparse_column""",
    )
    | targets_in(f"{_HERE}.encoders", "bow_encoder embed_sequence")
    | _below("compat.v1.nn", "safe_embedding_lookup_sparse")
)

_LOOKUP = (
    targets_in(
        f"{_HERE}.lookup",
        """HashTable index_table_from_tensor index_to_string index_to_string_table_from_tensor
        string_to_index string_to_index_table_from_file string_to_index_table_from_tensor""",
    )
    | _of_tensorflow(
        "contrib_lookup",
        """FastHashSpec HasherSpec StrongHashSpec index_table_from_file
        index_to_string_table_from_file""",
    )
    | _below("lookup", "KeyValueTensorInitializer TextFileIndex TextFileInitializer")
    | targets_in(
        "tensorflow",
        """MutableDenseHashTable=lookup.experimental.DenseHashTable
        MutableHashTable=lookup.experimental.MutableHashTable""",
    )
)

_SUMMARY = _of_tensorflow(
    "contrib_summary",
    """all_summary_ops=all_v2_summary_ops always_record_summaries audio create_file_writer
    create_summary_file_writer eval_dir flush generic graph=graph_v1 histogram image import_event
    initialize never_record_summaries record_summaries_every_n_global_steps scalar
    should_record_summaries summary_writer_initializer_op""",
)

_TPU = targets_in(
    "kestimator.tpu",
    """CrossShardOptimizer InputPipelineConfig RunConfig TPUConfig TPUEstimator
    TPUEstimatorSpec""",
) | _below(
    "compat.v1.tpu",
    """batch_parallel bfloat16_scope core cross_replica_sum initialize_system outside_compilation
    replicate rewrite shard shutdown_system""",
)

_TRAINING = (
    targets_in(f"{_HERE}.hparams", "HParams parse_values")
    | targets_in(
        "tf_slim.training.training",
        """add_gradients_summaries clip_gradient_norms clip_gradient_norms_fn create_train_op
        multiply_gradients train""",
    )
    | targets_in("tf_slim.training.evaluation", "evaluate_repeatedly wait_for_new_checkpoint")
    | targets_in(
        "tf_slim.evaluation",
        "StopAfterNEvalsHook SummaryAtEndHook get_or_create_eval_step",
    )
    | _below("compat.v1.train", "checkpoints_iterator")
)

_MODULES: dict[str, Mapping[str, str]] = {
    "contrib": {},
    "contrib.cluster_resolver": _CLUSTER_RESOLVER,
    "contrib.data": _DATA,
    "contrib.distribute": _DISTRIBUTE,
    "contrib.estimator": _ESTIMATOR,
    "contrib.factorization": targets_in("kestimator.experimental", "KMeansClustering=KMeans"),
    "contrib.feature_column": _below(
        "feature_column",
        """sequence_categorical_column_with_hash_bucket sequence_categorical_column_with_identity
        sequence_categorical_column_with_vocabulary_file
        sequence_categorical_column_with_vocabulary_list sequence_numeric_column""",
    ),
    "contrib.framework": _FRAMEWORK,
    "contrib.framework.nest": targets_in("tensorflow", "is_sequence=nest.is_nested")
    | _below("nest", "assert_same_structure flatten is_nested map_structure pack_sequence_as"),
    "contrib.layers": {**_LAYERS, "*": "tf_slim.layers"},
    "contrib.layers.utils": {"*": "tf_slim.layers.utils"},
    "contrib.learn": targets_in(f"{_HERE}.learn", "ModeKeys"),
    "contrib.lookup": _LOOKUP,
    "contrib.losses": {"*": "tf_slim.losses"},
    "contrib.losses.metric_learning": {"*": "tf_slim.losses.metric_learning"},
    "contrib.metrics": {"*": "tf_slim.metrics"}
    | _below("compat.v1", "confusion_matrix")
    | targets_in(
        "tensorflow",
        "set_difference=sets.difference set_intersection=sets.intersection set_size=sets.size "
        "set_union=sets.union",
    ),
    "contrib.opt": targets_in("kestimator.optimizers", "LazyAdamOptimizer"),
    "contrib.predictor": targets_in(f"{_HERE}.predictor", "from_estimator from_saved_model"),
    "contrib.rnn": {"*": keras2_modules.PATHS["rnn_cell"]}
    | _below("compat.v1.nn", "static_bidirectional_rnn static_rnn static_state_saving_rnn")
    | targets_in(f"{_HERE}.rnn", "stack_bidirectional_dynamic_rnn"),
    "contrib.slim": {"*": "tf_slim"},
    **{f"contrib.slim.{module}": {"*": f"tf_slim.{module}"} for module in _SLIM.split()},
    **{f"contrib.slim.nets.{net}": {"*": f"tf_slim.nets.{net}"} for net in _NETS.split()},
    "contrib.summary": _SUMMARY,
    "contrib.tpu": _TPU,
    "contrib.training": _TRAINING,
    "contrib.util": targets_in(
        "tensorflow", "constant_value=get_static_value make_ndarray make_tensor_proto"
    ),
    # TensorFlow's own layer for batch normalization, which `tf_slim` has from there, looks for
    # Keras 2 in modules that the package does not have.
    "legacy_tf_layers": {},
    "legacy_tf_layers.normalization": {"*": keras2_modules.PATHS["layers"]},
}

_BELOW_PYTHON = {
    "cluster_resolver": "cluster_resolver.python.training",
    "data": "data.python.ops",
    "distribute": "distribute.python",
    "estimator": "estimator.python.estimator",
    "framework": "framework.python.ops framework.python.framework framework.python.ops.variables",
    "layers": """layers.python.layers layers.python.layers.encoders
        layers.python.layers.feature_column layers.python.layers.initializers
        layers.python.layers.layers layers.python.layers.optimizers
        layers.python.layers.regularizers""",
    "learn": """learn.python.learn learn.python.learn.estimators
        learn.python.learn.estimators.model_fn""",
    "lookup": "lookup.lookup_ops",
    "metrics": "metrics.python.ops",
    "rnn": "rnn.python.ops rnn.python.ops.core_rnn_cell rnn.python.ops.rnn_cell",
    "slim": "slim.python.slim",
    "tpu": """tpu.python.tpu tpu.python.tpu.tpu_config tpu.python.tpu.tpu_estimator
        tpu.python.tpu.tpu_optimizer""",
    "training": "training.python.training training.python.training.hparam",
}
"""The modules that had the names of each module of `tf.contrib`, too."""

_ALIASES = {
    "tensorflow.contrib": "contrib",
    "tf_keras.legacy_tf_layers": "legacy_tf_layers",
    **{
        f"tensorflow.contrib.{path}": f"contrib.{module}"
        for module, paths in _BELOW_PYTHON.items()
        for path in paths.split()
    },
}
_PACKAGES: dict[str, Mapping[str, str]] = {
    f"contrib.{module}.python": {} for module in _BELOW_PYTHON
}

TABLES: Final = Tables(_ALIASES, {**_PACKAGES, **_MODULES}, REPLACEMENTS)
