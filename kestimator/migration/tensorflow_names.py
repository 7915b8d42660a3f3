"""What names of TensorFlow 1 are called in the installed TensorFlow, by looking into it.

Synopsis::

    new_name("get_variable")       # "compat.v1.get_variable": TensorFlow 2 has no such name
    new_name("log")                # "math.log": the same function under its new name
    new_name("summary.scalar")     # "compat.v1.summary.scalar": it means something else in 2
    new_name("nn.relu")            # None: nothing changed
    contrib_advice("training.HParams")     # a sentence for a person

Names are written as below `tf`.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import types
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

_MISSING = object()
_ROOT = "tensorflow."
_V1 = "compat.v1"

# Functions that differ only in arguments that TensorFlow 2 dropped or renamed. They keep their
# names where a call fits both signatures.
_SAME_BUT_FOR_ARGUMENTS = frozenset(
    {
        *("argmax", "argmin", "boolean_mask", "case", "cond", "constant", "convert_to_tensor"),
        *("executing_eagerly", "expand_dims", "gather", "gather_nd", "gradients", "map_fn"),
        *("name_scope", "norm", "ones_like", "pad", "reduce_all", "reduce_any"),
        *("reduce_logsumexp", "reduce_max", "reduce_mean", "reduce_min", "reduce_prod"),
        *("reduce_sum", "scan", "shape", "size", "squeeze", "transpose", "zeros_like"),
        *("nn.leaky_relu", "nn.log_softmax", "nn.moments", "nn.relu6", "nn.softmax"),
        *("nn.sigmoid_cross_entropy_with_logits", "nn.sparse_softmax_cross_entropy_with_logits"),
        *("nn.sigmoid", "nn.tanh", "nn.softplus", "nn.silu", "nn.swish"),
    }
)
_SAME_MODULES = ("data.", "math.", "linalg.", "debugging.")

RENAMED_ARGUMENTS = {
    "dim": "axis",
    "dimension": "axis",
    "keep_dims": "keepdims",
    "reduction_indices": "axis",
    "squeeze_dims": "axis",
}

# Modules with names of one meaning in TensorFlow 1 and another one in 2.
_CONFUSING_MODULES = ("losses", "metrics", "summary")

# What `tf.contrib` had under the same meaning elsewhere.
_CONTRIB = {
    "data.AUTOTUNE": "data.AUTOTUNE",
    "distribute.MirroredStrategy": "distribute.MirroredStrategy",
    "framework.argsort": "argsort",
    "framework.assert_global_step": "compat.v1.train.assert_global_step",
    "framework.create_global_step": "compat.v1.train.create_global_step",
    "framework.get_global_step": "compat.v1.train.get_global_step",
    "framework.get_or_create_global_step": "compat.v1.train.get_or_create_global_step",
    "framework.is_tensor": "is_tensor",
    "framework.nest": "nest",
    "framework.sort": "sort",
}
# Modules that moved as they were.
_MOVED_FROM_CONTRIB = {
    "cluster_resolver.": "distribute.cluster_resolver.",
    "data.": "data.experimental.",
    "framework.nest.": "nest.",
}

_ADVICE_ON_LAYERS = {
    "batch_norm": (
        "use keras.layers.BatchNormalization(momentum=0.999, scale=False); its variables had the "
        "scope BatchNorm"
    ),
    "conv2d": (
        "use keras.layers.Conv2D(..., padding='same', activation='relu'); its variables were "
        "called weights and biases, in the scope Conv"
    ),
    "dropout": "use keras.layers.Dropout(1 - keep_prob)(x, training=...)",
    "embed_sequence": "use keras.layers.Embedding(vocab_size, embed_dim)",
    "flatten": "use keras.layers.Flatten()(x)",
    "fully_connected": (
        "use keras.layers.Dense(..., activation='relu'); its variables were called weights and "
        "biases, in the scope fully_connected"
    ),
    "optimize_loss": "use an optimizer's minimize(loss, global_step=...)",
    "variance_scaling_initializer": (
        "use tf.compat.v1.variance_scaling_initializer(2.0, 'fan_in', 'untruncated_normal'); the "
        "distribution differs a little"
    ),
    "xavier_initializer": "use tf.compat.v1.glorot_uniform_initializer()",
    "xavier_initializer_conv2d": "use tf.compat.v1.glorot_uniform_initializer()",
}

_ADVICE = {
    "cudnn_rnn": "use keras.layers.LSTM or GRU",
    "data": "use the method of tf.data.Dataset with this name",
    "crf": "keep a copy of the code; TensorFlow has it no more",
    "distribute": "use tf.distribute",
    "estimator": "kestimator has no such name: see docs/migrating.md for what it has",
    "factorization": "use kestimator.experimental.KMeans",
    "feature_column": "use tf.feature_column and kestimator.experimental.RNNClassifier",
    "framework": "use tf.compat.v1, or the package tf_slim",
    "layers": "use keras.layers, or the package tf_slim",
    "learn": "use kestimator.Estimator, kestimator.RunConfig and kestimator.train_and_evaluate",
    "lookup": "use tf.lookup.StaticVocabularyTable, or tf.lookup.StaticHashTable",
    "metrics": "use tf.compat.v1.metrics, without the prefix streaming_",
    "opt": "use keras.optimizers: AdamW, Nadam, LAMB and others are there",
    "predictor": "use tf.saved_model.load(path).signatures['serving_default']",
    "quantize": "use the package tensorflow-model-optimization",
    "rnn": "use keras.layers.LSTM or GRU, or tf.compat.v1.nn.rnn_cell of the package tf_keras",
    "saved_model": "use tf.saved_model",
    "seq2seq": "use keras.layers, or keep the code with tf.compat.v1.while_loop",
    "slim": "use the package tf_slim: import tf_slim as slim",
    "summary": "use tf.compat.v1.summary",
    "tpu": "kestimator.tpu has TPUEstimator, TPUEstimatorSpec, RunConfig and TPUConfig only",
    "training": "use a class or a types.SimpleNamespace in place of HParams",
}


# Modules of Keras 2 in which nothing differs between TensorFlow 1 and 2.
_KERAS_OF_BOTH = ("activations", "constraints", "datasets", "regularizers", "losses", "metrics")
# What only that of TensorFlow 1 had.
_KERAS_OF_TF1 = (
    *("backend.get_session", "backend.set_session", "initializers.normal", "initializers.uniform"),
    *("layers.CuDNN", "losses.cosine", "metrics.cosine", "models.LinearModel"),
    *("models.WideDeepModel", "utils.", "layers.enable_v2_dtype", "layers.disable_v2_dtype"),
)
# Those whose objects layers of Keras 3 take.
KERAS_OF_LAYERS = ("activations", "constraints", "regularizers")


def is_keras_of_both(name: str) -> bool:
    """Whether `tf.keras` meant the same with a name in TensorFlow 1 and 2.

    Args:
        name: A name as below `tf.keras`.
    """
    return name.split(".")[0] in _KERAS_OF_BOTH


def below_keras(qualified: str) -> str | None:
    """The name below `tf.keras`, "" for this module, or None for all other names."""
    for root in ("tensorflow.keras", "tensorflow.compat.v2.keras", "tensorflow.compat.v1.keras"):
        if f"{qualified}.".startswith(f"{root}."):
            return qualified[len(root) + 1 :]
    return None


def below_tensorflow(qualified: str) -> str | None:
    """The name below `tf`, without `compat.v1`, or None if it is no name of TensorFlow's API."""
    if not qualified.startswith(_ROOT):
        return None
    rest = qualified.removeprefix(_ROOT)
    if rest.startswith(f"{_V1}."):
        return rest.removeprefix(f"{_V1}.")
    private = ("compat", "core", "python", "keras", "examples")
    return None if rest.split(".")[0] in private else rest


