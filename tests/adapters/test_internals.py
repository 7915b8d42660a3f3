"""The private names that belong to one adapter: a version of TensorFlow that moves one fails here.

Those of Keras 3 are in `test_keras_internals.py`.
"""

import numpy as np
import pytest
import tensorflow as tf

from kestimator.adapters.feature_columns import _internals as of_columns
from kestimator.adapters.feature_columns import column_state, column_tables
from kestimator.adapters.hooks import _internals as of_hooks
from kestimator.adapters.keras_models import _internals as of_models
from kestimator.adapters.optimizers import _internals as of_optimizers

v1 = tf.compat.v1
make = tf.feature_column
NUMBER, OTHER = make.numeric_column("x"), make.numeric_column("other")
IDS = make.categorical_column_with_identity("ids", 3)
WORDS = make.categorical_column_with_vocabulary_list("words", ["a", "b"])
CROSS = make.crossed_column(["c", WORDS], 5)
SEQUENCE = make.sequence_categorical_column_with_identity("ids", 3)


class TestFeatureColumns:
    @pytest.mark.parametrize(
        ("kind", "column"),
        [
            ("NumericColumn", NUMBER),
            ("BucketizedColumn", make.bucketized_column(NUMBER, [1.0])),
            ("IndicatorColumn", make.indicator_column(IDS)),
            ("EmbeddingColumn", make.embedding_column(IDS, 2)),
            ("IdentityCategoricalColumn", IDS),
            ("HashedCategoricalColumn", make.categorical_column_with_hash_bucket("w", 2)),
            ("VocabularyListCategoricalColumn", WORDS),
            (
                "VocabularyFileCategoricalColumn",
                make.categorical_column_with_vocabulary_file("w", __file__, 2),
            ),
            ("CrossedColumn", CROSS),
            ("WeightedCategoricalColumn", make.weighted_categorical_column(IDS, "weights")),
            ("SequenceCategoricalColumn", SEQUENCE),
        ],
    )
    def test_classes(self, kind, column):
        assert type(column) is getattr(of_columns, kind)
        assert isinstance(column, of_columns.FeatureColumn)

    def test_columns_that_share_a_table(self):
        with tf.Graph().as_default():
            (column,) = make.shared_embeddings([IDS], 2)
        assert type(column) is of_columns.SharedEmbeddingColumn

    def test_columns_of_tf1_that_share_a_table(self):
        with tf.Graph().as_default():
            (column,) = tf.compat.v1.feature_column.shared_embedding_columns([IDS], 2)
        assert type(column) is of_columns.SharedEmbeddingColumnOfV1
        fields = of_columns.fields_of_shared_embedding(column)
        assert fields["categorical_column"] == IDS
        assert fields["shared_embedding_collection_name"] == f"{IDS.name}_shared_embedding"

    def test_bases(self):
        assert isinstance(NUMBER, of_columns.DenseColumn)
        assert not isinstance(NUMBER, of_columns.CategoricalColumn)
        assert isinstance(IDS, of_columns.CategoricalColumn)
        assert isinstance(make.sequence_numeric_column("x"), of_columns.SequenceDenseColumn)
        assert not isinstance(NUMBER, of_columns.SequenceDenseColumn)

    def test_state_manager(self):
        assert issubclass(column_state.ColumnState, of_columns.StateManager)
        assert "create_variable" in vars(of_columns.StateManager)

    def test_transformation_cache(self):
        cache = of_columns.transformation_cache({"x": tf.constant([[1.0], [2.0]])})
        np.testing.assert_array_equal(NUMBER.get_dense_tensor(cache, None), [[1.0], [2.0]])

    def test_scope_name(self):
        assert of_columns.scope_name("a b<c>") == "a_b_c_"
        assert of_columns.scope_name("plain.name-0") == "plain.name-0"

    def test_leaves_of_cross(self):
        outer = make.crossed_column([CROSS, IDS], 7)
        assert list(of_columns.leaves_of_cross(outer)) == ["c", WORDS, IDS]

    @pytest.mark.parametrize(
        ("column", "features", "expected"),
        [
            (NUMBER, {"x": tf.constant([[2.0], [3.0]])}, [[20.0], [30.0]]),
            (IDS, {"ids": tf.constant([[0, 2], [1, 1]], tf.int64)}, [[20.0], [15.0]]),
        ],
    )
    def test_weighted_sum(self, column, features, expected):
        weights = tf.Variable([[10.0], [15.0], [30.0]][: 1 if column is NUMBER else 3])
        state = column_state.ColumnState(column_tables.Tables())
        cache = of_columns.transformation_cache(features)
        found = of_columns.weighted_sum(column, cache, state, "mean", weights)
        np.testing.assert_allclose(found, expected)


