"""BERT-like fine-tuning: TPUEstimator, init_from_checkpoint, an optimizer with weight decay."""

import json
import os
import re

import numpy as np
import tensorflow as tf

flags = tf.flags
FLAGS = flags.FLAGS
flags.DEFINE_string("model_dir", "/tmp/bert", "The output directory.")
flags.DEFINE_bool("use_tpu", False, "Whether to use TPU or GPU/CPU.")
flags.DEFINE_integer("train_batch_size", 8, "Total batch size for training.")


class AdamWeightDecayOptimizer(tf.train.Optimizer):
    """Adam that decays weights, without corrections of the moments."""

    def __init__(self, learning_rate, weight_decay_rate=0.01, exclude=("LayerNorm", "bias")):
        super(AdamWeightDecayOptimizer, self).__init__(False, "AdamWeightDecayOptimizer")
        self.learning_rate, self.rate, self.exclude = learning_rate, weight_decay_rate, exclude

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        assignments = []
        for grad, param in grads_and_vars:
            if grad is None:
                continue
            name = re.match("^(.*):\\d+$", param.name).group(1)
            slots = [
                tf.get_variable(
                    name=name + suffix,
                    shape=param.shape.as_list(),
                    dtype=tf.float32,
                    trainable=False,
                    initializer=tf.zeros_initializer(),
                )
                for suffix in ("/adam_m", "/adam_v")
            ]
            next_m = tf.multiply(0.9, slots[0]) + tf.multiply(0.1, grad)
            next_v = tf.multiply(0.999, slots[1]) + tf.multiply(0.001, tf.square(grad))
            update = next_m / (tf.sqrt(next_v) + 1e-6)
            if not any(re.search(pattern, name) for pattern in self.exclude):
                update += self.rate * param
            next_param = param - self.learning_rate * update
            assignments += [param.assign(next_param), slots[0].assign(next_m)]
            assignments.append(slots[1].assign(next_v))
        return tf.group(*assignments, name=name)


def create_model(ids, mask, hidden=8, heads=2):
    start = tf.truncated_normal_initializer(stddev=0.2, seed=12)
    with tf.variable_scope("bert", initializer=start):
        table = tf.get_variable("embeddings/word_embeddings", [20, hidden])
        net = tf.nn.embedding_lookup(table, ids)
        with tf.variable_scope("layer_0"):
            q, k, v = (tf.layers.dense(net, hidden, name=n) for n in ("query", "key", "value"))
            split = [tf.stack(tf.split(part, heads, axis=2), axis=1) for part in (q, k, v)]
            scores = tf.matmul(split[0], split[1], transpose_b=True) / np.sqrt(hidden / heads)
            scores += (1.0 - tf.cast(mask[:, None, None, :], tf.float32)) * -10000.0
            context = tf.matmul(tf.nn.softmax(scores), split[2])
            net += tf.concat(tf.unstack(context, axis=1), axis=2)
            mean, variance = tf.nn.moments(net, [-1], keepdims=True)
            with tf.variable_scope("LayerNorm"):
                gamma = tf.get_variable("gamma", [hidden], initializer=tf.ones_initializer())
                net = gamma * (net - mean) / tf.sqrt(variance + 1e-12)
        return tf.layers.dense(net[:, 0, :], hidden, activation=tf.tanh, name="pooler")


