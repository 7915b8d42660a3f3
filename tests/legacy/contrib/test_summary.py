"""`tf.contrib.summary` writes what the `host_call` of a TPUEstimator asks for."""

import pytest
import tensorflow as tf

import kestimator
from tests.programs import tools

v1 = tf.compat.v1


@pytest.mark.slow
def test_host_call(tmp_path):
    summary, folder = v1.contrib.summary, str(tmp_path)

    def host_call(step, loss):
        with summary.create_file_writer(folder, max_queue=1).as_default():
            with summary.always_record_summaries():
                summary.scalar("loss_of_host", loss[0], step=step[0])
                summary.scalar("rate", 0.5, family="rates", step=step[0])
            with summary.never_record_summaries():
                summary.scalar("never", loss[0], step=step[0])
            return summary.all_summary_ops()

    def model_fn(features, labels, mode, params):
        weight = v1.get_variable("w", [], initializer=v1.ones_initializer())
        loss = tf.reduce_mean(tf.square(weight * features - labels))
        step = v1.train.get_global_step()
        train_op = v1.train.GradientDescentOptimizer(0.1).minimize(loss, step)
        tensors = [tf.reshape(step, [1]), tf.reshape(loss, [1])]
        return kestimator.tpu.TPUEstimatorSpec(
            mode, loss=loss, train_op=train_op, host_call=(host_call, tensors)
        )

    def input_fn(params):
        return tf.data.Dataset.from_tensors((1.0, 0.0)).repeat().batch(params["batch_size"])

    estimator = kestimator.tpu.TPUEstimator(
        model_fn, folder, kestimator.tpu.RunConfig(), use_tpu=False, train_batch_size=4
    )
    estimator.train(input_fn, steps=3)
    written = tools.scalars(folder)
    # The tag has the family twice, as in TF 1.15.
    assert written["rates/rates/rate"]["values"] == [0.5, 0.5, 0.5]
    values = written["loss_of_host"]["values"]
    assert values == pytest.approx([1.0, 0.64, 0.4096], rel=1e-5)
    assert "never" not in written