class TestTimers:
    def test_of_steps(self):
        timer = v1.train.SecondOrStepTimer(every_steps=3)
        assert of_hooks.every_steps(timer) == 3
        assert of_hooks.every_secs(timer) is None

    def test_of_seconds(self):
        timer = v1.train.SecondOrStepTimer(every_secs=60.0)
        assert of_hooks.every_steps(timer) is None
        assert of_hooks.every_secs(timer) == 60.0
        assert of_hooks.last_triggered_time(timer) is None
        timer.update_last_triggered_step(1)
        assert of_hooks.last_triggered_time(timer) > 0

    def test_other_timers(self):
        timer = object()
        assert of_hooks.every_steps(timer) is None
        assert of_hooks.every_secs(timer) is None
        assert of_hooks.last_triggered_time(timer) is None

    @pytest.mark.parametrize("name", ["_every_steps", "_every_secs", "_last_triggered_time"])
    def test_timers_have_what_is_asked_for_softly(self, name):
        assert name in vars(v1.train.SecondOrStepTimer(every_steps=1))


@pytest.fixture
def step():
    """A global step of 5 in a session; gives the session."""
    with tf.Graph().as_default(), v1.Session() as session:
        variable = v1.train.create_global_step()
        session.run(variable.initializer)
        session.run(variable.assign(5))
        yield session


class Listener(v1.train.CheckpointSaverListener):
    def __init__(self):
        self.saved = []

    def after_save(self, session, global_step_value):
        self.saved.append(global_step_value)


class TestHooks:
    @pytest.mark.parametrize(
        ("kind", "options"),
        [
            (v1.train.StepCounterHook, {"every_n_steps": 7}),
            (v1.train.SummarySaverHook, {"save_steps": 7, "summary_op": ""}),
            (v1.train.ProfilerHook, {"save_steps": 7}),
            (v1.train.LoggingTensorHook, {"every_n_iter": 7, "tensors": ["t"]}),
            (v1.train.CheckpointSaverHook, {"save_steps": 7}),
        ],
    )
    def test_timer(self, kind, options, tmp_path):
        if kind is v1.train.ProfilerHook:
            options = {**options, "output_dir": str(tmp_path)}
        directory = [str(tmp_path)] if kind is v1.train.CheckpointSaverHook else []
        with tf.Graph().as_default():
            hook = kind(*directory, **options)
        assert of_hooks.every_steps(of_hooks.timer_of(hook)) == 7
        timer = v1.train.SecondOrStepTimer(every_steps=1)
        of_hooks.use_timer(hook, timer)
        assert of_hooks.timer_of(hook) is timer

    @pytest.mark.parametrize("kind", [v1.train.SummarySaverHook, v1.train.ProfilerHook])
    def test_next_step(self, kind, step, tmp_path):
        options = {"summary_op": tf.constant("")} if kind is v1.train.SummarySaverHook else {}
        hook = kind(save_steps=10, output_dir=str(tmp_path), **options)
        hook.begin()
        before = self.wants_more(hook, step)
        of_hooks.move_next_step(hook, 15)
        assert self.wants_more(hook, step) == before
        self.after_run(hook, step)
        of_hooks.move_next_step(hook, 7)
        assert not self.wants_more(hook, step)
        of_hooks.move_next_step(hook, 100)
        assert self.wants_more(hook, step)

    @staticmethod
    def wants_more(hook, session):
        arguments = hook.before_run(v1.train.SessionRunContext(None, session))
        return len(arguments.fetches) > 1 or arguments.options is not None

    @staticmethod
    def after_run(hook, session):
        context = v1.train.SessionRunContext(None, session)
        results = {"global_step": 5, "summary": b""}
        hook.after_run(context, v1.train.SessionRunValues(results, None, v1.RunMetadata()))

    def test_counted_steps(self, step):
        hook = v1.train.LoggingTensorHook({"t": tf.constant(1)}, every_n_iter=7)
        hook.begin()
        assert of_hooks.counted_steps(hook) == 0
        of_hooks.count_steps(hook, 3)
        assert of_hooks.counted_steps(hook) == 3

    def test_last_step(self, step):
        assert of_hooks.last_step(v1.train.StopAtStepHook(last_step=9)) == 9
        hook = v1.train.StopAtStepHook(num_steps=4)
        hook.begin()
        hook.after_create_session(step, None)
        assert of_hooks.last_step(hook) == 9

    def test_guarded_tensor(self):
        loss = tf.constant(1.0)
        assert of_hooks.guarded_tensor(v1.train.NanTensorHook(loss)) is loss

    def test_waiter(self, step):
        hook = v1.train.GlobalStepWaiterHook(wait_until_step=3)
        hook.begin()
        assert not of_hooks.has_seen_its_step(hook)
        hook.before_run(v1.train.SessionRunContext(None, step))
        assert of_hooks.has_seen_its_step(hook)

    def test_saver_hook(self, step, tmp_path):
        first, second = Listener(), Listener()
        hook = v1.train.CheckpointSaverHook(str(tmp_path), save_steps=1, listeners=[first])
        assert of_hooks.listeners_of(hook) == [first]
        of_hooks.use_listeners(hook, [second])
        assert of_hooks.directory_of(hook) == str(tmp_path)
        assert of_hooks.saves_graph(hook)
        saver = v1.train.Saver()
        step.graph.add_to_collection(v1.GraphKeys.SAVERS, saver)
        hook.begin()
        assert of_hooks.saver_of(hook) is saver
        assert step.run(of_hooks.global_step_of(hook)) == 5
        assert of_hooks.event_file_of(hook) is v1.summary.FileWriterCache.get(str(tmp_path))
        of_hooks.save(hook, step, 5)
        assert tf.train.latest_checkpoint(tmp_path).endswith("model.ckpt-5")
        assert (first.saved, second.saved) == ([], [5])
        v1.summary.FileWriterCache.clear()


