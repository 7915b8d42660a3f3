r"""Migrates the text of a program.

Synopsis::

    migration = migrate_source("import tensorflow as tf\ntf.estimator.RunConfig()\n")
    migration.after      # "import kestimator\nkestimator.RunConfig()\n"
"""

from __future__ import annotations

import ast
import re

import libcst as cst

from kestimator import errors
from kestimator.migration.findings import Finding, Migration
from kestimator.migration.import_changes import plan_imports
from kestimator.migration.layer_changes import plan_layers
from kestimator.migration.name_changes import plan_names, tf1_evidence, uses_estimator
from kestimator.migration.plans import Plan
from kestimator.migration.rewriting import rewritten
from kestimator.migration.uses import Source

_PYTHON_2 = re.compile(
    r"^\s*(print\s+[^\s(=.]|exec\s+[\"']|raise\s+\w+\s*,|except\s+[\w.]+\s*,\s*\w+\s*:)"
    r"|<>|\bur[\"']|(?<![\w.])0[0-7]+L?\b(?!\.)",
    re.MULTILINE,
)


def migrate_source(text: str, *, is_tf1: bool | None = None) -> Migration:
    """Migrates the text of a program.

    Args:
        text: The text.
        is_tf1: Whether `tensorflow` means TensorFlow 1. By default, it does if the program uses a
            name that only TensorFlow 1 has.

    Returns:
        The new text, and a report.

    Raises:
        errors.ProgramError: The text is no Python 3.
    """
    module = _parsed(text)
    source = Source(module)
    plan = Plan(source)
    evidence = tf1_evidence(source)
    reads_tf1 = evidence is not None if is_tf1 is None else is_tf1
    is_legacy = reads_tf1 or uses_estimator(source)
    plan_layers(source, plan)
    plan_names(source, plan, is_tf1=reads_tf1, is_legacy=is_legacy)
    plan_imports(source, plan, is_tf1=reads_tf1, is_legacy=is_legacy)
    after = rewritten(source, plan)
    ast.parse(after)
    if evidence is not None and is_tf1 is None and after != text:
        plan.changes.insert(
            0,
            Finding(evidence.line, "the first name of TensorFlow 1: read as a program of its time"),
        )
    return Migration(text, after, tuple(plan.changes), tuple(plan.decisions))


def _parsed(text: str) -> cst.Module:
    try:
        ast.parse(text)
        return cst.parse_module(text)
    except (SyntaxError, ValueError) as error:
        place = f"line {error.lineno}: {error.msg}" if isinstance(error, SyntaxError) else error
        if _PYTHON_2.search(text):
            remedy = "It looks like Python 2: convert it to Python 3 first, for example with 2to3."
        else:
            remedy = "Correct it first."
        raise errors.ProgramError(f"No Python 3 ({place}). {remedy}") from error
    except cst.ParserSyntaxError as error:
        raise errors.ProgramError(f"libcst cannot read it: {error}.") from error
