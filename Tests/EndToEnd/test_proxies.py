"""A worker behind a company's proxy: real ones, of HTTP's and of SOCKS's kind, carry all that it says."""

import json
import re
import subprocess

import pytest

from batches import submit, wait
from processes import Worker, chat_line, eventually, free_port, tally

USER, PASSWORD = "wilma", "pebbles-42"


class Tinyproxy:
    """HTTP with CONNECT and a password, for the coordinator's port alone."""

    def __init__(self, folder, target):
        self.port = free_port()
        self.log = folder / "tinyproxy.log"
        settings = folder / "tinyproxy.conf"
        settings.write_text(
            f'Port {self.port}\nListen 127.0.0.1\nLogFile "{self.log}"\nLogLevel Connect\n'
            f"ConnectPort {target}\nBasicAuth {USER} {PASSWORD}\nTimeout 60\nMaxClients 50\n"
        )
        self.process = subprocess.Popen(["tinyproxy", "-d", "-c", settings], stdout=subprocess.DEVNULL)

    @property
    def address(self):
        return f"http://{USER}:{PASSWORD}@127.0.0.1:{self.port}"

    def connections(self, target):
        text = self.log.read_text() if self.log.exists() else ""
        return len(re.findall(rf"CONNECT 127\.0\.0\.1:{target} ", text))


class Microsocks:
    """SOCKS 5."""

    def __init__(self, folder, target):
        self.port = free_port()
        self.log = folder / "microsocks.log"
        self.process = subprocess.Popen(
            ["microsocks", "-i", "127.0.0.1", "-p", str(self.port)], stderr=self.log.open("w")
        )

    @property
    def address(self):
        return f"socks5://127.0.0.1:{self.port}"

    def connections(self, target):
        return len(re.findall(rf"connected to 127\.0\.0\.1:{target}\b", self.log.read_text()))


@pytest.mark.parametrize("kind", [Tinyproxy, Microsocks], ids=lambda kind: kind.__name__)
def test_everything_goes_through_the_proxy(fresh_fleet, tmp_path, kind):
    coordinator = fresh_fleet.coordinator
    proxy = kind(tmp_path, coordinator.port)
    environment = {"HTTPS_PROXY": proxy.address, "NO_PROXY": "internal.example"}
    try:
        invitation = coordinator.invitation("ada", "--trusted")
        data = tmp_path / "behind" / "data"
        data.parent.mkdir()

        def joined():
            done = tally("worker", "join", invitation, "--data", data, check=False, environment=environment)
            return done.returncode == 0

        eventually(joined, "the proxy is up and the worker has joined")
        joining = proxy.connections(coordinator.port)
        assert joining > 0
        worker = fresh_fleet.worker("grace", invite=("--trusted",), environment=environment)
        client = fresh_fleet.client()
        batch = wait(client, submit(client, [chat_line(f"proxy-{i}") for i in range(4)], tally_pool="trusted"))
        assert batch.request_counts.completed == 4
        assert proxy.connections(coordinator.port) > joining, "the work went through the proxy"
        # What its owner reads names the proxy, and no password.
        told = worker.process.output() + tally("worker", "status", "--data", worker.data).stdout
        assert PASSWORD not in told
        doctor = ("worker", "doctor", "--seconds", "1", "--memory", "0.05", "--json", "--data", worker.data)
        findings = json.loads(tally(*doctor, environment=environment).stdout)
        network = next(one for one in findings if one["subject"] == "network")
        assert network["outcome"] == "good" and network["detail"].endswith(f"127.0.0.1:{proxy.port}")
        assert PASSWORD not in network["detail"]
    finally:
        proxy.process.kill()
        proxy.process.wait()


def test_a_proxy_that_is_gone_is_named(fresh_fleet, tmp_path):
    invitation = fresh_fleet.coordinator.invitation("ada")
    port = free_port()
    environment = {"HTTPS_PROXY": f"http://{USER}:{PASSWORD}@127.0.0.1:{port}"}
    done = tally("worker", "join", invitation, "--data", tmp_path / "data", check=False, environment=environment)
    assert done.returncode != 0
    assert f"http://127.0.0.1:{port}" in done.stderr, done.stderr
    assert PASSWORD not in done.stderr
