"""A receiver of webhooks that verifies signatures by somebody else's library. `python3 webhook.py PORT DIRECTORY SECRET`"""

import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError

from receiver import Answer, serve


def take(request):
    try:
        Webhook(sys.argv[3]).verify(request.body, request.headers, json_parse=False)
    except WebhookVerificationError as error:
        return Answer(401, str(error).encode())
    text = request.body.decode()
    is_many = request.headers.get("content-type") == "application/x-ndjson"
    lines = text.removesuffix("\n").split("\n") if is_many else [text]
    events = []
    for line in lines:
        event = json.loads(line)
        events.append((event["seq"], event["id"], {"webhook-id": request.headers["webhook-id"], "event": event}))
    if request.fault["kind"] == "refuse" and any(event[1] == request.fault["id"] for event in events):
        return Answer(400, b"an event that is refused")
    return Answer(200, b"ok", {}, events)


serve(take)
