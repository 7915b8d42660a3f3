"""Evaluation of the current variables during training, without a checkpoint.

Synopsis::

    hook = InMemoryEvaluatorHook(estimator, eval_input_fn, every_n_iter=1000)
    estimator.train(input_fn, hooks=[hook])
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from kestimator import errors, logs
from kestimator._types import Hooks, InputFn
from kestimator.engine.checkpoints import checkpoint_files
from kestimator.engine.programs import model_program
from kestimator.engine.runs.cadence import Cadence
from kestimator.estimator import Estimator, state_of
from kestimator.keys import ModeKeys
from kestimator.runtime import evaluation, programs
from kestimator.validation import checks


class InMemoryEvaluatorHook(tf.compat.v1.train.SessionRunHook, Cadence):
    """Evaluates before training, every `every_n_iter` steps, and at the end.

    The results are written to the same directory as those of `Estimator.evaluate`.

    Example:
        >>> hook = kestimator.experimental.InMemoryEvaluatorHook(estimator, eval_input_fn)
        >>> _ = estimator.train(input_fn, hooks=[hook])

    Args:
        estimator: The estimator to train.
        input_fn: Returns the data of the evaluation; called once.
        steps: How many batches to use; None uses all data.
        hooks: `SessionRunHook`s that observe the steps of the evaluation.
        name: Distinguishes evaluations: events go to `eval_<name>`.
        every_n_iter: The training steps between two evaluations.

    Raises:
        ArgumentError: A number is not positive, or the config of the estimator has a cluster.
            In training: the model_fn's scaffold has its own saver or init_fn, or the
            hook is used with another estimator.
        ArgumentTypeError: An argument has a type that cannot be used.
    """

    def __init__(
        self,
        estimator: Estimator,
        input_fn: InputFn,
        steps: int | None = None,
        hooks: Hooks | None = None,
        name: str | None = None,
        every_n_iter: int = 100,
    ) -> None:
        super().__init__(self)
        _check_estimator(estimator)
        state_of(estimator).convention.check_run(input_fn, ModeKeys.EVAL)
        self._steps = checks.checked_positive("steps", steps)
        checks.check_name("name", name)
        self._every_n_iter: int = _checked_every_n_iter(every_n_iter)
        self._estimator = estimator
        self._state = state_of(estimator)
        self._input_fn = input_fn
        self._hooks = checks.checked_hooks("hooks", hooks)
        self._directory = estimator.eval_dir(name)
        self._since = 0

    def begin(self) -> None:
        """Opens the data and the program."""
        if not self._state.tracker.training:
            raise errors.ArgumentError(
                errors.invalid_argument(
                    "estimator",
                    self._estimator,
                    "the estimator whose `train` calls this hook",
                    "Make a separate InMemoryEvaluatorHook for each estimator.",
                )
            )
        self._since = 0
        self._batches = programs.open_input(self._state, self._input_fn, ModeKeys.EVAL)
        _check_scaffold(self._program())

    def after_create_session(self, session: Any, coord: Any) -> None:
        """Evaluates the variables before the first step."""
        del session, coord
        self._evaluate()

    def steps_until_due(self, global_step: int) -> int:
        """Returns the steps until the next evaluation."""
        return max(0, self._every_n_iter - self._since - 1)

    def passed(self, steps: int, global_step: int, loss: Any) -> None:
        """Counts unobserved steps."""
        self._since += steps

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """Counts a step, and evaluates if it is due."""
        del run_context, run_values
        self._since += 1
        if self._since >= self._every_n_iter:
            self._evaluate()

    def end(self, session: Any) -> None:
        """Evaluates the variables after the last step."""
        del session
        self._evaluate()

    def _program(self) -> model_program.ModelProgram:
        return programs.program(self._state, ModeKeys.EVAL, self._batches)

    def _evaluate(self) -> None:
        self._since = 0
        model = self._program()
        hooks = [*self._hooks, *model.spec.evaluation_hooks]
        values = evaluation.evaluate(
            self._state, model, self._batches, None, self._steps, hooks, as_it_is=True
        )
        self._state.evaluations.write(self._directory, values, None)
        listed = ", ".join(f"{key} = {values[key]!s}" for key in sorted(values))
        logs.info("Evaluation in memory at global step %d: %s", values["global_step"], listed)


def _check_estimator(estimator: Any) -> None:
    if not isinstance(estimator, Estimator):
        expected = "a kestimator.Estimator"
        raise errors.ArgumentTypeError(errors.invalid_argument("estimator", estimator, expected))
    config = estimator.config
    if config.num_ps_replicas > 0 or config.num_worker_replicas > 1:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "estimator",
                {"workers": config.num_worker_replicas, "ps": config.num_ps_replicas},
                "an estimator in a single process, because the hook cannot evaluate the variables "
                "of other processes",
                "Unset TF_CONFIG, or evaluate checkpoints instead.",
            )
        )


def _checked_every_n_iter(every_n_iter: Any) -> Any:
    if every_n_iter is None:
        raise errors.ArgumentError(
            errors.invalid_argument("every_n_iter", None, "a number of steps above 0")
        )
    return checks.checked_positive("every_n_iter", every_n_iter)


def _check_scaffold(model: model_program.ModelProgram) -> None:
    """Refuses a saver or init_fn, which would change variables: here nothing is restored."""
    scaffold = model.spec.scaffold
    own_saver = scaffold.saver is not None and not isinstance(
        scaffold.saver, checkpoint_files.DefaultSaver
    )
    if own_saver or scaffold.init_fn is not None:
        raise errors.ArgumentError(
            errors.invalid_argument(
                "scaffold",
                scaffold.saver if own_saver else scaffold.init_fn,
                "a scaffold without a saver and without an init_fn in EVAL mode, because the "
                "evaluation in memory reads no checkpoint",
                "Use train_and_evaluate to evaluate checkpoints instead.",
            )
        )
