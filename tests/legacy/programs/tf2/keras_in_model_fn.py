"""A Keras model, losses, metrics and a legacy optimizer inside a model_fn."""

import argparse
import json

import numpy as np
import tensorflow as tf


def make_model():
    rng = np.random.RandomState(1)

    def start(*shape):
        return tf.constant_initializer(rng.normal(0, 0.3, shape).astype(np.float32))

    return tf.keras.Sequential(
        [
            tf.keras.layers.Conv1D(
                4,
                3,
                padding="same",
                use_bias=False,
                input_shape=(8, 1),
                kernel_initializer=start(3, 1, 4),
            ),
            tf.keras.layers.BatchNormalization(momentum=0.7),
            tf.keras.layers.Activation("relu"),
            tf.keras.layers.LSTM(
                3, kernel_initializer=start(4, 12), recurrent_initializer=start(3, 12)
            ),
            tf.keras.layers.Dropout(0.0),
            tf.keras.layers.Dense(
                3,
                kernel_initializer=start(3, 3),
                kernel_regularizer=tf.keras.regularizers.l2(0.01),
            ),
        ]
    )


def my_model_fn(features, labels, mode):
    model = make_model()
    training = mode == tf.estimator.ModeKeys.TRAIN
    logits = model(features, training=training)
    predictions = {"logits": logits, "class": tf.argmax(logits, axis=1)}
    if mode == tf.estimator.ModeKeys.PREDICT:
        return tf.estimator.EstimatorSpec(mode, predictions=predictions)

    loss_obj = tf.keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction=tf.keras.losses.Reduction.NONE
    )
    reg_losses = model.get_losses_for(None) + model.get_losses_for(features)
    total_loss = tf.reduce_mean(loss_obj(labels, logits)) + tf.math.add_n(reg_losses)
    accuracy = tf.keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    accuracy.update_state(labels, logits)
    entropy = tf.keras.metrics.Mean(name="entropy")
    entropy.update_state(tf.nn.softmax_cross_entropy_with_logits(tf.nn.softmax(logits), logits))

    train_op = None
    if training:
        optimizer = tf.keras.optimizers.legacy.Adam(
            tf.keras.optimizers.schedules.ExponentialDecay(0.05, 5, 0.9)
        )
        # Lets the optimizer count the steps.
        optimizer.iterations = tf.compat.v1.train.get_or_create_global_step()
        update_ops = model.get_updates_for(None) + model.get_updates_for(features)
        minimize_op = optimizer.get_updates(total_loss, model.trainable_variables)[0]
        train_op = tf.group(minimize_op, *update_ops)
    return tf.estimator.EstimatorSpec(
        mode=mode,
        predictions=predictions,
        loss=total_loss,
        train_op=train_op,
        eval_metric_ops={"accuracy": accuracy, "entropy": entropy},
    )


def input_fn(epochs=1):
    rng = np.random.RandomState(0)
    labels = rng.randint(0, 3, 36)
    x = np.sin(np.arange(8)[None] * (labels[:, None] + 1) / 2.0)[..., None]
    dataset = tf.data.Dataset.from_tensor_slices((x.astype(np.float32), labels))
    return dataset.cache().repeat(epochs).batch(12).prefetch(tf.data.experimental.AUTOTUNE)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model_dir", default="/tmp/keras_in_model_fn")
    args = parser.parse_args()
    config = tf.estimator.RunConfig(save_checkpoints_steps=12)
    estimator = tf.estimator.Estimator(my_model_fn, model_dir=args.model_dir, config=config)
    estimator.train(lambda: input_fn(None), steps=24)
    results = estimator.evaluate(input_fn)
    rows = list(estimator.predict(input_fn))
    answer = {key: float(value) for key, value in sorted(results.items())}
    answer["logits"] = [row["logits"].tolist() for row in rows[:3]]
    answer["classes"] = [int(row["class"]) for row in rows]
    print("RESULT", json.dumps(answer))


if __name__ == "__main__":
    main()
