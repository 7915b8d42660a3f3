"""RunConfig: the seed, which checkpoints are written and kept, summaries, the step counter."""

from typing import Any

import tensorflow as tf

from tests.programs import tools

v1 = tf.compat.v1
CASES = tools.Cases()


def _sgd() -> Any:
    return v1.train.GradientDescentOptimizer(0.1)


def _estimator(est: Any, model_dir: str, **config: Any) -> Any:
    return est.Estimator(
        tools.linear_model_fn(est, _sgd), config=est.RunConfig(model_dir=model_dir, **config)
    )


def _kept(model_dir: str) -> dict[str, Any]:
    return {"files": tools.checkpoint_files(model_dir), "state": tools.checkpoint_state(model_dir)}


@CASES
def seed(est: Any, model_dir: str) -> dict[str, Any]:
    def model_fn(features: Any, labels: Any, mode: str) -> Any:
        first = v1.get_variable("first", [3, 4])
        second = tf.Variable(tf.random.normal([4, 1]), name="second")
        loss = tf.reduce_mean(tf.square(tf.matmul(tf.matmul(features, first), second) - labels))
        return est.EstimatorSpec(mode, loss=loss, train_op=v1.train.get_global_step().assign_add(1))

    def weights(name: str, seed: int) -> list[float]:
        estimator = est.Estimator(
            model_fn, config=est.RunConfig(f"{model_dir}/{name}", tf_random_seed=seed)
        )
        estimator.train(tools.batches(*tools.regression()), steps=1)
        return [
            *estimator.get_variable_value("first").ravel(),
            *estimator.get_variable_value("second").ravel(),
        ]

    one, same, other = weights("one", 11), weights("same", 11), weights("other", 12)
    return {"same_seed_same_weights": one == same, "other_seed_other_weights": one != other}


@CASES
def seed_orders_shuffled_data(est: Any, model_dir: str) -> dict[str, Any]:
    def losses(name: str) -> list[float]:
        def input_fn() -> tf.data.Dataset:
            return (
                tf.data.Dataset.from_tensor_slices(tools.regression(32))
                .shuffle(32)
                .repeat()
                .batch(1)
            )

        seen: list[float] = []
        estimator = _estimator(est, f"{model_dir}/{name}", tf_random_seed=3)
        estimator.train(input_fn, hooks=[tools.losses_hook(est, seen)], steps=10)
        return seen

    return {"same_seed_same_order": losses("one") == losses("two")}


@CASES
def default_checkpoints(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = _estimator(est, model_dir)
    returned = estimator.train(tools.batches(*tools.regression()), steps=3)
    first = _kept(model_dir)
    estimator.train(tools.batches(*tools.regression()), max_steps=7)
    second = _kept(model_dir)
    estimator.train(tools.batches(*tools.regression()), max_steps=7)
    return {
        "returns_self": returned is estimator,
        "latest": estimator.latest_checkpoint() == f"{model_dir}/model.ckpt-7",
        "after": [first, second, _kept(model_dir)],
    }


@CASES
def every_three_steps(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = _estimator(est, model_dir, save_checkpoints_steps=3, keep_checkpoint_max=10)
    estimator.train(tools.batches(*tools.regression()), steps=8)
    first = _kept(model_dir)
    estimator.train(tools.batches(*tools.regression()), steps=4)
    return {"after": [first, _kept(model_dir)]}


@CASES
def rotation(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = _estimator(est, model_dir, save_checkpoints_steps=2, keep_checkpoint_max=2)
    after = []
    for steps in (1, 5, 3):
        estimator.train(tools.batches(*tools.regression()), steps=steps)
        after.append(_kept(model_dir))
    other = _estimator(est, model_dir, save_checkpoints_steps=2, keep_checkpoint_max=3)
    other.train(tools.batches(*tools.regression()), steps=2)
    after.append(_kept(model_dir))
    return {"after": after}


@CASES
def keep_all(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = _estimator(est, model_dir, save_checkpoints_steps=1, keep_checkpoint_max=0)
    estimator.train(tools.batches(*tools.regression()), steps=7)
    return {
        "files": tools.checkpoint_files(model_dir),
        "latest": tools.checkpoint_state(model_dir)["latest"],
    }


@CASES
def no_checkpoints(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = _estimator(est, model_dir, save_checkpoints_steps=None, save_checkpoints_secs=None)
    estimator.train(tools.batches(*tools.regression()), steps=3)
    return {"files": tools.checkpoint_files(model_dir), "latest": estimator.latest_checkpoint()}


@CASES
def replaced_config(est: Any, model_dir: str) -> dict[str, Any]:
    config = est.RunConfig(
        save_checkpoints_steps=5,
        session_config=v1.ConfigProto(allow_soft_placement=True, intra_op_parallelism_threads=1),
    ).replace(model_dir=model_dir, save_checkpoints_steps=2)
    estimator = est.Estimator(tools.linear_model_fn(est, _sgd), config=config)
    estimator.train(tools.batches(*tools.regression()), steps=5)
    return {"model_dir": estimator.model_dir == model_dir, **_kept(model_dir)}


@CASES
def summary_every_step(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = _estimator(est, model_dir, save_summary_steps=1, log_step_count_steps=None)
    estimator.train(tools.batches(*tools.regression()), steps=4)
    estimator.train(tools.batches(*tools.regression()), steps=2)
    return tools.scalars(model_dir)


@CASES
def summary_now_and_then(est: Any, model_dir: str) -> dict[str, Any]:
    estimator = _estimator(est, model_dir, save_summary_steps=10)
    estimator.train(tools.batches(*tools.regression()), steps=25)
    loss = tools.scalars(model_dir)["loss"]
    return {"first": [loss["steps"][0], loss["values"][0]], "about_steps": loss["steps"]}


@CASES
def no_summaries(est: Any, model_dir: str) -> dict[str, Any]:
    none = _estimator(est, f"{model_dir}/none", save_summary_steps=None)
    none.train(tools.batches(*tools.regression()), steps=3)
    zero = _estimator(est, f"{model_dir}/zero", save_summary_steps=0)
    zero.train(tools.batches(*tools.regression()), steps=3)
    return {"none": tools.events(f"{model_dir}/none"), "zero": tools.events(f"{model_dir}/zero")}


@CASES
def step_counter(est: Any, model_dir: str) -> dict[str, Any]:
    often = _estimator(est, f"{model_dir}/often", save_summary_steps=None, log_step_count_steps=10)
    often.train(tools.batches(*tools.regression()), steps=35)
    rarely = _estimator(
        est, f"{model_dir}/rarely", save_summary_steps=None, log_step_count_steps=100
    )
    rarely.train(tools.batches(*tools.regression()), steps=35)
    rates = tools.scalars(f"{model_dir}/often")
    return {
        "tags": list(rates),
        "about_steps": rates["global_step/sec"]["steps"],
        "positive": all(rate > 0 for rate in rates["global_step/sec"]["values"]),
        "rarely": tools.events(f"{model_dir}/rarely"),
    }
