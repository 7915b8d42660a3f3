"""A linear model on tf.Examples: a parsing receiver, served by tf.saved_model.load."""

import argparse
import json
import os

import numpy as np
import tensorflow as tf

fc = tf.feature_column


def make_columns():
    gender = fc.categorical_column_with_vocabulary_list("gender", ["f", "m"])
    fare = fc.bucketized_column(fc.numeric_column("fare", default_value=7.0), [5.0, 10.0, 20.0])
    deck = fc.categorical_column_with_hash_bucket("deck", 10)
    crossed = fc.crossed_column([gender, fare], hash_bucket_size=20)
    tags = fc.weighted_categorical_column(
        fc.categorical_column_with_identity("tags", 6, default_value=0), "tag_weights"
    )
    return [gender, fare, deck, crossed, tags]


def make_examples(seed, count):
    rng = np.random.RandomState(seed)
    for _ in range(count):
        gender, fare = rng.choice(["f", "m"]), rng.uniform(0, 30)
        survived = int((gender == "f") + fare / 30 > 0.9)
        tags = rng.randint(0, 6, rng.randint(0, 3))
        feature = {
            "gender": tf.train.Feature(bytes_list=tf.train.BytesList(value=[gender.encode()])),
            "fare": tf.train.Feature(float_list=tf.train.FloatList(value=[fare])),
            "deck": tf.train.Feature(
                bytes_list=tf.train.BytesList(value=[rng.choice(list("ABC")).encode()])
            ),
            "tags": tf.train.Feature(int64_list=tf.train.Int64List(value=tags)),
            "tag_weights": tf.train.Feature(
                float_list=tf.train.FloatList(value=rng.rand(len(tags)))
            ),
            "survived": tf.train.Feature(int64_list=tf.train.Int64List(value=[survived])),
        }
        example = tf.train.Example(features=tf.train.Features(feature=feature))
        yield example.SerializeToString()


def make_input_fn(examples, columns, epochs=1):
    label = tf.io.FixedLenFeature([1], tf.int64)
    spec = {**fc.make_parse_example_spec(columns), "survived": label}

    def input_fn():
        dataset = tf.data.Dataset.from_tensor_slices(examples).repeat(epochs).batch(16)
        parsed = dataset.map(lambda serialized: tf.io.parse_example(serialized, spec))
        return parsed.map(lambda features: (features, features.pop("survived")))

    return input_fn


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model_dir", default="/tmp/serving")
    args = parser.parse_args()
    columns = make_columns()
    examples, test = list(make_examples(0, 96)), list(make_examples(1, 32))
    classifier = tf.estimator.LinearClassifier(
        columns,
        model_dir=args.model_dir,
        label_vocabulary=None,
        optimizer=lambda: tf.keras.optimizers.legacy.Ftrl(0.3, l2_regularization_strength=0.01),
    )
    classifier.train(make_input_fn(examples, columns, 4))
    results = classifier.evaluate(make_input_fn(test, columns))

    receiver_fn = tf.estimator.export.build_parsing_serving_input_receiver_fn(
        fc.make_parse_example_spec(columns)
    )
    export_path = classifier.export_saved_model(os.path.join(args.model_dir, "export"), receiver_fn)
    assets = classifier.experimental_export_all_saved_models(
        os.path.join(args.model_dir, "all"), {tf.estimator.ModeKeys.PREDICT: receiver_fn}
    )
    answer = {key: float(results[key]) for key in sorted(results)}
    served = {}
    for path in (export_path, assets):
        imported = tf.saved_model.load(path.decode())
        predict = imported.signatures["predict"]
        classify = imported.signatures["serving_default"]
        outputs = predict(examples=tf.constant(test[:4]))
        served["signatures"] = sorted(imported.signatures)
        served["outputs"] = sorted(outputs)
        served["probabilities"] = outputs["probabilities"].numpy().tolist()
        classified = classify(tf.constant(test[:2]))
        served["classes"] = [[c.decode() for c in row] for row in classified["classes"].numpy()]
        served["scores"] = classified["scores"].numpy().tolist()
    answer["served"] = served
    answer["bias"] = classifier.get_variable_value("linear/linear_model/bias_weights").tolist()
    print("RESULT " + json.dumps(answer))


if __name__ == "__main__":
    main()
