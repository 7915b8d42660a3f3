import keras
import pytest
import tensorflow as tf

from kestimator.exporting.export_outputs import (
    ClassificationOutput,
    EvalOutput,
    ExportOutput,
    PredictOutput,
    RegressionOutput,
    TrainOutput,
)


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def floats(dtype=tf.float32):
    return tf.constant([[0.25, 0.75]], dtype)


def strings():
    return tf.constant([["a", "b"]])


def examples():
    return {"examples": tf.compat.v1.placeholder(tf.string, [None], name="examples")}


def numbers():
    return {"numbers": tf.compat.v1.placeholder(tf.float32, [None, 1], name="numbers")}


def described(output, receiver_tensors):
    """The signature as (inputs, outputs, method) with the tensors' names."""
    signature = output.as_signature_def(receiver_tensors)
    return (
        {key: info.name for key, info in signature.inputs.items()},
        {key: info.name for key, info in signature.outputs.items()},
        signature.method_name,
    )


class TestPredictOutput:
    def test_dict(self):
        outputs = {"a": floats(), ("b", "c"): strings()}
        assert described(PredictOutput(outputs), {**examples(), **numbers()}) == (
            {"examples": "examples:0", "numbers": "numbers:0"},
            {"a": outputs["a"].name, "b/c": outputs["b", "c"].name},
            "tensorflow/serving/predict",
        )

    def test_bare_tensor(self):
        tensor = floats()
        assert PredictOutput(tensor).outputs == {"output": tensor}

    def test_sparse_placeholder(self):
        sparse = tf.compat.v1.sparse_placeholder(tf.float32)
        signature = PredictOutput(floats()).as_signature_def({"x": sparse})
        assert signature.inputs["x"].coo_sparse.values_tensor_name == sparse.values.name

    @pytest.mark.parametrize("key", [1, None, ("a", 1)])
    def test_key(self, key):
        with pytest.raises(ValueError, match="key of.*a string"):
            PredictOutput({key: floats()})

    @pytest.mark.parametrize("value", [1.0, None, [1.0]])
    def test_value(self, value):
        with pytest.raises(ValueError, match=r"`outputs\['a'\]`.*a tf.Tensor"):
            PredictOutput({"a": value})
        with pytest.raises(ValueError, match="a tf.Tensor"):
            PredictOutput(value)

    def test_nothing_to_give(self):
        with pytest.raises(ValueError, match="`outputs`.*at least one"):
            PredictOutput({}).as_signature_def(numbers())

    def test_nothing_to_feed(self):
        with pytest.raises(ValueError, match="`receiver_tensors`.*at least one"):
            PredictOutput(floats()).as_signature_def({})


class TestClassificationOutput:
    def test_both(self):
        scores, classes = floats(), strings()
        assert described(ClassificationOutput(scores, classes), examples()) == (
            {"inputs": "examples:0"},
            {"scores": scores.name, "classes": classes.name},
            "tensorflow/serving/classify",
        )

    def test_one_of_them(self):
        _, outputs, _ = described(ClassificationOutput(scores=floats()), examples())
        assert set(outputs) == {"scores"}
        _, outputs, _ = described(ClassificationOutput(classes=strings()), {"x": strings()})
        assert set(outputs) == {"classes"}

    def test_neither(self):
        with pytest.raises(ValueError, match="unless `classes` is given"):
            ClassificationOutput()

    def test_dtypes(self):
        with pytest.raises(ValueError, match="`scores`.*a float tf.Tensor"):
            ClassificationOutput(tf.constant([1]))
        with pytest.raises(ValueError, match="`classes`.*tf.strings.as_string"):
            ClassificationOutput(floats(), tf.constant([1]))
        with pytest.raises(ValueError, match="`scores`"):
            ClassificationOutput(0.5)
        with pytest.raises(ValueError, match="`classes`"):
            ClassificationOutput(classes="a")

    def test_double_scores_cannot_be_served(self):
        output = ClassificationOutput(floats(tf.float64))
        with pytest.raises(ValueError, match="`scores`.*float32"):
            output.as_signature_def(examples())


