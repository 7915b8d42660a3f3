"""The synopsis in a module's docstring calls what there is, with the arguments that it takes.

A synopsis is read, not run: each call is bound to the signature of what it calls. `...` stands for
any further arguments. What a variable holds is known where the synopsis assigns it from a class, or
from a function that says what it returns; calls of anything else are not bound.
"""

import ast
import builtins
import contextlib
import dataclasses
import functools
import importlib
import importlib.util
import inspect
import pathlib
import re
import sys
import textwrap
import types
import typing

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import kestimator
from kestimator.engine.programs import program

PACKAGE = pathlib.Path(kestimator.__file__).parent

# Names that every synopsis may use without an import.
KNOWN = {"kestimator": kestimator, "keras": keras, "np": np, "tf": tf, "tf_keras": tf_keras}

# What users bring: their functions, their model, their class.
OF_THE_USER = {"input_fn", "model_fn", "model", "Mine"}

# Variables that hold the same thing in every synopsis, where it assigns nothing else to them.
CUSTOMARY = {
    "estimator": kestimator.Estimator,
    "graph": program.ProgramGraph,
    "head": kestimator.Head,
}

LEAST_BOUND = 280  # calls, of all synopses together

BLOCK = re.compile(r"^Synopsis::\n\n((?: {4}.*\n|\n)+)", re.MULTILINE)


def synopsis_of(docstring):
    """The code after `Synopsis::`, dedented; None if there is none."""
    found = BLOCK.search(inspect.cleandoc(docstring or "") + "\n")
    return found and textwrap.dedent(found[1]).strip("\n")


def parsed(code):
    """The tree of a synopsis; `f(a=1, ...)` is the one thing allowed that Python does not know."""
    try:
        return ast.parse(code)
    except SyntaxError:
        return ast.parse(re.sub(r",(\s*)\.\.\.(\s*)\)", r",\1**...\2)", code))


# What is known of a value: the thing itself, only its class, or the values in a tuple.
# None stands for a value of which nothing is known.


@dataclasses.dataclass(frozen=True)
class Thing:
    value: object


@dataclasses.dataclass(frozen=True)
class Instance:
    kind: type


@dataclasses.dataclass(frozen=True)
class Items:
    values: tuple


@dataclasses.dataclass(frozen=True)
class Manager:
    """What a function of `contextlib.contextmanager` returns; `entered` is for `with ... as`."""

    entered: object


def hints_of(annotated):
    """The annotations of a class or a function, as far as they can be evaluated."""
    try:
        return typing.get_type_hints(annotated)
    except (NameError, TypeError, AttributeError):  # imported for the type checker alone
        return {}


def value_of_hint(hint, owner=None):
    """What is known of a value by its annotation; `owner` is what `Self` means."""
    if hint is typing.Self:
        return owner and Instance(owner)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        kinds = [argument for argument in arguments if argument is not type(None)]
        return value_of_hint(kinds[0], owner) if len(kinds) == 1 else None
    if origin is tuple and Ellipsis not in arguments:
        return Items(tuple(value_of_hint(argument, owner) for argument in arguments))
    kind = origin or hint
    is_of_use = isinstance(kind, type) and kind not in (object, type(None), typing.Any)
    return Instance(kind) if is_of_use else None


def returned(function, owner=None):
    """What is known of the value that a function returns."""
    hint = hints_of(function).get("return")
    unwrapped = inspect.unwrap(function)
    if inspect.isgeneratorfunction(unwrapped) and unwrapped is not function:
        arguments = typing.get_args(hint)
        return Manager(value_of_hint(arguments[0], owner) if arguments else None)
    return value_of_hint(hint, owner)


def is_ours(kind):
    """Whether all of a class is written in this package, as far as its instances' names go."""
    theirs = ("tensorflow", "keras", "tf_keras")
    modules = [base.__module__.split(".")[0] for base in kind.__mro__]
    dynamic = any("__getattr__" in vars(base) for base in kind.__mro__)
    return "kestimator" in modules and not dynamic and not set(modules) & set(theirs)


@functools.cache
def names_of_instances(kind):
    """The names that an instance of a class has: declared, or assigned to `self` somewhere."""
    names = set(dir(kind))
    for base in kind.__mro__:
        names |= set(inspect.get_annotations(base))
        with contextlib.suppress(OSError, TypeError):
            names |= set(re.findall(r"\bself\.(\w+)\b[^=\n(]*=", inspect.getsource(base)))
    return names


def value_of_attribute(kind, name):
    """What is known of an attribute of an instance that is not a method."""
    static = inspect.getattr_static(kind, name, None)
    getter = getattr(static, "fget", None) or getattr(static, "func", None)
    hint = hints_of(getter).get("return") if getter else hints_of(kind).get(name)
    return value_of_hint(hint or class_assigned(kind, name), kind)


