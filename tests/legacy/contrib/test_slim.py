"""Networks of `tf_slim` in a model_fn have the names and numbers that they have with TF 2.15."""

import pytest

from tests import programs
from tests.parity.golden import assert_golden

pytestmark = [
    # `tf_slim` itself calls what is deprecated.
    pytest.mark.filterwarnings("ignore:`layer.apply` is deprecated:UserWarning"),
    pytest.mark.filterwarnings("ignore:`tf.layers.flatten` is deprecated:UserWarning"),
]


@pytest.mark.parametrize(
    "case",
    [
        case if case == "update_ops" else pytest.param(case, marks=pytest.mark.slow)
        for case in programs.cases("slim_nets")
    ],
)
def test_like_the_original(case, tmp_path):
    assert_golden("slim_nets", case, tmp_path)
