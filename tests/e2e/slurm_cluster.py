"""A real SLURM cluster of two nodes on this machine: munged, slurmctld and two slurmd, with folders and ports of their own.

Nothing is installed and no running cluster is touched. The programs come from the packages slurm-wlm and munge.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sinfo", "sbatch", "srun")
LIMIT_S = 600  # only ever reached by a broken test
PATHS = "/usr/sbin:/usr/local/sbin"


def lacking() -> list[str]:
    """The programs of a cluster that are not installed."""
    return [p for p in PROGRAMS if not shutil.which(p, path=f"{os.environ.get('PATH', '')}:{PATHS}")]


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def configuration(folder: Path, host: str) -> str:
    control, *nodes = free_ports(3)
    lines = [
        "ClusterName=test",
        f"SlurmctldHost={host}(127.0.0.1)",
        f"SlurmctldPort={control}",
        "SlurmUser=root",
        "SlurmdUser=root",
        "AuthType=auth/munge",
        f"AuthInfo=socket={folder / 'munge' / 'socket'}",
        "CredType=cred/munge",
        "ProctrackType=proctrack/linuxproc",
        "TaskPlugin=task/none",
        "SelectType=select/cons_tres",
        "SelectTypeParameters=CR_Core",
        "MpiDefault=none",
        "JobAcctGatherType=jobacct_gather/none",
        "ReturnToService=2",
        "MailProg=/bin/true",
        f"StateSaveLocation={folder / 'state'}",
        f"SlurmdSpoolDir={folder / 'spool-%n'}",
        f"SlurmctldPidFile={folder / 'slurmctld.pid'}",
        f"SlurmdPidFile={folder / 'slurmd-%n.pid'}",
        f"SlurmctldLogFile={folder / 'slurmctld.log'}",
        f"SlurmdLogFile={folder / 'slurmd-%n.log'}",
        *(
            f"NodeName=n{i} NodeHostname={host} NodeAddr=127.0.0.1 Port={p} CPUs=2 State=UNKNOWN"
            for i, p in enumerate(nodes)
        ),
        "PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=YES",
    ]
    return "\n".join(lines) + "\n"


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """The environment in which `sbatch` and `srun` know the cluster; it is gone when the block ends. Raises RuntimeError with the
    logs where it does not come up."""
    munge = folder / "munge"
    for made in (munge, folder / "state", folder / "spool-n0", folder / "spool-n1"):
        made.mkdir(parents=True)
    os.chmod(munge, 0o755)
    key = munge / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    config = folder / "slurm.conf"
    config.write_text(configuration(folder, socket.gethostname().split(".")[0]))
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")  # loaded in any case; nothing here makes a cgroup
    env = os.environ | {"SLURM_CONF": str(config), "PATH": f"{os.environ['PATH']}:{PATHS}"}
    commands = [
        ["munged", "--foreground", "--force", f"--socket={munge / 'socket'}", f"--key-file={key}",
         f"--pid-file={munge / 'pid'}", f"--log-file={munge / 'log'}", f"--seed-file={munge / 'seed'}"],
        ["slurmctld", "-D", "-c"],
        *(["slurmd", "-D", "-N", f"n{i}"] for i in range(2)),
    ]  # fmt: skip
    running: list[subprocess.Popen[bytes]] = []
    try:
        for i, command in enumerate(commands):
            with (folder / f"daemon-{i}.log").open("wb") as out:
                running.append(subprocess.Popen(command, env=env, stdout=out, stderr=out, stdin=subprocess.DEVNULL))
            if i == 0:
                _until(lambda: (munge / "socket").exists(), folder, running)
        _until(lambda: _idle(env) == 2, folder, running)
        yield env
    finally:
        for process in reversed(running):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _idle(env: dict[str, str]) -> int:
    said = subprocess.run(["sinfo", "-h", "-N", "-o", "%T"], env=env, capture_output=True, text=True, check=False)
    return said.stdout.split().count("idle")


def _until(condition: object, folder: Path, running: list[subprocess.Popen[bytes]]) -> None:
    until = time.monotonic() + LIMIT_S
    while not condition():  # type: ignore[operator]
        if time.monotonic() > until or any(p.poll() is not None for p in running):
            logs = "\n".join(
                f"{p.name}:\n{p.read_text(errors='replace')[-1500:]}" for p in sorted(folder.glob("*.log"))
            )
            raise RuntimeError(f"the cluster did not come up:\n{logs}")
        time.sleep(0.3)


__all__ = ["PROGRAMS", "cluster", "lacking"]
