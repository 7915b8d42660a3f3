"""Scaffold, moving averages of weights, init_from_checkpoint, lookup tables."""

import os
from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import tools

v1 = tf.compat.v1
CASES = tools.Cases()


def _outputs(features: Any, name: str = "net", start: float = 0.0) -> Any:
    with v1.variable_scope(name):
        weights = v1.get_variable("w", [3, 1], initializer=v1.constant_initializer(start))
        bias = v1.get_variable("b", [1], initializer=v1.zeros_initializer())
    return tf.matmul(features, weights) + bias


def _loss(outputs: Any, labels: Any) -> Any:
    return tf.identity(tf.reduce_mean(tf.square(outputs - labels)), name="the_loss")


def _sgd(loss: Any) -> Any:
    return v1.train.GradientDescentOptimizer(0.1).minimize(
        loss, global_step=v1.train.get_global_step()
    )


def _with_scaffold(est: Any, model_dir: str, make: Any, steps: int = 2) -> dict[str, Any]:
    """Trains a regression whose Scaffold is `make()`; returns its start and its end."""
    losses: list[float] = []

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        outputs = _outputs(features)
        if mode == est.ModeKeys.PREDICT:
            return est.EstimatorSpec(mode, predictions=outputs, scaffold=make())
        loss = _loss(outputs, labels)
        train_op = _sgd(loss)
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op, scaffold=make())

    estimator = est.Estimator(model_fn, model_dir)
    estimator.train(
        tools.batches(*tools.regression()), hooks=[tools.losses_hook(est, losses)], steps=steps
    )
    start = tools.checkpoint(f"{model_dir}/model.ckpt-0")
    estimator.train(
        tools.batches(*tools.regression()), hooks=[tools.losses_hook(est, losses)], steps=steps
    )
    return {"losses": losses, "start": start, "after": tools.checkpoint(model_dir)}


def _variable(name: str) -> Any:
    return next(variable for variable in v1.global_variables() if variable.op.name == name)


@CASES
def init_fn(est: Any, model_dir: str) -> dict[str, Any]:
    calls: list[str] = []

    def make() -> Any:
        value = v1.placeholder(tf.float32, [3, 1])
        assign = _variable("net/w").assign(value)

        def load(scaffold: Any, session: Any) -> None:
            calls.append(type(scaffold).__name__)
            session.run(assign, {value: [[1.0], [2.0], [3.0]]})

        return v1.train.Scaffold(init_fn=load)

    return {**_with_scaffold(est, model_dir, make), "calls": calls}


@CASES
def init_op_and_feed(est: Any, model_dir: str) -> dict[str, Any]:
    """An init_op of one's own, fed by init_feed_dict; it replaces the initialisers."""

    def make() -> Any:
        value = v1.placeholder(tf.float32, [], name="value")
        others = [variable for variable in v1.global_variables() if variable.op.name != "net/w"]
        filled = _variable("net/w").assign(tf.fill([3, 1], value))
        init_op = tf.group(v1.variables_initializer(others), filled)
        return v1.train.Scaffold(init_op=init_op, init_feed_dict={value: 0.75})

    return _with_scaffold(est, model_dir, make)


@CASES
def init_op_by_dependencies(est: Any, model_dir: str) -> dict[str, Any]:
    def make() -> Any:
        with tf.control_dependencies([v1.global_variables_initializer()]):
            init_op = tf.group(_variable("net/b").assign([0.125]))
        return v1.train.Scaffold(init_op=init_op)

    return _with_scaffold(est, model_dir, make)


