"""train_and_evaluate: exporters, early stopping, V2 canned estimators, feature columns."""

import argparse
import json
import os

import numpy as np
import tensorflow as tf

tf.get_logger().setLevel("INFO")


def make_dataset(seed, count):
    rng = np.random.RandomState(seed)
    features = {
        "height": rng.normal(170, 10, count).astype(np.float32),
        "sport": rng.choice(["judo", "chess", "golf"], count).astype(object),
    }
    noise = rng.normal(0, 2, count)
    labels = (features["height"] - 100 + 10 * (features["sport"] == "judo") + noise) / 10
    return features, labels.astype(np.float32)


def input_fn(features, labels, training, batch_size=32):
    dataset = tf.data.Dataset.from_tensor_slices((dict(features), labels))
    if training:
        dataset = dataset.repeat()
    return dataset.batch(batch_size)


def build_columns():
    height = tf.feature_column.numeric_column("height", normalizer_fn=lambda x: (x - 170.0) / 10.0)
    sport = tf.feature_column.categorical_column_with_vocabulary_list(
        "sport", ["judo", "chess", "golf"]
    )
    return [height, tf.feature_column.indicator_column(sport)]


def rmse(labels, predictions):
    metric = tf.keras.metrics.RootMeanSquaredError(name="rmse")
    metric.update_state(y_true=labels, y_pred=predictions["predictions"][:, 0])
    return {"rmse": metric}


def smaller_loss(best_eval_result, current_eval_result):
    return best_eval_result["loss"] > current_eval_result["loss"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model_dir", default="/tmp/early_stopping")
    parser.add_argument("--max_steps", type=float, default=1e3)
    args = parser.parse_args()

    run_config = tf.estimator.RunConfig(
        model_dir=args.model_dir,
        tf_random_seed=17,
        save_checkpoints_steps=10,
        save_summary_steps=10,
        keep_checkpoint_max=3,
    )
    estimator = tf.estimator.DNNRegressor(
        hidden_units=[8],
        feature_columns=build_columns(),
        optimizer=lambda: tf.keras.optimizers.legacy.Adam(learning_rate=0.1),
        config=run_config,
    )
    estimator = tf.estimator.add_metrics(estimator, rmse)
    train, test = make_dataset(0, 128), make_dataset(1, 40)
    serving_fn = tf.estimator.export.build_raw_serving_input_receiver_fn(
        {
            "height": tf.constant([1.0]),
            "sport": tf.constant(["judo"]),
        }
    )
    exporters = [
        tf.estimator.BestExporter(
            name="best",
            serving_input_receiver_fn=serving_fn,
            compare_fn=smaller_loss,
            exports_to_keep=1,
        ),
        tf.estimator.LatestExporter("latest", serving_fn, exports_to_keep=2),
    ]
    os.makedirs(estimator.eval_dir())
    hook = tf.estimator.experimental.stop_if_no_decrease_hook(
        estimator, "loss", max_steps_without_decrease=20, run_every_secs=None, run_every_steps=10
    )
    train_spec = tf.estimator.TrainSpec(
        lambda: input_fn(*train, training=True), max_steps=args.max_steps, hooks=[hook]
    )
    eval_spec = tf.estimator.EvalSpec(
        lambda: input_fn(*test, training=False),
        steps=None,
        exporters=exporters,
        start_delay_secs=0,
        throttle_secs=0,
    )
    tf.estimator.train_and_evaluate(estimator, train_spec, eval_spec)
    results = estimator.evaluate(lambda: input_fn(*test, training=False))
    exported = {
        name: len(os.listdir(os.path.join(args.model_dir, "export", name)))
        for name in ("best", "latest")
    }
    answer = {key: float(results[key]) for key in sorted(results)}
    answer.update(exported=exported)
    print("RESULT " + json.dumps(answer))


if __name__ == "__main__":
    main()
