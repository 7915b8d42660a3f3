"""Attributes of an estimator that a subclass may use as names of its own methods.

Synopsis::

    shadowing.keep_attributes(subclass, base, ["_model_fn"])    # in __init_subclass__ of base

In tf.estimator these attributes belonged to the instance. So a method of the same name is what
`self._model_fn` means until `Estimator.__init__` is done, and the attribute afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class ShadowedMember:
    """A member of a subclass, until the instance has the attribute of the base class.

    Args:
        attribute: The property of the base class.
        member: What the subclass defines: a method, as a rule.
    """

    def __init__(self, attribute: property, member: Any) -> None:
        self._attribute = attribute
        self._member = member

    def __get__(self, instance: Any, owner: type) -> Any:
        """Returns the attribute of an instance that has been initialized, else the member."""
        if instance is not None and "_state" in vars(instance):
            return self._attribute.__get__(instance, owner)
        bind = getattr(self._member, "__get__", None)
        return self._member if bind is None else bind(instance, owner)

    def __set__(self, instance: Any, value: Any) -> None:
        """Sets the attribute."""
        self._attribute.__set__(instance, value)


def keep_attributes(subclass: type, base_class: type, names: Iterable[str]) -> None:
    """Keeps the attributes of `base_class`, whatever a new subclass calls by their names."""
    for name in names:
        if name in vars(subclass):
            member = ShadowedMember(vars(base_class)[name], vars(subclass)[name])
            setattr(subclass, name, member)
