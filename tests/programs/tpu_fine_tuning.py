"""Fine-tuning from a checkpoint with a TPUEstimator, in the style of BERT's `run_classifier`."""

import math
import os
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tests.programs import tools
from tests.programs.tpu import make_estimator

v1 = tf.compat.v1
CASES = tools.Cases()

_LENGTH, _VOCABULARY, _WIDTH, _CLASSES = 6, 20, 8, 3


class _AdamWeightDecayOptimizer(v1.train.Optimizer):
    """Adam without corrections, with decoupled decay of weights, as in BERT's repository."""

    def __init__(self, learning_rate: Any, decay_rate: float, without: list[str]) -> None:
        super().__init__(False, "AdamWeightDecayOptimizer")
        self._rate, self._decay_rate, self._without = learning_rate, decay_rate, without

    def apply_gradients(
        self, grads_and_vars: Any, global_step: Any = None, name: Any = None
    ) -> Any:
        assignments = []
        for gradient, variable in grads_and_vars:
            if gradient is None:
                continue
            key = re.sub(r":\d+$", "", variable.name)
            moments = [
                v1.get_variable(
                    f"{key}/{moment}",
                    shape=variable.shape.as_list(),
                    dtype=tf.float32,
                    trainable=False,
                    initializer=v1.zeros_initializer(),
                )
                for moment in ("adam_m", "adam_v")
            ]
            m = 0.9 * moments[0] + tf.multiply(0.1, gradient)
            v = 0.999 * moments[1] + 0.001 * tf.square(gradient)
            update = m / (tf.sqrt(v) + 1e-6)
            if not any(re.search(pattern, key) for pattern in self._without):
                update += self._decay_rate * variable
            assignments += [
                variable.assign(variable - self._rate * update),
                moments[0].assign(m),
                moments[1].assign(v),
            ]
        return tf.group(*assignments, name=name)


def _train_op(loss: Any, steps: int, warm_up: int) -> Any:
    global_step = v1.train.get_or_create_global_step()
    rate = v1.train.polynomial_decay(tf.constant(0.05), global_step, steps, end_learning_rate=0.0)
    done = tf.cast(global_step, tf.float32) / warm_up
    is_warm = tf.cast(tf.cast(global_step, tf.int32) < warm_up, tf.float32)
    rate = (1.0 - is_warm) * rate + is_warm * 0.05 * done
    optimizer = _AdamWeightDecayOptimizer(rate, 0.01, ["layer_norm", "bias"])
    variables = v1.trainable_variables()
    gradients, _ = tf.clip_by_global_norm(tf.gradients(loss, variables), clip_norm=1.0)
    train_op = optimizer.apply_gradients(
        zip(gradients, variables, strict=True), global_step=global_step
    )
    return tf.group(train_op, global_step.assign(global_step + 1))


def _layer(inputs: Any, width: int, name: str) -> Any:
    with v1.variable_scope(name):
        size = inputs.shape[-1]
        kernel = v1.get_variable("kernel", [size, width], initializer=_spread(size, width))
        bias = v1.get_variable("bias", [width], initializer=v1.zeros_initializer())
        return tf.tensordot(inputs, kernel, 1) + bias


def _spread(*shape: int) -> Any:
    """An initializer with deterministic values around zero."""
    count = math.prod(shape)
    values = np.sin(np.arange(1, count + 1, dtype=np.float32) * 1.7).reshape(shape) * 0.3
    return v1.constant_initializer(values)


def _layer_norm(inputs: Any) -> Any:
    with v1.variable_scope("layer_norm"):
        gamma = v1.get_variable("gamma", [_WIDTH], initializer=v1.ones_initializer())
        beta = v1.get_variable("beta", [_WIDTH], initializer=v1.zeros_initializer())
    mean, variance = tf.nn.moments(inputs, [-1], keepdims=True)
    return (inputs - mean) * tf.math.rsqrt(variance + 1e-12) * gamma + beta


