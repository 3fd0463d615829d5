"""The driver's answers, from a stand-in with its calling convention."""

import ctypes

import pytest

from mer_edge import cuda_device
from mer_edge.cuda_device import Gpu, current_gpu
from mer_edge.errors import MerEdgeError


class Driver:
    """Writes through the pointers that it is given, as libcuda does."""

    def __init__(self, init=0, attribute=0):
        self._init, self._attribute = init, attribute

    def cuInit(self, flags):  # noqa: N802
        return self._init

    def cuDeviceGet(self, device, ordinal):  # noqa: N802
        ctypes.cast(device, ctypes.POINTER(ctypes.c_int))[0] = 40 + ordinal
        return 0

    def cuDeviceGetName(self, name, size, device):  # noqa: N802
        assert device.value == 40
        assert size == len(name)
        name.value = b"Orin"
        return 0

    def cuDeviceGetAttribute(self, value, attribute, device):  # noqa: N802
        assert device.value == 40
        ctypes.cast(value, ctypes.POINTER(ctypes.c_int))[0] = {75: 8, 76: 7}[attribute]
        return self._attribute


def test_name_and_compute_capability():
    assert current_gpu(Driver()) == Gpu("Orin", "8.7")


def test_no_gpu_is_none_and_so_is_no_driver(monkeypatch):
    assert current_gpu(Driver(init=100)) is None
    monkeypatch.setattr(cuda_device, "LIBRARY", "libmer_edge_no_such_driver.so.1")
    assert current_gpu() is None


@pytest.mark.parametrize(
    ("driver", "told"),
    [
        (Driver(init=804), "answers cuInit with error 804"),
        (Driver(attribute=1), "answers cuDeviceGetAttribute with error 1"),
    ],
)
def test_a_driver_that_does_not_work_is_told(driver, told):
    with pytest.raises(MerEdgeError, match=told):
        current_gpu(driver)
