"""What tf.estimator has under `experimental`: the models of canned estimators as functions."""

from __future__ import annotations

from kestimator.canned.logit_fns import (
    call_logit_fn,
    dnn_logit_fn_builder,
    linear_logit_fn_builder,
)

__all__ = ["call_logit_fn", "dnn_logit_fn_builder", "linear_logit_fn_builder"]
