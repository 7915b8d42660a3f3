"""The Python of the documentation runs: each file's blocks in order, in one namespace."""

import importlib
import operator
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
FILES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]*)(#[^)]+)?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def blocks(text):
    """The code of each block, moved to its own line numbers so that errors point into the file."""
    return ["\n" * text[: match.start(1)].count("\n") + match[1] for match in BLOCK.finditer(text)]


def test_blocks_keep_their_lines():
    text = "one\n```python\na = 1\n```\ntext\n```python\nb = 2\n```\n"
    assert blocks(text) == ["\n\na = 1\n", "\n\n\n\n\n\nb = 2\n"]


def test_architecture_names_rooms_and_files_that_exist():
    text = (ROOT / "docs/architecture.md").read_text()
    names = set(re.findall(r"`((?:\w+/)+(?:\w+\.py)?)`", text))
    assert len(names) > 20
    roots = (ROOT, ROOT / "kestimator")
    assert [name for name in sorted(names) if not any((r / name).exists() for r in roots)] == []


def test_walks_of_the_architecture_name_what_their_modules_have():
    text = (ROOT / "docs/architecture.md").read_text()
    lines = re.findall(r"^    ([\w.]+) +((?:\w+/)*\w+\.py) ", text, re.MULTILINE)
    assert len(lines) > 20
    for name, path in lines:
        module = ".".join(["kestimator", *path.removesuffix(".py").split("/")])
        assert callable(operator.attrgetter(name)(importlib.import_module(module))), (name, path)


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_python_of_the_documentation_runs(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": file.stem}
    for block in blocks(file.read_text()):
        exec(compile(block, str(file), "exec"), namespace)


def anchors(text):
    """What GitHub calls the headings of a page, each written once."""
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(text))
    return {"#" + heading.replace(" ", "-") for heading in words}


def test_anchors_are_words_joined_by_dashes():
    assert anchors("## 2. The `input_fn`, eagerly\n") == {"#2-the-input_fn-eagerly"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_links_lead_somewhere(file):
    for path, anchor in LINK.findall(file.read_text()):
        target = file.parent / path if path else file
        assert target.exists(), path
        assert not anchor or anchor in anchors(target.read_text()), path + anchor