def class_assigned(kind, name):
    """The class of which `self.<name> = <class>(...)` makes an object, or None."""
    for base in kind.__mro__:
        with contextlib.suppress(OSError, TypeError):
            made = re.search(rf"\bself\.{name} = ([\w.]+)\(", inspect.getsource(base))
            if made:
                value = importlib.import_module(base.__module__)
                for part in made[1].split("."):
                    value = getattr(value, part, None)
                return value
    return None


class Reader:
    """Reads one synopsis: `bound` counts the calls, `problems` says what is wrong."""

    def __init__(self, module):
        self.names = {name: Instance(kind) for name, kind in CUSTOMARY.items()}
        self.names |= dict.fromkeys(OF_THE_USER)
        own_name = module.__name__.split(".")[-1]
        everywhere = {**vars(builtins), own_name: module, **KNOWN, **vars(module)}
        self.things = {name: Thing(value) for name, value in everywhere.items()}
        self.bound = []
        self.calls = 0
        self.problems = []

    def read(self, node):
        """Read a node and what is in it; what is known of its value."""
        return getattr(self, f"read_{type(node).__name__}", self.read_children)(node)

    def read_children(self, node):
        for child in ast.iter_child_nodes(node):
            self.read(child)

    # Names

    def assign(self, target, value):
        if isinstance(target, ast.Name):
            self.names[target.id] = value
        elif isinstance(target, ast.Tuple):
            values = value.values if isinstance(value, Items) else [None] * len(target.elts)
            if len(values) != len(target.elts):
                self.problems.append(f"{ast.unparse(target)} takes {len(values)} values apart")
            for part, known in zip(target.elts, values, strict=False):
                self.assign(part, known)

    def read_Assign(self, node):
        value = self.read(node.value)
        for target in node.targets:
            self.assign(target, value)

    def read_For(self, node):
        self.read(node.iter)
        self.assign(node.target, None)
        self.read_body(node)

    def read_With(self, node):
        for item in node.items:
            value = self.read(item.context_expr)
            if item.optional_vars is not None:
                self.assign(item.optional_vars, self.entered(value))
        self.read_body(node)

    def read_FunctionDef(self, node):
        self.names[node.name] = None
        self.read_Lambda(node)

    def read_Lambda(self, node):
        self.names |= {argument.arg: None for argument in node.args.args}
        self.read_body(node)

    def read_body(self, node):
        for child in node.body if isinstance(node.body, list) else [node.body]:
            self.read(child)

    def read_Import(self, node):
        for alias in node.names:
            module = importlib.import_module(alias.name)
            root = importlib.import_module(alias.name.split(".")[0])
            self.names[alias.asname or root.__name__] = Thing(module if alias.asname else root)

    def read_ImportFrom(self, node):
        for alias in node.names:
            with contextlib.suppress(ModuleNotFoundError):
                importlib.import_module(f"{node.module}.{alias.name}")
            parent = Thing(importlib.import_module(node.module))
            self.names[alias.asname or alias.name] = self.attribute(parent, alias.name)

    def entered(self, manager):
        if isinstance(manager, Manager):
            return manager.entered
        if isinstance(manager, Instance):
            enter = getattr(manager.kind, "__enter__", None)
            return enter and returned(enter, manager.kind)
        return None

    # Values

    def read_Name(self, node):
        if node.id in self.names:
            return self.names[node.id]
        if node.id not in self.things and node.id[0].isupper():
            self.problems.append(f"{node.id} is not defined")
        return self.things.get(node.id)

    def read_Attribute(self, node):
        return self.attribute(self.read(node.value), node.attr)

    def attribute(self, base, name):
        if isinstance(base, Thing):
            if not hasattr(base.value, name):
                self.problems.append(f"{base.value!r} has no {name}")
                return None
            return Thing(getattr(base.value, name))
        if not isinstance(base, Instance):
            return None
        if is_ours(base.kind) and name not in names_of_instances(base.kind):
            self.problems.append(f"an object of {base.kind.__qualname__} has no {name}")
            return None
        static = inspect.getattr_static(base.kind, name, None)
        if inspect.isfunction(static):
            return Thing(types.MethodType(static, Instance(base.kind)))
        if isinstance(static, staticmethod | classmethod):
            return Thing(getattr(base.kind, name))
        return value_of_attribute(base.kind, name)

    # Calls

    def read_Call(self, node):
        self.calls += 1
        if isinstance(node.func, ast.Name):
            self.check_is_defined(node.func.id)
        callee = self.read(node.func)
        for argument in [*node.args, *node.keywords]:
            self.read(argument)
        if isinstance(callee, Instance):
            callee = self.call_of(callee)
        if not isinstance(callee, Thing):
            return None
        self.bind(node, callee.value)
        return self.result(callee.value)

    def check_is_defined(self, name):
        if name not in self.names and name not in self.things and not name[0].isupper():
            self.problems.append(f"{name} is called, and not defined")

    def call_of(self, instance):
        """What is called when an object is called."""
        bases = (vars(base) for base in instance.kind.__mro__)
        call = next((names["__call__"] for names in bases if "__call__" in names), None)
        if call is None and is_ours(instance.kind):
            self.problems.append(f"an object of {instance.kind.__qualname__} is called")
        return Thing(types.MethodType(call, instance)) if inspect.isfunction(call) else None

    def bind(self, node, callee):
        try:
            signature = inspect.signature(callee)
        except (ValueError, TypeError):  # written in C
            return
        given, is_all = arguments_of(node)
        names = {keyword.arg: None for keyword in node.keywords if keyword.arg is not None}
        is_all = is_all and len(names) == len(node.keywords)
        try:
            made = (signature.bind if is_all else signature.bind_partial)(*given, **names)
        except TypeError as error:
            self.problems.append(f"{ast.unparse(node)}: {error} of {signature}")
        else:
            self.bound.append(ast.unparse(node.func))
            self.check_order(node, made.arguments)

    def check_order(self, node, arguments):
        """A variable that is called as a parameter stands in the place of that parameter."""
        for parameter, value in arguments.items():
            is_elsewhere = isinstance(value, ast.Name) and value.id in {*arguments} - {parameter}
            if is_elsewhere:
                self.problems.append(f"{ast.unparse(node)}: {value.id} is given as {parameter}")

    def result(self, callee):
        """What is known of what a call returns."""
        if isinstance(callee, type):
            return Instance(callee)
        owner = getattr(callee, "__self__", None)
        owner = owner.kind if isinstance(owner, Instance) else owner
        return returned(callee, owner if isinstance(owner, type) else None)