def is_v1_import(qualified: str) -> bool:
    """Whether a name comes from `tensorflow.compat.v1`."""
    return f"{qualified}.".startswith(f"{_ROOT}{_V1}.")


def is_only_in_tf1(name: str) -> bool:
    """Whether TensorFlow 2 has no such name, but TensorFlow 1 had it."""
    first = name.split(".")[0]
    if first in ("contrib", "layers"):
        return True
    return symbol(name) is not None and _value(tf, name) is _MISSING


def symbol(name: str) -> str | None:
    """The part of a dotted name up to the first object of `tf.compat.v1` that is no module.

    `data.Dataset.from_tensors` has the symbol `data.Dataset`. None if TensorFlow 1 had no such
    name, as far as the installed TensorFlow knows.
    """
    value: Any = tf.compat.v1
    parts = name.split(".")
    for count, part in enumerate(parts, start=1):
        value = _attribute(value, part)
        if value is _MISSING:
            return None
        if not isinstance(value, types.ModuleType):
            return ".".join(parts[:count])
    return name


def exists(name: str) -> bool:
    """Whether the installed TensorFlow has a name below `tf`."""
    return _value(tf, name) is not _MISSING


def new_name(name: str) -> str | None:
    """The name below `tf` of what a symbol of TensorFlow 1 meant, or None if it keeps its name."""
    if name.split(".")[0] == "keras":
        return None
    old, now = _value(tf.compat.v1, name), _value(tf, name)
    if old is now or (now is not _MISSING and _keeps_its_name(name)):
        return None
    if now is not _MISSING and isinstance(old, types.ModuleType):
        return None  # a module is not used by itself; its names are
    if now is _MISSING:
        same = _names_of_functions().get(id(old))
        if same is not None:
            return same
    return f"{_V1}.{name}"


