"""Devices, the allocator switch and out-of-memory errors."""

import os
import subprocess
import sys

import pytest
import torch

from ganlib.base.errors import DeviceError
from ganlib.compute.device import (
    available_devices,
    choose_device,
    free_bytes,
    memory_report,
    out_of_memory_hint,
    tune_allocator,
)

PAGE_FAULTS = """
import resource, sys
from ganlib.compute.device import tune_allocator
if sys.argv[1] == "tuned":
    assert tune_allocator()
import torch
torch.set_num_threads(1)
x = torch.zeros(10 << 20)
for _ in range(12):
    y = x + 1
    del y
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    y = x + 1
    del y
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def has_glibc() -> bool:
    return sys.platform == "linux" and "CS_GNU_LIBC_VERSION" in os.confstr_names


@pytest.mark.skipif(sys.platform != "linux", reason="other systems may not tell")
def test_free_memory_is_within_what_there_is():
    assert 2**20 < free_bytes("cpu") <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_auto_takes_the_fastest_device_present():
    assert str(choose_device("auto")) == available_devices()[0]
    assert choose_device("CPU") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "cpu0"])
def test_an_unknown_device_name_lists_what_is_available(name):
    with pytest.raises(DeviceError) as caught:
        choose_device(name)
    assert "not a device name" in caught.value.message
    assert "cpu" in caught.value.hint


def test_an_absent_device_lists_what_is_available(monkeypatch):
    monkeypatch.setattr("ganlib.compute.device.available_devices", lambda: ["cpu"])
    for name in ("cuda", "cuda:7", "mps"):
        with pytest.raises(DeviceError) as caught:
            choose_device(name)
        assert name in caught.value.message
        assert caught.value.hint == "available here: auto, cpu"


def test_cuda_without_a_number_is_the_first_one(monkeypatch):
    monkeypatch.setattr("ganlib.compute.device.available_devices", lambda: ["cuda:0", "cuda:1", "cpu"])
    assert choose_device("cuda") == torch.device("cuda", 0)
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    assert choose_device("auto") == torch.device("cuda", 0)


def test_the_allocator_switch_turns_tuning_off(monkeypatch):
    monkeypatch.setenv("GANLIB_MALLOPT", "0")
    assert tune_allocator() is False


@pytest.mark.skipif(not has_glibc(), reason="mallopt belongs to the GNU C library")
def test_a_tuned_allocator_reuses_memory_without_page_faults():
    def page_faults(mode: str) -> int:
        command = [sys.executable, "-c", PAGE_FAULTS, mode]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    stock, tuned = page_faults("stock"), page_faults("tuned")  # 20 tensors of 10,240 pages: measured 204,800 and 0
    assert tuned * 4 < stock, (stock, tuned)


def test_memory_report_names_the_device():
    assert memory_report("cpu").startswith("CPU, ")


def test_running_out_of_memory_becomes_a_hint():
    with pytest.raises(DeviceError) as caught, out_of_memory_hint("use a smaller --batch"):
        torch.empty(1 << 50)
    assert caught.value.hint == "use a smaller --batch"
    assert "\n" not in caught.value.message
    with pytest.raises(DeviceError), out_of_memory_hint("smaller"):
        raise MemoryError


def test_other_errors_pass_the_out_of_memory_guard_unchanged():
    with pytest.raises(RuntimeError, match="shape"), out_of_memory_hint("smaller"):
        raise RuntimeError("shape mismatch")
