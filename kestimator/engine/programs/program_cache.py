"""The traced programs of an estimator, by mode and input spec; a limited number of them is kept.

Synopsis::

    programs = ProgramCache()
    model = programs.find(ModeKeys.PREDICT, spec)
    if model is None:
        spec = programs.generalized(ModeKeys.PREDICT, spec) or spec
        programs.add(ModeKeys.PREDICT, spec, model := ...)

A Dataset of fixed shapes, such as one batch of a server, has another spec for each size of batch.
A program takes 1 to 4 MB and some 100 ms to trace, so the second size gets one for all sizes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kestimator.engine.programs import input_specs, model_program
from kestimator.keys import ModeKeys

MOST_PROGRAMS = 32
"""How many programs are kept: that many lengths of a sequence, for example."""

_FOR_ANY_BATCH = (ModeKeys.EVAL, ModeKeys.PREDICT)
"""Not training: an unknown batch size may add ops, and the seeds of random ops count ops."""
_Key = tuple[str, str]


class ProgramCache:
    """The programs of an estimator. The one that was not used for longest is dropped first.

    Specs are nests of `tf.TypeSpec` and None.
    """

    def __init__(self) -> None:
        self._programs: dict[_Key, tuple[Any, model_program.ModelProgram]] = {}
        self._refused: set[_Key] = set()

    def __iter__(self) -> Iterator[model_program.ModelProgram]:
        return (model for _, model in self._programs.values())

    def find(self, mode: str, spec: Any) -> tuple[Any, model_program.ModelProgram] | None:
        """Returns a program that serves an input, with the spec that it was traced for."""
        key = (mode, input_specs.key(spec))
        if key not in self._programs:
            general = (
                key for key, other in self._for_any_batch(mode) if input_specs.serves(other, spec)
            )
            key = next(general, key)
        if key in self._programs:
            self._programs[key] = self._programs.pop(key)  # the last one is the newest
        return self._programs.get(key)

    def add(self, mode: str, spec: Any, model: model_program.ModelProgram) -> None:
        """Keeps a program, and drops another one if there are too many."""
        key = (mode, input_specs.key(spec))
        self._programs.pop(key, None)
        self._programs[key] = (spec, model)
        if len(self._programs) > MOST_PROGRAMS:
            del self._programs[next(iter(self._programs))]

    def generalized(self, mode: str, spec: Any) -> Any:
        """Returns the spec of all batch sizes if a program has the same spec with another size.

        None if there is no such program, or if `refuse` was called for this spec.
        """
        for _, other in self._for_any_batch(mode):
            general = input_specs.common(other, spec)
            if general is None or input_specs.key(general) == input_specs.key(spec):
                continue
            if (mode, input_specs.key(general)) not in self._refused:
                return general
        return None

    def refuse(self, mode: str, general: Any) -> None:
        """Notes that the model_fn needs to know the batch size, so `general` cannot be traced."""
        self._refused.add((mode, input_specs.key(general)))

    def of(self, mode: str) -> list[model_program.ModelProgram]:
        """The programs of a mode."""
        return [model for model in self if model.mode == mode]

    def _for_any_batch(self, mode: str) -> Iterator[tuple[_Key, Any]]:
        """The keys and specs of the programs that could be those of another batch size."""
        for key, (spec, model) in self._programs.items():
            if key[0] == mode and mode in _FOR_ANY_BATCH and not model.draws_by_order:
                yield key, spec
