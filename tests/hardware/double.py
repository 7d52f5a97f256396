"""A service of jobs to test against: a process of its own that keeps its jobs in a file, and fails and lies as it is told.

python double.py FOLDER TARGET        writes the port to FOLDER/port
"""

import base64
import json
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np

from qlogad.backend.backend import Backend, open_backend
from qlogad.backend.sampled import SampledBackend
from qlogad.backend.service import Unavailable
from qlogad.backend.target import Answer, Status, Target
from qlogad.errors import BackendError

TIMEOUT = 1.0
SHOTS = 50
MOST = 200  # rows of a job of the backend
HISTORY = 4  # of the run's detector: the rounds of a closed loop
GARBAGE = b"<html>it works!"


class Http:
    """The service, seen from a client."""

    settles = 0.0

    def __init__(self, port: int, *, most: int = 3, token: str = "", timeout: float = TIMEOUT) -> None:
        self.port, self.most, self.token, self.timeout, self.calibration = port, most, token, timeout, "monday"
        self.instant = lambda: None  # called before and after each request

    def rows(self, lifted):
        return self.most

    def calibrated(self):
        return self.calibration

    def submit(self, work, tag):
        payload = base64.b64encode(pickle.dumps((work.lifted, work.angles_MA, list(work.rows)))).decode()
        return self.request("submit", tag=tag, digest=work.digest, payload=payload)["id"]

    def find(self, tag):
        return self.request("find", tag=tag)["id"]

    def status(self, job):
        found = self.request("status", id=job)
        return Status(found["state"], found["tag"], found["detail"])

    def result(self, job, work):
        found = self.request("result", id=job)
        error = None if found["error"] is None else np.array(found["error"], dtype=float)
        return Answer(
            np.array(found["mean"], dtype=float), error, found["executions"], 1, {"calibrated": self.calibration, "job ids": job}
        )

    def request(self, verb, **content):
        self.instant()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/{verb}", json.dumps(content).encode())
        request.add_header("Authorization", self.token)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as response:
                found = json.loads(response.read())
        except urllib.error.HTTPError as error:
            error.close()
            kind = Unavailable if error.code == 429 or error.code >= 500 else BackendError
            raise kind(f"HTTP {error.code} {error.reason} {self.token}") from None
        except (OSError, ValueError) as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from None
        self.instant()
        return found


class Remote(SampledBackend, Backend):
    """The service as a backend, "double:PORT": it runs jobs, and nothing else."""

    name = "double"

    def __init__(self, target: str) -> None:
        super().__init__(RemoteTarget(int(target)))


class RemoteTarget(Target):
    name, shots = "double", SHOTS

    def __init__(self, port: int) -> None:
        self.service = Http(port, most=MOST, timeout=60.0)
        self.abilities = replace(open_backend("aer").abilities, device=True)

    def evaluate(self, lifted, angles_MA, *, rows):
        raise AssertionError("a device is only used through its service")


class Double:
    """The service's process, and what a test may ask of it."""

    def __init__(self, folder: Path, target: str = f"aer:shots={SHOTS}") -> None:
        self.folder = folder
        self.process = subprocess.Popen([sys.executable, __file__, str(folder), target])
        while not (folder / "port").exists():
            assert self.process.poll() is None, "the service did not start"
            time.sleep(0.05)
        self.port = int((folder / "port").read_text())

    def faults(self, **faults):
        """What goes wrong with the next requests: a verb -> faults in turn; `looks`, how often every job says that it waits."""
        Http(self.port).request("faults", **faults)

    @property
    def stopped(self):
        return self.process.poll() is not None

    def forget(self):
        """Forget all jobs and faults."""
        Http(self.port).request("forget")

    def accepted(self):
        """Every job that was ever accepted, as its tag."""
        path = self.folder / "accepted.jsonl"
        return [json.loads(line)["tag"] for line in path.read_text().splitlines()] if path.exists() else []

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Handler(BaseHTTPRequestHandler):
    jobs: ClassVar[dict] = {}
    faults: ClassVar[dict] = {}
    lock = threading.Lock()

    def log_message(self, *args):
        pass

    def do_POST(self):
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        verb = self.path.strip("/")
        if verb == "faults":
            Handler.faults.clear()
            Handler.faults.update(content)
            return self.say({})
        if verb == "forget":
            Handler.faults.clear()
            Handler.jobs.clear()
            (Handler.folder / "accepted.jsonl").unlink(missing_ok=True)
            return self.say({})
        waiting = Handler.faults.get(verb, [])
        fault = waiting.pop(0) if waiting else ""
        if fault.isdigit():
            return self.send_error(int(fault))
        with Handler.lock:
            found = getattr(self, verb)(content, fault)
        if fault == "then 500":
            return self.send_error(500)
        if fault == "then silence":
            return self.connection.shutdown(socket.SHUT_RDWR)
        if fault == "too late":
            time.sleep(TIMEOUT * 1.5)
        return self.say(found, GARBAGE if fault == "garbage" else None)

    def say(self, found, text=None):
        body = text or json.dumps(found).encode()
        try:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            pass  # the client has gone

    def submit(self, content, fault):
        job = f"job-{len(Handler.jobs)}"
        Handler.jobs[job] = {**content, "state": "done", "detail": ""}
        with open(Handler.folder / "accepted.jsonl", "a") as file:
            file.write(json.dumps({"tag": content["tag"], "id": job}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        return {"id": "job-0" if fault == "another" else job}

    def find(self, content, fault):
        found = [job for job, known in Handler.jobs.items() if known["tag"] == content["tag"]]
        return {"id": "job-0" if fault == "another" else found[0] if found else None}

    def status(self, content, fault):
        job = Handler.jobs[content["id"]]
        job["looks"] = job.get("looks", 0) + 1
        if job["looks"] <= Handler.faults.get("looks", 0):
            fault = fault or "waiting"
        if fault in ("failed", "cancelled"):
            job["state"], job["detail"] = fault, "by the operator"
        return {
            "state": "waiting" if fault == "waiting" else job["state"],
            "tag": "ql-somebody-else" if fault == "another" else job["tag"],
            "detail": job["detail"],
        }

    def result(self, content, fault):
        job = Handler.jobs[content["id"]]
        if "answer" not in job:
            lifted, angles_MA, rows = pickle.loads(base64.b64decode(job["payload"]))
            job["answer"] = Handler.target.evaluate(lifted, angles_MA, rows=rows)
        answer = job["answer"]
        mean = answer.mean_MK.tolist()
        if fault == "short":
            mean = mean[:-1]
        if fault == "nan":
            mean[0][0] = None
        error = None if answer.error_MK is None else answer.error_MK.tolist()
        return {"mean": mean, "error": error, "executions": answer.executions}


if __name__ == "__main__":
    Handler.folder = Path(sys.argv[1])
    Handler.target = open_backend(sys.argv[2]).target
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    (Handler.folder / "port.new").write_text(str(server.server_port))
    (Handler.folder / "port.new").rename(Handler.folder / "port")
    server.serve_forever()
