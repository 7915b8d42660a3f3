import copy
import os

import keras
import numpy as np
import pytest
import tensorflow as tf

from kestimator import errors
from kestimator.exporting.export_outputs import PredictOutput
from kestimator.keys import ModeKeys
from kestimator.specs import EstimatorSpec, EvalSpec, TrainSpec, VocabInfo, WarmStartSettings

HOOK = tf.compat.v1.train.StopAtStepHook(num_steps=1)
LISTENER = tf.compat.v1.train.CheckpointSaverListener()


@pytest.fixture
def graph():
    """A graph such as a model_fn is traced into."""
    with tf.compat.v1.wrap_function(lambda: None, []).graph.as_default() as graph:
        yield graph


def scalar():
    return tf.constant(1.0)


def elsewhere():
    with tf.Graph().as_default():
        return tf.constant(1.0, name="stranger")


class TestEstimatorSpec:
    def test_fields_in_order(self):
        *originals, own = EstimatorSpec._fields
        assert own == "keras_model"
        assert tuple(originals) == (
            "mode",
            "predictions",
            "loss",
            "train_op",
            "eval_metric_ops",
            "export_outputs",
            "training_chief_hooks",
            "training_hooks",
            "scaffold",
            "evaluation_hooks",
            "prediction_hooks",
        )

    def test_defaults(self, graph):
        loss = scalar()
        spec = EstimatorSpec(ModeKeys.EVAL, loss=loss)
        scaffold = spec.scaffold
        assert spec == ("eval", {}, loss, None, {}, None, (), (), scaffold, (), (), None)
        assert isinstance(scaffold, tf.compat.v1.train.Scaffold)

    @pytest.mark.parametrize(
        ("mode", "given", "missing"),
        [
            (ModeKeys.TRAIN, {"train_op"}, "loss"),
            (ModeKeys.TRAIN, {"loss"}, "train_op"),
            (ModeKeys.EVAL, {"predictions"}, "loss"),
            (ModeKeys.PREDICT, {"loss", "train_op"}, "predictions"),
        ],
    )
    def test_required(self, graph, mode, given, missing):
        with pytest.raises(ValueError, match=f"`{missing}`.*because the mode is '{mode}'"):
            EstimatorSpec(mode, **{name: scalar() for name in given})

    def test_missing_train_op_tells_of_keras(self, graph):
        with pytest.raises(ValueError, match="pass the optimizer itself"):
            EstimatorSpec(ModeKeys.TRAIN, loss=scalar())

    @pytest.mark.parametrize("mode", ["predict", "", "foo"])
    def test_unknown_mode(self, graph, mode):
        with pytest.raises(ValueError, match="`mode`.*'train', 'eval' or 'infer'"):
            EstimatorSpec(mode, loss=scalar())

    def test_positional(self, graph):
        predictions, loss = scalar(), scalar()
        spec = EstimatorSpec(ModeKeys.EVAL, predictions, loss)
        assert spec.predictions is predictions
        assert spec.loss is loss

    def test_eager(self):
        spec = EstimatorSpec(ModeKeys.TRAIN, tf.constant([1.0]), tf.constant([2.0]), tf.constant(0))
        assert spec.loss.shape == []
        assert spec.loss.numpy() == 2.0

    def test_several_in_a_plain_graph(self):
        with tf.Graph().as_default():
            assert EstimatorSpec(ModeKeys.EVAL, loss=scalar()).loss.shape == []