@CASES
def local_init_op(est: Any, model_dir: str) -> dict[str, Any]:
    """Runs in every session, restored or not."""
    seen: list[float] = []

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        local = v1.get_variable(
            "local",
            initializer=tf.constant(1.0),
            trainable=False,
            collections=[v1.GraphKeys.LOCAL_VARIABLES],
        )
        with tf.control_dependencies([local.initializer]):
            doubled = tf.group(v1.tables_initializer(), local.assign(5.0))
        loss = _loss(_outputs(features), labels)
        with tf.control_dependencies([local.assign_add(1.0)]):
            train_op = _sgd(loss)
        hook = est.FinalOpsHook(local.read_value())
        hooks.append(hook)
        scaffold = v1.train.Scaffold(local_init_op=doubled)
        return est.EstimatorSpec(
            mode, loss=loss, train_op=train_op, scaffold=scaffold, training_hooks=[hook]
        )

    hooks: list[Any] = []
    estimator = est.Estimator(model_fn, model_dir)
    for _ in range(2):
        estimator.train(tools.batches(*tools.regression()), steps=3)
        seen.append(tools.plain(hooks[-1].final_ops_values))
    return {"local_at_the_end": seen, "names": estimator.get_variable_names()}


@CASES
def local_init_op_of_an_evaluation(est: Any, model_dir: str) -> dict[str, Any]:
    """It leaves out the variables of metrics, which are made ready all the same."""

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        seen = v1.get_variable("seen", [], collections=["local_variables"], trainable=False)
        loss = _loss(_outputs(features), labels)
        if mode == est.ModeKeys.TRAIN:
            return est.EstimatorSpec(mode, loss=loss, train_op=_sgd(loss))
        with tf.control_dependencies([seen.initializer]):
            local_init_op = tf.group(seen.assign(2.0))
        metrics = {
            "seen": (seen.read_value(), tf.no_op()),
            "mean": v1.metrics.mean(labels),
        }
        return est.EstimatorSpec(
            mode,
            loss=loss,
            eval_metric_ops=metrics,
            scaffold=v1.train.Scaffold(local_init_op=local_init_op),
        )

    input_fn = tools.batches(*tools.regression(), epochs=1)
    estimator = est.Estimator(model_fn, model_dir).train(input_fn)
    return tools.plain([estimator.evaluate(input_fn) for _ in range(2)])


@CASES
def ready_op(est: Any, model_dir: str) -> dict[str, Any]:
    def make() -> Any:
        return v1.train.Scaffold(
            ready_op=v1.report_uninitialized_variables(),
            ready_for_local_init_op=tf.constant([], tf.string),
        )

    return _with_scaffold(est, model_dir, make)


@CASES
def saver(est: Any, model_dir: str) -> dict[str, Any]:
    """A Saver of one's own: which variables, and how many checkpoints."""

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        outputs = _outputs(features)
        extra = v1.get_variable("unsaved", [], initializer=v1.ones_initializer(), trainable=False)
        loss = _loss(outputs + 0.0 * extra, labels)
        saved = [variable for variable in v1.global_variables() if variable.op.name != "unsaved"]
        scaffold = v1.train.Scaffold(
            saver=v1.train.Saver(saved, max_to_keep=2), init_fn=lambda scaffold, session: None
        )
        return est.EstimatorSpec(mode, loss=loss, train_op=_sgd(loss), scaffold=scaffold)

    config = est.RunConfig(model_dir, save_checkpoints_steps=1)
    estimator = est.Estimator(model_fn, config=config).train(
        tools.batches(*tools.regression()), steps=4
    )
    return {
        "files": tools.checkpoint_files(model_dir),
        "names": estimator.get_variable_names(),
    }


