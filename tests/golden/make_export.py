"""Records what the original exports, and what its exports answer.

Run it with the Python that has tensorflow 2.15 and tensorflow-estimator 2.15:

    python tests/golden/make_export.py
    python tests/golden/make_export.py --load DIRECTORY    # what an export answers here

`tests/exporting/test_export.py` exports the same models with kestimator and compares.
"""

import json
import os
import pathlib
import sys
import tempfile

import tensorflow as tf

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE / "export.json"
v1 = tf.compat.v1

X = [[1.0, 2.0], [-3.0, 0.5], [0.25, 4.0]]
WORDS = [["a"], ["c"], ["unknown"]]
SPEC = {"x": tf.io.FixedLenFeature([2], tf.float32), "word": tf.io.FixedLenFeature([1], tf.string)}


def logits_of(features, vocabulary):
    """The model: weights, and a row for each word of a vocabulary file."""
    table = tf.lookup.StaticVocabularyTable(
        tf.lookup.TextFileInitializer(
            vocabulary,
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        ),
        num_oov_buckets=1,
    )
    with v1.variable_scope("model"):
        weights = v1.get_variable(
            "weights",
            [2, 3],
            initializer=v1.constant_initializer([[0.5, -1.0, 0.25], [1.0, 0.125, -0.5]]),
        )
        rows = v1.get_variable(
            "rows", [4, 3], initializer=v1.constant_initializer([[i, 2 * i, -i] for i in range(4)])
        )
        ids = tf.reshape(table.lookup(features["word"]), [-1])
        return tf.matmul(features["x"], weights) + tf.gather(rows, ids)


def every_kind(est, logits):
    """One output of every kind."""
    scores = tf.nn.softmax(logits, name="scores")
    best = tf.argmax(logits, 1, name="best")
    names = tf.gather(tf.constant(["red", "green", "blue"]), best)
    return {
        "serving_default": est.export.ClassificationOutput(
            scores=scores, classes=tf.tile([["red", "green", "blue"]], [tf.shape(logits)[0], 1])
        ),
        "classes": est.export.ClassificationOutput(classes=names[:, None]),
        "scores": est.export.ClassificationOutput(scores=scores),
        "regression": est.export.RegressionOutput(logits[:, :1]),
        "prediction": est.export.PredictOutput({"best": best, ("pair", "logits"): logits}),
        "bare": est.export.PredictOutput(logits),
    }


OUTPUTS = {
    "every kind": every_kind,
    "none": lambda est, logits: None,
    "one": lambda est, logits: {"mine": est.export.PredictOutput({"logits": logits})},
    "one regression": lambda est, logits: {"mine": est.export.RegressionOutput(logits)},
    "empty": lambda est, logits: {},
}


def with_alternatives(est):
    """Feeds at three places: before and after an op on the examples, and after parsing."""
    examples = v1.placeholder(tf.string, [None], name="input_example_tensor")
    text = tf.identity(examples, name="text")
    features = v1.io.parse_example(text, SPEC)
    alternatives = {"parsed": features, "text": text, "too few": {"x": features["x"]}}
    return est.export.ServingInputReceiver(features, {"examples": examples}, alternatives)


def single_string(est):
    """A receiver tensor without a name."""
    examples = v1.placeholder(tf.string, [None], name="input_example_tensor")
    return est.export.ServingInputReceiver(v1.io.parse_example(examples, SPEC), examples)


def placeholders():
    with tf.Graph().as_default():
        return {
            "x": v1.placeholder(tf.float32, [7, 2], name="numbers"),
            "word": v1.placeholder(tf.string, [None, 1]),
        }


RECEIVERS = {
    "parsing": lambda est: est.export.build_parsing_serving_input_receiver_fn(SPEC),
    "parsing of 3": lambda est: est.export.build_parsing_serving_input_receiver_fn(SPEC, 3),
    "raw": lambda est: est.export.build_raw_serving_input_receiver_fn(
        {"x": tf.constant(X), "word": tf.constant(WORDS)}
    ),
    "raw of 3": lambda est: est.export.build_raw_serving_input_receiver_fn(
        {"x": tf.constant(X), "word": tf.constant(WORDS)}, 3
    ),
    "raw of another graph": lambda est: est.export.build_raw_serving_input_receiver_fn(
        placeholders()
    ),
    "alternatives": lambda est: lambda: with_alternatives(est),
    "single string": lambda est: lambda: single_string(est),
}

CASES = [
    ("parsing", "every kind"),
    ("parsing of 3", "every kind"),
    ("raw", "every kind"),
    ("raw of 3", "none"),
    ("raw of another graph", "every kind"),
    ("alternatives", "every kind"),
    ("single string", "every kind"),
    ("parsing", "none"),
    ("parsing", "one"),
    ("parsing", "one regression"),
    ("raw", "one regression"),
    ("parsing", "empty"),
]


