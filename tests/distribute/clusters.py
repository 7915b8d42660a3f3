"""Clusters of real processes on the loopback interface, for tests.

    with Cluster({"worker": 2}) as cluster:
        cluster.start("tests.distribute.programs", "trajectory", "tf1")
        results = cluster.results()       # by task, the JSON of the last line that it printed

Every process gets its own TF_CONFIG. All are killed when the context ends.
"""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[2]
LONGEST_SECONDS = 240


def free_ports(count):
    """Ports that were free a moment ago."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


class Cluster:
    """The processes of a cluster.

    Args:
        jobs: How many tasks each job has. An evaluator gets a process, but no address.
        environment: More environment variables for all of them.
    """

    def __init__(self, jobs, environment=None):
        self.environment = environment or {}
        self.tasks = [(job, index) for job, count in jobs.items() for index in range(count)]
        ports = iter(free_ports(len(self.tasks)))
        self.addresses = {}
        for job, _ in self.tasks:
            if job != "evaluator":
                self.addresses.setdefault(job, []).append(f"127.0.0.1:{next(ports)}")
        self.processes = {}
        self._logs = {}
        self._folder = tempfile.TemporaryDirectory()

    def __enter__(self):
        return self

    def __exit__(self, *details):
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()
        self._folder.cleanup()

    def start(self, module, *arguments, tasks=None):
        """Starts a module in the processes of `tasks`, by default all."""
        for job, index in tasks or self.tasks:
            config = {"cluster": self.addresses, "task": {"type": job, "index": index}}
            environment = {
                **os.environ,
                "CUDA_VISIBLE_DEVICES": "-1",
                "TF_CPP_MIN_LOG_LEVEL": "2",
                **self.environment,
                "TF_CONFIG": json.dumps(config),
            }
            path = self._logs[job, index] = pathlib.Path(self._folder.name, f"{job}-{index}.log")
            with path.open("a") as log:  # the log of a restarted process continues
                self.processes[job, index] = subprocess.Popen(
                    [sys.executable, "-m", module, *map(str, arguments)],
                    cwd=ROOT,
                    env=environment,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )

    def log(self, task):
        """What a process has printed so far."""
        return self._logs[task].read_text()

    def kill(self, task, number=signal.SIGKILL):
        """Sends a signal to a process."""
        self.processes[task].send_signal(number)

    def wait_for_line(self, task, text, seconds=LONGEST_SECONDS):
        """Waits until a process has printed a text."""
        end = time.time() + seconds
        while text not in self.log(task):
            assert time.time() < end, f"{task} did not print {text!r}:\n{self.log(task)}"
            assert self.processes[task].poll() is None, f"{task} ended:\n{self.log(task)}"
            time.sleep(0.05)

    def exit_codes(self, seconds=LONGEST_SECONDS):
        """Waits until all processes have ended; returns their exit codes by task."""
        end = time.time() + seconds
        for task, process in self.processes.items():
            try:
                process.wait(max(0.1, end - time.time()))
            except subprocess.TimeoutExpired:
                logs = "\n".join(f"--- {each}\n{self.log(each)[-3000:]}" for each in self.processes)
                raise AssertionError(f"{task} did not end within {seconds} s.\n{logs}") from None
        return {task: process.returncode for task, process in self.processes.items()}

    def results(self, seconds=LONGEST_SECONDS):
        """Waits until all have ended well; returns by task what they printed in the last line."""
        for task, code in self.exit_codes(seconds).items():
            assert code == 0, f"{task} ended with {code}:\n{self.log(task)}"
        return {
            task: json.loads(self.log(task).strip().splitlines()[-1]) for task in self.processes
        }
