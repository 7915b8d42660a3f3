import functools
import logging

import pytest
import tensorflow as tf

from kestimator import errors
from kestimator.validation import signatures
from kestimator.validation.signatures import accepted_arguments, call_with_accepted


def function(features, labels, *, mode, **others):
    return features, labels, mode, others


class Callable:
    def __init__(self, unrelated=None):
        pass

    def __call__(self, features, mode):
        return features, mode

    def method(self, features, labels):
        return features, labels

    @classmethod
    def of_class(cls, features):
        return features

    @staticmethod
    def of_none(features):
        return features


def passes_all_on(wrapped):
    @functools.wraps(wrapped)
    def wrapper(*args, **kwargs):
        return wrapped(*args, **kwargs)

    return wrapper


def adds_params(wrapped):
    @functools.wraps(wrapped)
    def wrapper(features, params):
        return wrapped(features, labels=params, mode=None)

    return wrapper


@pytest.mark.parametrize(
    ("callable_", "expected"),
    [
        (function, "features labels mode"),
        (functools.partial(function, 1), "labels mode"),
        (functools.partial(function, labels=1), "features mode"),
        (functools.partial(functools.partial(function, 1), mode=2), "labels"),
        (Callable(), "features mode"),
        (functools.partial(Callable(), mode=1), "features"),
        (Callable().method, "features labels"),
        (functools.partial(Callable().method, 1), "labels"),
        (Callable.method, "self features labels"),
        (Callable.of_class, "features"),
        (Callable.of_none, "features"),
        (Callable().of_none, "features"),
        (Callable, "unrelated"),
        (lambda *args, **kwargs: None, ""),
        (lambda features, /, labels: None, "labels"),
        (passes_all_on(function), "features labels mode"),
        (functools.partial(passes_all_on(function), labels=1), "features mode"),
        (adds_params(function), "features params"),
        (tf.function(function), "features labels mode"),
        (tf.autograph.experimental.do_not_convert(function), "features labels mode"),
    ],
)
def test_accepted_arguments(callable_, expected):
    assert accepted_arguments(callable_) == set(expected.split())


def test_accepted_arguments_of_something_else():
    with pytest.raises(TypeError, match=r"`function`.*a callable.*3 \(of type int\)"):
        accepted_arguments(3)


def test_call_with_accepted():
    offered = {"labels": 2, "mode": 3, "params": 4}
    assert call_with_accepted(function, 1, **offered) == (1, 2, 3, {})
    assert call_with_accepted(functools.partial(function, 1), **offered) == (1, 2, 3, {})
    assert call_with_accepted(Callable(), 1, **offered) == (1, 3)
    assert call_with_accepted(lambda: "nothing", **offered) == "nothing"
    assert call_with_accepted(adds_params(function), 1, **offered) == (1, 4, None, {})


def test_an_argument_called_function_can_be_offered():
    assert call_with_accepted(lambda function: function, function=7) == 7


class TestCheckModelFn:
    @pytest.mark.parametrize(
        "model_fn",
        [
            lambda features: None,
            lambda features, labels, mode, config: None,
            lambda self, features: None,
            functools.partial(lambda features, depth: None, depth=3),
            Callable().method,
        ],
    )
    def test_good(self, model_fn, caplog):
        signatures.check_model_fn(model_fn, None)
        assert caplog.text == ""

    def test_none(self):
        with pytest.raises(ValueError, match="`model_fn`.*Received: None"):
            signatures.check_model_fn(None)

    def test_not_callable(self):
        with pytest.raises(errors.ArgumentTypeError, match="`model_fn`.*a callable"):
            signatures.check_model_fn("model_fn")

    def test_without_features(self):
        with pytest.raises(ValueError, match="called `features`.*It takes `labels`, `mode`"):
            signatures.check_model_fn(lambda labels, mode: None)

    def test_unknown_argument(self):
        def model_fn(features, depth):
            pass

        message = r"It also takes `depth`.*`params`.*functools.partial\(model_fn, depth="
        with pytest.raises(ValueError, match=message):
            signatures.check_model_fn(model_fn)

    def test_params_not_taken(self):
        with pytest.raises(ValueError, match=r"`params`.*'depth': 3"):
            signatures.check_model_fn(lambda features: None, {"depth": 3})

    def test_empty_params_not_taken(self):
        with pytest.raises(ValueError, match="`params`"):
            signatures.check_model_fn(lambda features: None, {})

    def test_params_not_given(self, caplog):
        with caplog.at_level(logging.WARNING, logger="tensorflow"):
            signatures.check_model_fn(lambda features, params: None)
        assert "takes `params`, but the Estimator received none" in caplog.text


class TestCheckInputFn:
    @pytest.mark.parametrize(
        "input_fn",
        [
            lambda: None,
            lambda mode, params, config, input_context: None,
            lambda depth=3: None,
            functools.partial(lambda depth: None, 3),
            passes_all_on(lambda: None),
            tf.function(lambda: None),
        ],
    )
    def test_good(self, input_fn):
        signatures.check_input_fn(input_fn)

    def test_a_wrapper_that_binds_what_is_required(self):
        def load(path):
            return path

        @functools.wraps(load)
        def input_fn():
            return load("a path")

        signatures.check_input_fn(input_fn)

    def test_not_callable(self):
        with pytest.raises(TypeError, match="`input_fn`.*a callable"):
            signatures.check_input_fn(tf.constant(1))

    def test_required_argument(self):
        def input_fn(path, mode):
            pass

        with pytest.raises(TypeError, match=r"requires `path`.*partial\(input_fn, path="):
            signatures.check_input_fn(input_fn)
