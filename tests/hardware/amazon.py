"""Amazon Braket and its storage to test against: HTTP on this machine, asked by Amazon's own client, run by Braket's own simulator."""

import json
import re
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REGION = "eu-north-1"
ARN = f"arn:aws:braket:{REGION}::device/qpu/iqm/Garnet"
EXECUTABLES, TOTAL_SHOTS = 8, 4000  # of a program set
ERRORS = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    429: "ThrottlingException",
    500: "InternalServiceException",
    503: "InternalServiceException",
}


class Amazon(ThreadingHTTPServer):
    """The service. `refuse`: verb -> HTTP codes of its next answers, a negative one after the request was carried out."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.tasks, self.results, self.refuse, self.says = {}, {}, {}, "no reason"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def environment(self):
        """What leads Amazon's client here."""
        here = f"http://127.0.0.1:{self.server_port}"
        return {
            "BRAKET_ENDPOINT": here,
            "AWS_ENDPOINT_URL_S3": here,
            "AWS_ACCESS_KEY_ID": "AKIAPLANTEDPLANTED00",
            "AWS_SECRET_ACCESS_KEY": "planted/secret+0123456789abcdef",
            "AWS_REGION": REGION,
            "AWS_MAX_ATTEMPTS": "1",
            "AMZN_BRAKET_TASK_RESULTS_S3_URI": "s3://amazon-braket-here/tasks",
        }

    def create(self, asked):
        """One task for each client token, run at once."""
        from braket.devices import LocalSimulator
        from braket.ir.openqasm import ProgramSet

        known = [arn for arn, task in self.tasks.items() if task["token"] == asked["clientToken"]]
        if known:
            return known[0]
        programs = ProgramSet.parse_raw(asked["action"])
        assert programs.num_executables <= EXECUTABLES
        assert asked["shots"] <= TOTAL_SHOTS
        arn = f"arn:aws:braket:{REGION}:000000000000:quantum-task/{len(self.tasks)}"
        self.tasks[arn] = {
            "token": asked["clientToken"],
            "executables": programs.num_executables,
            "status": "QUEUED",
            "quantumTaskArn": arn,
            "deviceArn": asked["deviceArn"],
            "deviceParameters": "{}",
            "shots": asked["shots"],
            "outputS3Bucket": asked["outputS3Bucket"],
            "outputS3Directory": f"{asked['outputS3KeyPrefix']}/{len(self.tasks)}",
            "createdAt": f"2026-11-0{1 + len(self.tasks) % 9}T00:00:00Z",
            "tags": asked["tags"],
            "failureReason": self.says,
        }
        run = LocalSimulator()._delegate.run(programs, shots=asked["shots"])  # the public class returns no text
        self.results[f"/{asked['outputS3Bucket']}/{self.tasks[arn]['outputS3Directory']}/results.json"] = run.json()
        return arn

    def search(self, asked):
        """One task a page, the last one first."""
        (chosen,) = asked["filters"]
        found = [task for task in self.tasks.values() if task["deviceArn"] in chosen["values"]][::-1]
        page = int(asked.get("nextToken", 0))
        more = {"nextToken": str(page + 1)} if page + 1 < len(found) else {}
        return {"quantumTasks": found[page : page + 1], **more}

    def device(self):
        limits = {"maximumExecutables": EXECUTABLES, "maximumTotalShots": TOTAL_SHOTS}
        says = {"action": {"braket.ir.openqasm.program_set": limits}, "service": {"updatedAt": "2026-11-01T00:00:00"}}
        named = {"deviceArn": ARN, "deviceName": "Garnet", "providerName": "IQM", "deviceType": "QPU", "deviceStatus": "ONLINE"}
        return {**named, "deviceCapabilities": json.dumps(says)}


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/quantum-task":
            self.answer("create", lambda: {"quantumTaskArn": self.server.create(asked)})
        else:
            self.answer("search", lambda: self.server.search(asked))

    def do_GET(self):
        path = urllib.parse.unquote(self.path.partition("?")[0])
        if path.startswith("/device/"):
            self.answer("device", self.server.device)
        elif found := re.fullmatch("/quantum-task/(.*)", path):
            self.answer("get", lambda: self.server.tasks[found[1]])
        else:
            self.answer("result", lambda: json.loads(self.server.results[path]))

    def answer(self, verb, work):
        codes = self.server.refuse.get(verb, [])
        code = codes.pop(0) if codes else 200
        content = work() if code == 200 or code < 0 else {}
        if abs(code) != 200:
            content = {"message": self.server.says}
        body = json.dumps(content).encode()
        self.send_response(abs(code))
        if abs(code) != 200:
            self.send_header("x-amzn-ErrorType", ERRORS[abs(code)])
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