def fits_both(name: str, positional: int, keywords: Sequence[str]) -> bool:
    """Whether a call means the same with the function of TensorFlow 1 and that of 2.

    Args:
        name: A function that exists in both.
        positional: The number of positional arguments.
        keywords: The names of the others.
    """
    old, now = _value(tf.compat.v1, name), _value(tf, name)
    if old is now or not _keeps_its_name(name):
        return True
    try:
        before = list(inspect.signature(old).parameters)
        after = list(inspect.signature(now).parameters)
    except (TypeError, ValueError):
        return False
    return before[:positional] == after[:positional] and set(keywords) <= set(after)


def is_confusing(name: str) -> bool:
    """Whether a name has one meaning in TensorFlow 1 and another one in 2, in use and result."""
    module = name.split(".")[0]
    old, now = _value(tf.compat.v1, name), _value(tf, name)
    return module in _CONFUSING_MODULES and _MISSING not in (old, now) and old is not now


def exists_in_keras_2(name: str) -> bool:
    """Whether Keras 2 has a name below `tf.keras`. If it is not installed, it counts as there."""
    try:
        library = importlib.import_module("tf_keras")
    except ImportError:
        return True
    return _value(library, name) is not _MISSING or name.startswith(_KERAS_OF_TF1)


def contrib_name(name: str) -> str | None:
    """The name below `tf` with the same meaning, or None.

    Args:
        name: A name as below `tf.contrib`.
    """
    if name in _CONTRIB:
        return _CONTRIB[name]
    for old, new in _MOVED_FROM_CONTRIB.items():
        if name.startswith(old) and exists(new + name.removeprefix(old)):
            return new + name.removeprefix(old)
    return None


def contrib_advice(name: str) -> str:
    """What a person can do about a name below `tf.contrib` without an exact replacement."""
    module, _, rest = name.partition(".")
    if module == "layers" and rest in _ADVICE_ON_LAYERS:
        return _ADVICE_ON_LAYERS[rest]
    return _ADVICE.get(module, "TensorFlow 2 has no tf.contrib")


def _keeps_its_name(name: str) -> bool:
    return name in _SAME_BUT_FOR_ARGUMENTS or name.startswith(_SAME_MODULES)


def _value(root: Any, name: str) -> Any:
    value = root
    for part in name.split("."):
        value = _attribute(value, part)
    return value


def _attribute(value: Any, name: str) -> Any:
    try:
        return getattr(value, name)
    except Exception:  # modules that are loaded when they are used fail in many ways
        return _MISSING


@functools.cache
def _names_of_functions() -> dict[int, str]:
    """The shortest public name of each function and class of TensorFlow, by its id."""
    names: dict[int, str] = {}
    for name, value in _functions(tf, "", set()):
        known = names.get(id(value))
        if known is None or _rank(name) < _rank(known):
            names[id(value)] = name
    return names


def _rank(name: str) -> tuple[int, int, str]:
    return name.count("."), len(name), name


def _functions(module: Any, prefix: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    try:
        names = [name for name in dir(module) if not name.startswith("_")]
    except Exception:  # as above
        return
    for name in names:
        value = _attribute(module, name)
        if isinstance(value, types.ModuleType):
            path = getattr(value, "__name__", "")
            is_api = "_api.v2" in path or "tensorflow._api" in path
            if is_api and name not in ("compat", "keras", "dtensor") and id(value) not in seen:
                seen.add(id(value))
                yield from _functions(value, f"{prefix}{name}.", seen)
        elif inspect.isfunction(value) or inspect.isclass(value):
            yield f"{prefix}{name}", value
