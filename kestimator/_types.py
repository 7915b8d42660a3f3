"""Types that several modules share: the user's functions as Protocols, and aliases.

The functions a user writes may take fewer arguments than they are offered (see
`kestimator.validation.signatures.call_with_accepted`). A static type cannot say that; the docstring
of each Protocol lists what is offered.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeAlias, runtime_checkable

Tensor: TypeAlias = Any
"""A `tf.Tensor`, in a graph or eager. TensorFlow ships no static types."""

Nest: TypeAlias = Any
"""Tensors in any structure of dicts, lists, tuples and namedtuples."""

Features: TypeAlias = Nest
"""What a model reads: most often a dict from feature names to tensors."""

Labels: TypeAlias = Nest
"""What a model learns to predict: a tensor, a dict of tensors, or None."""

Params: TypeAlias = Any
"""Hyperparameters: most often a dict. kestimator only copies and passes them."""

Path: TypeAlias = str | bytes | os.PathLike[str]
"""A path as users pass it."""


@runtime_checkable
class InputFn(Protocol):
    """Makes the data of one train, evaluate or predict call.

    It is offered `mode`, `params`, `config` and, under a distribution strategy,
    `input_context`, and receives those that it names. It returns a `tf.data.Dataset` of features or
    of `(features, labels)`, or such tensors themselves.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Returns a Dataset, features, or `(features, labels)`."""


@runtime_checkable
class ModelFn(Protocol):
    """Defines a model: from features and labels to an `EstimatorSpec`.

    It must name `features`; it is also offered `labels`, `mode`, `params` and `config`, and
    receives those that it names.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Returns an `EstimatorSpec`."""


@runtime_checkable
class ServingInputReceiverFn(Protocol):
    """Makes the placeholders of an exported model. It takes no arguments."""

    def __call__(self) -> Any:
        """Returns a `ServingInputReceiver` or a `TensorServingInputReceiver`."""


@runtime_checkable
class DeviceFn(Protocol):
    """Chooses the device of an operation; its only argument is called `op`."""

    def __call__(self, op: Any) -> str:
        """Returns the device's name."""


@runtime_checkable
class Exporter(Protocol):
    """What `EvalSpec.exporters` takes: anything with a `name` and an `export` method."""

    @property
    def name(self) -> str:
        """The exporter's name, which is also its directory's."""

    def export(
        self,
        estimator: Any,
        export_path: str,
        checkpoint_path: str,
        eval_result: Mapping[str, Any],
        is_the_final_export: bool,
    ) -> Any:
        """Exports the model, or does not, and returns the path or None."""


Hooks: TypeAlias = Iterable[Any]
"""Instances of `tf.compat.v1.train.SessionRunHook`."""
