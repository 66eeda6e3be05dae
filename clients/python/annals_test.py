"""Tests of the client against a running server: ANNALS_URL, ANNALS_INGEST and ANNALS_READ (tokens) in the environment."""

import itertools
import os
import socket
import threading
import time
import unittest
import uuid

from annals import Annals, AnnalsError, Unreachable

URL = os.environ["ANNALS_URL"]
PRODUCER = Annals(URL, os.environ["ANNALS_INGEST"])
READER = Annals(URL + "/", os.environ["ANNALS_READ"])


def event(target, **more):
    return {"action": "write", "resource_type": "template", "resource_target": target, **more}


class AnnalsTest(unittest.TestCase):
    def test_an_event_is_recorded_once_and_found(self):
        sent = event("python-once", user={"username": "demo-dev-1"}, before={"description": "old"}, after={"description": "new"})
        self.assertEqual(PRODUCER.append(sent)["accepted"], 1)
        self.assertEqual(PRODUCER.append(sent)["duplicates"], 1, "it kept its id")
        found = READER.search("resource_target:python-once")
        self.assertEqual((found["count"], found["audit_logs"][0]["diff"]["description"]["new"]), (1, "new"))
        self.assertEqual(READER.event(sent["id"])["user"]["username"], "demo-dev-1")
        self.assertTrue(READER.receipt(sent["id"]).startswith("c2sp.org/tlog-proof@v1\n"))
        top = READER.facets("username", "resource_target:python-once")
        self.assertEqual(top["values"][0], {"value": "demo-dev-1", "count": 1})

    def test_pages_and_exports_have_every_event(self):
        PRODUCER.append([event(f"python-many-{n}") for n in range(25)])
        newest_first = [f"python-many-{n}" for n in reversed(range(25))]
        self.assertEqual([found["resource_target"] for found in READER.events("resource_target:python-many-*", page=7)], newest_first)
        exported = list(READER.export("resource_target:python-many-*"))
        self.assertEqual([found["resource_target"] for found in exported], newest_first[::-1])
        rest = READER.export("resource_target:python-many-*", after_seq=exported[19]["seq"])
        self.assertEqual(len(list(rest)), 5)

    def test_events_are_followed_as_they_come(self):
        last = PRODUCER.append(event("python-before"))["events"][0]["seq"]
        sender = threading.Timer(0.3, lambda: PRODUCER.append([event("python-live-1"), event("python-live-2")]))
        sender.start()
        live = itertools.islice(READER.follow("resource_target:python-live-*", after_seq=last), 2)
        self.assertEqual([found["resource_target"] for found in live], ["python-live-1", "python-live-2"])
        sender.join()

    def test_refusals_say_why_and_are_not_repeated(self):
        begun = time.monotonic()
        with self.assertRaises(AnnalsError) as refused:
            PRODUCER.append([event("good"), {"action": "write", "resource_type": "unheard_of", "resource_target": "x"}])
        self.assertEqual(refused.exception.status, 422)
        self.assertIn("unheard_of", str(refused.exception))
        self.assertEqual(READER.search("resource_target:good")["count"], 0, "all or none")
        reply = PRODUCER.append([event("good"), {"action": "write", "resource_type": "unheard_of", "resource_target": "x"}], partial=True)
        self.assertEqual((reply["accepted"], reply["faults"][0]["index"]), (1, 1))
        for call in [lambda: PRODUCER.search(), lambda: READER.append(event("x")), lambda: next(PRODUCER.follow())]:
            with self.assertRaises(AnnalsError) as refused:
                call()
            self.assertEqual(refused.exception.status, 403)
        with self.assertRaises(AnnalsError) as refused:
            Annals(URL, "wrong").search()
        self.assertEqual(refused.exception.status, 401)
        for address in ["nonsense", "ftp://audit.example"]:
            with self.assertRaisesRegex(ValueError, "not the address of a server"):
                Annals(address, "t")
        with self.assertRaises(ValueError):
            PRODUCER.append(event("x", additional_fields={"x": float("nan")}))
        self.assertLess(time.monotonic() - begun, 20)

    def test_types_are_registered(self):
        name = f"invoice_{uuid.uuid4().hex[:8]}"
        PRODUCER.register(f'[[resource]]\ntype = "{name}"\nactions = ["write"]\n[resource.fields]\namount = "track"\n')
        self.assertIn(name, str(READER.resources()))
        PRODUCER.append({"action": "write", "resource_type": name, "resource_id": "1", "after": {"amount": 3}})

    def test_a_server_that_is_away_or_breaks_off_is_tried_again(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            answers = [b"", b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\n{}",
                       b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{",
                       b'HTTP/1.1 201 Created\r\nContent-Length: 14\r\n\r\n{"accepted":1}']
            bodies = []

            def serve():
                for answer in answers:
                    connection, _ = listener.accept()
                    with connection:
                        bodies.append(connection.recv(65_536).split(b"\r\n\r\n", 1)[1] or connection.recv(65_536))
                        connection.sendall(answer)

            server = threading.Thread(target=serve, daemon=True)
            server.start()
            address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            self.assertEqual(Annals(address, "t").append(event("again")), {"accepted": 1})
            server.join(10)
            self.assertEqual(len(bodies), 4)
            self.assertEqual(len(set(bodies)), 1, "the same event under the same id")
        for cut_off in [b"Transfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n9\r\n{", b"Transfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n0\r\n\r\n"]:
            with socket.create_server(("127.0.0.1", 0)) as listener:
                def serve_part():
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(65_536)
                        connection.sendall(b"HTTP/1.1 200 OK\r\nAnnals-Count: 2\r\n" + cut_off)

                threading.Thread(target=serve_part, daemon=True).start()
                with self.assertRaises(Unreachable):
                    list(Annals(f"http://127.0.0.1:{listener.getsockname()[1]}", "t").export())
        with self.assertRaises(Unreachable):
            Annals(address, "t", attempts=2).search()


if __name__ == "__main__":
    unittest.main()
