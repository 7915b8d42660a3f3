"""The traced programs of an estimator, by mode and input spec; a limited number of them is kept.

Synopsis::

    programs = ProgramCache()
    model = programs.find("infer", spec)
    if model is None:
        programs.add("infer", spec, model := ...)

A Dataset of fixed shapes has another spec for each size of batch, and a program takes 1 to 4 MB.
No program is made for several sizes: a model_fn may read the size, and compute with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kestimator.engine.programs import model_program, program

MOST_PROGRAMS = 16
"""How many programs are kept."""


class ProgramCache:
    """The programs of an estimator. The one that was not used for longest is dropped first."""

    def __init__(self) -> None:
        self._programs: dict[tuple[str, str], model_program.ModelProgram] = {}

    def __iter__(self) -> Iterator[model_program.ModelProgram]:
        return iter(self._programs.values())

    def __len__(self) -> int:
        return len(self._programs)

    def of(self, mode: str) -> list[model_program.ModelProgram]:
        """The programs of a mode."""
        return [model for model in self if model.mode == mode]

    def find(self, mode: str, spec: Any) -> model_program.ModelProgram | None:
        """Returns the program for a mode and a nest of `tf.TypeSpec`, or None."""
        key = (mode, program.spec_key(spec))
        if key in self._programs:
            self._programs[key] = self._programs.pop(key)  # the last one is the newest
        return self._programs.get(key)

    def add(self, mode: str, spec: Any, model: model_program.ModelProgram) -> None:
        """Keeps a program, and drops another one if there are too many."""
        key = (mode, program.spec_key(spec))
        self._programs.pop(key, None)
        self._programs[key] = model
        if len(self._programs) > MOST_PROGRAMS:
            del self._programs[next(iter(self._programs))]