class TestLoss:
    @pytest.mark.parametrize("shape", [[], [1], [1, 1]])
    def test_becomes_scalar(self, graph, shape):
        assert EstimatorSpec(ModeKeys.EVAL, loss=tf.ones(shape)).loss.shape == []

    @pytest.mark.parametrize(("shape", "rank"), [(None, None), ([None], 0)])
    def test_unknown_shape(self, graph, shape, rank):
        loss = tf.compat.v1.placeholder(tf.float32, shape)
        assert EstimatorSpec(ModeKeys.EVAL, loss=loss).loss.shape.rank == rank

    def test_several_elements(self, graph):
        with pytest.raises(ValueError, match=r"`loss`.*not shape \(2,\).*tf.reduce_mean"):
            EstimatorSpec(ModeKeys.EVAL, loss=tf.ones([2]))

    @pytest.mark.parametrize("loss", [1.0, np.float32(1.0), "loss", [1.0]])
    def test_not_a_tensor(self, graph, loss):
        with pytest.raises(TypeError, match="`loss`.*a tf.Tensor"):
            EstimatorSpec(ModeKeys.EVAL, loss=loss)

    def test_of_another_graph(self, graph):
        with pytest.raises(ValueError, match="`loss`.*stranger.*belongs to another graph"):
            EstimatorSpec(ModeKeys.EVAL, loss=elsewhere())

    def test_made_outside_of_any_graph(self):
        loss = tf.constant(1.0)
        with tf.Graph().as_default(), pytest.raises(ValueError, match="made outside of a graph"):
            EstimatorSpec(ModeKeys.EVAL, loss=loss)

    @pytest.mark.parametrize("variable_class", [tf.Variable, keras.Variable])
    def test_variable_is_read(self, variable_class):
        variable = variable_class(3.0)

        @tf.function(autograph=False)
        def step():
            loss = EstimatorSpec(ModeKeys.EVAL, loss=variable).loss
            assert isinstance(loss, tf.Tensor)
            return loss

        assert step().numpy() == 3.0

    def test_symbolic_keras_tensor(self, graph):
        with pytest.raises(TypeError, match="Call the model on the features"):
            EstimatorSpec(ModeKeys.EVAL, loss=keras.KerasTensor([]))


class TestTrainOp:
    def spec(self, train_op):
        return EstimatorSpec(ModeKeys.TRAIN, loss=scalar(), train_op=train_op)

    def test_operation(self, graph):
        operation = tf.group(scalar())
        assert self.spec(operation).train_op is operation

    def test_tensor(self, graph):
        tensor = scalar()
        assert self.spec(tensor).train_op is tensor

    def test_keras_optimizer(self, graph):
        with tf.init_scope():
            optimizer = keras.optimizers.SGD()
        assert self.spec(optimizer).train_op is optimizer

    @pytest.mark.parametrize(
        "assign",
        [lambda variable: variable.assign_add(1.0), lambda v: tf.compat.v1.assign_add(v, 1.0)],
    )
    def test_assignment_becomes_its_operation(self, assign):
        variable = tf.Variable(1.0)

        @tf.function(autograph=False)
        def step():
            assert self.spec(assign(variable)).train_op.type == "AssignAddVariableOp"

        step()

    def test_variable_made_outside(self):
        variable = keras.Variable(1.0)

        @tf.function(autograph=False)
        def step():
            assert isinstance(self.spec(variable).train_op, tf.Tensor)

        step()

    @pytest.mark.parametrize("train_op", ["train", 1, lambda: None])
    def test_something_else(self, graph, train_op):
        with pytest.raises(TypeError, match="`train_op`.*tf.Operation.*tf.group"):
            self.spec(train_op)

    def test_list(self, graph):
        with pytest.raises(TypeError, match="tf.group combines"):
            self.spec([tf.no_op(), tf.no_op()])

    def test_of_another_graph(self, graph):
        with pytest.raises(ValueError, match="`train_op`.*another graph"):
            self.spec(elsewhere())
        with pytest.raises(ValueError, match="`train_op`.*another graph"):
            self.spec(elsewhere().op)


class TestPredictions:
    def test_dict_is_copied_in_order(self, graph):
        given = {"b": scalar(), "a": scalar()}
        predictions = EstimatorSpec(ModeKeys.PREDICT, given).predictions
        assert list(predictions) == ["b", "a"]
        assert predictions is not given

    @pytest.mark.parametrize("wrong", [1.0, None, [1.0], np.zeros(2), {"c": 1}])
    def test_not_a_tensor(self, graph, wrong):
        with pytest.raises(TypeError, match=r"`predictions\['b'\]`"):
            EstimatorSpec(ModeKeys.PREDICT, {"a": scalar(), "b": wrong})

    def test_list(self, graph):
        with pytest.raises(TypeError, match="`predictions`.*a dict of tensors"):
            EstimatorSpec(ModeKeys.PREDICT, [scalar()])

    def test_sparse(self, graph):
        with pytest.raises(TypeError, match="tf.sparse.to_dense"):
            EstimatorSpec(ModeKeys.PREDICT, tf.sparse.from_dense([1.0]))

    def test_ragged(self, graph):
        with pytest.raises(TypeError, match="to_tensor"):
            EstimatorSpec(ModeKeys.PREDICT, {"a": tf.ragged.constant([[1.0]])})

    def test_of_another_graph(self, graph):
        with pytest.raises(ValueError, match=r"`predictions\['a'\]`.*another graph"):
            EstimatorSpec(ModeKeys.PREDICT, {"a": elsewhere()})

    def test_variable(self):
        variable = tf.Variable([3.0])

        @tf.function(autograph=False)
        def step():
            return (
                EstimatorSpec(ModeKeys.PREDICT, variable)
                .export_outputs["serving_default"]
                .outputs["output"]
            )

        assert step().numpy() == [3.0]