def model_fn_builder(init_checkpoint, steps):
    def model_fn(features, labels, mode, params):
        pooled = create_model(features["input_ids"], features["input_mask"])
        weights = tf.get_variable("output_weights", initializer=np.eye(2, 8, dtype=np.float32))
        bias = tf.get_variable("output_bias", [2], initializer=tf.zeros_initializer())
        logits = tf.nn.bias_add(tf.matmul(pooled, weights, transpose_b=True), bias)
        scaffold_fn = None
        if init_checkpoint:
            present = {name for name, _ in tf.train.list_variables(init_checkpoint)}
            names = [v.op.name for v in tf.trainable_variables()]
            tf.train.init_from_checkpoint(
                init_checkpoint, {name: name for name in names if name in present}
            )
        if mode == tf.estimator.ModeKeys.PREDICT:
            predictions = {"probabilities": tf.nn.softmax(logits)}
            return tf.estimator.tpu.TPUEstimatorSpec(
                mode=mode, predictions=predictions, scaffold_fn=scaffold_fn
            )
        one_hot = tf.one_hot(features["label_ids"], 2, dtype=tf.float32)
        per_example = -tf.reduce_sum(one_hot * tf.nn.log_softmax(logits), axis=-1)
        loss = tf.reduce_mean(per_example)
        if mode == tf.estimator.ModeKeys.EVAL:

            def metric_fn(per_example, label_ids, logits):
                accuracy = tf.metrics.accuracy(label_ids, tf.argmax(logits, -1))
                return {"eval_accuracy": accuracy, "eval_loss": tf.metrics.mean(per_example)}

            metrics = (metric_fn, [per_example, features["label_ids"], logits])
            return tf.estimator.tpu.TPUEstimatorSpec(mode, loss=loss, eval_metrics=metrics)
        step = tf.train.get_or_create_global_step()
        rate = tf.train.polynomial_decay(0.02, step, steps, end_learning_rate=0.0)
        warm = tf.cast(step < 3, tf.float32)
        rate = (1.0 - warm) * rate + warm * 0.02 * tf.cast(step, tf.float32) / 3.0
        optimizer = AdamWeightDecayOptimizer(rate)
        if FLAGS.use_tpu:
            optimizer = tf.tpu.CrossShardOptimizer(optimizer)
        tvars = tf.trainable_variables()
        grads, _ = tf.clip_by_global_norm(tf.gradients(loss, tvars), clip_norm=1.0)
        train_op = optimizer.apply_gradients(zip(grads, tvars), global_step=step)
        train_op = tf.group(train_op, [step.assign(step + 1)])
        return tf.estimator.tpu.TPUEstimatorSpec(mode, loss=loss, train_op=train_op)

    return model_fn


def input_fn_builder(is_training, drop_remainder):
    rng = np.random.RandomState(9)
    data = {"input_ids": rng.randint(0, 20, (40, 6)), "input_mask": rng.randint(0, 2, (40, 6))}
    data["input_mask"][:, 0] = 1
    data["label_ids"] = data["input_ids"][:, 0] % 2

    def input_fn(params):
        dataset = tf.data.Dataset.from_tensor_slices(data)
        if is_training:
            dataset = dataset.repeat()
        return dataset.batch(params["batch_size"], drop_remainder=drop_remainder)

    return input_fn


def make_estimator(folder, init_checkpoint, steps):
    tpu_config = tf.estimator.tpu.TPUConfig(iterations_per_loop=10, num_shards=8)
    run_config = tf.estimator.tpu.RunConfig(
        model_dir=folder, save_checkpoints_steps=10, tpu_config=tpu_config
    )
    return tf.estimator.tpu.TPUEstimator(
        use_tpu=FLAGS.use_tpu,
        model_fn=model_fn_builder(init_checkpoint, steps),
        config=run_config,
        train_batch_size=FLAGS.train_batch_size,
        eval_batch_size=10,
        predict_batch_size=8,
    )


def main(_):
    pretrained = os.path.join(FLAGS.model_dir, "pretrained")
    make_estimator(pretrained, None, 10).train(input_fn_builder(True, True), max_steps=5)
    checkpoint = tf.train.latest_checkpoint(pretrained)
    estimator = make_estimator(FLAGS.model_dir, checkpoint, 20)
    estimator.train(input_fn_builder(True, True), max_steps=20)
    results = estimator.evaluate(input_fn_builder(False, False))
    rows = estimator.predict(input_fn_builder(False, False))
    answer = {"evaluated": {key: float(value) for key, value in sorted(results.items())}}
    answer["probabilities"] = [row["probabilities"].tolist() for row in rows]
    print("RESULT " + json.dumps(answer))


if __name__ == "__main__":
    tf.app.run()