def estimator(est, outputs, directory):
    """An estimator of `logits_of`, trained for one step that changes nothing but the step."""
    vocabulary = os.path.join(directory, "vocabulary.txt")
    pathlib.Path(vocabulary).write_text("a\nb\nc\n")

    def model_fn(features, labels, mode):
        logits = logits_of(features, vocabulary)
        if mode == est.ModeKeys.PREDICT:
            outputs_of = OUTPUTS[outputs](est, logits)
            return est.EstimatorSpec(
                mode, predictions={"logits": logits}, export_outputs=outputs_of
            )
        train_op = v1.assign_add(v1.train.get_global_step(), 1)
        return est.EstimatorSpec(mode, loss=tf.reduce_mean(logits), train_op=train_op)

    def input_fn():
        return tf.data.Dataset.from_tensors(({"x": X, "word": WORDS}, [0.0] * 3))

    return est.Estimator(model_fn, os.path.join(directory, "model")).train(input_fn)


def examples():
    """The features as serialized examples."""

    def serialized(x, words):
        return tf.train.Example(
            features=tf.train.Features(
                feature={
                    "x": tf.train.Feature(float_list=tf.train.FloatList(value=x)),
                    "word": tf.train.Feature(
                        bytes_list=tf.train.BytesList(value=[word.encode() for word in words])
                    ),
                }
            )
        ).SerializeToString()

    return [serialized(x, words) for x, words in zip(X, WORDS, strict=True)]


def described(info):
    """A tensor of a signature."""
    shape = None if info.tensor_shape.unknown_rank else [d.size for d in info.tensor_shape.dim]
    return {"dtype": tf.as_dtype(info.dtype).name, "shape": shape}


def signatures(meta_graph):
    """The signatures of a graph, but for those that only loaders use."""
    return {
        name: {
            "method": signature.method_name,
            "inputs": {
                key: {"name": info.name, **described(info)}
                for key, info in signature.inputs.items()
            },
            "outputs": {key: described(info) for key, info in signature.outputs.items()},
        }
        for name, signature in meta_graph.signature_def.items()
        if not name.startswith("__")
    }


def request(signature):
    """What to send: by the name of the signature's input."""
    given = {"x": X, "word": WORDS}
    return {key: given.get(key) or examples() for key in signature.inputs}


def plain(value):
    value = value.tolist()
    return json.loads(json.dumps(value, default=bytes.decode))


def answers_in_a_session(directory):
    """What every signature answers in a TF1 session."""
    with tf.Graph().as_default(), v1.Session() as session:
        meta_graph = v1.saved_model.load(session, ["serve"], directory)
        found = {}
        for name, signature in meta_graph.signature_def.items():
            if not name.startswith("__"):
                feeds = {
                    signature.inputs[key].name: value for key, value in request(signature).items()
                }
                fetches = {key: info.name for key, info in signature.outputs.items()}
                values = session.run(fetches, feeds)
                found[name] = {key: plain(value) for key, value in values.items()}
        return signatures(meta_graph), found


def answers_of_functions(directory, defined):
    """What every signature answers as a function of `tf.saved_model.load`."""
    loaded = tf.saved_model.load(directory)
    found = {}
    for name, function in loaded.signatures.items():
        given = {"x": X, "word": WORDS}
        feeds = {key: tf.constant(given.get(key) or examples()) for key in defined[name]["inputs"]}
        found[name] = {key: plain(value.numpy()) for key, value in function(**feeds).items()}
    return found


def read(directory):
    """Everything that is compared of an export."""
    defined, found = answers_in_a_session(directory)
    root = pathlib.Path(directory)
    variables = tf.train.list_variables(str(root / "variables" / "variables"))
    return {
        "files": sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()),
        "variables": dict(variables),
        "signatures": defined,
        "answers": found,
        "answers_of_functions": answers_of_functions(directory, defined),
    }


def export(est, receiver, outputs, directory):
    """Trains and exports one case; removes everything but the export."""
    trained = estimator(est, outputs, directory)
    path = trained.export_saved_model(os.path.join(directory, "exports"), RECEIVERS[receiver](est))
    os.remove(os.path.join(directory, "vocabulary.txt"))
    return path.decode()


def main():
    if sys.argv[1:2] == ["--load"]:
        print(json.dumps(read(sys.argv[2])))
        return
    est = tf.estimator
    found = {}
    for receiver, outputs in CASES:
        with tempfile.TemporaryDirectory() as directory:
            found[f"{receiver}, {outputs}"] = read(export(est, receiver, outputs, directory))
    GOLDEN.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