class TestRegressionOutput:
    def test_value(self):
        value = floats()
        assert described(RegressionOutput(value), examples()) == (
            {"inputs": "examples:0"},
            {"outputs": value.name},
            "tensorflow/serving/regress",
        )

    @pytest.mark.parametrize("value", [None, 1.0, "a"])
    def test_not_a_float_tensor(self, value):
        with pytest.raises(ValueError, match="`value`.*a float tf.Tensor"):
            RegressionOutput(value)
        with pytest.raises(ValueError, match="`value`.*a float tf.Tensor"):
            RegressionOutput(tf.constant([1]))


@pytest.mark.parametrize(
    "make", [lambda: RegressionOutput(floats()), lambda: ClassificationOutput(floats())]
)
def test_a_single_string_is_needed(make):
    for receiver_tensors in (numbers(), {}, {**examples(), "more": strings()}):
        with pytest.raises(ValueError, match="single string placeholder.*tf.io.parse_example"):
            make().as_signature_def(receiver_tensors)


class TestSupervisedOutputs:
    @pytest.mark.parametrize(
        ("output_class", "method"),
        [
            (EvalOutput, "tensorflow/supervised/eval"),
            (TrainOutput, "tensorflow/supervised/training"),
        ],
    )
    def test_names(self, output_class, method):
        t = floats()
        metrics = {"m": (t, t), ("h", "n"): (t, t), "metrics/z": (t, t)}
        output = output_class(t, {"a": t, "predictions/q": t, ("h", "p"): t}, metrics)
        inputs, outputs, found_method = described(output, numbers())
        assert inputs == {"numbers": "numbers:0"}
        assert found_method == method
        assert set(outputs) == {
            "loss",
            "predictions/a",
            "predictions/q",
            "predictions/h/p",
            "metrics/m/value",
            "metrics/m/update_op",
            "metrics/h/n/value",
            "metrics/h/n/update_op",
            "metrics/z/value",
            "metrics/z/update_op",
        }

    def test_bare_tensors(self):
        t = floats()
        output = EvalOutput(t, t, (t, t))
        assert output.loss == {"loss": t}
        assert output.predictions == {"predictions": t}
        assert output.metrics == {"metrics/value": t, "metrics/update_op": t}

    def test_nothing(self):
        output = EvalOutput()
        assert (output.loss, output.predictions, output.metrics) == (None, None, None)
        assert described(output, numbers())[1] == {}

    def test_update_operation_becomes_a_tensor(self, graph):
        operation = tf.no_op()
        update = EvalOutput(metrics={"m": (floats(), operation)}).metrics["metrics/m/update_op"]
        assert update.name == "metric_op_wrapper:0"
        assert update.op.control_inputs == [operation]

    def test_keras_metric(self):
        @tf.function(autograph=False)
        def step():
            with tf.init_scope():
                metric = keras.metrics.Mean()
            metrics = EvalOutput(metrics={"m": metric}).metrics
            assert set(metrics) == {"metrics/m/value", "metrics/m/update_op"}

        with tf.init_scope():
            step()

    @pytest.mark.parametrize("metric", [1.0, (1.0,), [1.0, 2.0]])
    def test_not_a_metric(self, metric):
        with pytest.raises(ValueError, match=r"`metrics/m`.*\(value, update_op\)"):
            EvalOutput(metrics={"m": metric})

    def test_parts_of_a_metric(self):
        with pytest.raises(ValueError, match="`value of metrics/m`"):
            EvalOutput(metrics={"m": (1.0, floats())})
        with pytest.raises(ValueError, match="`update_op of metrics/m`"):
            EvalOutput(metrics={"m": (floats(), 1.0)})

    def test_loss_is_not_a_tensor(self):
        with pytest.raises(ValueError, match=r"`loss\['loss'\]`.*a tf.Tensor"):
            EvalOutput(loss=1.0)


def test_own_kind_of_output():
    class Mine(ExportOutput):
        def as_signature_def(self, receiver_tensors):
            return "mine"

    assert Mine().as_signature_def({}) == "mine"
    with pytest.raises(TypeError, match="abstract"):
        ExportOutput()
