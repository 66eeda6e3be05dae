"""What the receivers of tests have in common: an HTTP server that writes down what it took, and does wrong what it is told to.

A receiver is a module with `take(request) -> answer`. It runs as `python3 NAME.py PORT DIRECTORY [ARGUMENTS]`. Each event that it took is a line of
DIRECTORY/received: `SEQ ID JSON`, by order of arrival, repetitions included. POST /test/fault sets what goes wrong, by JSON:
    kind   none | status | refuse | partial | slow | cut | drop | redirect | unacknowledged | code
    ...    what the kind needs; `Fault` in src/receiver.rs says what each means
    times  for how many requests; for all where it is missing
"""

import gzip
import json
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Request:
    path: str
    headers: dict
    body: bytes
    fault: dict


@dataclass
class Answer:
    status: int
    body: bytes = b""
    headers: dict = field(default_factory=dict)
    # Events that are taken with it: (seq, id, anything).
    events: list = field(default_factory=list)


LOCK = threading.Lock()
FAULT = {"kind": "none"}


def next_fault():
    """The fault of this request; one that is for some requests is used up."""
    fault = dict(FAULT)
    if "times" in FAULT:
        FAULT["times"] -= 1
        if FAULT["times"] <= 0:
            FAULT.clear()
            FAULT["kind"] = "none"
    return fault


def write_down(events):
    with open(os.path.join(sys.argv[2], "received"), "a", encoding="utf-8") as received:
        for seq, ident, record in events:
            received.write(f"{seq} {ident} {json.dumps(record)}\n")


def serve(take, counts=lambda path: True):
    """`counts` says for which paths a fault is meant."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments):
            pass

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            if self.path == "/test/fault":
                with LOCK:
                    FAULT.clear()
                    FAULT.update(json.loads(body))
                return self.answer(Answer(204))
            headers = {name.lower(): value for name, value in self.headers.items()}
            if headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            with LOCK:
                fault = next_fault() if counts(self.path) else {"kind": "none"}
                with open(os.path.join(sys.argv[2], "requests"), "a", encoding="utf-8") as requests:
                    requests.write(json.dumps({"path": self.path, "headers": headers}) + "\n")
                kind = fault["kind"]
                if kind == "drop":
                    # Nothing is taken.
                    return self.cut()
                if kind == "status":
                    extra = {"Retry-After": fault["retry_after"]} if "retry_after" in fault else {}
                    return self.answer(Answer(fault["status"], fault.get("body", "").encode(), extra))
                if kind == "redirect":
                    return self.answer(Answer(307, b"", {"Location": fault["location"]}))
                answer = take(Request(self.path, headers, body, fault))
                write_down(answer.events)
            if kind == "slow":
                time.sleep(fault["seconds"])
            # It was taken, but nobody hears of it.
            self.answer(answer, is_cut=kind == "cut")

        def answer(self, answer, is_cut=False):
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body) + (10 if is_cut else 0)))
            self.end_headers()
            self.wfile.write(answer.body)
            if is_cut:
                self.cut()

        def cut(self):
            self.close_connection = True
            self.wfile.flush()
            self.connection.shutdown(2)

    ThreadingHTTPServer.daemon_threads = True
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
