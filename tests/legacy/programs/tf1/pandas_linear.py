"""House prices from a DataFrame: pandas_input_fn, normalizers, weights read back, two losses."""

from __future__ import absolute_import, division, print_function

import argparse
import json

import numpy as np
import pandas as pd
import tensorflow as tf

FEATURES = ["rooms", "area", "zone"]
LABEL = "price"


def make_frame(seed, count=80):
    rng = np.random.RandomState(seed)
    frame = pd.DataFrame(
        {
            "rooms": rng.randint(1, 6, count).astype(np.float64),
            "area": rng.uniform(20, 200, count),
            "zone": pd.Series(rng.choice(["north", "south", "center"], count), dtype=object),
        }
    )
    frame[LABEL] = frame["rooms"] * 2 + frame["area"] * 0.1 + (frame["zone"] == "center") * 5.0
    return frame


def get_input_fn(data_set, num_epochs=None, shuffle=False):
    return tf.estimator.inputs.pandas_input_fn(
        x=data_set[FEATURES],
        y=pd.Series(data_set[LABEL].values),
        batch_size=20,
        num_epochs=num_epochs,
        shuffle=shuffle,
    )


def main(args):
    train, test = make_frame(0), make_frame(1, 30)
    mean, std = train["area"].mean(), train["area"].std()
    columns = [
        tf.feature_column.numeric_column("rooms"),
        tf.feature_column.numeric_column("area", normalizer_fn=lambda x: (x - mean) / std),
        tf.feature_column.categorical_column_with_vocabulary_list(
            "zone", ["north", "south", "center"], num_oov_buckets=1
        ),
    ]
    regressor = tf.estimator.LinearRegressor(
        feature_columns=columns,
        model_dir=args.model_dir,
        optimizer=tf.train.FtrlOptimizer(learning_rate=0.5, l1_regularization_strength=0.1),
        loss_reduction=tf.losses.Reduction.MEAN,
    )
    answer = {"losses": []}
    for _ in range(3):
        regressor.train(input_fn=get_input_fn(train), steps=20)
        evaluated = regressor.evaluate(input_fn=get_input_fn(test, num_epochs=1))
        answer["losses"].append(float(evaluated["loss"]))
    answer["evaluated"] = {key: float(value) for key, value in sorted(evaluated.items())}
    predictions = regressor.predict(input_fn=get_input_fn(test, num_epochs=1))
    answer["predictions"] = [float(p["predictions"][0]) for p in predictions]
    answer["weights"] = {
        name: np.asarray(regressor.get_variable_value(name)).ravel().tolist()
        for name in regressor.get_variable_names()
        if name.startswith("linear/linear_model") and "Ftrl" not in name
    }
    print("RESULT", json.dumps(answer))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--model_dir", default="/tmp/pandas_linear")
    main(parser.parse_args())
