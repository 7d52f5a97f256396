"""A server of one file on this machine that misbehaves as told, and otherwise serves it by the book (RFC 9110)."""

from __future__ import annotations

import hashlib
import random
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["FAULTS", "Fault", "Publisher", "serving"]

Fault = Callable[["_Handler", bytes], None]  # answers a request for these bytes in its own way


@dataclass
class Publisher:
    """What is published at an address, and how the next requests go wrong."""

    content: bytes
    faults: list[Fault] = field(default_factory=list)  # one for each request to come
    always: Fault | None = None  # for every request after them
    asked: list[dict[str, str]] = field(default_factory=list)  # the headers of each request
    ranges: bool = True
    tag: Callable[[bytes], str] = lambda content: f'"{hashlib.md5(content).hexdigest()}"'
    url: str = ""
    over: threading.Event = field(default_factory=threading.Event)


class _Handler(BaseHTTPRequestHandler):
    publisher: Publisher
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        one = self.publisher
        one.asked.append(dict(self.headers.items()))
        fault = one.faults.pop(0) if one.faults else one.always
        self.close_connection = True
        with suppress(ConnectionError):
            (fault or by_the_book)(self, one.content)

    def head(self, status: int, headers: dict[str, Any]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.flush()

    def log_message(self, *said: Any) -> None:
        """Nothing."""


@contextmanager
def serving(publisher: Publisher) -> Iterator[Publisher]:
    """Context in which a publisher has an address."""
    handler = type("Handler", (_Handler,), {"publisher": publisher})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    publisher.url = f"http://127.0.0.1:{server.server_port}/file"
    try:
        yield publisher
    finally:
        publisher.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def answer(handler: _Handler, content: bytes) -> tuple[int, dict[str, Any], bytes]:
    """The right answer: status, headers and body."""
    one = handler.publisher
    tag = one.tag(content)
    headers: dict[str, Any] = {"ETag": tag} if tag else {}
    asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    if asked is None or not one.ranges or handler.headers.get("If-Range", tag) != tag:
        return 200, {**headers, "Content-Length": len(content)}, content
    start = int(asked[1])
    if start >= len(content):
        return 416, {**headers, "Content-Range": f"bytes */{len(content)}", "Content-Length": 0}, b""
    rest = content[start:]
    return 206, {**headers, "Content-Length": len(rest), "Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}, rest


def by_the_book(handler: _Handler, content: bytes) -> None:
    status, headers, body = answer(handler, content)
    handler.head(status, headers)
    handler.wfile.write(body)


# ---------------------------------------------------------------- faults


def truncates(dice: random.Random) -> Fault:
    def fault(handler: _Handler, content: bytes) -> None:
        status, headers, body = answer(handler, content)
        handler.head(status, headers)
        handler.wfile.write(body[: dice.randrange(len(body) + 1)])

    return fault


def stalls(dice: random.Random) -> Fault:
    def fault(handler: _Handler, content: bytes) -> None:
        status, headers, body = answer(handler, content)
        handler.head(status, headers)
        handler.wfile.write(body[: dice.randrange(len(body) + 1)])
        handler.wfile.flush()
        handler.publisher.over.wait()

    return fault


def drops(dice: random.Random) -> Fault:
    return lambda handler, content: None


def corrupts(dice: random.Random) -> Fault:
    def fault(handler: _Handler, content: bytes) -> None:
        status, headers, body = answer(handler, content)
        at = dice.randrange(len(body)) if body else 0
        handler.head(status, headers)
        handler.wfile.write(body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :] if body else b"")

    return fault


def ignores_range(dice: random.Random) -> Fault:
    def fault(handler: _Handler, content: bytes) -> None:
        handler.head(200, {"Content-Length": len(content)})
        handler.wfile.write(content)

    return fault


def moves_range(dice: random.Random) -> Fault:
    def fault(handler: _Handler, content: bytes) -> None:
        start = dice.randrange(len(content))
        handler.head(
            206, {"Content-Length": len(content) - start, "Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        )
        handler.wfile.write(content[start:])

    return fault


def mislabels_range(dice: random.Random) -> Fault:
    def fault(handler: _Handler, content: bytes) -> None:
        said = dice.choice(["", "bytes 0-/*", "lines 1-2/3", f"bytes 5-{len(content)}/{len(content) + dice.randrange(1, 9)}"])
        handler.head(206, {"Content-Length": len(content), "Content-Range": said})
        handler.wfile.write(content)

    return fault


def chunks(dice: random.Random) -> Fault:
    def fault(handler: _Handler, content: bytes) -> None:
        handler.head(200, {"Transfer-Encoding": "chunked", "ETag": handler.publisher.tag(content)})
        end = dice.choice([len(content), dice.randrange(len(content) + 1)])
        for start in range(0, end, 5000):
            part = content[start : min(start + 5000, end)]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        handler.wfile.write(b"0\r\n\r\n" if end == len(content) else b"zz")

    return fault


def says_no_length(dice: random.Random) -> Fault:
    def fault(handler: _Handler, content: bytes) -> None:
        handler.head(200, {"ETag": handler.publisher.tag(content)})
        handler.wfile.write(content[: dice.choice([len(content), dice.randrange(len(content) + 1)])])

    return fault


def says_too_much(dice: random.Random) -> Fault:
    def fault(handler: _Handler, content: bytes) -> None:
        handler.head(200, {"Content-Length": len(content) + dice.randrange(1, 99)})
        handler.wfile.write(content)

    return fault


def says_too_little(dice: random.Random) -> Fault:
    def fault(handler: _Handler, content: bytes) -> None:
        handler.head(200, {"Content-Length": dice.randrange(len(content))})
        handler.wfile.write(content)

    return fault


def redirects(dice: random.Random) -> Fault:
    status = dice.choice([301, 302, 303, 307, 308])
    return lambda handler, content: handler.head(status, {"Location": f"/moved{dice.random()}", "Content-Length": 0})


def answers(status: int, **headers: object) -> Callable[[random.Random], Fault]:
    def make(dice: random.Random) -> Fault:
        return lambda handler, content: handler.head(
            status, {"Content-Length": 0} | {k.replace("_", "-"): v for k, v in headers.items()}
        )

    return make


def changes(dice: random.Random) -> Fault:
    """From this request on another file is published, half of the time of the same size."""

    def fault(handler: _Handler, content: bytes) -> None:
        handler.publisher.content = dice.randbytes(len(content) + dice.choice([0, 0, -7, 7]))
        truncates(dice)(handler, handler.publisher.content)

    return fault


FAULTS: dict[str, Callable[[random.Random], Fault]] = {
    "truncates": truncates,
    "stalls": stalls,
    "drops the connection": drops,
    "corrupts": corrupts,
    "ignores Range": ignores_range,
    "sends another range": moves_range,
    "mislabels a range": mislabels_range,
    "sends chunks": chunks,
    "says no length": says_no_length,
    "says too much": says_too_much,
    "says too little": says_too_little,
    "redirects": redirects,
    "416": answers(416),
    "416 of something": answers(416, Content_Range="bytes */12"),
    "404": answers(404),
    "500": answers(500),
    "503": answers(503, Retry_After="0"),
    "503 for a day": answers(503, Retry_After="86400"),
    "429 until a date": answers(429, Retry_After="Thu, 31 Dec 2099 23:59:59 GMT"),
    "429 until nobody knows": answers(429, Retry_After="soon"),
    "204": answers(204),
    "redirects nowhere": answers(302),
    "redirects to a file": answers(302, Location="file:///etc/passwd"),
    "redirects without TLS": answers(302, Location="http://example.invalid/x"),
    "redirects to nonsense": answers(302, Location="http://[::1/x"),
    "changes": changes,
}
