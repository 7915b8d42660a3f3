"""What of `tf.contrib` differs from its counterpart of today: tables, columns, heads, ..."""

import numpy as np
import pytest
import tensorflow as tf

import kestimator
from kestimator import errors
from kestimator.legacy import v1_heads

v1 = tf.compat.v1


@pytest.fixture
def contrib():
    return v1.contrib


def in_graph(build):
    """Returns the values of what `build` returns, in a graph as TF 1 has it."""
    with tf.Graph().as_default(), v1.Session() as session:
        tensors = build()
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        return session.run(tensors)


class TestLookup:
    def test_tables(self, contrib, tmp_path):
        path = tmp_path / "words.txt"
        path.write_text("emerson\nlake\npalmer\n")
        words = ["emerson", "lake", "palmer"]
        lookup = contrib.lookup

        def build():
            keys = tf.constant([*words, "and"])
            values = tf.constant([7, 8, 9], tf.int64)
            initializer = lookup.KeyValueTensorInitializer(tf.constant(words), values)
            table = lookup.HashTable(initializer, -1, shared_name="shared", name="table")
            return [
                lookup.index_table_from_tensor(words).lookup(keys),
                lookup.index_table_from_tensor(words, 1, -1).lookup(keys),
                lookup.index_table_from_file(str(path), default_value=5).lookup(keys),
                lookup.string_to_index(keys, words),
                table.lookup(keys),
            ]

        found = [value.tolist() for value in in_graph(build)]
        assert found == [[0, 1, 2, -1], [0, 1, 2, 3], [0, 1, 2, 5], [0, 1, 2, -1], [7, 8, 9, -1]]

    def test_words(self, contrib):
        lookup, words = contrib.lookup, ["a", "b"]
        ids = [1, 5]

        def build():
            tensor = tf.constant(ids, tf.int64)
            table = lookup.index_to_string_table_from_tensor(words, default_value="none")
            return [table.lookup(tensor), lookup.index_to_string(tensor, words)]

        assert [value.tolist() for value in in_graph(build)] == [[b"b", b"none"], [b"b", b"UNK"]]

    def test_without_words(self, contrib):
        with pytest.raises(errors.ArgumentError, match="mapping"):
            contrib.lookup.index_table_from_tensor(None)


def test_data(contrib):
    data = tf.data.Dataset.range(5)
    batches = data.apply(contrib.data.batch_and_drop_remainder(2))
    assert [batch.tolist() for batch in batches.as_numpy_iterator()] == [[0, 1], [2, 3]]
    assert batches.element_spec.shape == [2]
    rows = data.map(lambda n: tf.range(n))
    padded = rows.take(3).apply(contrib.data.padded_batch_and_drop_remainder(2, [3]))
    assert [batch.tolist() for batch in padded.as_numpy_iterator()] == [[[0, 0, 0], [0, 0, 0]]]
    mixed = data.apply(contrib.data.sloppy_interleave(tf.data.Dataset.range, 2))
    assert sorted(mixed.as_numpy_iterator()) == [0, 0, 0, 0, 1, 1, 1, 2, 2, 3]


