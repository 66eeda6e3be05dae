"""A small client of Annals, the audit log of a deployment. One file, standard library only, Python 3.9 and newer.

It does less than the SDK for Rust (docs/SDK.md): it waits for the server with every call, and keeps nothing on disk. Where an event must
not be lost, act only after `append` returned, or keep the events yourself and send them again: an event is known by its id. It computes no diffs: send
`before` and `after`, of which the server keeps what differs, or a `diff`; leave secrets out. It checks no proofs: docs/verify.py does.

    from annals import Annals
    log = Annals("http://127.0.0.1:2662", token)
    log.append({"action": "write", "resource_type": "template", "resource_target": "docker", "user": {"username": "demo-dev-1"}})
"""

import http.client
import json
import random
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

__all__ = ["Annals", "AnnalsError", "Unreachable"]

# Answers after which the same request may succeed.
AGAIN = {429, 500, 502, 503, 504, 507}


class AnnalsError(Exception):
    """The server refused; `problem` is its answer: `message`, `detail`, `validations`, `code`."""

    def __init__(self, status, problem):
        self.status, self.problem = status, problem
        said = [problem.get("message", ""), problem.get("detail", "")]
        said += [f"{entry.get('field')}: {entry.get('detail')}" for entry in problem.get("validations") or []][:5]
        super().__init__(f"{status}: " + "; ".join(text for text in said if text))


class Unreachable(Exception):
    """No connection, or it broke. Whether the server took the request is not known."""


class Annals:
    """A server of Annals and a token for it."""

    def __init__(self, url, token, timeout=60, attempts=5):
        """`attempts` is how often a call is made that may succeed later; the pause is 0.1 s, then twice as long each time, less a part by chance."""
        if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            raise ValueError(f"`{url}` is not the address of a server, such as http://127.0.0.1:2662")
        self.url, self.token, self.timeout, self.attempts = url.rstrip("/"), token, timeout, max(1, attempts)

    def append(self, events, partial=False):
        """Sends an event, or several, and waits until they are on the server's disk. Returns its reply: `accepted`, `duplicates`, `events` with
        `id` and `seq`, `warnings`. Events without an id get one, in place, so that sending them again records them once. With `partial` the server
        takes the good ones and lists the others under `faults`; without, it takes all or none."""
        events = [events] if isinstance(events, dict) else list(events)
        for event in events:
            event.setdefault("id", str(uuid.uuid4()))
        lines = "".join(json.dumps(event, separators=(",", ":"), allow_nan=False) + "\n" for event in events)
        query = {"partial": "true"} if partial else {}
        return self._json("POST", "/api/v2/audit/events", query, lines.encode(), "application/x-ndjson")

    def register(self, document):
        """Registers resource types and actions: a TOML document (docs/API.md, "Types")."""
        return self._json("PUT", "/api/v2/audit/resources", {}, document.encode(), "application/toml")

    def resources(self):
        """The registry in force."""
        return self._json("GET", "/api/v2/audit/resources")

    def search(self, query="", limit=100, offset=0, after=None):
        """A page of events, the newest first: `audit_logs`, the exact `count`, and `next`, the cursor for `after`."""
        asked = {"q": query, "limit": limit, "offset": offset, "after": after}
        return self._json("GET", "/api/v2/audit", asked)

    def events(self, query="", page=500):
        """Every matching event, the newest first, page by page: those that were there at the begin."""
        after = None
        while True:
            found = self.search(query, limit=page, after=after)
            yield from found["audit_logs"]
            after = found.get("next")
            if not after:
                return

    def event(self, event_id):
        """One event."""
        return self._json("GET", "/api/v2/audit/" + urllib.parse.quote(event_id, safe=""))

    def facets(self, key, query="", limit=10):
        """The most frequent values of a key among the matching events."""
        return self._json("GET", "/api/v2/audit/facets", {"key": key, "q": query, "limit": limit})

    def receipt(self, event_id, values=True):
        """The receipt of an event, for docs/verify.py or `annals verify`. Waits for a checkpoint, 20 seconds at most."""
        path = f"/api/v2/audit/{urllib.parse.quote(event_id, safe='')}/receipt"
        return self._call("GET", path, {"values": "true" if values else "false"}).decode()

    def export(self, query="", after_seq=None):
        """Every matching event by rising seq. A connection that breaks is an error, never an end; go on behind the last event's `seq`."""
        with self._open("GET", "/api/v2/audit/export", {"q": query, "format": "ndjson", "after_seq": after_seq}) as answer:
            left = int(answer.headers["Annals-Count"])
            for line in self._lines(answer):
                left -= 1
                yield json.loads(line)
            if left:
                raise Unreachable(f"the export ended {left} events early")

    def follow(self, query="", after_seq=None):
        """Matching events as they come, without end and without gap: connects again behind the last one. `after_seq` begins behind an event, else behind the
        newest one."""
        failures = 0
        while True:
            try:
                with self._open("GET", "/api/v2/audit/stream", {"q": query, "after_seq": after_seq}) as answer:
                    seq, data = None, None
                    for line in self._lines(answer):
                        name, _, value = line.decode().partition(": ")
                        if name == "id":
                            seq = int(value)
                        elif name == "data":
                            data = json.loads(value)
                        elif not line and seq is not None:
                            after_seq, failures = seq, 0
                            if data is not None:
                                yield data
                            seq, data = None, None
            except Unreachable:
                pass
            except AnnalsError as error:
                if error.status not in AGAIN:
                    raise
            time.sleep(self._pause(failures))
            failures += 1

    def _lines(self, answer):
        try:
            for line in answer:
                yield line.rstrip(b"\r\n")
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"the connection to {self.url} broke: {error}") from error

    def _json(self, method, path, query=None, body=None, content_type=None):
        return json.loads(self._call(method, path, query, body, content_type))

    def _call(self, method, path, query=None, body=None, content_type=None):
        """Makes a call, again where it may succeed: each is either a question, or known by the ids of its events."""
        for attempt in range(self.attempts):
            try:
                with self._open(method, path, query, body, content_type) as answer:
                    return self._whole(answer)
            except (AnnalsError, Unreachable) as error:
                is_final = isinstance(error, AnnalsError) and error.status not in AGAIN
                if is_final or attempt + 1 == self.attempts:
                    raise
            time.sleep(self._pause(attempt))
        raise AssertionError("the last attempt returns or raises")

    def _whole(self, answer):
        try:
            # At once: read in pieces, a body that is cut off looks as if it had ended.
            return answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"the connection to {self.url} broke: {error}") from error

    def _open(self, method, path, query=None, body=None, content_type=None):
        given = {name: value for name, value in (query or {}).items() if value is not None}
        address = f"{self.url}{path}" + (f"?{urllib.parse.urlencode(given)}" if given else "")
        request = urllib.request.Request(address, data=body, method=method)
        request.add_header("Authorization", f"Bearer {self.token}")
        request.add_header("User-Agent", "annals-python/0.1")
        if content_type:
            request.add_header("Content-Type", content_type)
        try:
            return OPENER.open(request, timeout=self.timeout)
        except urllib.error.HTTPError as error:
            with error:
                try:
                    problem = json.loads(error.read())
                except ValueError:
                    problem = {}
            raise AnnalsError(error.code, problem if isinstance(problem, dict) else {}) from None
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"cannot reach {self.url}: {error}") from error

    @staticmethod
    def _pause(failures):
        longest = min(30, 0.1 * 2 ** min(failures, 16))
        return longest * (0.5 + random.random() / 2)


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: the token is for this server alone."""

    def redirect_request(self, *_):
        return None


OPENER = urllib.request.build_opener(_StayHere)
