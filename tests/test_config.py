import copy
import inspect
import json
import logging
import os
import pathlib
import pickle

import pytest
import tensorflow as tf

from kestimator import config as config_module
from kestimator import errors
from kestimator.config import ClusterInfo, RunConfig, default_session_config
from tests.golden import make_run_config

GOLDEN = json.loads(
    pathlib.Path(make_run_config.__file__).with_name("run_config_arguments.json").read_text()
)
CLUSTER = {"chief": ["c:1"], "worker": ["w:1", "w:2"], "ps": ["p:1"]}


@pytest.fixture(autouse=True)
def no_tf_config(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)


@pytest.mark.parametrize("record", GOLDEN["records"], ids=lambda record: json.dumps(record["case"]))
def test_equals_the_original(record):
    observed = make_run_config.observe(RunConfig, record["case"])
    if "error" in record:
        assert "error" in observed
        # A wrong type may be a TypeError here where the original compared or took it as a value.
        assert observed["error"] in (record["error"], "TypeError")
    else:
        assert observed == {"properties": GOLDEN["defaults"] | record["properties"]}


def test_strange_types_are_type_errors():
    stricter = [
        record["case"]
        for record in GOLDEN["records"]
        if record.get("error") not in (None, "TypeError")
        and make_run_config.observe(RunConfig, record["case"])["error"] != record["error"]
    ]
    assert stricter == []


def test_attributes_cannot_be_set():
    config = RunConfig()
    for name in make_run_config.PROPERTIES:
        with pytest.raises(AttributeError):
            setattr(config, name, None)


def test_message_names_argument_value_and_expectation():
    with pytest.raises(errors.ArgumentError) as caught:
        RunConfig(save_summary_steps=-3)
    assert str(caught.value) == (
        "Invalid argument `save_summary_steps`. Expected: a non-negative number, or None. "
        "Received: -3 (of type int)."
    )


def test_both_save_intervals():
    with pytest.raises(ValueError, match=r"save_checkpoints_steps=5.*Pass only one of them"):
        RunConfig(save_checkpoints_steps=5, save_checkpoints_secs=7)


def test_strategy_must_be_a_strategy():
    with pytest.raises(TypeError, match=r"train_distribute.*tf\.distribute\.Strategy"):
        RunConfig(train_distribute="mirrored")


def test_version_1_strategy_is_a_strategy():
    strategy = tf.compat.v1.distribute.OneDeviceStrategy("/cpu:0")
    assert RunConfig(eval_distribute=strategy).eval_distribute is strategy


def test_copies_share_strategies_and_nothing_else():
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    config = RunConfig(train_distribute=strategy, session_config=default_session_config())
    for copied in (copy.deepcopy(config), config.replace()):
        assert copied is not config
        assert copied.train_distribute is strategy
        assert copied.session_config == config.session_config
        assert copied.session_config is not config.session_config


def test_replace_leaves_the_first_alone():
    config = RunConfig(save_checkpoints_steps=5)
    config.replace(save_checkpoints_secs=7, model_dir="d")
    assert (config.save_checkpoints_steps, config.model_dir) == (5, None)


def test_replace_says_what_can_be_replaced():
    with pytest.raises(ValueError, match=r"\['task_id'\].*cannot be replaced"):
        RunConfig().replace(task_id=3)


def test_subclass_stays_itself():
    class Special(RunConfig):
        pass

    assert type(Special().replace(model_dir="d")) is Special


def test_attributes_of_ones_own():
    config = RunConfig(model_dir="d")
    config.my_setting = [3]
    assert config.replace(save_summary_steps=1).my_setting == [3]
    assert pickle.loads(pickle.dumps(config)).my_setting == [3]


def test_properties_of_a_subclass_override_settings():
    class Special(RunConfig):
        @property
        def save_summary_steps(self):
            return super().save_summary_steps * 10

        @property
        def is_chief(self):
            return False

    config = Special(save_summary_steps=3)
    assert (config.save_summary_steps, config.is_chief) == (30, False)
    assert config.replace(save_summary_steps=4).save_summary_steps == 40
    assert copy.deepcopy(config).save_summary_steps == 30
    with pytest.raises(AttributeError, match=r"replace\(save_summary_steps=...\)"):
        RunConfig().save_summary_steps = 3


def test_pickle():
    assert pickle.loads(pickle.dumps(RunConfig(model_dir="d"))).model_dir == "d"


def test_model_dir_as_bytes():
    assert RunConfig(model_dir=b"d").model_dir == "d"
    assert RunConfig().replace(model_dir=pathlib.Path("d")).model_dir == "d"


