"""Exporters: they decide what `train_and_evaluate` exports after an evaluation.

Synopsis::

    exporter = BestExporter(
        serving_input_receiver_fn=receiver_fn, metric="accuracy", mode="max")
    final = FinalExporter("final", receiver_fn)
    eval_spec = kestimator.EvalSpec(input_fn, exporters=[exporter, final])

Each writes into a folder with its name, `model_dir/export/<name>`.
"""

from __future__ import annotations

import abc
import math
import os
from collections.abc import Callable, Mapping
from typing import Any

from kestimator import logs
from kestimator._types import ServingInputReceiverFn
from kestimator.adapters.hooks import event_files
from kestimator.engine.checkpoints import checkpoint_files
from kestimator.engine.programs import program
from kestimator.engine.saved_models import export_files
from kestimator.estimator import Estimator
from kestimator.keys import ModeKeys
from kestimator.runtime import export_request
from kestimator.train_eval import best_result as _best_results
from kestimator.validation import checks, kinds


class Exporter(abc.ABC):
    """The interface of exporters; derive from it to write another one."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """The name, which is also that of the folder below `model_dir/export`. Not empty."""

    @abc.abstractmethod
    def export(
        self,
        estimator: Estimator,
        export_path: str,
        checkpoint_path: str,
        eval_result: Mapping[str, Any],
        is_the_final_export: bool,
    ) -> Any:
        """Exports a checkpoint, or decides not to.

        Args:
            estimator: The estimator to export.
            export_path: The folder to export into.
            checkpoint_path: The checkpoint to export.
            eval_result: What `Estimator.evaluate` returned for that checkpoint.
            is_the_final_export: Whether training has reached `TrainSpec.max_steps`. Always False
                if that is None.

        Returns:
            The path of the export, or None if there is none.
        """


class FinalExporter(Exporter):
    """Exports once, when training has reached `TrainSpec.max_steps`.

    Args:
        name: The name, which is also the folder's below `model_dir/export`.
        serving_input_receiver_fn: See `kestimator.export`.
        assets_extra: Files to add; see `Estimator.export_saved_model`.
        as_text: Whether to write `saved_model.pbtxt`, for people to read.

    Raises:
        ArgumentError: There is no receiver function.
        ArgumentTypeError: An argument has a type that cannot be used.
    """

    def __init__(
        self,
        name: str,
        serving_input_receiver_fn: ServingInputReceiverFn,
        assets_extra: Mapping[str, str] | None = None,
        as_text: bool = False,
    ) -> None:
        self._saved_models = _SavedModels(name, serving_input_receiver_fn, assets_extra, as_text)

    @property
    def name(self) -> str:
        """The name."""
        return self._saved_models.name

    def export(
        self,
        estimator: Estimator,
        export_path: str,
        checkpoint_path: str,
        eval_result: Mapping[str, Any],
        is_the_final_export: bool,
    ) -> bytes | None:
        """Exports once training has reached its end; see `Exporter.export`."""
        del eval_result
        if not is_the_final_export:
            return None
        logs.info("Exporting the final model as %r.", self.name)
        return self._saved_models.write(estimator, export_path, checkpoint_path)


class LatestExporter(Exporter):
    """Exports after every evaluation and deletes the oldest exports.

    Args:
        name: The name, which is also the folder's below `model_dir/export`.
        serving_input_receiver_fn: See `kestimator.export`.
        assets_extra: Files to add; see `Estimator.export_saved_model`.
        as_text: Whether to write `saved_model.pbtxt`, for people to read.
        exports_to_keep: How many exports to keep; None keeps all.

    Raises:
        ArgumentError: `exports_to_keep` is not positive, or there is no receiver function.
        ArgumentTypeError: An argument has a type that cannot be used.
    """

    def __init__(
        self,
        name: str,
        serving_input_receiver_fn: ServingInputReceiverFn,
        assets_extra: Mapping[str, str] | None = None,
        as_text: bool = False,
        exports_to_keep: int | None = 5,
    ) -> None:
        self._saved_models = _SavedModels(
            name, serving_input_receiver_fn, assets_extra, as_text, exports_to_keep
        )

    @property
    def name(self) -> str:
        """The name."""
        return self._saved_models.name

    def export(
        self,
        estimator: Estimator,
        export_path: str,
        checkpoint_path: str,
        eval_result: Mapping[str, Any],
        is_the_final_export: bool,
    ) -> bytes:
        """Exports; see `Exporter.export`."""
        del eval_result, is_the_final_export
        path = self._saved_models.write(estimator, export_path, checkpoint_path)
        self._saved_models.delete_oldest(export_path)
        return path


class BestExporter(Exporter):
    """Exports after an evaluation that is better than those of all previous exports.

    The first evaluation is always exported. The file `<name>.best_eval_result.json` beside the
    folder keeps the metrics of the best export. So training that resumes in another process exports
    a model only if it is better. If there are exports without that file, as `tf.estimator` leaves
    them, the best result is read from the event files.

    Example:
        >>> exporter = kestimator.BestExporter(
        ...     serving_input_receiver_fn=receiver_fn, metric="accuracy", mode="max")

    Args:
        name: The name, which is also the folder's below `model_dir/export`.
        serving_input_receiver_fn: See `kestimator.export`.
        event_file_pattern: A pattern for the paths of event files below `model_dir`. None: they
            are not read.
        compare_fn: Called with `best_eval_result` and `current_eval_result`, two dicts of
            metrics; returns whether the current one is better. By default, a smaller loss is
            better.
        assets_extra: Files to add; see `Estimator.export_saved_model`.
        as_text: Whether to write `saved_model.pbtxt`, for people to read.
        exports_to_keep: How many exports to keep; None keeps all.
        metric: The metric to compare by instead of `compare_fn`. (Not in `tf.estimator`.)
        mode: 'min' if a smaller `metric` is better, 'max' if a larger one is.

    Raises:
        ArgumentError: There is no receiver function; `exports_to_keep` is not positive;
            `compare_fn` takes other arguments; `metric` comes without `mode`, or with a
            `compare_fn`.
        ArgumentTypeError: An argument has a type that cannot be used.
    """

    def __init__(
        self,
        name: str = "best_exporter",
        serving_input_receiver_fn: ServingInputReceiverFn | None = None,
        event_file_pattern: str | None = "eval/*.tfevents.*",
        compare_fn: Callable[..., Any] = _best_results.loss_is_smaller,
        assets_extra: Mapping[str, str] | None = None,
        as_text: bool = False,
        exports_to_keep: int | None = 5,
        *,
        metric: str | None = None,
        mode: str | None = None,
    ) -> None:
        self._compare_fn = _best_results.checked_comparison(compare_fn, metric, mode)
        if event_file_pattern is not None:
            event_file_pattern = checks.checked_path("event_file_pattern", event_file_pattern)
        self._event_file_pattern = event_file_pattern
        self._best_result: Mapping[str, Any] | None = None
        self._export_path: str | None = None
        self._saved_models = _SavedModels(
            name, serving_input_receiver_fn, assets_extra, as_text, exports_to_keep
        )

    @property
    def name(self) -> str:
        """The name."""
        return self._saved_models.name

    @property
    def best_result(self) -> dict[str, Any] | None:
        """The metrics of the best export, of earlier processes too; None before an evaluation."""
        return None if self._best_result is None else dict(self._best_result)

    @property
    def best_path(self) -> str | None:
        """The directory of the best export; None if there is none, and before an evaluation."""
        if self._export_path is None:
            return None
        # Each export is better than those before.
        exports = export_files.exports_in(self._export_path)
        return os.path.join(self._export_path, exports[-1]) if exports else None

    def export(
        self,
        estimator: Estimator,
        export_path: str,
        checkpoint_path: str,
        eval_result: Mapping[str, Any],
        is_the_final_export: bool,
    ) -> bytes | None:
        """Exports a better model; see `Exporter.export`.

        Raises:
            errors.ArgumentError: `eval_result` lacks the metric to compare by.
        """
        del is_the_final_export
        # A missing metric is an error before anything is written, even at the first evaluation.
        if isinstance(self._compare_fn, _best_results.ByMetric):
            self._compare_fn.value(eval_result)
        record = self._finished(estimator, export_path, _best_results.read(export_path))
        best = self._best(estimator, export_path, record, eval_result)
        self._best_result, self._export_path = best, export_path
        if best is not None and not self._is_better(best, eval_result):
            return None
        logs.info("Exporting the best model so far as %r.", self.name)
        path = self._export_best(estimator, export_path, record, checkpoint_path, eval_result)
        self._best_result = eval_result
        return path

    def _is_better(self, best: Mapping[str, Any], current: Mapping[str, Any]) -> bool:
        return bool(self._compare_fn(best_eval_result=best, current_eval_result=current))

    def _best(
        self,
        estimator: Estimator,
        export_path: str,
        record: _best_results.Record,
        eval_result: Mapping[str, Any],
    ) -> Mapping[str, Any] | None:
        """Returns the result to beat; None if nothing is exported yet."""
        # Deleted exports do not count, whatever the file says.
        if not export_files.exports_in(export_path):
            return None
        if record.best is not None or self._event_file_pattern is None:
            return record.best
        return self._best_in_event_files(estimator, int(eval_result.get("global_step", -1)))

    def _best_in_event_files(self, estimator: Estimator, skipped: int) -> Mapping[str, Any] | None:
        """Returns the best result in the event files, except that of the step `skipped`."""
        pattern = os.path.join(estimator.model_dir, str(self._event_file_pattern))
        best = None
        with program.eager_mode():
            results = event_files.read_results(pattern)
        for step, result in results:
            # The current evaluation is already in the event files.
            if step != skipped and (best is None or self._is_better(best, result)):
                best = result
        return best

    def _finished(
        self, estimator: Estimator, export_path: str, record: _best_results.Record
    ) -> _best_results.Record:
        """Finishes the export during which an earlier process was killed, if there is one."""
        started = record.started
        if started is None:
            return record
        # No new export means a kill before the rename. Otherwise only the file is stale.
        if set(export_files.exports_in(export_path)) <= set(started.exports):
            if not checkpoint_files.is_whole(started.checkpoint_path):
                logs.warning(
                    "The export of %s into %s was interrupted, and the checkpoint no longer "
                    "exists. That model is not exported.",
                    started.checkpoint_path,
                    export_path,
                )
                return _best_results.Record(record.best)
            logs.info("Exporting %s again, because it was interrupted.", started.checkpoint_path)
            self._saved_models.write(estimator, export_path, started.checkpoint_path)
        record = _best_results.Record(started.eval_result)
        _best_results.write(export_path, record)
        return record

    def _export_best(
        self,
        estimator: Estimator,
        export_path: str,
        record: _best_results.Record,
        checkpoint_path: str,
        eval_result: Mapping[str, Any],
    ) -> bytes:
        exports = export_files.exports_in(export_path)
        _best_results.write(export_path, record.starts(checkpoint_path, eval_result, exports))
        try:
            path = self._saved_models.write(estimator, export_path, checkpoint_path)
        # Only a kill leaves the started export in the file, to be finished later.
        except BaseException:
            _best_results.restore(export_path, record)
            raise
        _best_results.write(export_path, _best_results.Record(dict(eval_result)))
        self._saved_models.delete_oldest(export_path)
        return path


class _SavedModels:
    """The common part of exporters: checked arguments and a folder of SavedModels."""

    def __init__(
        self,
        name: str,
        receiver_fn: ServingInputReceiverFn | None,
        assets_extra: Mapping[str, str] | None,
        as_text: bool,
        exports_to_keep: int | None = None,
    ) -> None:
        checks.check_name("name", name)
        self.name = name
        self._receiver_fn = export_request.checked_mode(ModeKeys.PREDICT, receiver_fn)[
            ModeKeys.PREDICT
        ]
        # The files may be written during training: whether they exist is checked by each export.
        export_files.checked_assets(assets_extra, may_be_absent=True)
        self._assets_extra = assets_extra
        self._as_text = kinds.checked_flag("as_text", as_text)
        self._exports_to_keep = checks.checked_positive("exports_to_keep", exports_to_keep)

    def write(self, estimator: Estimator, export_path: str, checkpoint_path: str) -> bytes:
        """Exports a checkpoint after deleting what a killed process left."""
        export_files.delete_unfinished(export_path)
        return estimator.export_saved_model(
            export_path,
            self._receiver_fn,
            assets_extra=self._assets_extra,
            as_text=self._as_text,
            checkpoint_path=checkpoint_path,
        )

    def delete_oldest(self, export_path: str) -> None:
        """Deletes the exports that are not to be kept."""
        if self._exports_to_keep is not None:
            export_files.delete_oldest(export_path, math.ceil(self._exports_to_keep))
