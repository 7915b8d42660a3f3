"""Every argument of every public callable: wrong values are refused at construction, by name."""

from __future__ import annotations

import collections
import logging
from typing import Any

import pytest

from tests.contracts import arguments

SUBJECTS = arguments.subjects()


def test_every_public_callable_is_tried() -> None:
    names = {name.removesuffix(".replace").removesuffix(".of_metric") for name in SUBJECTS}
    assert set(arguments.public_callables()) == {
        name for name in names if not name.startswith("Estimator.")
    }


def test_wrong_arguments_are_refused_by_name(caplog: Any) -> None:
    caplog.set_level(logging.CRITICAL)
    outcomes = list(arguments.outcomes())
    wrong = [str(one) for one in outcomes if one.kind in ("nameless", "late")]
    assert not wrong, "\n".join(wrong)
    assert collections.Counter(one.kind for one in outcomes)["clear"] > 8000


def test_nothing_else_is_listed_as_taken() -> None:
    listed = set(arguments.TAKEN)
    tried = {
        name
        for subject, one in SUBJECTS.items()
        for argument, _ in one.parameters()
        for name in (argument, f"{subject}.{argument}")
    }
    assert listed <= tried


@pytest.mark.parametrize("values", sorted(set(arguments.TAKEN.values())))
def test_the_table_names_wrong_values(values: str) -> None:
    assert set(values.split()) <= set(arguments.WRONG)
