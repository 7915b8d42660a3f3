"""The house has an order of rooms: a module imports from its own room and from lower ones."""

import ast
import pathlib

import pytest

import kestimator

PACKAGE = pathlib.Path(kestimator.__file__).parent

# From low to high. A room is a folder with the modules that lie in it, or a module beside them.
ROOMS = [
    "_types",
    "errors",
    "keys",
    "logs",
    "preemption",
    "hooks",
    "validation",
    "cluster",
    "config",
    "py_datasets",
    "inputs",
    "exporting",
    "specs",
    "engine",
    "engine.tf_internals",
    "engine.tracing",
    "engine.random",
    "engine.keras_internals",
    "engine.variables",
    "engine.graphs",
    "engine.programs",
    "engine.runs",
    "engine.checkpoints",
    "engine.saved_models",
    "adapters",
    "adapters.feature_columns",
    "adapters.hooks",
    "adapters.keras_models",
    "adapters.optimizers",
    "optimizers",
    "export",
    "runtime",
    "estimator",
    "heads.parts",
    "heads.single_task",
    "heads",
    "interop",
    "canned.parts",
    "canned",
    "train_eval",
    "experimental",
    "tpu",
    "v1",
    "legacy",
    "legacy.contrib",
    "__init__",
    "migration",
    "command_line",
    "__main__",
]

# Four worlds that know nothing of each other.
APART = {room for room in ROOMS if room.startswith("adapters.")}

MOST_MODULES = 14  # in a room, beside its `__init__`

MODULES = sorted(PACKAGE.rglob("*.py"))


def parts_of(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts


def room_of(path):
    """The folder of a module below the package; the module itself, if it lies in none."""
    parts = parts_of(path)
    is_folder = path.name == "__init__.py"
    return ".".join(parts if is_folder or len(parts) == 1 else parts[:-1])


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


def file_of(name):
    """The file of a dotted name of the package: of the module, or of the one that holds it."""
    parts = name.split(".")[1:]
    for length in range(len(parts), 0, -1):
        path = PACKAGE.joinpath(*parts[:length])
        if path.with_suffix(".py").exists():
            return path.with_suffix(".py")
        if path.is_dir():
            return path / "__init__.py"
    return None


def imported_rooms(path):
    """The rooms of the package that a module imports from."""
    package = ["kestimator", *path.relative_to(PACKAGE).parent.parts]
    names = {
        name
        for name in imported_modules(ast.parse(path.read_text()), package)
        if name.startswith("kestimator.")
    }
    # `from kestimator.engine import runs` names the package `kestimator.engine` on the way.
    names = {n for n in names if not any(other.startswith(f"{n}.") for other in names)}
    return {room_of(file) for file in map(file_of, names) if file is not None}


def forbidden_imports(path):
    own = room_of(path)
    for other in sorted(imported_rooms(path) - {own}):
        is_lower = ROOMS.index(other) < ROOMS.index(own)
        if not is_lower or {own, other} <= APART:
            yield f"{own} imports {other}"


def name(path):
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_every_module_has_a_room(path):
    assert room_of(path) in ROOMS


@pytest.mark.parametrize("room", [r for r in ROOMS if (PACKAGE / r.replace(".", "/")).is_dir()])
def test_no_room_is_crowded_and_each_says_what_belongs_there(room):
    folder = PACKAGE / room.replace(".", "/")
    assert len(list(folder.glob("*.py"))) - 1 <= MOST_MODULES
    assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_imports_only_from_lower_rooms(path):
    assert list(forbidden_imports(path)) == []


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
        for folder in ("engine/runs", "adapters/hooks", "adapters/optimizers"):
            (tmp_path / folder).mkdir(parents=True)
        (tmp_path / "adapters/hooks/saving.py").touch()

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
        assert list(forbidden_imports(path)) == ["config imports estimator"]

    @pytest.mark.parametrize(
        "text", ["from kestimator import config, errors", "from ...config import RunConfig"]
    )
    def test_lets_imports_from_below_pass(self, write, text):
        assert list(forbidden_imports(write("engine/runs/loop.py", text))) == []

    def test_finds_imports_between_rooms_that_are_apart(self, write):
        path = write("adapters/optimizers/sdca.py", "from kestimator.adapters.hooks import saving")
        assert list(forbidden_imports(path)) == ["adapters.optimizers imports adapters.hooks"]