@CASES
def moving_average(est: Any, model_dir: str) -> dict[str, Any]:
    """Averages of the weights, which evaluation and prediction read by a mapping Saver."""
    losses: list[float] = []

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        outputs = _outputs(features, start=0.5)
        averages = tf.train.ExponentialMovingAverage(
            0.9, num_updates=v1.train.get_or_create_global_step()
        )
        scaffold = None
        if mode != est.ModeKeys.TRAIN:
            restored = averages.variables_to_restore(v1.trainable_variables())
            scaffold = v1.train.Scaffold(saver=v1.train.Saver(restored))
        if mode == est.ModeKeys.PREDICT:
            return est.EstimatorSpec(mode, predictions=outputs, scaffold=scaffold)
        loss = _loss(outputs, labels)
        if mode == est.ModeKeys.EVAL:
            return est.EstimatorSpec(mode, loss=loss, scaffold=scaffold)
        with tf.control_dependencies([_sgd(loss)]):
            train_op = averages.apply(v1.trainable_variables())
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op)

    estimator = est.Estimator(model_fn, model_dir)
    input_fn = tools.batches(*tools.regression(), epochs=1)
    evaluated = []
    for _ in range(2):
        estimator.train(
            tools.batches(*tools.regression()), hooks=[tools.losses_hook(est, losses)], steps=5
        )
        evaluated.append(tools.plain(estimator.evaluate(input_fn)))
    return {
        "losses": losses,
        "evaluated": evaluated,
        "rows": tools.plain(list(estimator.predict(input_fn))),
        "variables": tools.checkpoint(model_dir),
    }


@CASES
def swapped_moving_average(est: Any, model_dir: str) -> dict[str, Any]:
    """Weights of the averages by a custom getter, without a Saver."""

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        averages = tf.train.ExponentialMovingAverage(0.8)
        outputs = _outputs(features, start=0.5)
        averages.apply(v1.trainable_variables())

        def averaged(getter: Any, name: str, *args: Any, **kwargs: Any) -> Any:
            return averages.average(getter(name, *args, **kwargs))

        with v1.variable_scope("", reuse=True, custom_getter=averaged):
            smooth = _outputs(features)
        loss = _loss(outputs, labels)
        with tf.control_dependencies([_sgd(loss)]):
            train_op = averages.apply(v1.trainable_variables())
        metrics = {"smooth": v1.metrics.mean(tf.square(smooth - labels))}
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op, eval_metric_ops=metrics)

    estimator = est.Estimator(model_fn, model_dir).train(
        tools.batches(*tools.regression()), steps=4
    )
    evaluated = estimator.evaluate(tools.batches(*tools.regression(), epochs=1))
    return {"evaluated": tools.plain(evaluated), "variables": tools.checkpoint(model_dir)}


def _pretrained(est: Any, folder: str) -> str:
    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        loss = _loss(_outputs(features, "old") + _outputs(features, "also/deep"), labels)
        return est.EstimatorSpec(mode, loss=loss, train_op=_sgd(loss))

    est.Estimator(model_fn, folder).train(tools.batches(*tools.regression()), steps=4)
    return folder


@CASES
def init_from_checkpoint(est: Any, model_dir: str) -> dict[str, Any]:
    old = _pretrained(est, f"{model_dir}/old")
    results = {}

    def started(name: str, assignment_map: Any, scope: str, path: str = old) -> None:
        def model_fn(features: Any, labels: Any, mode: str) -> Any:
            loss = _loss(_outputs(features, scope), labels)
            mapping = assignment_map() if callable(assignment_map) else assignment_map
            v1.train.init_from_checkpoint(path, mapping)
            return est.EstimatorSpec(mode, loss=loss, train_op=_sgd(loss))

        folder = f"{model_dir}/{name}"
        estimator = est.Estimator(model_fn, folder)
        untrained = estimator.evaluate(tools.batches(*tools.regression(), epochs=1))
        estimator.train(tools.batches(*tools.regression()), steps=1)
        first = tools.checkpoint_files(folder)[0]
        start = tools.checkpoint(f"{folder}/{first}")
        estimator.train(tools.batches(*tools.regression()), steps=1)
        results[name] = {
            "untrained": tools.plain(untrained),
            "first": first,
            "start": start,
            "after": tools.checkpoint(folder),
        }

    started("scopes", {"old/": "new/"}, "new")
    started("one_name", {"old/w": "new/w"}, "new")
    started(
        "variables",
        lambda: {"also/deep/w": _variable("new/w"), "also/deep/b": _variable("new/b")},
        "new",
    )
    started("everything", {"/": "/"}, "old", f"{old}/model.ckpt-4")
    return results