class TestMetrics:
    def spec(self, metrics):
        return EstimatorSpec(ModeKeys.EVAL, loss=scalar(), eval_metric_ops=metrics)

    def test_tuples(self, graph):
        metric = (scalar(), tf.no_op())
        assert self.spec({"a": metric}).eval_metric_ops == {"a": metric}

    def test_nested_updates(self, graph):
        metric = (scalar(), [tf.no_op(), scalar()])
        assert self.spec({"a": metric}).eval_metric_ops == {"a": metric}

    def test_of_tensorflow_1(self, graph):
        metric = tf.compat.v1.metrics.mean(tf.ones([3]))
        assert self.spec({"mean": metric}).eval_metric_ops["mean"] == metric

    def test_keras_metric(self, graph):
        with tf.init_scope():
            metric = keras.metrics.Mean()
        assert self.spec({"mean": metric}).eval_metric_ops == {"mean": metric}

    def test_dict_is_copied(self, graph):
        given = {"a": (scalar(), scalar())}
        assert self.spec(given).eval_metric_ops is not given

    @pytest.mark.parametrize("metrics", [[], "metrics", (1, 2)])
    def test_not_a_dict(self, graph, metrics):
        with pytest.raises(TypeError, match="`eval_metric_ops`.*a dict"):
            self.spec(metrics)

    def test_not_a_tuple(self, graph):
        for metric in (scalar(), [scalar(), scalar()], (scalar(),), (scalar(),) * 3):
            with pytest.raises(TypeError, match=r"`eval_metric_ops\['a'\]`.*\(value, update_op\)"):
                self.spec({"a": metric})

    def test_plain_number(self, graph):
        with pytest.raises(TypeError, match=r"`eval_metric_ops\['a'\]`.*1.0 \(of type float\)"):
            self.spec({"a": (1.0, scalar())})

    def test_of_another_graph(self, graph):
        with pytest.raises(ValueError, match=r"`eval_metric_ops\['a'\]`.*another graph"):
            self.spec({"a": (elsewhere(), scalar())})


class TestExportOutputs:
    def spec(self, outputs, mode=ModeKeys.PREDICT):
        return EstimatorSpec(mode, scalar(), scalar(), export_outputs=outputs)

    def test_default(self, graph):
        spec = self.spec(None)
        assert list(spec.export_outputs) == ["serving_default"]
        assert spec.export_outputs["serving_default"].outputs == {"output": spec.predictions}

    def test_a_single_one_is_the_default_too(self, graph):
        output = PredictOutput(scalar())
        given = {"mine": output}
        assert self.spec(given).export_outputs == {"mine": output, "serving_default": output}
        assert given == {"mine": output}

    def test_several(self, graph):
        outputs = {"serving_default": PredictOutput(scalar()), "b": PredictOutput(scalar())}
        assert self.spec(outputs).export_outputs == outputs

    def test_several_without_default(self, graph):
        outputs = {"a": PredictOutput(scalar()), "b": PredictOutput(scalar())}
        with pytest.raises(ValueError, match=r"\['a', 'b'\].*DEFAULT_SERVING_SIGNATURE_DEF_KEY"):
            self.spec(outputs)

    def test_empty(self, graph):
        assert self.spec({}).export_outputs == {}

    @pytest.mark.parametrize("outputs", [3, [], {"a": 3}, {"a": None}])
    def test_wrong_types(self, graph, outputs):
        with pytest.raises(TypeError, match="ExportOutput"):
            self.spec(outputs)

    @pytest.mark.parametrize("mode", [ModeKeys.TRAIN, ModeKeys.EVAL])
    def test_not_looked_at_in_other_modes(self, graph, mode):
        spec = EstimatorSpec(mode, loss=scalar(), train_op=tf.no_op(), export_outputs="anything")
        assert spec.export_outputs == "anything"
        assert spec._replace(export_outputs=None).export_outputs is None

    def test_signature_needs_a_graph(self):
        output = PredictOutput(scalar())
        with pytest.raises(errors.KestimatorError, match="inside a graph"):
            output.as_signature_def({"x": scalar()})

    def test_key_that_is_no_string(self, graph):
        with pytest.raises(ValueError, match="a string, because signatures name"):
            EstimatorSpec(ModeKeys.PREDICT, {1: scalar()})


