"""Private names of others stand in rooms of their own, whose path contains `_internals`.

A private name is one below `tensorflow.python` and its like, or an attribute with an underscore
of anything but the object itself. Elsewhere, `ALLOWED` says which are left, file by file.
"""

import ast
import pathlib

import pytest

import kestimator

PACKAGE = pathlib.Path(kestimator.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

PRIVATE_MODULES = (
    *("tensorflow.python", "tensorflow.core", "tensorflow.compiler", "tensorflow.__internal__"),
    *("tf.python", "tf.core", "tf.compiler", "tf.__internal__", "keras.src"),
)

EVERYWHERE = {
    "_fields",  # of namedtuples, and public there
    "_replace",
    "_getframe",  # of `sys`, as public
}

ALLOWED = {
    # Methods of the package's own objects, called where a class method, a copy or a function of
    # the same module works with one.
    "config.py": {"_set", "_settle_strategies"},
    "engine/programs/model_program.py": {
        *("_evaluation_metrics", "_initialize_own_metrics", "_metrics"),
        "_offer_global_step_read",
    },
    "estimator.py": {"_state"},
    "heads/parts/base.py": {"_evaluated", "_layout"},
    "adapters/feature_columns/column_layers.py": {
        *("_bucketized", "_crossed", "_hashed", "_identity", "_looked_up", "_weighted"),
    },
    # Python's: whether the calling thread has a re-entrant lock.
    "engine/runs/locks.py": {"_is_owned"},
}


def is_apart(path):
    """Whether a file is one of the rooms for private names."""
    return any("_internals" in part for part in path.relative_to(PACKAGE).parts)


def private_names(tree):
    """The private names that code uses: attributes by name, modules by three parts of theirs."""
    for node in ast.walk(tree):
        names = [node.attr] if isinstance(node, ast.Attribute) and not is_own(node.value) else []
        yield from filter(is_private, [*names, *names_in_quotes(node)])
        for name in dotted_names(node):
            if any(f"{name}.".startswith(f"{module}.") for module in PRIVATE_MODULES):
                yield ".".join(name.split(".")[:3])


def is_own(node):
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "super"
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def is_private(attribute):
    return attribute.startswith("_") and not attribute.startswith("__")


def names_in_quotes(node):
    """The attribute that `getattr` and its like are asked for, where it is written out."""
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("getattr", "hasattr", "setattr", "delattr")
        and not is_own(node.args[0])
        and isinstance(node.args[1], ast.Constant)
    ):
        yield node.args[1].value


def dotted_names(node):
    """The modules that a statement imports, or `a.b.c` of an expression."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.level == 0:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Attribute):
        parts = [node.attr]
        while isinstance(node.value, ast.Attribute):
            node = node.value
            parts.append(node.attr)
        if isinstance(node.value, ast.Name):
            yield ".".join([node.value.id, *reversed(parts)])


def found_in(path):
    names = set(private_names(ast.parse(path.read_text()))) - EVERYWHERE
    # `tf.__internal__.eager_context` has `tf.__internal__` in it.
    return {one for one in names if not any(other.startswith(f"{one}.") for other in names)}


def name(path):
    return path.relative_to(PACKAGE).as_posix()


def forbidden(path):
    """What a file uses and must not."""
    return sorted(set() if is_apart(path) else found_in(path) - ALLOWED.get(name(path), set()))


def needless():
    """The entries of `ALLOWED` that nothing needs any more."""
    for file, names in ALLOWED.items():
        path = PACKAGE / file
        unused = names - found_in(path) if path.exists() and not is_apart(path) else names
        yield from (f"{file}: {one}" for one in sorted(unused))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_private_names_stand_apart(path):
    assert forbidden(path) == []


def test_nothing_is_allowed_that_nothing_needs():
    assert list(needless()) == []


def test_the_room_of_tensorflow_names_imports_nothing_of_the_package():
    for path in (PACKAGE / "engine/tf_internals").glob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text()))
        imports = [n for n in nodes if isinstance(n, (ast.Import, ast.ImportFrom))]
        names = [one for node in imports for one in dotted_names(node)]
        assert [one for one in names if one.startswith("kestimator")] == []


class TestTheTestItself:
    @pytest.fixture
    def write(self, tmp_path, monkeypatch):
        def write(path, text):
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            return file

        monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
        monkeypatch.setitem(globals(), "ALLOWED", {"old.py": {"_c_op", "_gone"}})
        return write

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("import tensorflow.python.ops", ["tensorflow.python.ops"]),
            ("import tensorflow.python.eager.context as c", ["tensorflow.python.eager"]),
            ("from tensorflow.python import ops", ["tensorflow.python.ops"]),
            ("from tensorflow import python", ["tensorflow.python"]),
            ("from tensorflow.core.framework import graph_pb2", ["tensorflow.core.framework"]),
            ("from tensorflow.compiler import xla", ["tensorflow.compiler.xla"]),
            ("from keras.src import backend", ["keras.src.backend"]),
            ("def late():\n    from keras import src", ["keras.src"]),
            ("keras.src.backend", ["keras.src.backend"]),
            ("tf.__internal__.EagerTensor", ["tf.__internal__.EagerTensor"]),
            ("op._c_op", ["_c_op"]),
            ("op._c_op = None", ["_c_op"]),
            ("self.op._c_op", ["_c_op"]),
            ("made(op)._c_op", ["_c_op"]),
            ("getattr(op, '_c_op', None)", ["_c_op"]),
            ("hasattr(op, '_c_op')", ["_c_op"]),
        ],
    )
    def test_finds_private_names(self, write, text, found):
        assert forbidden(write("config.py", text)) == found
        assert forbidden(write("engine/runs/loop.py", text)) == found

    @pytest.mark.parametrize(
        "text",
        [
            "import tensorflow as tf\ntf.compat.v1.train",
            "import keras.srcs",
            "self._c_op + cls._c_op + super()._c_op",
            "op.__class__",
            "spec._replace(loss=loss)",
            "getattr(self, '_c_op')",
            "getattr(op, name)",
            "import tensorflow_io.python",
        ],
    )
    def test_lets_public_names_and_ones_own_pass(self, write, text):
        assert forbidden(write("config.py", text)) == []

    @pytest.mark.parametrize(
        "file",
        ["engine/tf_internals/ops.py", "engine/keras_internals/x/y.py", "hooks/_internals.py"],
    )
    def test_rooms_apart_may_use_them(self, write, file):
        assert forbidden(write(file, "from tensorflow.python import ops\nop._c_op")) == []

    def test_allows_what_is_listed_of_a_file(self, write):
        assert forbidden(write("old.py", "op._c_op\nop._update_input")) == ["_update_input"]
        assert forbidden(write("engine/old.py", "op._c_op")) == ["_c_op"]

    def test_finds_entries_that_are_no_longer_needed(self, write):
        assert list(needless()) == ["old.py: _c_op", "old.py: _gone"]
        write("old.py", "op._c_op")
        assert list(needless()) == ["old.py: _gone"]
