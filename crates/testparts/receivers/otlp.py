"""A receiver of OpenTelemetry's logs, by the official messages. `python3 otlp.py PORT DIRECTORY`"""

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse

from receiver import Answer, serve


def plain(value):
    """An AnyValue as the JSON that it was made of."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    inner = getattr(value, kind)
    if kind == "kvlist_value":
        return {member.key: plain(member.value) for member in inner.values}
    if kind == "array_value":
        return [plain(item) for item in inner.values]
    return inner


def take(request):
    if request.path != "/v1/logs":
        return Answer(404)
    if request.headers.get("content-type") != "application/x-protobuf":
        return Answer(415)
    message = ExportLogsServiceRequest()
    message.ParseFromString(request.body)
    events = []
    for of_resource in message.resource_logs:
        resource = {member.key: plain(member.value) for member in of_resource.resource.attributes}
        for of_scope in of_resource.scope_logs:
            for record in of_scope.log_records:
                attributes = {member.key: plain(member.value) for member in record.attributes}
                whole = {
                    "resource": resource,
                    "scope": MessageToDict(of_scope.scope),
                    "attributes": attributes,
                    "body": plain(record.body),
                    "time": record.time_unix_nano,
                    "observed": record.observed_time_unix_nano,
                    "severity": record.severity_number,
                    "event_name": record.event_name,
                }
                events.append((attributes["annals.seq"], attributes["log.record.uid"], whole))
    response = ExportLogsServiceResponse()
    if request.fault["kind"] == "refuse" and any(event[1] == request.fault["id"] for event in events):
        return Answer(400, b"a record that is refused")
    if request.fault["kind"] == "partial":
        rejected = min(request.fault["count"], len(events))
        response.partial_success.rejected_log_records = rejected
        response.partial_success.error_message = "some are too old"
        events = events[rejected:]
    headers = {"Content-Type": "application/x-protobuf"}
    return Answer(200, response.SerializeToString(), headers, events)


serve(take)
