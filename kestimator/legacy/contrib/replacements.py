"""What to use instead of the names of `tf.contrib` that are not here."""

from __future__ import annotations

from typing import Final

_ADDONS: Final = "Use the package tensorflow_addons, or layers of Keras."
_COLUMNS: Final = "Use tf.feature_column and tf.compat.v1.feature_column.input_layer."
_DISTRIBUTIONS: Final = "Use the package tensorflow_probability."
_EXAMPLES: Final = "Use tf.data.experimental.make_batched_features_dataset."
_EXPORTER: Final = "Use kestimator.LatestExporter or BestExporter in an EvalSpec."
_HOOKS: Final = "Use kestimator.hooks, or tf.compat.v1.train.SessionRunHook."
_INPUTS: Final = "Use kestimator.inputs.numpy_input_fn or pandas_input_fn."
_LEARN: Final = "Use kestimator's Estimator and its canned estimators."
_METRICS: Final = "Use the eval_metric_ops of an EstimatorSpec, or kestimator.add_metrics."
_MODEL_OPTIMIZATION: Final = "Use the package tensorflow_model_optimization."
_RECURRENT: Final = "Use a cell of tf.compat.v1.nn.rnn_cell, or Keras' recurrent layers."
_REPLICAS: Final = "Use RunConfig(train_distribute=tf.distribute.MirroredStrategy())."
_SERVING_INPUT: Final = "Use kestimator.export.build_parsing_serving_input_receiver_fn."
_SESSIONS: Final = "Use kestimator.Estimator, or tf.compat.v1.train.MonitoredTrainingSession."
_TRAIN_AND_EVALUATE: Final = "Use kestimator.train_and_evaluate."
_TREES: Final = "Train TensorFlow Decision Forests or YDF, and serve their SavedModels."