def _encoder(ids: Any, mask: Any) -> Any:
    with v1.variable_scope("bert"):
        with v1.variable_scope("embeddings"):
            table = v1.get_variable(
                "word_embeddings", [_VOCABULARY, _WIDTH], initializer=_spread(_VOCABULARY, _WIDTH)
            )
            positions = v1.get_variable(
                "position_embeddings", [_LENGTH, _WIDTH], initializer=_spread(_LENGTH, _WIDTH)
            )
            outputs = _layer_norm(tf.nn.embedding_lookup(table, ids) + positions)
        with v1.variable_scope("encoder"), v1.variable_scope("layer_0"):
            query, key, value = (
                _layer(outputs, _WIDTH, name) for name in ("query", "key", "value")
            )
            scores = tf.matmul(query, key, transpose_b=True) / math.sqrt(_WIDTH)
            scores += (1.0 - tf.cast(mask[:, None, :], tf.float32)) * -10000.0
            outputs = _layer_norm(outputs + tf.matmul(tf.nn.softmax(scores), value))
        with v1.variable_scope("pooler"):
            return tf.tanh(_layer(outputs[:, 0], _WIDTH, "dense"))


def _records(path: str, count: int) -> str:
    """A file of examples whose label follows from their words."""
    random = np.random.RandomState(2)
    with tf.io.TFRecordWriter(path) as writer:
        for _ in range(count):
            ids = random.randint(1, _VOCABULARY, size=_LENGTH)
            filled = int(random.randint(2, _LENGTH + 1))
            values = {
                "input_ids": np.where(np.arange(_LENGTH) < filled, ids, 0),
                "input_mask": (np.arange(_LENGTH) < filled).astype(np.int64),
                "label_ids": [int(ids[:filled].sum()) % _CLASSES],
                "is_real_example": [1],
            }
            features = {
                name: tf.train.Feature(int64_list=tf.train.Int64List(value=list(map(int, value))))
                for name, value in values.items()
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    return path


def _records_input_fn(path: str, is_training: bool, drop_remainder: bool) -> Callable[..., Any]:
    lengths = {
        "input_ids": [_LENGTH],
        "input_mask": [_LENGTH],
        "label_ids": [],
        "is_real_example": [],
    }
    spec = {name: tf.io.FixedLenFeature(shape, tf.int64) for name, shape in lengths.items()}

    def decode(record: Any) -> dict[str, Any]:
        example = tf.io.parse_single_example(record, spec)
        return {name: tf.cast(value, tf.int32) for name, value in example.items()}

    def input_fn(params: dict[str, Any]) -> Any:
        dataset = tf.data.TFRecordDataset(path)
        if is_training:
            dataset = dataset.repeat()
        return dataset.map(decode).batch(params["batch_size"], drop_remainder=drop_remainder)

    return input_fn


def _classifier_fn(est: Any, checkpoint: str | None, in_scaffold: bool) -> Callable[..., Any]:
    def model_fn(features: Any, labels: Any, mode: str, params: dict[str, Any]) -> Any:
        pooled = _encoder(features["input_ids"], features["input_mask"])
        weights = v1.get_variable(
            "output_weights", [_CLASSES, _WIDTH], initializer=_spread(_CLASSES, _WIDTH)
        )
        bias = v1.get_variable("output_bias", [_CLASSES], initializer=v1.zeros_initializer())
        logits = tf.matmul(pooled, weights, transpose_b=True) + bias
        log_probabilities = tf.nn.log_softmax(logits)
        label_ids = features["label_ids"]
        per_example = -tf.reduce_sum(tf.one_hot(label_ids, _CLASSES) * log_probabilities, -1)
        loss = tf.reduce_mean(per_example)

        scaffold_fn = None
        if checkpoint:
            names = {name for name, _ in tf.train.list_variables(checkpoint)}
            assignment = {
                variable.op.name: variable.op.name
                for variable in v1.trainable_variables()
                if variable.op.name in names
            }

            def initialized_scaffold() -> Any:
                v1.train.init_from_checkpoint(checkpoint, assignment)
                return v1.train.Scaffold()

            if in_scaffold:
                scaffold_fn = initialized_scaffold
            else:
                v1.train.init_from_checkpoint(checkpoint, assignment)

        spec = est.tpu.TPUEstimatorSpec
        if mode == est.ModeKeys.TRAIN:
            train_op = _train_op(loss, params["train_steps"], params["warmup_steps"])
            return spec(mode=mode, loss=loss, train_op=train_op, scaffold_fn=scaffold_fn)
        if mode == est.ModeKeys.EVAL:

            def metric_fn(per_example: Any, label_ids: Any, logits: Any, is_real: Any) -> Any:
                predictions = tf.argmax(logits, axis=-1, output_type=tf.int32)
                return {
                    "eval_accuracy": v1.metrics.accuracy(label_ids, predictions, is_real),
                    "eval_loss": v1.metrics.mean(values=per_example, weights=is_real),
                }

            tensors = [per_example, label_ids, logits, features["is_real_example"]]
            return spec(
                mode=mode, loss=loss, eval_metrics=(metric_fn, tensors), scaffold_fn=scaffold_fn
            )
        return spec(
            mode=mode,
            predictions={"probabilities": tf.exp(log_probabilities)},
            scaffold_fn=scaffold_fn,
        )

    return model_fn


def _pretrained(model_dir: str) -> str:
    """Writes a checkpoint of an encoder, as a pretrained one."""
    with tf.Graph().as_default():
        _encoder(tf.zeros([1, _LENGTH], tf.int32), tf.ones([1, _LENGTH], tf.int32))
        scaled = [variable.assign(variable * -0.5) for variable in v1.trainable_variables()]
        saver = v1.train.Saver(v1.trainable_variables())
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            session.run(scaled)
            path: str = saver.save(session, f"{model_dir}/pretrained/bert_model.ckpt")
    return path


def _fine_tuned(est: Any, model_dir: str, in_scaffold: bool) -> dict[str, Any]:
    os.makedirs(f"{model_dir}/pretrained")
    records = _records(f"{model_dir}/train.tf_record", 22)
    steps = 12
    estimator = make_estimator(
        est,
        f"{model_dir}/model",
        _classifier_fn(est, _pretrained(model_dir), in_scaffold),
        params={"train_steps": steps, "warmup_steps": 3},
        config={"save_checkpoints_steps": 4, "tf_random_seed": 1},
        tpu_config={"iterations_per_loop": 4, "num_shards": 8, "per_host_input_for_training": 3},
        train_batch_size=8,
        eval_batch_size=8,
    )
    evaluated = []
    for max_steps in (8, steps):
        estimator.train(_records_input_fn(records, True, True), max_steps=max_steps)
        evaluated.append(tools.plain(estimator.evaluate(_records_input_fn(records, False, False))))
    predictions = estimator.predict(_records_input_fn(records, False, False))
    return {
        "files": tools.checkpoint_files(f"{model_dir}/model"),
        "start": tools.checkpoint(f"{model_dir}/model/model.ckpt-0")["bert/pooler/dense/kernel"],
        "evaluated": evaluated,
        "probabilities": tools.plain([row["probabilities"] for row in predictions]),
        "variables": tools.names_and_shapes(f"{model_dir}/model"),
        "end": tools.checkpoint(f"{model_dir}/model")["bert/embeddings/word_embeddings"],
    }


@CASES
def in_model_fn(est: Any, model_dir: str) -> dict[str, Any]:
    return _fine_tuned(est, model_dir, in_scaffold=False)


@CASES
def in_scaffold_fn(est: Any, model_dir: str) -> dict[str, Any]:
    return _fine_tuned(est, model_dir, in_scaffold=True)