@CASES
def init_from_checkpoint_as_bert_does(est: Any, model_dir: str) -> dict[str, Any]:
    """The mapping is computed from the names that the checkpoint and the graph share."""
    old = _pretrained(est, f"{model_dir}/old")

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        outputs = _outputs(features, "old") + _outputs(features, "classifier", start=0.25)
        names = {variable.name.split(":")[0]: variable for variable in v1.trainable_variables()}
        mapping = {name: name for name, _ in tf.train.list_variables(old) if name in names}
        v1.train.init_from_checkpoint(tf.train.latest_checkpoint(old), mapping)
        loss = _loss(outputs, labels)
        return est.EstimatorSpec(mode, loss=loss, train_op=_sgd(loss))

    est.Estimator(model_fn, f"{model_dir}/new").train(tools.batches(*tools.regression()), steps=1)
    return {
        "start": tools.checkpoint(f"{model_dir}/new/model.ckpt-0"),
        "after": tools.checkpoint(f"{model_dir}/new"),
    }


WORDS = np.array(["c", "a", "x", "b", "a", "c", "b", "y"])


def _word_model_fn(est: Any, ids_of: Any) -> Any:
    """Embeddings of words by a table made in `ids_of(words)`."""

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        embedding = v1.get_variable("embedding", initializer=np.arange(6, dtype=np.float32) / 10.0)
        ids = ids_of(features)
        outputs = tf.gather(embedding, ids)
        if mode == est.ModeKeys.PREDICT:
            return est.EstimatorSpec(mode, predictions={"outputs": outputs, "ids": ids})
        loss = _loss(outputs, labels)
        return est.EstimatorSpec(mode, loss=loss, train_op=_sgd(loss))

    return model_fn


def _words(est: Any, model_dir: str, ids_of: Any, input_fn: Any = None) -> dict[str, Any]:
    losses: list[float] = []
    labels = np.linspace(0.0, 2.0, 8, dtype=np.float32)
    input_fn = input_fn or tools.batches(WORDS, labels, epochs=2)
    estimator = est.Estimator(_word_model_fn(est, ids_of), model_dir)
    estimator.train(input_fn, hooks=[tools.losses_hook(est, losses)])
    return {
        "losses": losses,
        "evaluated": tools.plain(estimator.evaluate(input_fn)),
        "rows": tools.plain(list(estimator.predict(input_fn))),
        "names": estimator.get_variable_names(),
    }


def _static_table(default: int = 3) -> Any:
    initializer = tf.lookup.KeyValueTensorInitializer(
        ["a", "b", "c"], tf.constant([0, 1, 2], tf.int64)
    )
    return tf.lookup.StaticHashTable(initializer, default)


def _vocabulary(model_dir: str) -> str:
    path = os.path.join(model_dir, "vocabulary.txt")
    with open(path, "w", encoding="utf-8") as file:
        file.write("a\nb\nc\n")
    return path


@CASES
def table_in_the_model(est: Any, model_dir: str) -> dict[str, Any]:
    return _words(est, f"{model_dir}/m", lambda words: _static_table().lookup(words))


@CASES
def table_from_a_file(est: Any, model_dir: str) -> dict[str, Any]:
    path = _vocabulary(model_dir)

    def ids_of(words: Any) -> Any:
        initializer = tf.lookup.TextFileInitializer(
            path,
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        )
        return v1.lookup.StaticVocabularyTable(initializer, num_oov_buckets=2).lookup(words)

    return _words(est, f"{model_dir}/m", ids_of)


@CASES
def v1_table(est: Any, model_dir: str) -> dict[str, Any]:
    def ids_of(words: Any) -> Any:
        initializer = tf.lookup.KeyValueTensorInitializer(
            ["a", "b", "c"], tf.constant([0, 1, 2], tf.int64)
        )
        return v1.lookup.StaticHashTable(initializer, 4).lookup(words)

    return _words(est, f"{model_dir}/m", ids_of)