class TestExperimentalDistribute:
    class Both:
        train_distribute = tf.compat.v1.distribute.get_strategy()
        eval_distribute = None
        remote_cluster = None

    def test_gives_the_strategies(self):
        config = RunConfig(experimental_distribute=self.Both())
        assert config.train_distribute is self.Both.train_distribute
        assert config.replace(save_summary_steps=3).train_distribute is self.Both.train_distribute

    def test_a_replacement_brings_its_own(self):
        config, other = RunConfig(experimental_distribute=self.Both()), self.Both()
        other.train_distribute = tf.distribute.OneDeviceStrategy("/cpu:0")
        replaced = config.replace(experimental_distribute=other)
        assert replaced.train_distribute is other.train_distribute
        # As in tf.estimator, a strategy by its own name needs no permission of the older argument.
        replaced = config.replace(train_distribute=other.train_distribute)
        assert replaced.train_distribute is other.train_distribute
        with pytest.raises(ValueError, match="because `train_distribute` is given"):
            config.replace(
                train_distribute=other.train_distribute, experimental_distribute=self.Both()
            )

    def test_conflict(self):
        other = tf.distribute.OneDeviceStrategy("/cpu:0")
        with pytest.raises(ValueError, match="because `train_distribute` is given"):
            RunConfig(train_distribute=other, experimental_distribute=self.Both())

    def test_remote_cluster(self):
        both = self.Both()
        both.remote_cluster = {"worker": ["w:1"]}
        with pytest.raises(ValueError, match="one process per task"):
            RunConfig(experimental_distribute=both)


class TestClusterInfo:
    def test_from_an_environment_without_tf_config(self):
        assert ClusterInfo.from_environment({}) == ClusterInfo()
        assert ClusterInfo.from_environment({"TF_CONFIG": ""}) == ClusterInfo()

    def test_reads_os_environ_once(self, monkeypatch):
        monkeypatch.setenv(
            "TF_CONFIG", json.dumps({"cluster": CLUSTER, "task": {"type": "ps", "index": 0}})
        )
        config = RunConfig()
        monkeypatch.delenv("TF_CONFIG")
        assert "TF_CONFIG" not in os.environ
        assert config.replace(model_dir="d").task_type == "ps"

    def test_given_to_run_config(self, monkeypatch):
        monkeypatch.setenv("TF_CONFIG", "not read")
        config = RunConfig(cluster=ClusterInfo(task_type="evaluator", is_chief=False))
        assert (config.task_type, config.is_chief) == ("evaluator", False)

    def test_not_json(self):
        with pytest.raises(ValueError, match=r"TF_CONFIG.*a JSON object.*'\{'"):
            ClusterInfo.from_environment({"TF_CONFIG": "{"})

    @pytest.mark.parametrize("content", [[1], None, {"task": None}])
    def test_not_an_object(self, content):
        with pytest.raises(errors.ArgumentTypeError, match="a JSON object"):
            ClusterInfo.from_environment({"TF_CONFIG": json.dumps(content)})

    def test_unknown_task_shows_the_cluster(self):
        with pytest.raises(ValueError, match=r"'index': 2.*'w:1', 'w:2'|'w:1', 'w:2'.*'index': 2"):
            ClusterInfo.from_tf_config({"cluster": CLUSTER, "task": {"type": "worker", "index": 2}})

    def test_evaluator_inside_the_cluster_is_warned_of(self, caplog):
        content = {
            "cluster": {**CLUSTER, "evaluator": ["e:1"]},
            "task": {"type": "evaluator", "index": 0},
        }
        with caplog.at_level(logging.WARNING, logger="tensorflow"):
            ClusterInfo.from_tf_config(content)
        assert "Remove it from the cluster" in caplog.text


class TestWorkersWithoutAChief:
    """A cluster as `tf.distribute.MultiWorkerMirroredStrategy` has it."""

    CLUSTER = {"worker": ["w:1", "w:2", "w:3"]}

    @pytest.mark.parametrize("index", [0, 1, 2])
    def test_the_first_one_leads(self, monkeypatch, index):
        content = {"cluster": self.CLUSTER, "task": {"type": "worker", "index": index}}
        monkeypatch.setenv("TF_CONFIG", json.dumps(content))
        config = RunConfig(train_distribute=tf.distribute.OneDeviceStrategy("/cpu:0"))
        assert config.is_chief == (index == 0)
        assert (config.task_id, config.global_id_in_cluster) == (index, index)
        assert config.num_worker_replicas == 3

    def test_needs_a_strategy(self, monkeypatch):
        content = {"cluster": self.CLUSTER, "task": {"type": "worker", "index": 0}}
        monkeypatch.setenv("TF_CONFIG", json.dumps(content))
        with pytest.raises(ValueError, match="exactly one 'chief' task"):
            RunConfig()


def test_default_session_config():
    config = default_session_config()
    assert config.allow_soft_placement
    options = config.graph_options.rewrite_options
    assert options.meta_optimizer_iterations == type(options).ONE


def test_every_field_is_documented():
    documented = inspect.cleandoc(config_module.RunConfig.__doc__)
    for name in make_run_config.PROPERTIES[:16]:
        assert f"\n    {name}: " in documented