class TestHooksAndScaffold:
    @pytest.mark.parametrize(
        "field", ["training_hooks", "training_chief_hooks", "evaluation_hooks", "prediction_hooks"]
    )
    def test_hooks(self, graph, field):
        spec = EstimatorSpec(ModeKeys.EVAL, loss=scalar(), **{field: iter([HOOK])})
        assert getattr(spec, field) == (HOOK,)
        with pytest.raises(TypeError, match=rf"`{field}\[1\]`.*SessionRunHook.*'hook'"):
            EstimatorSpec(ModeKeys.EVAL, loss=scalar(), **{field: [HOOK, "hook"]})
        with pytest.raises(TypeError, match=f"`{field}`.*Put it in a list"):
            EstimatorSpec(ModeKeys.EVAL, loss=scalar(), **{field: HOOK})

    def test_scaffold(self, graph):
        scaffold = tf.compat.v1.train.Scaffold()
        spec = EstimatorSpec(ModeKeys.EVAL, loss=scalar(), scaffold=scaffold)
        assert spec.scaffold is scaffold
        with pytest.raises(TypeError, match="`scaffold`.*tf.compat.v1.train.Scaffold"):
            EstimatorSpec(ModeKeys.EVAL, loss=scalar(), scaffold="scaffold")


class TestReplace:
    def test_checks_again(self, graph):
        spec = EstimatorSpec(ModeKeys.EVAL, loss=scalar())
        loss = scalar()
        assert spec._replace(loss=loss, mode=ModeKeys.EVAL).loss is loss
        with pytest.raises(TypeError, match="`loss`"):
            spec._replace(loss=1.0)

    def test_keeps_the_scaffold(self, graph):
        spec = EstimatorSpec(ModeKeys.EVAL, loss=scalar())
        assert spec._replace(training_hooks=[HOOK]).scaffold is spec.scaffold

    def test_mode_of_a_spec_without_one(self, graph):
        spec = EstimatorSpec(None, loss=scalar())
        assert spec._replace(mode=ModeKeys.EVAL).mode == ModeKeys.EVAL
        with pytest.raises(ValueError, match="`train_op`.*because the mode is 'train'"):
            spec._replace(mode=ModeKeys.TRAIN)

    def test_other_mode(self, graph):
        spec = EstimatorSpec(ModeKeys.EVAL, loss=scalar())
        with pytest.raises(ValueError, match="`mode`.*'eval'.*'train'"):
            spec._replace(mode=ModeKeys.TRAIN)

    def test_unknown_field(self, graph):
        with pytest.raises(ValueError, match=r"\['no_such'\]"):
            EstimatorSpec(ModeKeys.EVAL, loss=scalar())._replace(no_such=1)

    def test_copy(self, graph):
        spec = EstimatorSpec(ModeKeys.EVAL, loss=scalar())
        assert copy.copy(spec) == spec


class TestTrainSpec:
    def test_defaults(self):
        def input_fn():
            pass

        assert TrainSpec(input_fn) == (input_fn, None, (), ())

    def test_all(self):
        spec = TrainSpec(lambda mode: None, 5, [HOOK], {LISTENER})
        assert spec[1:] == (5, (HOOK,), (LISTENER,))

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"input_fn": 3}, TypeError, "`input_fn`.*a callable"),
            ({"input_fn": lambda path: None}, TypeError, "requires `path`"),
            ({"max_steps": 0}, ValueError, "`max_steps`.*a number above 0"),
            ({"max_steps": "1"}, TypeError, "`max_steps`"),
            ({"hooks": [1]}, TypeError, r"`hooks\[0\]`.*SessionRunHook"),
            ({"saving_listeners": [HOOK]}, TypeError, r"`saving_listeners\[0\]`.*SaverListener"),
            ({"saving_listeners": LISTENER}, TypeError, "Put it in a list"),
        ],
    )
    def test_wrong(self, arguments, error, message):
        with pytest.raises(error, match=message):
            TrainSpec(**{"input_fn": lambda: None, **arguments})


