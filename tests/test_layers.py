"""The house has floors: a module imports only from floors below its own."""

import ast
import pathlib

import pytest

import kestimator

PACKAGE = pathlib.Path(kestimator.__file__).parent

# A module's floor, by its path below the package; a folder's holds for all that is in it.
FLOORS = {
    "errors": 0,
    "keys": 0,
    "_types": 0,
    "_signatures": 0,
    "_tensors": 0,
    "_threads": 0,
    "_checks": 0,
    "_keras2": 0,
    "cluster": 0,
    "config": 1,
    "export_outputs": 1,
    "hooks": 1,
    "policies": 1,
    "receivers": 1,
    "stopping_rules": 1,
    "summaries": 1,
    "_arguments": 2,
    "inputs": 2,
    "specs": 2,
    "engine": 3,
    "adapters": 4,
    "best_result": 4,
    "export": 4,
    "warm_start": 4,
    "heads": 5,
    "keras_export": 4,
    "runtime": 5,
    "estimator": 6,
    "to_keras": 6,
    "canned": 7,
    "early_stopping": 7,
    "experimental": 8,
    "exporters": 7,
    "from_keras": 7,
    "in_memory_evaluator": 7,
    "optimizers": 7,
    "saved_model_estimator": 7,
    "tpu": 7,
    "training": 7,
    "v1": 7,
    "__init__": 9,
    "__main__": 9,
    "cli": 9,
}

# Modules of these folders may import each other; in `canned`, the parts beside the estimators.
OPEN_INSIDE = {"adapters", "canned", "engine", "heads"}

PRIVATE_NAMES = ("tensorflow.python", "tf.__internal__", "tensorflow.__internal__", "keras.src")
MAY_USE_PRIVATE_NAMES = {"adapters", "engine"}

MODULES = sorted(PACKAGE.rglob("*.py"))


def place(path):
    """A module's first part below the package: the module itself, or its folder."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_modules(tree, package):
    """The dotted names of what a module imports; for `from a import b`, both a and a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [] if node.level == 0 else package[: len(package) - node.level + 1]
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def imported_places(path):
    """The places of the package that a module imports from."""
    package = ["kestimator", *path.relative_to(PACKAGE).parent.parts]
    tree = ast.parse(path.read_text())
    parts = [name.split(".") for name in imported_modules(tree, package)]
    return {part[1] for part in parts if part[0] == "kestimator" and part[1:2] and is_place(part)}


def is_place(parts):
    return (PACKAGE / parts[1]).is_dir() or (PACKAGE / f"{parts[1]}.py").exists()


def forbidden_imports(path):
    own = place(path)
    for other in sorted(imported_places(path)):
        inside = own == other and own in OPEN_INSIDE
        ground = FLOORS[other] == 0 and (FLOORS[own] > 0 or other != own)
        if not (inside or ground or FLOORS[other] < FLOORS[own]):
            yield f"{own} (floor {FLOORS[own]}) imports {other} (floor {FLOORS[other]})"


def dotted(node):
    """`a.b.c` of an attribute's node."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def private_names(path):
    tree = ast.parse(path.read_text())
    names = {dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= set(imported_modules(tree, ["kestimator"]))
    return sorted(name for name in names if name.startswith(PRIVATE_NAMES))


def name(path):
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_every_module_has_a_floor(path):
    assert place(path) in FLOORS


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_imports_only_from_floors_below(path):
    assert list(forbidden_imports(path)) == []


@pytest.mark.parametrize(
    "path", [p for p in MODULES if place(p) not in MAY_USE_PRIVATE_NAMES], ids=name
)
def test_no_private_names_of_tensorflow_or_keras(path):
    assert private_names(path) == []


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_nothing_of_the_package_is_imported_by_star(path):
    tree = ast.parse(path.read_text())
    stars = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.names[0].name == "*"]
    assert stars == []


class TestTheTestItself:
    @pytest.fixture
    def write(self, tmp_path, monkeypatch):
        for existing in ("config.py", "errors.py", "estimator.py"):
            (tmp_path / existing).touch()
        (tmp_path / "engine").mkdir()

        def write(path, text):
            (tmp_path / path).write_text(text)
            return tmp_path / path

        monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
        return write

    @pytest.mark.parametrize(
        "text",
        [
            "from kestimator import estimator",
            "import kestimator.estimator",
            "from kestimator.estimator import Estimator",
            "from .estimator import Estimator",
            "def late():\n    from . import estimator",
        ],
    )
    def test_finds_imports_from_above(self, write, text):
        path = write("config.py", text)
        assert list(forbidden_imports(path)) == ["config (floor 1) imports estimator (floor 6)"]

    @pytest.mark.parametrize(
        "text", ["from kestimator import config, errors", "from ..config import RunConfig"]
    )
    def test_lets_imports_from_below_pass(self, write, text):
        assert list(forbidden_imports(write("engine/loop.py", text))) == []

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("import tensorflow.python.ops", "tensorflow.python.ops"),
            ("from keras.src import backend", "keras.src"),
            ("import tensorflow as tf\ntf.__internal__.eager_context", "tf.__internal__"),
        ],
    )
    def test_finds_private_names(self, write, text, found):
        assert found in private_names(write("config.py", text))
