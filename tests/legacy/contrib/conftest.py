"""`tf.contrib` is in place during each test here, and nowhere else."""

import pytest

import kestimator
from kestimator.legacy import contrib


@pytest.fixture(autouse=True)
def installed():
    contrib.install()
    yield
    kestimator.uninstall()