class Exporter:
    def __init__(self, name):
        self.name = name

    def export(self, estimator, export_path, checkpoint_path, eval_result, is_the_final_export):
        pass


class TestEvalSpec:
    def test_defaults(self):
        def input_fn():
            pass

        assert EvalSpec(input_fn) == (input_fn, 100, None, (), (), 120, 600, None)
        assert EvalSpec._fields[:7] == (
            "input_fn",
            "steps",
            "name",
            "hooks",
            "exporters",
            "start_delay_secs",
            "throttle_secs",
        )

    def test_exporters(self):
        one, two = Exporter("one"), Exporter("two")
        assert EvalSpec(lambda: None, exporters=one).exporters == (one,)
        assert EvalSpec(lambda: None, exporters=iter([one, two])).exporters == (one, two)

    def test_zeros_are_allowed(self):
        spec = EvalSpec(lambda: None, None, start_delay_secs=0, throttle_secs=0, every_steps=1)
        assert (spec.steps, spec.start_delay_secs, spec.every_steps) == (None, 0, 1)

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"input_fn": None}, TypeError, "`input_fn`"),
            ({"steps": 0}, ValueError, "`steps`"),
            ({"every_steps": -1}, ValueError, "`every_steps`"),
            ({"name": 3}, TypeError, "`name`.*a string"),
            ({"hooks": ["hook"]}, TypeError, r"`hooks\[0\]`"),
            ({"start_delay_secs": -1}, ValueError, "`start_delay_secs`"),
            ({"throttle_secs": -0.5}, ValueError, "`throttle_secs`"),
            ({"throttle_secs": None}, TypeError, "`throttle_secs`"),
            ({"exporters": 3}, TypeError, "`exporters`.*an Exporter, a list"),
            ({"exporters": [None]}, TypeError, "`exporters`"),
            ({"exporters": Exporter("")}, ValueError, r"neither empty.*\[''\]"),
            ({"exporters": Exporter(None)}, ValueError, "`exporters`"),
            ({"exporters": Exporter(3)}, ValueError, "`exporters`"),
            ({"exporters": [Exporter("a"), Exporter("a")]}, ValueError, "nor repeated"),
        ],
    )
    def test_wrong(self, arguments, error, message):
        with pytest.raises(error, match=message):
            EvalSpec(**{"input_fn": lambda: None, **arguments})


class TestWarmStartSettings:
    def test_defaults(self):
        assert WarmStartSettings("path") == ("path", ".*", {}, {})

    def test_path_like(self):
        class PathLike(os.PathLike):
            def __fspath__(self):
                return "somewhere"

        assert WarmStartSettings(PathLike()).ckpt_to_initialize_from == "somewhere"

    def test_vocab_info(self):
        info = VocabInfo("new", 3, 0, "old")
        settings = WarmStartSettings("path", None, {"w": info}, {"w": "v"})
        assert settings[1:] == (None, {"w": info}, {"w": "v"})

    @pytest.mark.parametrize("path", ["", None])
    def test_empty_path(self, path):
        with pytest.raises(errors.ArgumentError, match="`ckpt_to_initialize_from`.*the path"):
            WarmStartSettings(path)

    def test_wrong_types(self):
        with pytest.raises(TypeError, match="`vars_to_warm_start`"):
            WarmStartSettings("path", 3)
        with pytest.raises(TypeError, match=r"`var_name_to_vocab_info\['w'\]`"):
            WarmStartSettings("path", var_name_to_vocab_info={"w": "vocabulary.txt"})


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda spec: spec._replace()])
@pytest.mark.parametrize(
    "spec",
    [
        EvalSpec(scalar, steps=None, every_steps=5),
        TrainSpec(scalar, max_steps=3),
    ],
    ids=lambda spec: type(spec).__name__,
)
def test_specs_can_be_copied(spec, copied):
    assert copied(spec) == spec
