"""Real processes: a coordinator and workers on loopback, started, killed and looked at from outside."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import openai

CHECKOUT = Path(__file__).resolve().parents[2]
TALLY = Path(os.environ.get("TALLY_PROGRAM", CHECKOUT / ".build/release/tally"))
MODEL = "tiny"


def eventually(condition, what, seconds=60, process=None):
    """Asks until the answer is true and returns it; fails with what was hoped for, and what the process said."""
    deadline = time.monotonic() + seconds
    pause = 0.01
    while True:
        answer = condition()
        if answer:
            return answer
        if process is not None and process.poll() is not None:
            raise AssertionError(f"{what}: the process ended with {process.returncode}\n{process.output()}")
        if time.monotonic() > deadline:
            told = f"\n{process.output()}" if process is not None else ""
            raise AssertionError(f"{what}: not within {seconds} s{told}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.25)


def tally(*arguments, check=True, timeout=120, environment=None, **options):
    """Runs a command to its end."""
    done = subprocess.run(
        [TALLY, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **(environment or {})},
        **options,
    )
    if check and done.returncode != 0:
        raise AssertionError(f"tally {' '.join(map(str, arguments))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Process:
    """One running `tally`, with its output in a file."""

    def __init__(self, log, *arguments, environment=None, within=()):
        self.log = Path(log)
        self.popen = subprocess.Popen(
            [*map(str, within), TALLY, *map(str, arguments)],
            stdout=self.log.open("ab"),
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
        )

    @property
    def returncode(self):
        return self.popen.returncode

    @property
    def pid(self):
        return self.popen.pid

    def poll(self):
        return self.popen.poll()

    def output(self):
        return self.log.read_text(errors="replace")[-8000:]

    def kill(self):
        """As a power failure would: no time for anything."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGKILL)
        self.popen.wait(30)

    def stop(self, seconds=60):
        """As an operator would; returns the exit code."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not stop within {seconds} s of SIGTERM\n{self.output()}") from None

    def peak_resident_bytes(self):
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) * 1024


class Coordinator:
    """A data folder and, while it runs, the process that serves it."""

    def __init__(self, folder, *, arguments=()):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data = self.folder / "data"
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.arguments = arguments
        self.variables = {}
        self.process = None
        self.peak = 0

    @property
    def authority(self):
        return self.data / "ca.pem"

    @property
    def context(self):
        return ssl.create_default_context(cafile=self.authority)

    def start(self):
        self.process = Process(
            self.folder / "coordinator.log",
            "coordinator",
            "--data",
            self.data,
            "--host",
            "127.0.0.1",
            "--port",
            self.port,
            "--public-url",
            self.url,
            *self.arguments,
            environment=self.variables,
        )
        eventually(self.is_ready, "the coordinator is ready", 60, self.process)
        return self

    def is_ready(self):
        try:
            return self.get("/readyz", parse=False) is not None
        except (OSError, urllib.error.URLError):
            return False

    def get(self, path, key=None, parse=True):
        request = urllib.request.Request(self.url + path)
        if key:
            request.add_header("authorization", f"Bearer {key}")
        with urllib.request.urlopen(request, context=self.context, timeout=30) as answer:
            body = answer.read()
        return json.loads(body) if parse else body

    def note_peak(self):
        self.peak = max(self.peak, self.process.peak_resident_bytes())
        return self.peak

    def kill(self):
        if self.process and self.process.poll() is None:
            self.note_peak()
            self.process.kill()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.note_peak()
            code = self.process.stop()
            assert code == 0, f"the coordinator ended with {code}\n{self.process.output()}"

    def add_model(self, path, name=MODEL, *arguments):
        tally("model", "add", path, "--name", name, "--data", self.data, *arguments, timeout=300)

    def key(self, name="tests"):
        answer = json.loads(tally("key", "create", name, "--data", self.data, "--json").stdout)
        return answer["key"]

    def invitation(self, account, *arguments):
        answer = tally("invite", account, "--data", self.data, "--url", self.url, "--json", "--public", *arguments)
        return json.loads(answer.stdout)["invitation"]

    def client(self, key, **options):
        """OpenAI's client as anybody installs it, told whom to trust."""
        return openai.OpenAI(
            base_url=self.url + "/v1",
            api_key=key,
            http_client=openai.DefaultHttpxClient(verify=self.context),
            **options,
        )

    def statistics(self):
        return self.get("/stats")

    def progress(self, batch, key):
        return self.get(f"/tally/v1/batches/{batch}", key)

    def environment(self, key):
        """For the client commands."""
        return {"TALLY_URL": self.url, "TALLY_API_KEY": key, "TALLY_CA": str(self.authority)}


class Worker:
    """An enrolled worker's folder and, while it runs, its process.

    It computes beside everything else that tests do, unless it is to be as considerate as an installed one.
    """

    def __init__(
        self, coordinator, folder, account, *, invite=(), environment=None, arguments=(), threads=1, considerate=False,
        within=()
    ):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data = self.folder / "data"
        self.account = account
        self.environment = environment or {}
        self.arguments = arguments
        self.threads = () if threads is None else ("--threads", threads)
        # A command that runs the worker, such as taskset.
        self.within = within
        self.priority = () if considerate else ("--always", "--nice", "0")
        self.process = None
        invitation = coordinator.invitation(account, *invite)
        tally("worker", "join", invitation, "--data", self.data, "--name", f"{account}-machine")

    def start(self):
        self.process = Process(
            self.folder / "worker.log",
            "worker",
            "run",
            "--data",
            self.data,
            *self.threads,
            *self.priority,
            *self.arguments,
            environment=self.environment,
            within=self.within,
        )
        return self

    def prefer(self, *settings):
        """As its owner would."""
        tally("worker", "preferences", *settings, "--data", self.data)

    def status(self):
        return json.loads(tally("worker", "status", "--json", "--data", self.data).stdout)

    def kill(self):
        if self.process:
            self.process.kill()

    def stop(self):
        if self.process and self.process.poll() is None:
            code = self.process.stop()
            assert code == 0, f"the worker ended with {code}\n{self.process.output()}"


def chat_line(identifier, text="Hello", **body):
    """One line of a batch file."""
    request = {"model": MODEL, "messages": [{"role": "user", "content": text}], "max_tokens": 4, "temperature": 0}
    request.update(body)
    return {"custom_id": identifier, "method": "POST", "url": "/v1/chat/completions", "body": request}


def jsonl(lines):
    return "".join(json.dumps(line) + "\n" for line in lines).encode()
