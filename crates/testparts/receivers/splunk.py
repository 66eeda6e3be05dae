"""A receiver that speaks Splunk's HTTP Event Collector protocol, as it is published.

`python3 splunk.py PORT DIRECTORY TOKEN INDEX ACKNOWLEDGED`. INDEX is the one that the token may write to; ACKNOWLEDGED is `yes` for a token with
indexer acknowledgement. Acknowledgements are kept over a restart, as Splunk's are not: then they are unknown, which is `false`.
"""

import json
import sys
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from receiver import Answer, serve

TOKEN, INDEX, ACKNOWLEDGED = sys.argv[3], sys.argv[4], sys.argv[5] == "yes"
# Statuses and texts by code.
CODES = {
    0: (200, "Success"),
    1: (403, "Token disabled"),
    2: (401, "Token is required"),
    3: (401, "Invalid authorization"),
    4: (403, "Invalid token"),
    5: (400, "No data"),
    6: (400, "Invalid data format"),
    7: (400, "Incorrect index"),
    8: (500, "Internal server error"),
    9: (503, "Server is busy"),
    10: (400, "Data channel is missing"),
    11: (400, "Invalid data channel"),
    12: (400, "Event field is required"),
    13: (400, "Event field cannot be blank"),
    14: (400, "ACK is disabled"),
    15: (400, "Error in handling indexed fields"),
}
METADATA = {"time", "host", "source", "sourcetype", "index", "event", "fields"}
# Next acknowledgement and those promised, by channel.
CHANNELS = {}


def reply(code, events=(), **more):
    status, text = CODES[code]
    body = json.dumps({"text": text, "code": code, **more}).encode()
    return Answer(status, body, {"Content-Type": "application/json"}, list(events))


def fault_of_event(event):
    if not isinstance(event, dict) or not set(event) <= METADATA:
        return 6
    if "event" not in event:
        return 12
    if event["event"] in ("", None):
        return 13
    if event.get("index", INDEX) != INDEX:
        return 7
    fields = event.get("fields", {})
    if not isinstance(fields, dict) or any(isinstance(value, dict) for value in fields.values()):
        return 15
    try:
        float(event.get("time", 0))
    except (TypeError, ValueError):
        return 6
    return 0


def read_events(text):
    """JSON objects one after the other, with any white space between; the number of the first that is none."""
    decoder, at, events = json.JSONDecoder(), 0, []
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        try:
            event, at = decoder.raw_decode(text, at)
        except ValueError:
            return events, len(events)
        events.append(event)
    return events, None


def take(request):
    url = urlsplit(request.path)
    if request.fault["kind"] == "code":
        return reply(request.fault["code"])
    authorization = request.headers.get("authorization", "")
    if not authorization:
        return reply(2)
    if not authorization.startswith("Splunk "):
        return reply(3)
    if authorization.removeprefix("Splunk ") != TOKEN:
        return reply(4)
    channel = parse_qs(url.query).get("channel", [request.headers.get("x-splunk-request-channel", "")])[0]
    if url.path == "/services/collector/ack":
        return acknowledge(request, channel)
    if url.path not in ("/services/collector", "/services/collector/event", "/services/collector/event/1.0"):
        return Answer(404, b'{"text":"The requested URL was not found on this server.","code":404}')
    if ACKNOWLEDGED and not channel:
        return reply(10)
    if channel and not is_channel(channel):
        return reply(11)
    if not request.body.strip():
        return reply(5)
    events, broken = read_events(request.body.decode())
    for number, event in enumerate(events):
        code = fault_of_event(event)
        fields = event.get("fields", {}) if isinstance(event, dict) else {}
        if request.fault["kind"] == "refuse" and fields.get("annals_id") == request.fault["id"]:
            code = 6
        if code != 0:
            return reply(code, **{"invalid-event-number": number})
    if broken is not None:
        return reply(6, **{"invalid-event-number": broken})
    taken = []
    for event in events:
        fields = event.get("fields", {})
        taken.append((fields.get("annals_seq", 0), fields.get("annals_id", "none"), event))
    if not ACKNOWLEDGED:
        return reply(0, taken)
    promised = CHANNELS.setdefault(channel, {})
    ack = len(promised)
    promised[ack] = request.fault["kind"] != "unacknowledged"
    return reply(0, taken, ackId=ack)


def acknowledge(request, channel):
    if not ACKNOWLEDGED:
        return reply(14)
    if not channel:
        return reply(10)
    if not is_channel(channel):
        return reply(11)
    promised = CHANNELS.get(channel, {})
    acks = {str(ack): promised.get(ack, False) for ack in json.loads(request.body)["acks"]}
    for ack, is_given in acks.items():
        # Told once, then forgotten.
        if is_given:
            promised[int(ack)] = False
    return Answer(200, json.dumps({"acks": acks}).encode(), {"Content-Type": "application/json"})


def is_channel(text):
    try:
        UUID(text)
        return True
    except ValueError:
        return False


# A fault of questions for acknowledgements would have to be one of its own.
serve(take, counts=lambda path: "/services/collector/ack" not in path)