def test_feature_columns(contrib):
    layers = contrib.layers
    words = layers.sparse_column_with_keys("word", ["a", "b", "c"])
    columns = [
        layers.one_hot_column(words),
        layers.bucketized_column(layers.real_valued_column("age"), [10.0, 20.0]),
        layers.real_valued_column("size", 2, normalizer=lambda x: x / 2),
        layers.one_hot_column(layers.sparse_column_with_integerized_feature("id", 2)),
    ]
    features = {
        "word": [["b"], ["d"]],
        "age": [[15.0], [25.0]],
        "size": [[2.0, 4.0], [6.0, 8.0]],
        "id": [[1], [0]],
    }
    rows = in_graph(
        lambda: v1.feature_column.input_layer(
            {name: tf.constant(value) for name, value in features.items()}, columns
        )
    )
    assert rows.tolist() == [
        [0, 1, 0, 0, 1, 1, 2, 0, 1, 0],
        [0, 0, 1, 1, 0, 3, 4, 0, 0, 0],
    ]
    spec = layers.create_feature_spec_for_parsing(columns)
    assert sorted(spec) == ["age", "id", "size", "word"]
    embedding = layers.embedding_column(layers.sparse_column_with_hash_bucket("w", 100), 4)
    assert (embedding.dimension, embedding.combiner) == (4, "mean")
    assert embedding.initializer.stddev == 0.1  # as in TF 1.15: of the number of buckets
    for call in (
        lambda: layers.sparse_column_with_hash_bucket("w", 100, combiner="mean"),
        lambda: layers.real_valued_column("x", None),
        lambda: layers.sparse_column_with_vocabulary_file("x", "file"),
    ):
        with pytest.raises(errors.ArgumentError):
            call()


def test_encoders(contrib):
    def build():
        ids = tf.constant([[1, 2], [2, 0]])
        table = v1.constant_initializer(np.arange(6.0).reshape(3, 2))
        layers = contrib.layers
        vectors = layers.embed_sequence(ids, 3, 2, initializer=table, scope="words")
        again = layers.embed_sequence(ids, scope="words", reuse=True)
        means = layers.bow_encoder(ids, 3, 2, initializer=table)
        dense = layers.bow_encoder(ids, 3, 2, sparse_lookup=False, initializer=table, scope="d")
        names = [variable.name for variable in contrib.framework.get_model_variables()]
        assert names == ["words/embeddings:0", "bow_encoder/embeddings:0", "d/embeddings:0"]
        return vectors, again, means, dense

    vectors, again, means, dense = in_graph(build)
    assert vectors.tolist() == again.tolist() == [[[2, 3], [4, 5]], [[4, 5], [0, 1]]]
    assert means.tolist() == [[3, 4], [4, 5]]
    assert dense.tolist() == [[3, 4], [2, 3]]
    with pytest.raises(errors.ArgumentError, match="vocab_size"):
        contrib.layers.embed_sequence([[1]])


def test_framework(contrib):
    framework = contrib.framework
    assert framework.smart_cond(True, lambda: 1, lambda: 2) == 1
    assert framework.smart_cond(tf.constant(False), lambda: 1, lambda: 2) == 2

    def build():
        condition = v1.placeholder_with_default(False, [])
        return framework.smart_cond(condition, lambda: tf.constant(1), lambda: tf.constant(2))

    assert in_graph(build) == 2
    assert framework.is_tensor(tf.constant(1))
    assert not framework.is_tensor(1)
    assert framework.sort([3, 1, 2]).numpy().tolist() == [1, 2, 3]


class TestDistribute:
    def test_gpus(self, contrib):
        strategy = contrib.distribute.MirroredStrategy(num_gpus=0)
        assert isinstance(strategy, tf.distribute.MirroredStrategy)
        assert strategy.num_replicas_in_sync == 1

    @pytest.mark.parametrize(
        "arguments", [{"devices": ["/cpu:0"], "num_gpus": 1}, {"auto_shard_dataset": True}]
    )
    def test_errors(self, contrib, arguments):
        with pytest.raises(errors.ArgumentError):
            contrib.distribute.MirroredStrategy(**arguments)
        with pytest.raises(errors.ArgumentError, match="num_gpus_per_worker"):
            contrib.distribute.CollectiveAllReduceStrategy(num_gpus_per_worker=77)


