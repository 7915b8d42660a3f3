"""`HParams` read text and JSON, and keep the types of their values."""

import json

import pytest

from kestimator import errors
from kestimator.legacy.contrib.hparams import HParams, parse_values


@pytest.fixture
def hparams():
    return HParams(rate=0.1, units=[4, 5], name="a", deep=True, steps=3)


def test_values(hparams):
    assert hparams.rate == 0.1
    assert hparams.values() == {
        "rate": 0.1,
        "units": [4, 5],
        "name": "a",
        "deep": True,
        "steps": 3,
    }
    assert str(hparams).startswith("[('deep', True), ('name', 'a')")
    assert "rate" in hparams
    assert "other" not in hparams
    assert hparams.get("rate") == 0.1
    assert hparams.get("other", 7) == 7
    hparams.add_hparam("other", "x")
    hparams.del_hparam("rate")
    assert json.loads(hparams.to_json()) == {
        "units": [4, 5],
        "name": "a",
        "deep": True,
        "steps": 3,
        "other": "x",
    }


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("", {}),
        ("rate=1", {"rate": 1.0}),
        ("rate=.5e-3,steps=-12", {"rate": 0.0005, "steps": -12}),
        ("name=b c,deep=false", {"name": "b c", "deep": False}),
        ("deep=1", {"deep": True}),
        ("units=[7]", {"units": [7]}),
        ("units = [7, 8,9],rate=2", {"units": [7, 8, 9], "rate": 2.0}),
        ("units[1]=9", {"units": [4, 9]}),
        ("units[1]=9,units[0]=1", {"units": [1, 9]}),
    ],
)
def test_parse(hparams, text, changed):
    before = hparams.values()
    assert hparams.parse(text) is hparams
    assert hparams.values() == {**before, **changed}
    assert type(hparams.rate) is float


@pytest.mark.parametrize(
    "text",
    [
        *("rate", "other=3", "steps=1.5", "deep=maybe", "rate=[1,2]", "units=3", "rate=1,rate=2"),
        *("units[2]=1", "units[0]=1,units[0]=2", "units[0]=[1]", "=3"),
    ],
)
def test_text_that_cannot_be_read(hparams, text):
    before = hparams.values()
    with pytest.raises(ValueError, match="Invalid argument"):
        hparams.parse(text)
    assert hparams.values() == before


def test_override(hparams):
    hparams.override_from_dict({"rate": 2, "units": [1, 2, 3], "name": b"b"})
    assert hparams.rate == 2.0
    assert type(hparams.rate) is float
    assert hparams.units == [1, 2, 3]
    assert hparams.name == "b"
    assert hparams.parse_json('{"steps": 8}').steps == 8
    with pytest.raises(KeyError):
        hparams.override_from_dict({"other": 3})


@pytest.mark.parametrize(
    ("name", "value"),
    [("steps", 1.5), ("steps", True), ("deep", 1), ("name", 3), ("rate", "1"), ("units", 3)],
)
def test_other_types(hparams, name, value):
    with pytest.raises(errors.ArgumentError, match=f"`{name}`"):
        hparams.set_hparam(name, value)


def test_names_and_values_that_are_not_allowed(hparams):
    for arguments in (("values", 3), ("rate", 3), ("empty", [])):
        with pytest.raises(errors.ArgumentError):
            hparams.add_hparam(*arguments)
    with pytest.raises(errors.ArgumentError, match="parse_json"):
        HParams(object())


def test_parse_values():
    types = {"a": int, "b": float}
    assert parse_values("a=[1,2],b=3", types) == {"a": [1, 2], "b": 3.0}
    assert parse_values("a[3]=4", types) == {"a": {3: 4}}
