"""The functions of `tf.layers`, their arguments, and the Keras layers that do the same.

Synopsis::

    FUNCTIONS["dense"].keras_name               # "Dense"
    FUNCTIONS["dense"].parameters[:2]           # ("inputs", "units")

A Keras layer of the same name makes variables of the same names, shapes and first values.
"""

from __future__ import annotations

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class LayerFunction:
    """A function of `tf.layers`.

    Attributes:
        keras_name: The layer in `keras.layers`.
        parameters: The parameters of the function, in order.
        positional: How many parameters after `inputs` a call may pass to the Keras layer by their
            positions. The order of the others differs.
        has_variables: Whether the layer has variables, so that its name matters.
    """

    keras_name: str
    parameters: tuple[str, ...]
    positional: int
    has_variables: bool = True

    @property
    def automatic_name(self) -> str:
        """The name of the first layer without a name."""
        # "Conv2DTranspose" is "conv2d_transpose".
        words = re.findall(r"[A-Z][a-z]+(?:\dD)?|\dD", self.keras_name)
        return "_".join(words).lower()

    @property
    def takes_training(self) -> bool:
        """Whether the layer computes something else in training."""
        return "training" in self.parameters


_LAST = ("trainable", "name", "reuse")
_ONE_KERNEL = (
    *("activation", "use_bias", "kernel_initializer", "bias_initializer"),
    *("kernel_regularizer", "bias_regularizer", "activity_regularizer"),
    *("kernel_constraint", "bias_constraint", *_LAST),
)
_TWO_KERNELS = (
    *("activation", "use_bias", "depthwise_initializer", "pointwise_initializer"),
    *("bias_initializer", "depthwise_regularizer", "pointwise_regularizer"),
    *("bias_regularizer", "activity_regularizer", "depthwise_constraint"),
    *("pointwise_constraint", "bias_constraint", *_LAST),
)
_FILTERS = ("inputs", "filters", "kernel_size", "strides", "padding", "data_format")

_CONVOLUTION = (*_FILTERS, "dilation_rate", *_ONE_KERNEL)
_TRANSPOSED = (*_FILTERS, *_ONE_KERNEL)
_SEPARABLE = (*_FILTERS, "dilation_rate", "depth_multiplier", *_TWO_KERNELS)
_POOLING = ("inputs", "pool_size", "strides", "padding", "data_format", "name")
_BATCH_NORMALIZATION = (
    *("inputs", "axis", "momentum", "epsilon", "center", "scale"),
    *("beta_initializer", "gamma_initializer", "moving_mean_initializer"),
    *("moving_variance_initializer", "beta_regularizer", "gamma_regularizer"),
    *("beta_constraint", "gamma_constraint", "training", *_LAST),
    *("renorm", "renorm_clipping", "renorm_momentum"),
    *("fused", "virtual_batch_size", "adjustment"),
)

# Arguments that Keras 3 does not have. They are left out where they have these values; any other
# value changes what the layer computes or which variables it has.
NEEDLESS: dict[str, tuple[str, ...]] = {
    "_reuse": ("None", "False"),
    "adjustment": ("None",),
    "renorm": ("False", "None"),
    "renorm_clipping": ("None",),
    "reuse": ("None", "False"),
    "virtual_batch_size": ("None",),
}
# Arguments without an effect on results.
WITHOUT_EFFECT = ("fused", "renorm_momentum")

FUNCTIONS: dict[str, LayerFunction] = {
    "average_pooling1d": LayerFunction("AveragePooling1D", _POOLING, 2, has_variables=False),
    "average_pooling2d": LayerFunction("AveragePooling2D", _POOLING, 2, has_variables=False),
    "average_pooling3d": LayerFunction("AveragePooling3D", _POOLING, 2, has_variables=False),
    "batch_normalization": LayerFunction("BatchNormalization", _BATCH_NORMALIZATION, 0),
    "conv1d": LayerFunction("Conv1D", _CONVOLUTION, 2),
    "conv2d": LayerFunction("Conv2D", _CONVOLUTION, 2),
    "conv2d_transpose": LayerFunction("Conv2DTranspose", _TRANSPOSED, 2),
    "conv3d": LayerFunction("Conv3D", _CONVOLUTION, 2),
    "conv3d_transpose": LayerFunction("Conv3DTranspose", _TRANSPOSED, 2),
    "dense": LayerFunction("Dense", ("inputs", "units", *_ONE_KERNEL), 1),
    "dropout": LayerFunction(
        "Dropout",
        ("inputs", "rate", "noise_shape", "seed", "training", "name"),
        1,
        has_variables=False,
    ),
    "flatten": LayerFunction("Flatten", ("inputs", "name", "data_format"), 0, has_variables=False),
    "max_pooling1d": LayerFunction("MaxPooling1D", _POOLING, 2, has_variables=False),
    "max_pooling2d": LayerFunction("MaxPooling2D", _POOLING, 2, has_variables=False),
    "max_pooling3d": LayerFunction("MaxPooling3D", _POOLING, 2, has_variables=False),
    "separable_conv1d": LayerFunction("SeparableConv1D", _SEPARABLE, 2),
    "separable_conv2d": LayerFunction("SeparableConv2D", _SEPARABLE, 2),
}

# The classes of `tf.layers` have the names of Keras' classes.
CLASSES: dict[str, LayerFunction] = {
    function.keras_name: function for function in FUNCTIONS.values()
}
