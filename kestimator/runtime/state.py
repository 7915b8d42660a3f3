"""The state of an Estimator between calls: its variables, its programs, its results.

Synopsis::

    state = EstimatorState(model_fn, params, config, warm_start_settings=None)
    with state.claimed():                   # no other call of `train` meanwhile
        ...

Several threads may call in parallel. A thread holds `tracker.lock` to trace or to use variables.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

from kestimator import errors, specs
from kestimator._types import InputFn, ModelFn
from kestimator.adapters.hooks import event_files
from kestimator.config import RunConfig
from kestimator.engine.checkpoints import checkpoint_tracker
from kestimator.engine.programs import distribution, program_cache, strategies
from kestimator.engine.tracing import execution_modes
from kestimator.engine.variables import variable_store
from kestimator.keys import ModeKeys
from kestimator.validation import signatures


class CallingConvention:
    """What the functions of the user get, and what a model_fn may return.

    This is that of an `Estimator`. A subclass of Estimator may set another one in its state.
    """

    def check_run(self, input_fn: InputFn, mode: str) -> None:
        """Checks, before anything is opened, that the estimator can run a mode on an input_fn."""
        del mode
        signatures.check_input_fn(input_fn)

    def check_export(self) -> None:
        """Checks, before anything is written, that the estimator can export."""

    def input_params(self, params: Any, mode: str) -> Any:
        """Returns the hyperparameters for an input_fn."""
        del mode
        return copy.deepcopy(params)

    def model_params(self, params: Any, mode: str, *, is_served: bool) -> Any:
        """Returns the hyperparameters for a model_fn.

        Args:
            params: Those of the estimator.
            mode: The mode.
            is_served: Whether the features come from a request, and not from an input_fn.
        """
        del mode, is_served
        return copy.deepcopy(params)

    def estimator_spec(self, result: Any) -> Any:
        """Returns what a model_fn returned, as an `EstimatorSpec`; checked later. In the graph."""
        return result

    def training_hooks(self, config: RunConfig) -> list[Any]:
        """Returns new hooks, which run after all others of a call of `train`."""
        del config
        return []


class EstimatorState:
    """The state of an Estimator between calls.

    Args:
        model_fn: The model_fn.
        params: Its hyperparameters; every call gets a copy.
        config: The configuration, with its `model_dir`.
        warm_start_settings: The source of initial values if there is no checkpoint.

    Attributes:
        model_fn: The model_fn.
        params: Its hyperparameters.
        config: The configuration.
        warm_start_settings: The source of initial values if there is no checkpoint.
        store: The variables, shared by all programs.
        tracker: Knows which checkpoint the variables hold.
        distribution: The replicas of training.
        programs: The traced programs, by mode and input spec.
        evaluations: The results of evaluations.
        takes_weights: Whether batches may be triples with sample weights.
        takes_constants: Whether the model_fn gets arrays and numbers of an input_fn as they are,
            and not as tensors.
        convention: How the functions of the user are called.
    """

    def __init__(
        self,
        model_fn: ModelFn,
        params: Any,
        config: RunConfig,
        warm_start_settings: specs.WarmStartSettings | None,
    ) -> None:
        self.model_fn = model_fn
        self.params = params
        self.warm_start_settings = warm_start_settings
        self.config = config
        self.store = variable_store.VariableStore()
        self.tracker = checkpoint_tracker.CheckpointTracker(self.store)
        self.distribution = strategies.of(config.train_distribute)
        self.programs = program_cache.ProgramCache()
        self.takes_weights = False
        self.takes_constants = True
        self.convention = CallingConvention()
        self.evaluations = event_files.EvaluationLog(str(config.model_dir))

    def distribution_of(self, mode: str) -> distribution.Distribution:
        """Returns the distribution of a mode's steps over replicas."""
        return self.distribution if mode == ModeKeys.TRAIN else distribution.Distribution()

    @property
    def is_chief(self) -> bool:
        """Whether this process writes checkpoints and summaries when it trains."""
        return self.config.is_chief and self.distribution.is_chief

    def replace_model_fn(self, model_fn: ModelFn) -> None:
        """Takes another model_fn, from the next call on, and drops the programs of this one."""
        with self.tracker.lock:
            self.model_fn = model_fn
            self.programs = program_cache.ProgramCache()

    def __reduce__(self) -> tuple[Any, ...]:
        """Makes `copy` and pickle create a new state, which has read and traced nothing yet."""
        settings = self.warm_start_settings
        arguments = self.model_fn, self.params, self.config, settings
        kept = {
            "takes_weights": self.takes_weights,
            "takes_constants": self.takes_constants,
            "convention": self.convention,
        }
        return EstimatorState, arguments, kept

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Refuses other calls of `train` until the context ends.

        Raises:
            errors.BusyError: Another call is running.
        """
        if not self.tracker.claim():
            raise errors.BusyError(
                "`train` was called while another `train` of this estimator is running: in another "
                "thread, or in the one that calls this hook, listener or input_fn. Wait until it "
                "has ended. Meanwhile, `evaluate`, `predict` and exports can use its checkpoints. "
                "To train another model, make an Estimator with another model_dir."
            )
        try:
            yield
        finally:
            self.tracker.give_back()

    def current_global_step(self) -> int:
        """Returns the current global step of the variables."""
        with self.tracker.lock, execution_modes.eager_mode():
            return int(self.store["global_step"].variable.numpy())
