"""Predictions run ahead of who takes them: nothing of that may show."""

import gc
import itertools

import numpy as np
import pytest
import tensorflow as tf

import kestimator

v1 = tf.compat.v1
ROWS = np.arange(3_000, dtype=np.float32)


def model_fn(features, mode):
    """Predicts `x * weight`; a step of training adds 1 to the weight, which starts at 0."""
    weight = v1.get_variable("weight", (), initializer=v1.zeros_initializer())
    predictions = {"product": features["x"] * weight, "x": features["x"]}
    step = v1.train.get_or_create_global_step()
    train_op = tf.group(weight.assign_add(1.0), step.assign_add(1))
    return kestimator.EstimatorSpec(
        mode, predictions=predictions, loss=weight * weight, train_op=train_op
    )


def input_fn():
    """A thousand and a half batches of two rows."""
    return tf.data.Dataset.from_tensor_slices({"x": ROWS}).batch(2)


@pytest.fixture
def estimator(tmp_path):
    config = kestimator.RunConfig(keep_checkpoint_max=None)
    return kestimator.Estimator(model_fn, str(tmp_path), config).train(input_fn, steps=1)


def products(rows):
    return np.array([row["product"] for row in rows])


def test_all_rows_in_order(estimator):
    rows = list(estimator.predict(input_fn))
    np.testing.assert_array_equal([row["x"] for row in rows], ROWS)
    np.testing.assert_array_equal(products(rows), ROWS)


@pytest.mark.parametrize("taken", [1, 2, 5, 100, 1_000, 2_999])
def test_training_meanwhile_changes_no_rows(estimator, taken):
    predictions = estimator.predict(input_fn)
    rows = list(itertools.islice(predictions, taken))
    estimator.train(input_fn, steps=5)
    rows.extend(itertools.islice(predictions, 300))
    estimator.train(input_fn, steps=5)
    rows.extend(predictions)
    np.testing.assert_array_equal(products(rows), ROWS)
    np.testing.assert_array_equal(products(estimator.predict(input_fn)), 11 * ROWS)


def test_training_goes_on_from_its_own_values(estimator):
    for _ in itertools.islice(estimator.predict(input_fn), 200):
        pass
    steps = [estimator.train(input_fn, steps=1).get_variable_value("weight") for _ in range(3)]
    assert steps == [2, 3, 4]


def test_predictions_of_two_checkpoints_side_by_side(estimator):
    first = estimator.latest_checkpoint()
    estimator.train(input_fn, steps=1)
    pairs = list(
        zip(
            estimator.predict(input_fn, checkpoint_path=first),
            estimator.predict(input_fn),
            strict=True,
        )
    )
    older, newer = zip(*pairs, strict=True)
    np.testing.assert_array_equal(products(older), ROWS)
    np.testing.assert_array_equal(products(newer), 2 * ROWS)


def test_evaluation_of_another_checkpoint_meanwhile(estimator):
    first = estimator.latest_checkpoint()
    estimator.train(input_fn, steps=1)
    rows, losses = [], []
    for row in estimator.predict(input_fn):
        rows.append(row)
        if len(rows) % 500 == 250:
            result = estimator.evaluate(input_fn, steps=1, checkpoint_path=first)
            losses.append(result["loss"])
    np.testing.assert_array_equal(products(rows), 2 * ROWS)
    assert losses == [1.0] * 6


def test_predictions_in_a_hook_of_training(estimator):
    class Predicts(kestimator.SessionRunHook):
        found = ()

        def after_run(self, run_context, run_values):
            del run_context, run_values
            self.found = *self.found, products(estimator.predict(input_fn))

    outside = estimator.predict(input_fn)
    rows = list(itertools.islice(outside, 200))
    hook = Predicts()
    estimator.train(input_fn, steps=3, hooks=[hook])
    for values in hook.found:
        np.testing.assert_array_equal(values, ROWS)  # the checkpoint's, not those in training
    rows.extend(outside)
    np.testing.assert_array_equal(products(rows), ROWS)
    assert estimator.get_variable_value("weight") == 4


def damaged_input_fn():
    """Its row 1,000 cannot be read."""

    def read(row):
        with tf.control_dependencies([tf.debugging.assert_none_equal(row["x"], 1_000.0)]):
            return {"x": tf.identity(row["x"])}

    return (
        input_fn()
        .unbatch()
        .map(read)
        .batch(2)
        .apply(tf.data.experimental.assert_cardinality(1_500))
    )


def test_an_error_in_the_data_is_raised_and_nothing_else_is_lost(estimator):
    rows = []
    with pytest.raises(tf.errors.InvalidArgumentError):
        rows.extend(estimator.predict(damaged_input_fn))
    for row in estimator.predict(damaged_input_fn):  # given up, with the error still to come
        if row["x"] == 600.0:
            break
    del row
    gc.collect()
    np.testing.assert_array_equal(products(estimator.predict(input_fn)), ROWS)
    assert estimator.train(input_fn, steps=1).get_variable_value("weight") == 2


def test_what_python_computes_does_not_block(estimator):
    """While the caller waits for rows, a generator gets its turn to make them."""

    def generated():
        return (
            tf.data.Dataset.from_generator(
                lambda: ({"x": row} for row in ROWS),
                output_signature={"x": tf.TensorSpec((), tf.float32)},
            )
            .apply(tf.data.experimental.assert_cardinality(len(ROWS)))
            .batch(2)
        )

    np.testing.assert_array_equal(products(estimator.predict(generated)), ROWS)


def test_a_given_up_generator_holds_nothing_up(estimator):
    for taken in (1, 7, 150):
        rows = list(itertools.islice(estimator.predict(input_fn), taken))
        np.testing.assert_array_equal(products(rows), ROWS[:taken])
    assert estimator.evaluate(input_fn, steps=1)["global_step"] == 1


def test_open_generator_answers_the_last_request(estimator):
    request = [0.0]

    def requests():
        while True:
            yield {"x": request[0]}

    def of_server():
        signature = {"x": tf.TensorSpec((), tf.float32)}
        return tf.data.Dataset.from_generator(requests, output_signature=signature).batch(1)

    answers, got = estimator.predict(of_server), []
    for request[0] in (3.0, 1.0, 4.0, 1.0, 5.0):
        got.append(next(answers)["product"])
    answers.close()
    assert got == [3.0, 1.0, 4.0, 1.0, 5.0]