def arguments_of(call):
    """The positional arguments that can be counted, and whether these are all."""
    for position, node in enumerate(call.args):
        is_more = isinstance(node, ast.Constant) and node.value is Ellipsis
        if is_more or isinstance(node, ast.Starred):
            return call.args[:position], False
    return call.args, True


def read(code, module):
    reader = Reader(module)
    reader.read(parsed(code))
    return reader


def synopses():
    """The code of each synopsis by the dotted name of its module."""
    for path in sorted(PACKAGE.rglob("*.py")):
        code = synopsis_of(ast.get_docstring(ast.parse(path.read_text())))
        if code is not None:
            parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
            yield ".".join(parts).removesuffix(".__init__"), code


SYNOPSES = dict(synopses())


@pytest.mark.parametrize("name", SYNOPSES)
def test_synopsis_calls_what_there_is(name):
    assert read(SYNOPSES[name], importlib.import_module(name)).problems == []


def test_no_synopsis_is_overlooked():
    texts = [path.read_text() for path in PACKAGE.rglob("*.py")]
    assert len(SYNOPSES) == sum(text.count("Synopsis:") for text in texts)


def test_a_good_share_of_the_calls_is_bound():
    readers = [read(code, importlib.import_module(name)) for name, code in SYNOPSES.items()]
    bound, calls = sum(len(reader.bound) for reader in readers), sum(r.calls for r in readers)
    print(f"{len(readers)} synopses, {calls} calls, {bound} of them bound")
    assert bound >= LEAST_BOUND


EXAMPLE = """
import contextlib
from collections.abc import Iterator
from typing import NamedTuple, Self

import numpy as np


class Part(NamedTuple):
    size: int = 1

    def cut(self, at: int) -> "Part":
        return self


class Whole:
    part: Part

    def __init__(self, parts, *, name=None):
        self.count = len(parts)
        self.other = Part(2)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error):
        return None

    def __call__(self, at):
        return at

    @classmethod
    def of(cls, count: int) -> Self:
        return cls([1] * count)

    @property
    def first(self) -> Part | None:
        return self.part


def split(whole: Whole, at: int) -> tuple[Part, Part]:
    return whole.part, whole.part


@contextlib.contextmanager
def opened(whole: Whole) -> Iterator[Part]:
    yield whole.part
"""


