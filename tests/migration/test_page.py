"""The page docs/migrate.md: its programs are what `migrate` writes, and go on from the original."""

import re
import shutil

import numpy as np
import pytest

from kestimator import migration
from tests import test_docs
from tests.migration.make_goldens import GOLDEN, legacy_program_of_the_page

PAGE = test_docs.ROOT / "docs/migrate.md"
BLOCKS = test_docs.blocks(PAGE.read_text())
# The blocks of the first step do not belong to the programs of the others.
SECOND = next(i for i, block in enumerate(BLOCKS) if block.lstrip().startswith('"""A sine'))


def test_the_second_program_is_what_migrate_writes():
    result = migration.migrate_source(legacy_program_of_the_page())
    assert result.after == BLOCKS[SECOND].lstrip("\n")
    assert result.decisions == ()


@pytest.mark.slow
def test_every_step_goes_on_where_the_original_stopped(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(GOLDEN / "page", "model")
    namespace = {"__name__": "page"}
    exec(BLOCKS[SECOND], namespace)
    printed = capsys.readouterr().out.split()
    expected = (GOLDEN / "page/printed.txt").read_text().split()
    np.testing.assert_allclose(*[list(map(float, text)) for text in (printed, expected)], rtol=2e-4)
    for block in BLOCKS[SECOND + 1 :]:
        exec(block, namespace)


def test_the_report_on_the_page_is_that_of_the_command():
    from kestimator.migration.findings import grouped

    result = migration.migrate_source(legacy_program_of_the_page())
    lines = grouped(result.changes, result.line_name)[:3]
    shown = re.findall(r"^    (lines? \d.*)$", PAGE.read_text(), re.MULTILINE)
    assert shown == lines
