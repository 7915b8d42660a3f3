"""Random ops that have no twin of the same numbers: the same draws whoever looks at the steps."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import kestimator as ks
from kestimator import errors
from kestimator.engine.programs import program
from kestimator.engine.variables import variable_store

v1 = tf.compat.v1
STEPS = 24
LOGITS = np.log([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]])
COUNTS = [8.0, 4.0, 2.0, 1.0, 1.0]


def samples(sampler, **arguments):
    def draw():
        true = tf.constant([[0, 1], [2, 3]], tf.int64)
        return sampler(true_classes=true, num_true=2, **arguments)[0]

    return draw


DRAWS = {
    "shuffle": lambda: tf.random.shuffle(tf.range(9.0)),
    "shuffle_rows": lambda: tf.random.shuffle(tf.reshape(tf.range(8.0), [4, 2]), seed=3),
    "multinomial": lambda: tf.random.categorical(LOGITS, 5),
    "gamma": lambda: tf.random.gamma([2], alpha=[1.0, 3.0]),
    "poisson": lambda: tf.random.poisson([2], [1.0, 9.0]),
    "truncated": lambda: tf.random.truncated_normal([3]) + tf.random.stateless_normal([3], [1, 2]),
    "bounds": lambda: tf.raw_ops.ParameterizedTruncatedNormal(
        shape=[2, 3], means=[0.0, 9.0], stdevs=1.0, minvals=-1.0, maxvals=10.0, seed=1, seed2=2
    ),
    "box": lambda: tf.image.sample_distorted_bounding_box(
        [20, 30, 3], [[[0.0, 0.0, 1.0, 1.0]]], min_object_covered=0.1, seed=4
    )[0],
    "log_uniform": samples(
        tf.random.log_uniform_candidate_sampler, num_sampled=4, unique=True, range_max=10
    ),
    "uniform": samples(
        tf.random.uniform_candidate_sampler, num_sampled=4, unique=True, range_max=5
    ),
    "fixed": samples(
        tf.random.fixed_unigram_candidate_sampler,
        num_sampled=3,
        unique=False,
        range_max=5,
        unigrams=COUNTS,
    ),
    "in_branch": lambda: tf.cond(
        tf.equal(v1.train.get_global_step() % 2, 0),
        lambda: tf.random.shuffle(tf.range(4.0)),
        lambda: tf.zeros([4]),
    ),
}


class EveryStep(v1.train.SessionRunHook):
    def before_run(self, run_context):
        return v1.train.SessionRunArgs(v1.train.get_global_step())


def recorded(directory, hooks=(), **options):
    """What each op draws in each step."""

    def model_fn(features, labels, mode):
        step, writes = v1.train.get_global_step(), []
        for name, draw in DRAWS.items():
            flat = tf.reshape(tf.cast(draw(), tf.float32), [-1])
            zeros = v1.zeros_initializer()
            seen = v1.get_variable(name, [STEPS, flat.shape[0]], initializer=zeros, trainable=False)
            writes.append(v1.scatter_update(seen, step, flat))
        v1.summary.scalar("drawn", flat[0])
        with tf.control_dependencies(writes):
            train_op = v1.assign_add(step, 1)
        return ks.EstimatorSpec(mode, loss=features["x"], train_op=train_op)

    config = ks.RunConfig(tf_random_seed=3, **options)
    estimator = ks.Estimator(model_fn, directory, config)
    data = tf.data.Dataset.from_tensors({"x": 1.0}).repeat
    estimator.train(lambda: data(), steps=STEPS, hooks=list(hooks))
    return {name: estimator.get_variable_value(name) for name in DRAWS}


PLAIN = {"save_summary_steps": None, "log_step_count_steps": None}


def test_draws_do_not_depend_on_who_looks(tmp_path):
    plain = recorded(tmp_path / "plain", **PLAIN)
    watched = recorded(tmp_path / "watched", save_summary_steps=7, save_checkpoints_steps=5)
    by_step = recorded(tmp_path / "by_step", [EveryStep()], **PLAIN)
    for name, expected in plain.items():
        np.testing.assert_array_equal(watched[name], expected, err_msg=name)
        np.testing.assert_array_equal(by_step[name], expected, err_msg=name)
        drawn = expected[::2] if name == "in_branch" else expected
        assert len(np.unique(drawn, axis=0)) > len(drawn) / 2, f"{name} repeats"
    assert (np.sort(plain["shuffle"], axis=1) == np.arange(9.0)).all()
    assert set(plain["multinomial"].ravel()) == {0.0, 1.0, 2.0}
    assert all(len(set(row)) == 4 for row in plain["log_uniform"])
    assert plain["bounds"].min() >= -1.0
    assert plain["bounds"][:, 3:].mean() > 7.0 > 2.0 > plain["bounds"][:, :3].mean()


@pytest.mark.slow  # starts a process
def test_another_process_draws_the_same(tmp_path):
    code = (
        "import sys, numpy as np\n"
        "from tests.engine.random import test_random_ops as t\n"
        "np.savez(sys.argv[2], **t.recorded(sys.argv[1], save_summary_steps=5))\n"
    )
    root = str(pathlib.Path(__file__).parents[3])
    file = tmp_path / "drawn.npz"
    command = [sys.executable, "-c", code, str(tmp_path / "other"), str(file)]
    subprocess.run(command, cwd=root, check=True, capture_output=True, timeout=300)
    here = recorded(tmp_path / "here", **PLAIN)
    with np.load(file) as there:
        for name, expected in here.items():
            np.testing.assert_array_equal(there[name], expected, err_msg=name)


def traced(build):
    store = variable_store.VariableStore()
    made = program.trace(lambda _: build(), element_spec=(), name="p", seed=1, store=store)
    return made, made.function(tf.nest.flatten(made.result))


@pytest.mark.parametrize("kind", ["log_uniform", "uniform", "fixed_unigram"])
def test_candidates_come_as_often_as_expected(kind):
    sampler = getattr(tf.random, f"{kind}_candidate_sampler")
    options = {"unigrams": COUNTS, "distortion": 0.75} if kind == "fixed_unigram" else {}
    true = np.array([[0], [1], [2], [3], [4]])
    arguments = {"true_classes": true, "num_true": 1, "num_sampled": 2_000, "unique": False}
    made, draw = traced(lambda: sampler(**arguments, range_max=5, **options))
    sampled, of_true, of_sampled = (part.numpy() for part in draw())
    expected = sampler(**arguments, range_max=5, **options)
    np.testing.assert_allclose(of_true, expected[1].numpy(), rtol=1e-5)
    np.testing.assert_allclose(of_sampled, of_true[sampled, 0], rtol=1e-6)
    counts = np.bincount(sampled, minlength=5)
    np.testing.assert_allclose(counts, of_true[:, 0], rtol=0.15, atol=20)
    made.graph.random_state.restart()
    np.testing.assert_array_equal(draw()[0].numpy(), sampled)


def test_different_candidates_have_the_expectation_of_as_many_tries():
    arguments = {"num_true": 1, "num_sampled": 4, "unique": True, "range_max": 6}
    true = tf.constant([[0], [5]], tf.int64)
    _, draw = traced(lambda: tf.random.log_uniform_candidate_sampler(true, **arguments))
    share = np.log([2.0, 7.0 / 6.0]) / np.log(7.0)
    for _ in range(20):
        sampled, of_true, _ = (part.numpy() for part in draw())
        assert len(set(sampled)) == 4
        if abs(of_true[0, 0] - 4 * share[0]) > 1e-5:  # else no draw was repeated
            tries = np.log1p(-of_true[:, 0].astype(np.float64)) / np.log1p(-share)
            np.testing.assert_allclose(tries, tries[0], rtol=1e-3)
            np.testing.assert_allclose(tries, np.round(tries), rtol=1e-3)


def test_more_different_candidates_than_there_are():
    arguments = {"num_true": 1, "num_sampled": 7, "unique": True, "range_max": 6}
    with pytest.raises(ValueError, match="only 6 classes can be drawn"):
        traced(lambda: tf.random.uniform_candidate_sampler(np.array([[0]]), **arguments))


def test_a_sampler_that_learns_is_refused():
    def build():
        return tf.random.learned_unigram_candidate_sampler([[0]], 1, 2, True, 6)

    with pytest.raises(errors.ArgumentError, match="numbers would repeat"):
        traced(build)


def test_ops_without_a_seed_are_left_alone():
    store = variable_store.VariableStore()
    made = program.trace(
        lambda _: tf.random.uniform([3]), element_spec=(), name="p", seed=None, store=store
    )
    assert [op.type for op in made.graph.get_operations()][-1] == "RandomUniform"


def test_initial_values_are_those_of_a_fresh_session():
    """A second start in one process draws what the first one drew."""

    def build():
        return v1.get_variable("w", [4]).initializer

    store = variable_store.VariableStore()
    made = program.trace(lambda _: build(), element_spec=(), name="p", seed=1, store=store)
    initialize = made.function([], [made.result])
    initialize()
    first = store["w"].variable.numpy()
    made.graph.random_state.restart(initializers=True)
    initialize()
    np.testing.assert_array_equal(store["w"].variable.numpy(), first)


def test_an_exported_graph_has_the_ops_of_tf1():
    def build():
        branch = tf.cond(tf.zeros([]) > 1, lambda: tf.random.normal([2]), lambda: tf.zeros([2]))
        shuffled = tf.random.shuffle(tf.range(3.0))
        return tf.nn.dropout(tf.ones([2]), rate=0.5) + branch + shuffled[:2]

    made, _ = traced(build)
    graph_def = made.graph.as_graph_def()
    types = {node.op for node in graph_def.node}
    assert {"RandomUniform", "RandomShuffle"} <= types
    inside = {node.op for function in graph_def.library.function for node in function.node_def}
    assert "RandomStandardNormal" in inside
    for kinds in (types, inside):
        assert not any(kind.startswith(("Stateless", "Rng")) for kind in kinds - {"StatelessIf"})
    with tf.Graph().as_default(), v1.Session() as session:
        (loaded,) = tf.import_graph_def(graph_def, return_elements=[made.result.name])
        drawn = [session.run(loaded) for _ in range(20)]
    assert len(np.unique(drawn, axis=0)) > 1


def test_random_ops_that_are_imported_draw_from_the_state():
    with tf.Graph().as_default() as graph:
        tf.identity(tf.random.uniform([2], seed=4), name="drawn")

    def build():
        (drawn,) = tf.import_graph_def(graph.as_graph_def(), return_elements=["drawn:0"])
        return drawn

    made, draw = traced(build)
    first, second = draw()[0].numpy(), draw()[0].numpy()
    assert (first != second).all()
    made.graph.random_state.restart()
    np.testing.assert_array_equal(draw()[0].numpy(), first)
