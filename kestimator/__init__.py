"""kestimator: the `tf.estimator` API, on today's TensorFlow and Keras 3."""

from kestimator import errors
from kestimator.config import RunConfig
from kestimator.estimator import Estimator
from kestimator.keys import ModeKeys
from kestimator.specs import EstimatorSpec, EvalSpec, TrainSpec, VocabInfo, WarmStartSettings
