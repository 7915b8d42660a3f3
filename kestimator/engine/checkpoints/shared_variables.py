"""Variables that estimators may share: which estimator gave them their values.

Synopsis::

    check(store.shareable, tracker, is_fresh=True)   # before anything is written
    are_changed(store.shareable, tracker)            # whether another estimator has set them since
    take(store.shareable, tracker, ...)              # they are about to hold what `tracker` loads

Estimators whose model_fns use one Keras model share its variables. Each of them has to know when
another one has changed them, and two must not use them at the same time.
"""

from __future__ import annotations

import dataclasses
import functools
import threading
import weakref
from collections.abc import Sequence
from typing import Any, Protocol

from kestimator import errors
from kestimator.engine.runs import locks
from kestimator.engine.variables import variable_store


class Tracker(Protocol):
    """Knows what the variables of an estimator hold."""

    lock: locks.FairLock
    training: bool


@dataclasses.dataclass(frozen=True)
class _Holder:
    """The estimator whose values a variable has.

    Attributes:
        variable: The variable; its id may be reused after it is deleted.
        tracker: The tracker of the estimator; the reference is weak.
        is_new: Whether the values may differ from those that the variable was created with.
    """

    variable: weakref.ref[Any]
    tracker: weakref.ref[Any]
    is_new: bool


_holders: dict[int, _Holder] = {}
_lock = threading.Lock()


def are_changed(slots: Sequence[variable_store.Slot], tracker: Tracker) -> bool:
    """Returns whether another estimator has set any of the variables."""
    return any(_other(slot, tracker) is not None for slot in slots)


def check(slots: Sequence[variable_store.Slot], tracker: Tracker, *, is_fresh: bool) -> None:
    """Checks that an estimator may use the variables.

    Args:
        slots: The variables.
        tracker: The estimator's.
        is_fresh: Whether they keep the values that they have, as no checkpoint is read.

    Raises:
        errors.BusyError: Another estimator is using them.
        errors.ArgumentError: They would keep values that another estimator has trained.
    """
    for slot in slots:
        holder = _other(slot, tracker)
        if holder is not None:
            _check(slot, holder, is_fresh=is_fresh)


def take(
    slots: Sequence[variable_store.Slot], tracker: Tracker, *, is_fresh: bool, trains: bool
) -> None:
    """Notes that the variables get the values of an estimator.

    The caller holds its own lock while it uses them: another estimator that asks in the meantime
    is refused.

    Args:
        slots: The variables.
        tracker: The estimator's.
        is_fresh: Whether they keep the values that they have, as no checkpoint is read.
        trains: Whether training will change those that are trainable.

    Raises:
        errors.BusyError: As for `check`.
        errors.ArgumentError: As for `check`.
    """
    with _lock:
        # Again, under the lock: two estimators may have passed `check` at the same time.
        check(slots, tracker, is_fresh=is_fresh)
        for slot in slots:
            holder = _holders.get(id(slot.variable))
            # New values stay new: the values that the variable was created with are lost.
            was_new = holder is not None and holder.variable() is slot.variable and holder.is_new
            is_new = not is_fresh or (trains and slot.is_trainable) or was_new
            _holders[id(slot.variable)] = _Holder(
                weakref.ref(slot.variable, functools.partial(_forget, id(slot.variable))),
                weakref.ref(tracker),
                is_new,
            )


def _forget(key: int, reference: object) -> None:
    # Without `_lock`: garbage collection may call this in a thread that holds it.
    _holders.pop(key, None)


def _other(slot: variable_store.Slot, tracker: Tracker) -> _Holder | None:
    holder = _holders.get(id(slot.variable))
    if holder is None or holder.variable() is not slot.variable or holder.tracker() is tracker:
        return None
    return holder


def _check(slot: variable_store.Slot, holder: _Holder, *, is_fresh: bool) -> None:
    tracker: Tracker | None = holder.tracker()
    way_out = (
        "Create the model in the model_fn, give each estimator its own copy "
        "(`keras.models.clone_model`), or use kestimator.model_to_estimator, which copies it."
    )
    if tracker is not None and (tracker.training or tracker.lock.is_held_elsewhere()):
        raise errors.BusyError(
            f"The model_fn uses the variable {slot.name!r} of a Keras model that was created "
            f"outside of it, and another estimator is using that model. {way_out}"
        )
    if is_fresh and holder.is_new and slot.is_trainable:
        raise errors.ArgumentError(
            f"The model_fn uses the variable {slot.name!r} of a Keras model that was created "
            "outside of it, and another estimator has trained that model. This estimator would "
            f"start from the trained values. {way_out}"
        )
