"""The Slurm example on a cluster of one machine, with Debian's Slurm."""

import getpass
import os
import socket
import subprocess
import time

import pytest

from batches import submit, wait
from processes import CHECKOUT, TALLY, chat_line, eventually, free_port
from test_package import AS_ROOT, run

SCRIPT = CHECKOUT / "Deploy/slurm/tallystick-worker.sbatch"

CONFIGURATION = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmUser={user}
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
NodeName={host} NodeAddr=127.0.0.1 CPUs={processors} RealMemory=2000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
"""


class Cluster:
    """munged, slurmctld and slurmd of this machine, with their files in one folder."""

    def __init__(self, folder):
        self.folder = folder
        self.host = socket.gethostname().split(".")[0]
        for name in ("state", "spool"):
            (folder / name).mkdir()
        (folder / "slurm.conf").write_text(
            CONFIGURATION.format(
                host=self.host,
                user=getpass.getuser(),
                folder=folder,
                controller=free_port(),
                daemon=free_port(),
                processors=os.cpu_count(),
            )
        )
        (folder / "munge.key").write_bytes(os.urandom(1024))
        (folder / "munge.key").chmod(0o400)
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        self.processes = [
            self.start(
                "munged",
                "--foreground",
                "--force",
                f"--socket={folder}/munge.socket",
                f"--key-file={folder}/munge.key",
                f"--pid-file={folder}/munge.pid",
                f"--log-file={folder}/munge.log",
                f"--seed-file={folder}/munge.seed",
            ),
        ]
        eventually(lambda: (folder / "munge.socket").exists(), "munge answers")
        self.processes.append(self.start("slurmctld", "-D"))
        self.processes.append(self.start(*AS_ROOT, "slurmd", "-D", "-N", self.host))
        try:
            eventually(lambda: "idle" in self.ask("sinfo", "--noheader", "--format=%T"), "the node is idle", 60)
        except AssertionError:
            self.close()
            logs = "".join((folder / f"{name}.log").read_text()[-3000:] for name in ("slurmctld", "slurmd"))
            raise AssertionError(f"the node is not idle\n{logs}") from None

    def start(self, *command):
        log = (self.folder / f"{command[-1] if command[0] == 'sudo' else command[0]}.out").open("wb")
        return subprocess.Popen(
            [str(part) for part in command], stdout=log, stderr=log, env=self.environment, stdin=subprocess.DEVNULL
        )

    def ask(self, *command):
        return subprocess.run(command, capture_output=True, text=True, env=self.environment, timeout=60).stdout

    def run(self, *command, **variables):
        return run(*command, env={**self.environment, **variables})

    def close(self):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(20)


@pytest.fixture
def cluster(tmp_path):
    folder = tmp_path / "slurm"
    folder.mkdir()
    cluster = Cluster(folder)
    try:
        yield cluster
    finally:
        cluster.close()


def test_an_array_of_workers_serves_a_batch_and_gives_way(cluster, fresh_fleet, tmp_path):
    """Two tasks join on one invitation, work, and end cleanly when Slurm wants their node back."""
    fleet = fresh_fleet
    fleet.worker("grace")
    invitation = fleet.coordinator.invitation("cluster", "--uses", "2")
    job = cluster.run(
        "sbatch",
        "--parsable",
        "--array=1-2",
        "--cpus-per-task=1",
        "--mem=0",
        f"--output={tmp_path}/task-%a.log",
        SCRIPT,
        TALLY_INVITATION=invitation,
        TALLY_PROGRAM=str(TALLY),
        TALLY_FOLDER=str(tmp_path / "tasks"),
    ).strip()

    def logs():
        return [path.read_text() for path in sorted(tmp_path.glob("task-*.log"))]

    eventually(lambda: len(logs()) == 2 and all("worker started" in log for log in logs()), "both tasks work", 60)
    batch = submit(fleet.client(), [chat_line(f"line-{i}") for i in range(24)])
    assert wait(fleet.client(), batch).status == "completed"
    accounts = {account["name"]: account for account in fleet.coordinator.statistics()["accounts"]}
    assert accounts["cluster"]["contribution"]["accepted"] > 0

    began = time.monotonic()
    cluster.run("scancel", "--batch", "--signal=TERM", job)
    eventually(lambda: not cluster.ask("squeue", "--noheader").strip(), "the tasks have ended", 60)
    print(f"the node is free after {time.monotonic() - began:.1f} s")
    for log in logs():
        assert "asked to end" in log and "Error:" not in log, log