@CASES
def table_that_training_fills(est: Any, model_dir: str) -> dict[str, Any]:
    """It is saved and restored with the variables."""
    words = np.array(["a", "b"])

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1, name="table")
        found = table.lookup(features)
        if mode == est.ModeKeys.PREDICT:
            return est.EstimatorSpec(mode, predictions={"found": found})
        step = v1.train.get_global_step()
        loss = tf.reduce_mean(tf.cast(found, tf.float32))
        with tf.control_dependencies([loss]):
            filled = table.insert(features, tf.range(2, dtype=tf.int64) + 10 * step)
        with tf.control_dependencies([filled]):
            train_op = v1.assign_add(step, 1)
        return est.EstimatorSpec(mode, loss=loss, train_op=train_op)

    def input_fn() -> Any:
        return tf.data.Dataset.from_tensors(words).repeat(3)

    estimator = est.Estimator(model_fn, model_dir)
    found = []
    for _ in range(2):
        estimator.train(input_fn)
        rows = list(estimator.predict(lambda: tf.data.Dataset.from_tensors(words)))
        found.append(tools.plain([estimator.evaluate(input_fn)["loss"], rows]))
    return {"found": found, "checkpoint": tools.names_and_shapes(model_dir)}


@CASES
def table_in_the_map_of_a_dataset(est: Any, model_dir: str) -> dict[str, Any]:
    def input_fn() -> Any:
        table = _static_table()
        dataset = tf.data.Dataset.from_tensor_slices(
            (WORDS, np.linspace(0.0, 2.0, 8, dtype=np.float32))
        )
        return dataset.map(lambda word, label: (table.lookup(word), label)).batch(4)

    return _words(est, f"{model_dir}/m", lambda ids: ids, input_fn)


@CASES
def table_with_an_initializable_iterator(est: Any, model_dir: str) -> dict[str, Any]:
    def input_fn() -> Any:
        table = _static_table()
        dataset = tf.data.Dataset.from_tensor_slices(
            (WORDS, np.linspace(0.0, 2.0, 8, dtype=np.float32))
        )
        dataset = dataset.map(lambda word, label: (table.lookup(word), label)).batch(4)
        iterator = v1.data.make_initializable_iterator(dataset)
        v1.add_to_collection(v1.GraphKeys.TABLE_INITIALIZERS, iterator.initializer)
        return iterator.get_next()

    return _words(est, f"{model_dir}/m", lambda ids: ids, input_fn)


@CASES
def table_of_tensors_in_the_input(est: Any, model_dir: str) -> dict[str, Any]:
    def input_fn() -> Any:
        dataset = tf.data.Dataset.from_tensor_slices(
            (WORDS, np.linspace(0.0, 2.0, 8, dtype=np.float32))
        )
        words, labels = v1.data.make_one_shot_iterator(dataset.batch(4)).get_next()
        return _static_table(5).lookup(words), labels

    results = {}
    losses: list[float] = []
    estimator = est.Estimator(_word_model_fn(est, lambda ids: ids), model_dir)
    estimator.train(input_fn, hooks=[tools.losses_hook(est, losses)])
    results["losses"], results["evaluated"] = losses, tools.plain(estimator.evaluate(input_fn))
    return results


@CASES
def words_of_ids(est: Any, model_dir: str) -> dict[str, Any]:
    """A table back to strings in the predictions."""

    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        initializer = tf.lookup.KeyValueTensorInitializer(
            tf.constant([0, 1, 2], tf.int64), ["a", "b", "c"]
        )
        table = tf.lookup.StaticHashTable(initializer, "?")
        ids = tf.cast(tf.round(features[:, 0] * 3.0), tf.int64)
        return est.EstimatorSpec(mode, predictions={"word": table.lookup(ids)})

    rows = est.Estimator(model_fn, model_dir).predict(
        tools.batches(tools.regression()[0], epochs=1)
    )
    return {"rows": tools.plain(list(rows))}
