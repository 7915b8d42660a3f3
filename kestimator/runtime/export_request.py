"""The arguments of an export, checked before anything is traced or written.

Synopsis::

    receiver_fns = checked_mode("infer", serving_input_receiver_fn)
    request = checked_request("/tmp/exports", receiver_fns, None, False)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from kestimator import errors
from kestimator._types import ServingInputReceiverFn
from kestimator.engine.saved_models import export_files
from kestimator.keys import EXPORT_TAGS
from kestimator.validation import kinds


class ExportRequest(NamedTuple):
    """The checked arguments of an export.

    Attributes:
        base: The parent of the directory of the export.
        receiver_fns: The receiver functions by mode, in the order in which graphs are written.
            The variables of the first graph are written.
        assets_extra: Files to add: from paths below `assets.extra` to paths of the sources.
        as_text: Whether to write the SavedModel as text.
    """

    base: str
    receiver_fns: dict[str, ServingInputReceiverFn]
    assets_extra: dict[str, str]
    as_text: bool


def checked_request(
    export_dir_base: Any,
    receiver_fns: Mapping[str, ServingInputReceiverFn],
    assets_extra: Any,
    as_text: Any,
) -> ExportRequest:
    """Checks the arguments of `Estimator.export_saved_model` and similar methods.

    Args:
        export_dir_base: As for `Estimator.export_saved_model`.
        receiver_fns: Checked receiver functions by mode.
        assets_extra: As for `Estimator.export_saved_model`.
        as_text: As for `Estimator.export_saved_model`.

    Raises:
        ArgumentError: A value cannot be used.
        ArgumentTypeError: A type cannot be used.
    """
    return ExportRequest(
        export_files.checked_base(export_dir_base),
        {mode: receiver_fns[mode] for mode in EXPORT_TAGS if mode in receiver_fns},
        export_files.checked_assets(assets_extra),
        kinds.checked_flag("as_text", as_text),
    )


def checked_mode(mode: Any, receiver_fn: Any) -> dict[str, ServingInputReceiverFn]:
    """Checks the single mode of an export: `experimental_mode` and `serving_input_receiver_fn`.

    Raises:
        ArgumentError: The mode does not exist, or the function is None.
        ArgumentTypeError: The function is not callable.
    """
    _check_mode("experimental_mode", mode)
    _check_receiver_fn("serving_input_receiver_fn", receiver_fn)
    return {mode: receiver_fn}


def checked_modes(input_receiver_fn_map: Any) -> dict[str, ServingInputReceiverFn]:
    """Checks the receiver functions of several modes.

    Raises:
        ArgumentError: The map is empty, a key is not a mode, or a function is None.
        ArgumentTypeError: It is not a map, or a function is not callable.
    """
    name = "input_receiver_fn_map"
    expected = f"a dict from modes (some of {list(EXPORT_TAGS)}) to functions that return receivers"
    if not isinstance(input_receiver_fn_map, Mapping):
        raise errors.ArgumentTypeError(
            errors.invalid_argument(name, input_receiver_fn_map, expected)
        )
    if not input_receiver_fn_map:
        raise errors.ArgumentError(errors.invalid_argument(name, input_receiver_fn_map, expected))
    for mode, receiver_fn in input_receiver_fn_map.items():
        _check_mode(f"key of {name}", mode)
        _check_receiver_fn(f"{name}[{mode!r}]", receiver_fn)
    return dict(input_receiver_fn_map)


def _check_mode(name: str, mode: Any) -> None:
    if not isinstance(mode, str) or mode not in EXPORT_TAGS:
        expected = f"one of ModeKeys: {', '.join(map(repr, EXPORT_TAGS))}"
        raise errors.ArgumentError(errors.invalid_argument(name, mode, expected))


def _check_receiver_fn(name: str, receiver_fn: Any) -> None:
    expected = "a function that returns a ServingInputReceiver or a SupervisedInputReceiver"
    if receiver_fn is None:
        raise errors.ArgumentError(
            errors.invalid_argument(
                name,
                None,
                expected,
                "Make one with build_parsing_serving_input_receiver_fn or, with labels, "
                "build_raw_supervised_input_receiver_fn.",
            )
        )
    remedy = (
        "If this is a receiver, pass the function that makes it. The exported graph needs new "
        "placeholders."
    )
    kinds.checked_function(name, receiver_fn, expected, remedy=remedy)