@pytest.mark.filterwarnings("ignore")  # Keras 2's cells say that they are deprecated.
def test_stacked_bidirectional_layers(contrib):
    def build():
        cells = [[contrib.rnn.GRUCell(3) for _ in range(2)] for _ in range(2)]
        inputs = tf.ones([2, 4, 5])
        outputs, forward, backward = contrib.rnn.stack_bidirectional_dynamic_rnn(
            *cells, inputs, dtype=tf.float32, sequence_length=[4, 2]
        )
        names = [variable.op.name for variable in v1.trainable_variables()]
        assert (
            names[0] == "stack_bidirectional_rnn/cell_0/bidirectional_rnn/fw/gru_cell/gates/kernel"
        )
        assert len(names) == 16
        return outputs, forward, backward

    outputs, forward, backward = in_graph(build)
    assert outputs.shape == (2, 4, 6)
    np.testing.assert_allclose(outputs[0, 3, :3], forward[1][0])
    np.testing.assert_allclose(outputs[1, 1, :3], forward[1][1])
    np.testing.assert_allclose(outputs[:, 0, 3:], backward[1])
    with pytest.raises(errors.ArgumentError, match="same length"):
        contrib.rnn.stack_bidirectional_dynamic_rnn([1], [], None)


def step(head, labels):
    """Trains one step of a model with an update op, and evaluates it."""

    def model_fn(features, labels, mode):
        weights = v1.get_variable(
            "w", [2, head.logits_dimension], initializer=v1.ones_initializer()
        )
        count = v1.get_variable("count", [], initializer=v1.zeros_initializer(), trainable=False)
        v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, count.assign_add(1.0))
        return head.create_estimator_spec(
            features,
            mode,
            features["x"] @ weights,
            labels,
            optimizer=v1.train.GradientDescentOptimizer(0.1),
        )

    def input_fn():
        x = np.float32([[1, 2], [3, -4], [5, 6], [-7, 8]])
        return tf.data.Dataset.from_tensor_slices(({"x": x}, labels)).batch(4)

    estimator = kestimator.Estimator(model_fn).train(input_fn)
    metrics = estimator.evaluate(input_fn)
    return metrics, {name: estimator.get_variable_value(name) for name in ("w", "count")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments", "labels", "head"),
    [
        (
            "binary_classification_head",
            {},
            [0, 1, 1, 0],
            v1_heads._binary_logistic_head_with_sigmoid_cross_entropy_loss,
        ),
        (
            "multi_class_head",
            {"n_classes": 3},
            [0, 1, 2, 0],
            v1_heads._multi_class_head_with_softmax_cross_entropy_loss,
        ),
        (
            "regression_head",
            {"label_dimension": 1},
            [0.0, 1.0, 2.0, 3.0],
            v1_heads._regression_head,
        ),
    ],
)
def test_heads(contrib, name, arguments, labels, head):
    labels = np.array(labels, np.float32 if name == "regression_head" else np.int64)[:, None]
    metrics, variables = step(getattr(contrib.estimator, name)(**arguments), labels)
    expected, others = step(head(**arguments, loss_reduction="sum_over_batch_size"), labels)
    assert metrics == expected
    assert variables["count"] == others["count"] == 1
    assert variables["w"].tolist() == others["w"].tolist()


def test_heads_are_heads(contrib):
    estimator = contrib.estimator
    heads = [
        estimator.multi_label_head(3, name="a"),
        estimator.poisson_regression_head(name="b"),
        estimator.logistic_regression_head(name="c"),
    ]
    head = estimator.multi_head(heads, [1.0, 2.0, 3.0])
    assert isinstance(head, kestimator.MultiHead)
    assert head.logits_dimension == 5
    columns = [tf.feature_column.numeric_column("x")]
    assert isinstance(
        estimator.DNNEstimator(head=heads[0], feature_columns=columns, hidden_units=[3]),
        kestimator.Estimator,
    )


def test_recurrent_estimators(contrib):
    column = tf.feature_column.sequence_numeric_column("x")
    classifier = contrib.estimator.RNNClassifier([column], num_units=[3], cell_type="gru")
    assert isinstance(classifier, kestimator.experimental.RNNClassifier)
    head = contrib.estimator.regression_head()
    estimator = contrib.estimator.RNNEstimator(head, [column], num_units=3)
    assert isinstance(estimator, kestimator.experimental.RNNEstimator)
