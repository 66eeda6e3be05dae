"""ClickHouse (chdb) as a peer: reads one request a line on stdin, answers one line on stdout, both JSON.

{"load": FILE} loads events, one JSON object a line; {"sql": [COUNT, PAGE]} answers {"count": n, "times_us": [...]};
{"rows": SQL} answers {"rows": [...]}, columns separated by tabs.
"""

import json
import sys

# This file has the name of the library: its directory must not come first.
del sys.path[0]

from chdb import session

TABLE = """CREATE TABLE audit_logs (id UUID, time DateTime64(6, 'UTC'), user_id UUID, username LowCardinality(String),
  email LowCardinality(String), organization LowCardinality(String), ip String, user_agent LowCardinality(String),
  resource_type LowCardinality(String), resource_id UUID, resource_target String, action LowCardinality(String), diff String,
  status_code UInt16, additional_fields String, request_id UUID,
  INDEX by_resource resource_id TYPE bloom_filter GRANULARITY 1,
  INDEX by_request request_id TYPE bloom_filter GRANULARITY 1,
  INDEX by_target resource_target TYPE ngrambf_v1(4, 4096, 2, 0) GRANULARITY 1)
  ENGINE = MergeTree ORDER BY time"""


def main():
    clickhouse = session.Session(sys.argv[1])
    clickhouse.query("CREATE DATABASE IF NOT EXISTS bench ENGINE = Atomic")
    clickhouse.query("USE bench")
    for line in sys.stdin:
        request = json.loads(line)
        if "load" in request:
            clickhouse.query("DROP TABLE IF EXISTS audit_logs SYNC")
            clickhouse.query(TABLE)
            clickhouse.query(
                f"INSERT INTO audit_logs SELECT * FROM file('{request['load']}', JSONEachRow)"
                " SETTINGS date_time_input_format = 'best_effort'"
            )
            clickhouse.query("OPTIMIZE TABLE audit_logs FINAL")
            answer = {}
        elif "bytes" in request:
            sql = "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND table = 'audit_logs'"
            answer = {"bytes": int(clickhouse.query(sql, "CSV").bytes().decode().strip() or 0)}
        elif "rows" in request:
            answer = {"rows": clickhouse.query(request["rows"], "TSV").bytes().decode().splitlines()}
        else:
            count, page = request["sql"]
            count = int(clickhouse.query(count, "CSV").bytes().decode().strip())
            rows = clickhouse.query(page, "JSONEachRow").bytes().decode().splitlines()
            answer = {"count": count, "times_us": [int(json.loads(row)["time_us"]) for row in rows]}
        print(json.dumps(answer), flush=True)


main()