class TestTheTestItself:
    @pytest.fixture
    def read(self, tmp_path, monkeypatch):
        path = tmp_path / "example.py"
        path.write_text(EXAMPLE)
        spec = importlib.util.spec_from_file_location("kestimator.example", path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "kestimator.example", module)
        monkeypatch.setattr(kestimator, "example", module, raising=False)
        spec.loader.exec_module(module)
        return lambda code: read(code, module)

    def test_takes_the_block_out_of_a_docstring(self):
        docstring = (
            "One.\n\n    Synopsis::\n\n        a = 1\n\n        b(a)  # two\n\n    More.\n    "
        )
        assert synopsis_of(docstring) == "a = 1\n\nb(a)  # two"
        assert synopsis_of("One.\n\nSynopsis::\n\n    a = 1") == "a = 1"

    @pytest.mark.parametrize("docstring", [None, "", "One.", "A Synopsis:: amid a line."])
    def test_finds_no_block_where_there_is_none(self, docstring):
        assert synopsis_of(docstring) is None

    @pytest.mark.parametrize(
        ("code", "count"),
        [
            ("whole = Whole([...])\nwhole(1)", 2),
            ("Whole(parts, name='a')", 1),
            ("Whole(...)", 1),
            ("Whole(name='a', ...)", 1),
            ("Whole(\n    name='a',\n    ...\n)", 1),
            ("Whole(*some)", 1),
            ("Whole(**some)", 1),
            ("Whole.of(3).first.cut(1).cut(at=2)", 3),
            ("whole = Whole.of(3)\nwhole.count\nwhole.part.size\nwhole.other.cut(1)", 2),
            ("one, other = split(whole, 1)\none.cut(1)\nother.cut(1)", 3),
            ("with opened(whole) as part:\n    part.cut(1)", 2),
            ("with Whole([]) as whole:\n    whole.first.cut(1)", 2),
            ("example.split(whole, 1)", 1),
            ("from kestimator.example import Whole as W\nW([])", 1),
            ("import kestimator.example\nkestimator.example.Whole([])", 1),
            ("import kestimator.example as e\ne.Whole([])", 1),
            ("from kestimator.engine.runs import locks\nlocks.FairLock()", 1),
            ("def mine(whole):\n    whole.anything(1)\n    Whole([])\nmine(1, 2)", 1),
            ("mine = lambda part: part.anything(Whole([]))\nmine(1)", 1),
            ("for part in parts:\n    part.anything(1)\n    Part(1)", 1),
            ("estimator.train(input_fn, steps=1)\nmodel_fn(1, 2, 3)", 1),
            ("estimator = unknown.anything()\nestimator.anything()", 0),
            ("np.zeros([3], dtype='int32').anything(1)", 0),
        ],
    )
    def test_binds_calls_that_are_right(self, read, code, count):
        reader = read(code)
        assert reader.problems == []
        assert len([name for name in reader.bound if not name.startswith("np.")]) == count

    @pytest.mark.parametrize(
        ("code", "problem"),
        [
            ("Whole()", "missing a required argument: 'parts'"),
            ("Whole([], 'a')", "too many positional arguments"),
            ("Whole([], title='a')", "unexpected keyword argument 'title'"),
            ("Whole(title='a', ...)", "unexpected keyword argument 'title'"),
            ("Whole(..., title='a')", "unexpected keyword argument 'title'"),
            ("Whole(title='a', *some)", "unexpected keyword argument 'title'"),
            ("split(at, whole)", "at is given as whole"),
            ("whole = Whole([])\nwhole()", "missing a required argument: 'at'"),
            ("part = Part()\npart()", "an object of Part is called"),
            ("part = Part()\npart.cut()", "missing a required argument: 'at'"),
            ("part = Part()\npart.paste()", "an object of Part has no paste"),
            ("part = Part()\npart.length", "an object of Part has no length"),
            ("Whole.of(3).first.cut()", "missing a required argument: 'at'"),
            ("Whole.of(3).other.cut()", "missing a required argument: 'at'"),
            ("Whole.made(3)", "has no made"),
            ("one, other, third = split(whole, 1)", "takes 2 values apart"),
            ("one, other = split(whole, 1)\nother.cut()", "missing a required argument: 'at'"),
            ("with opened(whole) as part:\n    part.cut()", "missing a required argument: 'at'"),
            ("def mine():\n    Whole()", "missing a required argument: 'parts'"),
            ("unknown(Whole())", "missing a required argument: 'parts'"),
            ("unknown(1)", "unknown is called, and not defined"),
            ("Unknown(1)", "Unknown is not defined"),
            ("split(whole, Unknown.FIRST)", "Unknown is not defined"),
            ("from kestimator.example import gone", "has no gone"),
            ("example.gone(1)", "has no gone"),
            ("kestimator.Gone(1)", "has no Gone"),
            ("estimator.train(input_fn, step=1)", "unexpected keyword argument 'step'"),
        ],
    )
    def test_finds_what_is_stale(self, read, code, problem):
        problems = read(code).problems
        assert any(problem in found for found in problems), problems

    @pytest.mark.parametrize("code", ["a = ", "f(a=1, b)", "if a:\nb()"])
    def test_what_is_no_python_is_an_error(self, read, code):
        with pytest.raises(SyntaxError):
            read(code)