class TestOptimizers:
    def test_saveable(self, tmp_path):
        with tf.Graph().as_default(), v1.Session() as session:
            tables = [
                tf.lookup.experimental.DenseHashTable(
                    tf.int64, tf.int64, default_value=0, empty_key=-1, deleted_key=-2
                )
                for _ in range(2)
            ]
            write, read = [v1.train.Saver([of_optimizers.saveable(t, "table")]) for t in tables]
            session.run(tables[0].insert(tf.constant([7], tf.int64), tf.constant([9], tf.int64)))
            path = write.save(session, str(tmp_path / "table"))
            read.restore(session, path)
            assert session.run(tables[1].lookup(tf.constant([7], tf.int64))) == [9]

    def test_is_in_memory(self):
        assert of_optimizers.is_in_memory(tf.constant(1))
        assert of_optimizers.is_in_memory(tf.Variable(1).handle)
        with tf.Graph().as_default():
            assert not of_optimizers.is_in_memory(tf.constant(1))

    def test_legacy_optimizers_of_keras2(self):
        tf_keras = pytest.importorskip("tf_keras")
        found = of_optimizers.as_legacy_of_keras2(tf_keras.optimizers.Adam(0.5))
        assert type(found) is tf_keras.optimizers.legacy.Adam
        assert of_optimizers.given_rate_of_keras2(found) == 0.5
        assert of_optimizers.has_rate_of_keras2(found)
        assert not of_optimizers.has_rate_of_keras2(object())

    def test_the_rate_of_keras2(self):
        tf_keras = pytest.importorskip("tf_keras")

        def rate():
            raise AssertionError("nobody needs to know")

        optimizer = tf_keras.optimizers.legacy.SGD(rate)
        assert of_optimizers.given_rate_of_keras2(optimizer) is rate
        with of_optimizers.rate_not_described_of_keras2(optimizer):
            assert optimizer.get_config()["learning_rate"] == 0.0
        assert of_optimizers.given_rate_of_keras2(optimizer) is rate


class TestKeras2Models:
    @pytest.fixture
    def model(self):
        tf_keras = pytest.importorskip("tf_keras")
        model = tf_keras.Sequential([tf_keras.Input([2]), tf_keras.layers.Dense(1, name="d")])
        model.compile("sgd", "mse", metrics=["mae"])
        return model

    def test_of_eager_models(self, model):
        assert of_models.is_graph_network(model)
        assert not of_models.is_graph_network(type(model)())
        assert of_models.has_values(model)
        found = of_models.compile_arguments(model)
        assert (found["loss"], found["metrics"]) == ("mse", ["mae"])
        assert "optimizer" not in found

    def test_of_models_in_graphs(self):
        tf_keras = pytest.importorskip("tf_keras")

        class Own(tf_keras.Model):
            def call(self, values, training=None):
                return self.add_weight("w", [], initializer="ones") * values * float(training)

        with tf.Graph().as_default():
            step = v1.train.create_global_step()
            of_models.set_learning_phase(True)
            model = Own()
            of_models.call_on(model, tf.ones([2, 1]))
            assert not of_models.has_values(model)
            targets = [tf.zeros([2, 1])]
            model.compile("sgd", "mse", metrics=["mae"], target_tensors=targets)
            assert [metric.name for metric in of_models.compiled_metrics(model)] == ["mae"]
            before = model.total_loss
            of_models.weight_losses(model, [tf.constant([1.0, 2.0])])
            saveables = of_models.saveables(model, counter=step)
            with v1.Session() as session:
                session.run(v1.global_variables_initializer())
                assert session.run([before, model.total_loss]) == [1.0, 1.5]
        assert any(saveable.name.startswith("counter/.ATTRIBUTES/") for saveable in saveables)