REPLACEMENTS: Final[dict[str, str]] = {
    "contrib": "tf.contrib ended with TF 1.15. docs/migrating.md says what is left of it.",
    "contrib.autograph": "Use tf.autograph.",
    "contrib.bayesflow": _DISTRIBUTIONS,
    "contrib.boosted_trees": _TREES,
    "contrib.checkpoint": "Use tf.train.Checkpoint.",
    "contrib.cluster_resolver": "Use tf.distribute.cluster_resolver.",
    "contrib.copy_graph": "Use tf.compat.v1.import_graph_def.",
    "contrib.crf": "Use tensorflow_addons.text.crf_log_likelihood and its like.",
    "contrib.cudnn_rnn": "Use keras.layers.LSTM or GRU, which run on cuDNN.",
    "contrib.data": "Use tf.data and tf.data.experimental.",
    "contrib.data.batch_and_drop_remainder": "Use the method batch with drop_remainder=True.",
    "contrib.data.padded_batch_and_drop_remainder": (
        "Use the method padded_batch with drop_remainder=True."
    ),
    "contrib.data.sliding_window_batch": "Use tf.data.Dataset.window.",
    "contrib.data.sloppy_interleave": "Use the method interleave with deterministic=False.",
    "contrib.distribute": "Use tf.distribute.",
    "contrib.distribute.CollectiveAllReduceStrategy": (
        "Use tf.distribute.MultiWorkerMirroredStrategy."
    ),
    "contrib.distribute.DistributeConfig": (
        "Use the arguments train_distribute and eval_distribute of RunConfig."
    ),
    "contrib.distribute.MirroredStrategy": "Use tf.distribute.MirroredStrategy.",
    "contrib.distributions": _DISTRIBUTIONS,
    "contrib.eager": "Use TF 2, which is eager: tf.Variable, tf.train.Checkpoint, tf.GradientTape.",
    "contrib.estimator": _LEARN,
    "contrib.estimator.TowerOptimizer": _REPLICAS,
    "contrib.estimator.binary_classification_head": "Use kestimator.BinaryClassHead.",
    "contrib.estimator.boosted_trees": _TREES,
    "contrib.estimator.clip_gradients_by_norm": (
        "Clip gradients in the model_fn, or with a Keras optimizer's clipnorm."
    ),
    "contrib.estimator.export_all_saved_models": (
        "Use the method experimental_export_all_saved_models."
    ),
    "contrib.estimator.export_saved_model_for_mode": "Use the method export_saved_model.",
    "contrib.estimator.logistic_regression_head": "Use kestimator.LogisticRegressionHead.",
    "contrib.estimator.multi_class_head": "Use kestimator.MultiClassHead.",
    "contrib.estimator.multi_head": "Use kestimator.MultiHead.",
    "contrib.estimator.multi_label_head": "Use kestimator.MultiLabelHead.",
    "contrib.estimator.poisson_regression_head": "Use kestimator.PoissonRegressionHead.",
    "contrib.estimator.regression_head": "Use kestimator.RegressionHead.",
    "contrib.estimator.replicate_model_fn": _REPLICAS,
    "contrib.estimator.RNNClassifier": "Use kestimator.experimental.RNNClassifier.",
    "contrib.estimator.RNNEstimator": "Use kestimator.experimental.RNNEstimator.",
    "contrib.factorization": "Use kestimator.experimental.KMeans.",
    "contrib.feature_column": "Use tf.feature_column.",
    "contrib.feature_column.sequence_input_layer": (
        "Use keras.layers.Embedding on the sequence, or kestimator.experimental.RNNEstimator."
    ),
    "contrib.framework": "Use tf or tf.compat.v1, where such names went.",
    "contrib.framework.is_tensor": "Use tf.is_tensor.",
    "contrib.framework.smart_cond": "Use tf.cond.",
    "contrib.gan": "Use the package tensorflow_gan.",
    "contrib.image": "Use tf.image, or keras.layers.RandomRotation and its like.",
    "contrib.keras": "Use tf.keras.",
    "contrib.layers": "Use the package tf_slim, or layers of Keras.",
    "contrib.layers.bow_encoder": "Use keras.layers.Embedding.",
    "contrib.layers.bucketized_column": "Use tf.feature_column.bucketized_column.",
    "contrib.layers.check_feature_columns": _COLUMNS,
    "contrib.layers.create_feature_spec_for_parsing": (
        "Use tf.feature_column.make_parse_example_spec."
    ),
    "contrib.layers.crossed_column": (
        "Use tf.feature_column.crossed_column. Its hash differs from that of tf.contrib's."
    ),
    "contrib.layers.embed_sequence": "Use keras.layers.Embedding.",
    "contrib.layers.embedding_column": "Use tf.feature_column.embedding_column.",
    "contrib.layers.infer_real_valued_columns": _COLUMNS,
    "contrib.layers.input_from_feature_columns": _COLUMNS,
    "contrib.layers.joint_weighted_sum_from_feature_columns": (
        "Use tf.compat.v1.feature_column.linear_model."
    ),
    "contrib.layers.one_hot_column": "Use tf.feature_column.indicator_column.",
    "contrib.layers.parse_feature_columns_from_examples": "Use tf.io.parse_example.",
    "contrib.layers.real_valued_column": "Use tf.feature_column.numeric_column.",
    "contrib.layers.scattered_embedding_column": _COLUMNS,
    "contrib.layers.shared_embedding_columns": "Use tf.feature_column.shared_embeddings.",
    "contrib.layers.sparse_column_with_hash_bucket": (
        "Use tf.feature_column.categorical_column_with_hash_bucket."
    ),
    "contrib.layers.sparse_column_with_integerized_feature": (
        "Use tf.feature_column.categorical_column_with_identity."
    ),
    "contrib.layers.sparse_column_with_keys": (
        "Use tf.feature_column.categorical_column_with_vocabulary_list."
    ),
    "contrib.layers.sparse_column_with_vocabulary_file": (
        "Use tf.feature_column.categorical_column_with_vocabulary_file."
    ),
    "contrib.layers.weighted_sparse_column": "Use tf.feature_column.weighted_categorical_column.",
    "contrib.layers.weighted_sum_from_feature_columns": (
        "Use tf.compat.v1.feature_column.linear_model."
    ),
    "contrib.learn": _LEARN,
    "contrib.learn.BaseEstimator": "Use kestimator.Estimator.",
    "contrib.learn.DNNLinearCombined": "Use kestimator's canned estimators of the same names.",
    "contrib.learn.DynamicRnnEstimator": "Use kestimator.experimental.RNNEstimator.",
    "contrib.learn.Estimator": "Use kestimator.Estimator. Its model_fn returns an EstimatorSpec.",
    "contrib.learn.Experiment": _TRAIN_AND_EVALUATE,
    "contrib.learn.ExportStrategy": _EXPORTER,
    "contrib.learn.Head": "Use kestimator.Head.",
    "contrib.learn.InputFnOps": _SERVING_INPUT,
    "contrib.learn.KMeansClustering": "Use kestimator.experimental.KMeans.",
    "contrib.learn.LogisticRegressor": "Use kestimator.LinearClassifier.",
    "contrib.learn.MetricSpec": _METRICS,
    "contrib.learn.ModelFnOps": "Use kestimator.EstimatorSpec.",
    "contrib.learn.NanLossDuringTrainingError": "Use kestimator.errors.NanLossError.",
    "contrib.learn.PredictionKey": "Use kestimator.keys.PredictionKeys.",
    "contrib.learn.ProblemType": "Use a head of kestimator, such as MultiClassHead.",
    "contrib.learn.RunConfig": "Use kestimator.RunConfig.",
    "contrib.learn.SKCompat": "Use kestimator.inputs.numpy_input_fn, and kestimator's Estimator.",
    "contrib.learn.SVM": "Use kestimator.experimental.LinearSDCA.",
    "contrib.learn.StateSavingRnnEstimator": "Use kestimator.experimental.RNNEstimator.",
    "contrib.learn.TaskType": "Use the task_type of kestimator.RunConfig.",
    "contrib.learn.basic_session_run_hooks": _HOOKS,
    "contrib.learn.binary_svm_head": "Use kestimator.experimental.LinearSDCA.",
    "contrib.learn.build_parsing_serving_input_fn": _SERVING_INPUT,
    "contrib.learn.datasets": "Use keras.datasets or tensorflow_datasets.",
    "contrib.learn.evaluable": "Use kestimator.Estimator.",
    "contrib.learn.evaluate": _SESSIONS,
    "contrib.learn.experiment": _TRAIN_AND_EVALUATE,
    "contrib.learn.export_strategy": _EXPORTER,
    "contrib.learn.extract_dask": _INPUTS,
    "contrib.learn.extract_pandas": _INPUTS,
    "contrib.learn.graph_actions": _SESSIONS,
    "contrib.learn.infer": _SESSIONS,
    "contrib.learn.infer_real_valued_columns": "Write columns of tf.feature_column.",
    "contrib.learn.learn_io": _INPUTS,
    "contrib.learn.learn_runner": _TRAIN_AND_EVALUATE,
    "contrib.learn.make_export_strategy": _EXPORTER,
    "contrib.learn.metric_spec": _METRICS,
    "contrib.learn.models": "Use layers of Keras in a model_fn.",
    "contrib.learn.monitors": _HOOKS,
    "contrib.learn.multi_class_head": "Use kestimator.MultiClassHead.",
    "contrib.learn.multi_head": "Use kestimator.MultiHead.",
    "contrib.learn.multi_label_head": "Use kestimator.MultiLabelHead.",
    "contrib.learn.no_op_train_fn": "Use tf.no_op.",
    "contrib.learn.ops": "Use layers of Keras in a model_fn.",
    "contrib.learn.poisson_regression_head": "Use kestimator.PoissonRegressionHead.",
    "contrib.learn.preprocessing": "Use keras.layers.TextVectorization.",
    "contrib.learn.read_batch": _EXAMPLES,
    "contrib.learn.read_keyed_batch": _EXAMPLES,
    "contrib.learn.regression_head": "Use kestimator.RegressionHead.",
    "contrib.learn.run_config": "Use kestimator.RunConfig.",
    "contrib.learn.run_feeds": _SESSIONS,
    "contrib.learn.run_n": _SESSIONS,
    "contrib.learn.session_run_hook": _HOOKS,
    "contrib.learn.tensor_signature": "Use tf.TensorSpec.",
    "contrib.learn.train": _SESSIONS,
    "contrib.learn.trainable": "Use kestimator.Estimator.",
    "contrib.learn.utils.gc": "Use the argument exports_to_keep of kestimator's exporters.",
    "contrib.learn.utils.input_fn_utils": _SERVING_INPUT,
    "contrib.learn.utils.saved_model_export_utils": _EXPORTER,
    "contrib.legacy_seq2seq": _ADDONS,
    "contrib.lite": "Use tf.lite.",
    "contrib.lookup": "Use tf.lookup.",
    "contrib.losses": "Use tf.compat.v1.losses.",
    "contrib.memory_stats": "Use tf.config.experimental.get_memory_info.",
    "contrib.metrics": "Use tf.compat.v1.metrics.",
    "contrib.mixed_precision": "Use tf.compat.v1.mixed_precision.",
    "contrib.model_pruning": _MODEL_OPTIMIZATION,
    "contrib.opt": "Use an optimizer of Keras or of kestimator.optimizers.",
    "contrib.opt.AdamWOptimizer": "Use keras.optimizers.AdamW.",
    "contrib.opt.LazyAdamOptimizer": "Use kestimator.optimizers.LazyAdamOptimizer.",
    "contrib.predictor": "Use tf.saved_model.load(...).signatures.",
    "contrib.quantize": _MODEL_OPTIMIZATION,
    "contrib.rnn": _RECURRENT,
    "contrib.rnn.stack_bidirectional_dynamic_rnn": (
        "Use keras.layers.Bidirectional layers, one after another."
    ),
    "contrib.saved_model": "Use tf.compat.v1.saved_model.",
    "contrib.seq2seq": "Use tensorflow_addons.seq2seq, or keras.layers.Attention.",
    "contrib.slim": "Use the package tf_slim, or layers of Keras.",
    "contrib.stateless": "Use tf.random.stateless_uniform and its like.",
    "contrib.summary": "Use tf.summary.",
    "contrib.tensor_forest": _TREES,
    "contrib.tensorrt": "Use tf.experimental.tensorrt.",
    "contrib.tfprof": "Use tf.compat.v1.profiler.",
    "contrib.timeseries": (
        "Write the model with kestimator.Estimator, or use Keras' recurrent layers."
    ),
    "contrib.tpu": "Use kestimator.tpu or tf.compat.v1.tpu.",
    "contrib.training": "Use tf.data, and tf.compat.v1.train.",
    "contrib.training.HParams": "Use a dict or a dataclass as `params`.",
    "contrib.training.bucket": "Use tf.data.Dataset.bucket_by_sequence_length.",
    "contrib.training.parse_values": "Use argparse, or absl.flags.",
    "contrib.util": "Use tf or tf.compat.v1.",
}
"""By the beginnings of names; the longest beginning that fits counts."""
