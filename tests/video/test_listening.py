"""Where the studio can be reached from: as it is started, it listens on the loopback address alone."""

from __future__ import annotations

import ipaddress
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ganlib.commands.studio import command

SECONDS = 60.0
LISTENING = "0A"  # in /proc/net/tcp


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs the Linux table of sockets")
@pytest.mark.parametrize("way", ["make app", "latent-atelier"])
def test_the_studio_listens_on_the_loopback_address_alone(way, repository, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    if way == "make app":
        words = subprocess.run(
            ["make", "-n", "-o", "setup", "app", f"PORT={port}"], cwd=repository, capture_output=True, text=True,
            check=True,
        ).stdout.split()  # fmt: skip
        words = [sys.executable, *words[words.index("-m") :], "--server.headless", "true"]
        cwd = repository
    else:
        words, cwd = command(port, is_headless=True), tmp_path
    process = subprocess.Popen(
        words, cwd=cwd, env=os.environ | {"HOME": str(tmp_path)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + SECONDS
        while not (found := _listening(port)) and time.monotonic() < until and process.poll() is None:
            time.sleep(0.1)
    finally:
        process.terminate()
        process.wait(timeout=20)
    assert found and all(address.is_loopback for address in found), found


def _listening(port: int) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The addresses at which somebody of this computer listens to a port."""
    found: list[ipaddress.IPv4Address | ipaddress.IPv6Address] = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            address, _, at = fields[1].rpartition(":")
            if int(at, 16) == port and fields[3] == LISTENING:
                words = [bytes.fromhex(address[i : i + 8])[::-1] for i in range(0, len(address), 8)]
                found.append(ipaddress.ip_address(b"".join(words)))
    return found
