#!/usr/bin/env python3
"""Tests verify.py: builds small logs, receipts and bundles, verifies them, then changes one thing at a time.

Run it with `python3 docs/verify_test.py`. The tree is built by the recursive definitions of RFC 6962, so that it shares
no algorithm with what it tests. ANNALS_FLIPS and ANNALS_SEED say how many random bits are flipped (200 of each kind of
file), and which.
"""

import base64
import contextlib
import copy
import gzip
import hashlib
import io
import json
import os
import random
import struct
import subprocess
import sys
import tarfile
import tempfile
import unittest
import uuid
import zlib
from pathlib import Path

try:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
except ImportError:
    print("skipped docs/verify_test.py: cryptography is absent (Debian: python3-cryptography)")
    sys.exit(1 if os.environ.get("CI") else 0)

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import verify  # noqa: E402  (the program lies beside this file)

VECTORS = HERE.parents[1] / "shared" / "vectors" / "merkle.json"
SAMPLE = HERE.parent / "crates/model/src/record/version1.sha256"
FLIPS = int(os.environ.get("ANNALS_FLIPS", "200"))
SEED = int(os.environ.get("ANNALS_SEED", "7"))
ORIGIN = "log.example/annals"
GOOD, TAMPERED, INCOMPLETE, UNTRUSTED, UNREADABLE = 0, 1, 2, 3, 64


# ---- The oracle: RFC 6962, section 2.1, as it is written there ----

def digest(data):
    return hashlib.sha256(data).digest()


def split(count):
    """The largest power of two below `count`."""
    return 1 << ((count - 1).bit_length() - 1)


def tree_root(leaves):
    if len(leaves) < 2:
        return leaves[0] if leaves else digest(b"")
    at = split(len(leaves))
    return digest(b"\x01" + tree_root(leaves[:at]) + tree_root(leaves[at:]))


def inclusion_path(index, leaves):
    if len(leaves) == 1:
        return []
    at = split(len(leaves))
    if index < at:
        return inclusion_path(index, leaves[:at]) + [tree_root(leaves[at:])]
    return inclusion_path(index - at, leaves[at:]) + [tree_root(leaves[:at])]


def consistency_path(size, leaves, is_whole=True):
    if size == len(leaves):
        return [] if is_whole else [tree_root(leaves)]
    at = split(len(leaves))
    if size <= at:
        return consistency_path(size, leaves[:at], is_whole) + [tree_root(leaves[at:])]
    return consistency_path(size - at, leaves[at:], False) + [tree_root(leaves[:at])]


def covering_roots(begin, end, leaves, low=0, high=None):
    """Roots of the aligned perfect subtrees that cover [begin, end), found by going down from the top."""
    high = 1 << len(leaves).bit_length() if high is None else high
    if begin <= low and high <= end:
        return [tree_root(leaves[low:high])]
    if high <= begin or end <= low:
        return []
    middle = (low + high) // 2
    return covering_roots(begin, end, leaves, low, middle) + covering_roots(begin, end, leaves, middle, high)


# ---- A small log ----

def base64_text(data):
    return base64.b64encode(data).decode()


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class Key:
    def __init__(self, name, kind=1, seed=None):
        self.name, self.kind = name, kind
        self.private = Ed25519PrivateKey.from_private_bytes(digest((seed or name).encode()))
        material = bytes([kind]) + self.private.public_key().public_bytes_raw()
        self.id = digest(name.encode() + b"\n" + material)[:4]
        self.text = f"{name}+{self.id.hex()}+{base64_text(material)}"

    def sign(self, text, time=0):
        if self.kind == 1:
            signature = self.private.sign(text.encode())
        else:
            signature = struct.pack(">Q", time) + self.private.sign(f"cosignature/v1\ntime {time}\n{text}".encode())
        return f"— {self.name} {base64_text(self.id + signature)}\n"


LOG_KEY, WITNESS, STRANGER = Key(ORIGIN), Key("witness.example/w1", kind=4), Key("stranger.example/log")


def checkpoint_note(leaves, keys=(LOG_KEY,), origin=ORIGIN):
    text = f"{origin}\n{len(leaves)}\n{base64_text(tree_root(leaves))}\n"
    return text + "\n" + "".join(key.sign(text, 1_700_000_000) for key in keys)


def make_record(number, source, kind=0):
    openings = [
        {"path": path, "salt": source.randbytes(16).hex(), "value": value}
        for path, value in [("/who", '{"user":{"username":"Zoë"}}'), ("/origin", '{"ip":"192.0.2.7"}')][: number % 3]
    ]
    body = f'{{"action":"write","n":{number},"score":1.50' + "".join(
        f',"{opening["path"][1:]}":{{"$f":{index}}}' for index, opening in enumerate(openings)) + "}"
    return {
        "format": "annals-record/1", "log_id": str(uuid.UUID(bytes=digest(b"log")[:16])),
        "id": str(uuid.UUID(bytes=source.randbytes(16))), "kind": kind, "time_us": -1 if number == 0 else number * 1000,
        "received_us": number * 1000 + 5, "registry_version": 3, "nonce": source.randbytes(16).hex(), "body": body,
        "openings": openings,
    }


def commitment(opening):
    if "commitment" in opening:
        return bytes.fromhex(opening["commitment"])
    path = opening["path"].encode()
    return digest(b"annals/field/1\x00" + bytes.fromhex(opening["salt"]) + len(path).to_bytes(2, "big") + path
                  + opening["value"].encode())


def leaf_bytes(record):
    """STORAGE.md, "Leaf", line by line."""
    return b"".join([
        b"ANL1",
        bytes.fromhex(record["log_id"].replace("-", "")),
        bytes.fromhex(record["id"].replace("-", "")),
        record["kind"].to_bytes(1, "big"),
        record["time_us"].to_bytes(8, "big", signed=True),
        record["received_us"].to_bytes(8, "big", signed=True),
        digest(b"annals/body/1\x00" + bytes.fromhex(record["nonce"]) + record["body"].encode()),
        len(record["openings"]).to_bytes(1, "big"),
        *[commitment(opening) for opening in record["openings"]],
        (4).to_bytes(2, "big"),
        record["registry_version"].to_bytes(4, "big"),
    ])


def erased(record, index):
    record = copy.deepcopy(record)
    opening = record["openings"][index]
    record["openings"][index] = {"path": opening["path"], "commitment": commitment(opening).hex()}
    return record


def make_log(count):
    source = random.Random(count)
    records = [make_record(number, source, kind=1 if number == 4 else 0) for number in range(count)]
    return records, [digest(b"\x00" + leaf_bytes(record)) for record in records]


RECORDS, LEAVES = make_log(23)


def receipt(record, index, path, note, header="c2sp.org/tlog-proof@v1"):
    hashes = "".join(base64_text(item) + "\n" for item in path)
    return f"{header}\nextra {base64_text(compact(record).encode())}\nindex {index}\n{hashes}\n{note}".encode()


def good_receipt(index=5, keys=(LOG_KEY,), leaves=LEAVES, record=None):
    return receipt(record or RECORDS[index], index, inclusion_path(index, leaves), checkpoint_note(leaves, keys))


class Bundle:
    """The parts of a bundle before they are packed, so that a test may change one."""

    def __init__(self, begin=6, end=17, picked=None, leaves=LEAVES, keys=(LOG_KEY,)):
        numbers = list(range(begin, end)) if picked is None else picked
        self.manifest = {
            "format": "annals-evidence/1", "origin": ORIGIN, "log_id": RECORDS[0]["log_id"], "size": len(leaves),
            "root": base64_text(tree_root(leaves)), "query": "action:write", "from_seq": begin, "to_seq": end,
            "events": len(numbers), "complete": picked is None, "created": "2026-11-22T10:00:00Z",
        }
        self.events = [{"seq": number, "record": copy.deepcopy(RECORDS[number])} for number in numbers]
        self.files = {"checkpoint.txt": checkpoint_note(leaves, keys), "keys.txt": LOG_KEY.text + "\n", "policy.json": "{}",
                      "README.txt": "Read me.\n"}
        self.range = None
        if picked is None:
            left, right = covering_roots(0, begin, leaves), covering_roots(end, len(leaves), leaves)
            self.range = {"begin": begin, "end": end, "left": [base64_text(item) for item in left],
                          "right": [base64_text(item) for item in right]}
        else:
            for event in self.events:
                event["path"] = [base64_text(item) for item in inclusion_path(event["seq"], leaves)]

    def contents(self):
        files = dict(self.files)
        files["events.ndjson"] = "".join(compact(event) + "\n" for event in self.events)
        if self.range is not None:
            files["range.json"] = compact(self.range)
        files = {name: text if isinstance(text, bytes) else text.encode() for name, text in files.items()}
        listed = {"files": {name: digest(data).hex() for name, data in files.items()}} | self.manifest
        return {"MANIFEST.json": compact(listed).encode()} | files

    def pack(self, tar_format=tarfile.GNU_FORMAT):
        return pack(self.contents().items(), tar_format)


def pack(files, tar_format=tarfile.GNU_FORMAT):
    """Packs pairs of name and data, or ready TarInfo entries."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tar_format) as archive:
        for name, data in files:
            entry = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return gzip.compress(raw.getvalue(), 6, mtime=0)


def run(*arguments):
    """Runs the verifier in this process; returns exit code and output. An exception fails the test."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        code = verify.main([str(argument) for argument in arguments])
    return code, output.getvalue()


class VerifyTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def write(self, data, name="file"):
        path = self.folder / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    def check(self, data, code, *arguments, trust=(LOG_KEY,), says=""):
        """Verifies the bytes as text and as JSON; returns the JSON report."""
        path = self.write(data)
        trusted = [argument for key in trust for argument in ("--trust", key.text)]
        found, output = run(path, *trusted, *arguments)
        self.assertEqual(found, code, output)
        self.assertIn(says, output)
        self.assertNotIn("\x1b", output)
        if "--show" in arguments:
            return output
        found, output = run(path, *trusted, *arguments, "--json")
        self.assertEqual(found, code, output)
        result = json.loads(output)
        self.assertEqual(verify.EXIT_CODES[result["result"]], code)
        return result


class Trees(VerifyTest):
    def test_proofs_of_small_trees_fit_and_no_other_place_does(self):
        leaves = [digest(bytes([number])) for number in range(33)]
        for size in range(1, 34):
            root = tree_root(leaves[:size])
            for index in range(size):
                path = inclusion_path(index, leaves[:size])
                self.assertTrue(verify.is_included(leaves[index], index, path, size, root))
                for other in set(range(size + 3)) - {index}:
                    self.assertFalse(verify.is_included(leaves[index], other, path, size, root))
                self.assertFalse(verify.is_included(leaves[index], index, path + [root], size, root))
                self.assertFalse(verify.is_included(leaves[index], index, path[:-1], size, root) and path)
            for old in range(1, size + 1):
                path, old_root = consistency_path(old, leaves[:size]), tree_root(leaves[:old])
                self.assertTrue(verify.is_consistent(old, old_root, size, root, path))
                self.assertFalse(verify.is_consistent(old, old_root, size, root, path + [root]))
                self.assertFalse(verify.is_consistent(old, digest(b"?"), size, root, path))
                self.assertFalse(verify.is_consistent(old, old_root, size, digest(b"?"), path))
                for at in range(len(path)):
                    self.assertFalse(verify.is_consistent(old, old_root, size, root, path[:at] + path[at + 1:]))
                    changed = path[:at] + [digest(path[at])] + path[at + 1:]
                    self.assertFalse(verify.is_consistent(old, old_root, size, root, changed))

    def test_every_range_of_small_trees_gives_the_root(self):
        leaves = [digest(bytes([number])) for number in range(21)]
        for size in range(22):
            for begin in range(size + 1):
                for end in range(begin, size + 1):
                    left, right = covering_roots(0, begin, leaves[:size]), covering_roots(end, size, leaves[:size])
                    left_counts, right_counts = verify.subtree_counts(0, begin), verify.subtree_counts(end, size)
                    self.assertEqual((len(left), len(right)), (len(left_counts), len(right_counts)))
                    subtrees = list(zip(left_counts, left)) + [(1, leaf) for leaf in leaves[begin:end]]
                    subtrees += list(zip(right_counts, right))
                    self.assertEqual(verify.root_of(subtrees), tree_root(leaves[:size]))

    def test_a_proof_of_wrong_length_is_refused_even_where_its_hashes_give_the_root(self):
        leaf, other = digest(b"leaf"), digest(b"other")
        self.assertFalse(verify.is_included(leaf, 0, [other], 1, verify.node_hash(other, leaf)))
        self.assertFalse(verify.is_included(leaf, 0, [], 2, leaf))
        self.assertFalse(verify.is_included(leaf, 2, [other], 2, verify.node_hash(leaf, other)))
        self.assertFalse(verify.is_included(leaf, 0, [], 0, leaf))

    def test_leaves_are_those_of_the_documentation(self):
        for record in RECORDS + [erased(RECORDS[2], 1)]:
            self.assertEqual(verify.leaf_hash(record), digest(b"\x00" + leaf_bytes(record)))
        self.assertEqual(verify.leaf_hash(erased(RECORDS[2], 0)), LEAVES[2])

    @unittest.skipUnless(SAMPLE.exists(), f"{SAMPLE} is absent")
    def test_the_leaf_of_the_sample_record_is_that_of_annals(self):
        record = {
            "format": "annals-record/1", "log_id": "09" * 16, "id": "01" * 16, "kind": 0, "time_us": 1795339800000001,
            "received_us": 1795339801000000, "registry_version": 3, "nonce": "02" * 16,
            "body": '{"action":"write","who":{"$f":0}}',
            "openings": [{"path": "/who", "salt": "03" * 16, "value": '{"user":{"username":"demo-dev-1"}}'},
                         {"path": "/origin", "commitment": "04" * 32}],
        }
        self.assertEqual(digest(leaf_bytes(record)).hex(), SAMPLE.read_text().split()[1])
        self.assertEqual(verify.leaf_hash(record), digest(b"\x00" + leaf_bytes(record)))


@unittest.skipUnless(VECTORS.exists(), f"{VECTORS} is absent")
class PublishedVectors(VerifyTest):
    @classmethod
    def setUpClass(cls):
        cls.vectors = json.loads(VECTORS.read_text())

    def typed(self, name):
        """Entries with hashes of other lengths are refused by the reading of hashes, before any proof is computed."""
        cases = [case for case in self.vectors[name] if not case.get("untyped")]
        self.assertGreater(len(cases), 50)
        return cases

    def test_inclusion(self):
        for case in self.typed("inclusion"):
            with self.subTest(case["id"]):
                leaf, root = bytes.fromhex(case["leaf_hash"]), bytes.fromhex(case["root"])
                path = [bytes.fromhex(item) for item in case["proof"]]
                found = verify.is_included(leaf, case["leaf_index"], path, case["tree_size"], root)
                self.assertEqual(found, case["expect"] == "ok")

    def test_consistency(self):
        for case in self.typed("consistency"):
            with self.subTest(case["id"]):
                old, new = bytes.fromhex(case["root1"]), bytes.fromhex(case["root2"])
                path = [bytes.fromhex(item) for item in case["proof"]]
                found = verify.is_consistent(case["size1"], old, case["size2"], new, path)
                self.assertEqual(found, case["expect"] == "ok")

    def test_checkpoints_of_a_published_log(self):
        for log in self.vectors["logs"]:
            keys = verify.parse_keys([log["vkey"]])
            leaves = [digest(b"\x00" + leaf.encode()) for leaf in log["leaves_utf8"]]
            for size, note in enumerate(log["checkpoints_by_size"]):
                report = verify.Report()
                verify.check_signatures(report, verify.parse_checkpoint(note, "it"), keys)
                self.assertEqual((report.result(), report.size, report.findings), ("good", size, []))
                self.assertEqual(base64.b64decode(report.root), tree_root(leaves[:size]))

    def test_a_published_checkpoint_whose_key_is_not_named_as_its_origin_verifies_but_is_untrusted(self):
        for case in self.vectors["checkpoints"]:
            report = verify.Report()
            verify.check_signatures(report, verify.parse_checkpoint(case["note"], "it"), verify.parse_keys([case["vkey"]]))
            self.assertEqual(report.result(), "untrusted")
            self.assertIn("of another log", report.findings[0][1])

    def test_malformed_receipts_and_keys(self):
        for case in self.vectors["tlog_proof_malformed"]:
            with self.subTest(case["why"]):
                self.check(case["text"], UNREADABLE)
        for case in self.vectors["signed_notes"]:
            for text in case["vkeys"]:
                with self.subTest(case["id"]):
                    if case["expect"] == "vkey-error":
                        self.assertRaises(verify.Unreadable, verify.parse_keys, [text])
                    else:
                        verify.parse_keys([text])


class Receipts(VerifyTest):
    def test_every_event_of_logs_of_every_small_size_is_good(self):
        for size in range(1, len(LEAVES) + 1):
            for index in range(size):
                result = self.check(good_receipt(index, leaves=LEAVES[:size]), GOOD, says=f"event {index} of {ORIGIN}")
                self.assertEqual((result["events"], result["size"], result["complete"]), (1, size, None))
                self.assertEqual(result["signed_by"], [f"{ORIGIN}+{LOG_KEY.id.hex()}"])

    def test_the_program_runs_by_itself(self):
        path = self.write(good_receipt())
        for arguments, code in [([path, "--trust", LOG_KEY.text], GOOD), ([path], UNTRUSTED), ([], UNREADABLE)]:
            done = subprocess.run([sys.executable, HERE / "verify.py", *arguments], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (code, ""))

    def test_erased_openings_are_reported(self):
        data = good_receipt(5, record=erased(erased(RECORDS[5], 0), 1))
        self.assertEqual(self.check(data, GOOD)["withheld_openings"], 2)
        self.check(data, INCOMPLETE, "--require-openings")
        self.check(data, UNTRUSTED, "--require-openings", trust=())
        self.check(good_receipt(5), GOOD, "--require-openings")

    def test_show_prints_the_event_without_control_characters(self):
        record = RECORDS[5] | {"body": "\x1b[2J\u202egood: all" + RECORDS[5]["body"]}
        output = self.check(receipt(record, 5, [], checkpoint_note(LEAVES)), TAMPERED, "--show")
        self.assertIn("\\u001b[2J\\u202egood", output)
        output = self.check(good_receipt(5, record=erased(RECORDS[5], 0)), GOOD, "--show", says=RECORDS[5]["body"])
        self.assertIn("/who: withheld or erased", output)
        self.assertIn('/origin: {"ip":"192.0.2.7"}', output)

    def test_trust(self):
        data = good_receipt(5)
        file = self.write(f"# keys\n\n{STRANGER.text}\n{LOG_KEY.text}\n", "keys")
        self.assertEqual(run(self.write(data), "--trust", file)[0], GOOD)
        self.assertIn(f"{ORIGIN}+{LOG_KEY.id.hex()}", self.check(data, UNTRUSTED, trust=())["findings"][0])
        self.check(data, UNTRUSTED, trust=(STRANGER,))
        self.check(data, UNTRUSTED, trust=(Key(ORIGIN, seed="other"),), says="all of it fits")
        # A trusted key speaks for the log of its own name only.
        self.check(good_receipt(5, keys=(STRANGER,)), UNTRUSTED, trust=(STRANGER,), says="of another log")
        self.check(good_receipt(5, keys=(STRANGER, LOG_KEY)), GOOD, trust=(STRANGER, LOG_KEY))

    def test_cosignatures(self):
        data = good_receipt(5, keys=(LOG_KEY, WITNESS))
        self.assertEqual(self.check(data, GOOD)["cosigned"], [])
        result = self.check(data, GOOD, trust=(LOG_KEY, WITNESS), says="2023-11-14T22:13:20")
        self.assertEqual(result["cosigned"], [{"name": WITNESS.name, "time": 1_700_000_000}])
        # A witness does not stand in for the log.
        self.check(data, UNTRUSTED, trust=(WITNESS,))
        line = data.decode().split("\n")[-2]
        blob = bytearray(base64.b64decode(line.split(" ")[2]))
        for at, code in [(0, GOOD), (11, TAMPERED), (12, TAMPERED), (75, TAMPERED)]:
            changed = bytearray(blob)
            changed[at] ^= 1
            note = data.decode().replace(line.split(" ")[2], base64_text(bytes(changed)))
            self.check(note, code, trust=(LOG_KEY, WITNESS))
        for cut in (4, 11, 12, 75):
            note = data.decode().replace(line.split(" ")[2], base64_text(bytes(blob[:cut])))
            self.check(note, TAMPERED, trust=(LOG_KEY, WITNESS))

    def test_each_change_of_the_record_is_found(self):
        other = RECORDS[8]
        changes = {
            "body": {"body": RECORDS[5]["body"].replace("write", "wrote")},
            "body, white space only": {"body": RECORDS[5]["body"] + " "},
            "body, other spelling of a number": {"body": RECORDS[5]["body"].replace("1.50", "1.5")},
            "nonce": {"nonce": other["nonce"]}, "id": {"id": other["id"]}, "log id": {"log_id": other["id"]},
            "kind": {"kind": 1}, "time": {"time_us": 5001}, "received": {"received_us": 5006},
            "registry version": {"registry_version": 4}, "no openings": {"openings": []},
            "one opening less": {"openings": RECORDS[5]["openings"][:1]},
            "openings swapped": {"openings": RECORDS[5]["openings"][::-1]},
            "other openings": {"openings": other["openings"]},
        }
        for name, change in changes.items():
            with self.subTest(name):
                self.check(good_receipt(5, record=RECORDS[5] | change), TAMPERED)
                self.check(good_receipt(5, record=RECORDS[5] | change), TAMPERED, trust=())
        hidden = erased(RECORDS[5], 0)["openings"][0]
        for name, index, change in [
            ("salt", 0, {"salt": other["nonce"]}), ("value", 0, {"value": '{"user":{"username":"Zoe"}}'}),
            ("path", 0, {"path": "/target"}), ("value moved into path", 1, {"path": "/origin{", "value": '"ip":"192.0.2.7"}'}),
        ]:
            with self.subTest(name):
                record = copy.deepcopy(RECORDS[5])
                record["openings"][index] |= change
                self.check(good_receipt(5, record=record), TAMPERED)
        for name, change in [("commitment", {"commitment": "00" * 32}), ("path", {"path": "/target"})]:
            with self.subTest(f"{name} of a withheld opening"):
                record = copy.deepcopy(RECORDS[5])
                record["openings"][0] = hidden | change
                self.check(good_receipt(5, record=record), TAMPERED)

    def test_each_change_of_proof_and_checkpoint_is_found(self):
        path, note = inclusion_path(5, LEAVES), checkpoint_note(LEAVES)
        origin, size, root, _, signature, _ = note.split("\n")
        blob = bytearray(base64.b64decode(signature.split(" ")[2]))
        blob[40] ^= 1
        shorter = checkpoint_note(LEAVES[:22])
        for name, code, data in [
            ("index", TAMPERED, receipt(RECORDS[5], 4, path, note)),
            ("index beyond the tree", TAMPERED, receipt(RECORDS[5], 10**18, path, note)),
            ("index in hex", UNREADABLE, receipt(RECORDS[5], "0x5", path, note)),
            ("index with a zero", UNREADABLE, receipt(RECORDS[5], "05", path, note)),
            ("hash dropped", TAMPERED, receipt(RECORDS[5], 5, path[1:], note)),
            ("last hash dropped", TAMPERED, receipt(RECORDS[5], 5, path[:-1], note)),
            ("hash added", TAMPERED, receipt(RECORDS[5], 5, path + path[:1], note)),
            ("70 hashes", TAMPERED, receipt(RECORDS[5], 5, path * 14, note)),
            ("hash changed", TAMPERED, receipt(RECORDS[5], 5, [digest(path[0])] + path[1:], note)),
            ("hashes swapped", TAMPERED, receipt(RECORDS[5], 5, path[::-1], note)),
            ("short hash", UNREADABLE, receipt(RECORDS[5], 5, [path[0][:31]] + path[1:], note)),
            ("root", TAMPERED, receipt(RECORDS[5], 5, path, note.replace(root, base64_text(digest(b""))))),
            ("size", TAMPERED, receipt(RECORDS[5], 5, path, note.replace("\n23\n", "\n24\n"))),
            ("size too large", UNREADABLE, receipt(RECORDS[5], 5, path, note.replace("\n23\n", f"\n{2**63}\n"))),
            ("size with a zero", UNREADABLE, receipt(RECORDS[5], 5, path, note.replace("\n23\n", "\n023\n"))),
            ("signature", TAMPERED,
             receipt(RECORDS[5], 5, path, note.replace(signature, f"— {ORIGIN} {base64_text(blob)}"))),
            ("origin", TAMPERED, receipt(RECORDS[5], 5, path, note.replace(f"{origin}\n", "log.example/other\n", 1))),
            ("key", UNTRUSTED, receipt(RECORDS[5], 5, path, checkpoint_note(LEAVES, [Key(ORIGIN, seed="thief")]))),
            ("checkpoint swapped", TAMPERED, receipt(RECORDS[5], 5, path, shorter)),
            ("no signature", UNREADABLE, receipt(RECORDS[5], 5, path, note.replace(signature + "\n", ""))),
            ("101 signatures", UNREADABLE, receipt(RECORDS[5], 5, path, note + (signature + "\n") * 100)),
            ("100 signatures", GOOD, receipt(RECORDS[5], 5, path, note + (signature + "\n") * 99)),
            ("extension line", UNREADABLE, receipt(RECORDS[5], 5, path, checkpoint_note(LEAVES).replace("\n\n", "\nx\n\n"))),
            ("last newline", UNREADABLE, receipt(RECORDS[5], 5, path, note[:-1])),
            ("text behind", UNREADABLE, receipt(RECORDS[5], 5, path, note + "x\n")),
            ("header", UNREADABLE, receipt(RECORDS[5], 5, path, note, header="c2sp.org/tlog-proof@v2")),
            ("carriage returns", UNREADABLE, receipt(RECORDS[5], 5, path, note).replace(b"\n", b"\r\n")),
            ("empty", UNREADABLE, b""),
            ("cut off", UNREADABLE, receipt(RECORDS[5], 5, path, note)[:300]),
            ("not UTF-8", UNREADABLE, receipt(RECORDS[5], 5, path, note) + b"\xff"),
        ]:
            with self.subTest(name):
                self.assertIn("result", self.check(data, code))

    def test_the_same_signature_in_a_second_spelling_is_refused(self):
        data = good_receipt(5).decode()
        self.assertTrue(data.endswith("=\n"))
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        changed = data[:-3] + letters[letters.index(data[-3]) + 1] + data[-2:]
        self.assertEqual(base64.b64decode(changed.split(" ")[-1]), base64.b64decode(data.split(" ")[-1]))
        self.check(changed, UNREADABLE)

    def test_records_in_another_form_are_refused_by_name(self):
        def with_record(text):
            data = text if isinstance(text, bytes) else text.encode()
            return receipt(RECORDS[5], 5, inclusion_path(5, LEAVES), checkpoint_note(LEAVES)).replace(
                base64_text(compact(RECORDS[5]).encode()).encode(), base64_text(data).encode())
        good, record = compact(RECORDS[5]), RECORDS[5]
        self.check(with_record(good), GOOD)
        wrong_opening = {"path": "/who", "salt": "00" * 16, "value": "1", "commitment": "00" * 32}
        for says, text in [
            ("annals-record/2", good.replace("annals-record/1", "annals-record/2")),
            ("`format`", compact({name: value for name, value in record.items() if name != "format"})),
            ("unknown member `extra`", compact(record | {"extra": 1})),
            ("lacks the member `nonce`", compact({name: value for name, value in record.items() if name != "nonce"})),
            ("same member twice", good.replace('"kind":0', '"kind":0,"kind":0')),
            ("`kind`", good.replace('"kind":0', '"kind":0.0')), ("`kind`", good.replace('"kind":0', '"kind":false')),
            ("`kind`", good.replace('"kind":0', '"kind":256')), ("`kind`", good.replace('"kind":0', '"kind":"0"')),
            ("`kind`", good.replace('"kind":0', '"kind":NaN')), ("JSON", good.replace('"kind":0', '"kind":00')),
            ("`time_us`", compact(record | {"time_us": 2**63})),
            ("JSON", compact(record | {"time_us": 7}).replace(":7,", ":" + "7" * 5000 + ",")),
            ("`registry_version`", compact(record | {"registry_version": -1})),
            ("`nonce`", compact(record | {"nonce": record["nonce"].upper().replace("0", "A")})),
            ("`nonce`", compact(record | {"nonce": record["nonce"][:30]})),
            ("`nonce`", compact(record | {"nonce": record["nonce"] + "\n"})),
            ("`nonce`", compact(record | {"nonce": "٣" * 32})),
            ("`id`", compact(record | {"id": record["id"].upper()})),
            ("`id`", compact(record | {"id": record["id"].replace("-", "")})),
            ("`body`", compact(record | {"body": {}})), ("surrogates", good.replace('"body":"', '"body":"\\ud800')),
            ("`openings`", compact(record | {"openings": {}})), ("opening 0", compact(record | {"openings": [7]})),
            ("unknown member `", compact(record | {"openings": [wrong_opening]})),
            ("16 openings", compact(record | {"openings": record["openings"] * 9})),
            ("16 openings", compact(record | {"openings": record["openings"] * 200})),
            ("`path`", compact(record | {"openings": [record["openings"][0] | {"path": "/" + "x" * 255}]})),
            ("type dict", '"x"'), ("JSON", "[" * 100_000), ("JSON", ""), ("JSON", b"\xff"), ("JSON", good + good),
            ("JSON", "\ufeff" + good),
        ]:
            with self.subTest(text[:60], says=says):
                self.check(with_record(text), UNREADABLE, says=says)
        deep = record | {"body": '{"who":' * 50_000, "openings": erased(record, 0)["openings"]}
        self.check(with_record(compact(deep)), TAMPERED)


class Bundles(VerifyTest):
    def test_every_range_is_good_and_complete(self):
        for size in (1, 2, 7, 8, 23):
            for begin in range(0, size + 1):
                for end in range(begin, size + 1, 1 if size < 9 else 4):
                    result = self.check(Bundle(begin, end, leaves=LEAVES[:size]).pack(), GOOD)
                    self.assertEqual((result["events"], result["complete"]), (end - begin, True))

    def test_picked_events_are_good_and_not_complete(self):
        result = self.check(Bundle(0, 23, picked=[0, 3, 4, 21, 22]).pack(), GOOD, says="5 events of")
        self.assertEqual((result["events"], result["complete"], result["size"]), (5, False, 23))
        self.check(Bundle(0, 23, picked=[7]).pack(), GOOD, says="1 event of")
        self.check(Bundle(0, 23, picked=[]).pack(), GOOD, says="0 events of")
        self.check(Bundle(0, 0, leaves=[]).pack(), GOOD, says="0 events of")

    def test_other_writers_of_tar(self):
        for tar_format in (tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT):
            self.check(Bundle().pack(tar_format), GOOD)

    def test_untrusted_bundles_name_the_key_and_tampered_ones_stay_tampered(self):
        result = self.check(Bundle().pack(), UNTRUSTED, trust=(), says=LOG_KEY.text)
        self.assertEqual((result["complete"], result["signed_by"]), (True, []))
        bundle = Bundle()
        del bundle.events[3]
        self.check(bundle.pack(), TAMPERED, trust=())

    def test_erased_openings_are_reported(self):
        for bundle in (Bundle(6, 17), Bundle(6, 17, picked=[8, 11])):
            for event in bundle.events:
                if event["seq"] == 8:
                    event["record"] = erased(event["record"], 1)
            self.assertEqual(self.check(bundle.pack(), GOOD, says="withheld or erased values: 1")["withheld_openings"], 1)
            self.check(bundle.pack(), INCOMPLETE, "--require-openings")
            self.check(bundle.pack(), UNTRUSTED, "--require-openings", trust=())

    def test_show_prints_every_event(self):
        output = self.check(Bundle(6, 17).pack(), GOOD, "--show")
        self.assertEqual(sum(line.startswith("event ") for line in output.split("\n")), 11)

    def test_each_change_is_found(self):
        def swap(items, one, other):
            items[one], items[other] = items[other], items[one]

        def swap_seqs(bundle):
            swap(bundle.events, 3, 4)
            bundle.events[3]["seq"], bundle.events[4]["seq"] = bundle.events[4]["seq"], bundle.events[3]["seq"]

        def add_event(bundle):
            bundle.events.append(copy.deepcopy(bundle.events[-1]))
            bundle.events[-1]["seq"] += 1

        def replace_by_copy(bundle):
            bundle.events[4] = copy.deepcopy(bundle.events[3]) | {"seq": bundle.events[4]["seq"]}

        def lose_first(bundle):
            del bundle.events[0]
            bundle.manifest |= {"from_seq": bundle.manifest["from_seq"] + 1, "events": bundle.manifest["events"] - 1}

        def move(bundle):
            for event in bundle.events:
                event["seq"] += 1
            bundle.manifest |= {"from_seq": bundle.manifest["from_seq"] + 1, "to_seq": bundle.manifest["to_seq"] + 1}

        changes = {
            "body": lambda b: b.events[2]["record"].update(body="{}"),
            "nonce": lambda b: b.events[2]["record"].update(nonce="00" * 16),
            "id": lambda b: b.events[2]["record"].update(id=RECORDS[0]["id"]),
            "time": lambda b: b.events[2]["record"].update(time_us=0),
            "received": lambda b: b.events[2]["record"].update(received_us=0),
            "kind": lambda b: b.events[2]["record"].update(kind=2),
            "log id of an event": lambda b: b.events[2]["record"].update(log_id=RECORDS[0]["id"]),
            "log id of the manifest": lambda b: b.manifest.update(log_id=RECORDS[0]["id"]),
            "log id of all": lambda b: [b.manifest.update(log_id=RECORDS[0]["id"])]
            + [event["record"].update(log_id=RECORDS[0]["id"]) for event in b.events],
            "salt": lambda b: b.events[2]["record"]["openings"][0].update(salt="00" * 16),
            "value": lambda b: b.events[2]["record"]["openings"][0].update(value="{}"),
            "event missing": lambda b: b.events.pop(3),
            "event missing, count changed": lambda b: (b.events.pop(3), b.manifest.update(events=len(b.events))),
            "last event missing, bounds changed": lambda b: (b.events.pop(), b.manifest.update(events=len(b.events), to_seq=16)),
            "first event missing, bounds changed": lose_first,
            "event added": add_event,
            "event replaced by its neighbour": replace_by_copy,
            "events reordered": lambda b: swap(b.events, 3, 4),
            "events exchanged": swap_seqs,
            "all moved by one": move,
            "event twice": lambda b: b.events.insert(3, copy.deepcopy(b.events[3])),
            "event twice, count changed": lambda b: (
                b.events.insert(3, copy.deepcopy(b.events[3])), b.manifest.update(events=len(b.events))),
            "count": lambda b: b.manifest.update(events=12),
            "range ends beyond the tree": lambda b: b.manifest.update(to_seq=2**62),
            "range ends before it begins": lambda b: b.manifest.update(from_seq=17, to_seq=6),
            "origin of the manifest": lambda b: b.manifest.update(origin="log.example/other"),
            "size of the manifest": lambda b: b.manifest.update(size=24),
            "root of the manifest": lambda b: b.manifest.update(root=base64_text(digest(b""))),
            "root of both": lambda b: (b.manifest.update(root=base64_text(digest(b""))), b.files.update({
                "checkpoint.txt": b.files["checkpoint.txt"].replace(base64_text(tree_root(LEAVES)), base64_text(digest(b"")))})),
            "checkpoint swapped": lambda b: b.files.update({"checkpoint.txt": checkpoint_note(LEAVES[:22])}),
            "checkpoint and manifest swapped": lambda b: (
                b.files.update({"checkpoint.txt": checkpoint_note(LEAVES[:22])}),
                b.manifest.update(size=22, root=base64_text(tree_root(LEAVES[:22])))),
            "hash of a file": lambda b: b.manifest.update(files={
                name: digest(data).hex() for name, data in b.contents().items() if name != "MANIFEST.json"
            } | {"README.txt": "00" * 32}),
            "no hashes": lambda b: b.manifest.update(files={}),
            "listed file that is not there": lambda b: b.manifest.update(files={
                name: digest(data).hex() for name, data in b.contents().items() if name != "MANIFEST.json"
            } | {"x.txt": None}),
        }
        only_ranges = {
            "left hash changed": lambda b: b.range["left"].__setitem__(0, base64_text(digest(b""))),
            "right hash changed": lambda b: b.range["right"].__setitem__(0, base64_text(digest(b""))),
            "left hash dropped": lambda b: b.range["left"].pop(),
            "right hash dropped": lambda b: b.range["right"].pop(),
            "left hash added": lambda b: b.range["left"].append(base64_text(digest(b""))),
            "right hash added": lambda b: b.range["right"].append(base64_text(digest(b""))),
            "sides exchanged": lambda b: b.range.update(left=b.range["right"], right=b.range["left"]),
            "bounds": lambda b: b.range.update(begin=5),
            "an event as a hash of the left": lambda b: (
                b.range["left"].append(base64_text(LEAVES[6])), b.events.pop(0)),
        }
        only_picked = {
            "path hash changed": lambda b: b.events[2]["path"].__setitem__(0, base64_text(digest(b""))),
            "path hash dropped": lambda b: b.events[2]["path"].pop(),
            "path hash added": lambda b: b.events[2]["path"].append(base64_text(digest(b""))),
            "path of another event": lambda b: b.events[2].update(path=b.events[3]["path"]),
        }
        for name, change in changes.items():
            for picked in (None, list(range(6, 17))):
                # That a picked event is missing, nobody can prove: only the count says so.
                if picked and name in ("event missing, count changed", "last event missing, bounds changed",
                                       "first event missing, bounds changed"):
                    continue
                with self.subTest(name, complete=picked is None):
                    bundle = Bundle(6, 17, picked=picked)
                    change(bundle)
                    result = self.check(bundle.pack(), TAMPERED)
                    self.assertTrue(any(finding.startswith("tampered: ") for finding in result["findings"]))
        for name, change in only_ranges.items():
            with self.subTest(name):
                bundle = Bundle(6, 17)
                change(bundle)
                self.assertIs(self.check(bundle.pack(), TAMPERED)["complete"], False)
        for name, change in only_picked.items():
            with self.subTest(name):
                bundle = Bundle(6, 17, picked=list(range(6, 17)))
                change(bundle)
                self.check(bundle.pack(), TAMPERED)

    def test_a_bundle_of_many_faults_and_long_names_stays_short(self):
        bundle = Bundle(0, 23, picked=list(range(23)))
        for event in bundle.events:
            event["path"] = []
            event["record"]["id"] = RECORDS[0]["id"]
            event["seq"] = 0
        bundle.manifest["query"] = "x" * 100_000
        findings = self.check(bundle.pack(), TAMPERED)["findings"]
        self.assertEqual(len(findings), 22)
        self.assertIn("tampered: and more", findings)
        self.assertLess(max(map(len, findings)), 1020)

    def test_other_forms_are_refused_by_name(self):
        for says, change in [
            ("annals-evidence/2", lambda b: b.manifest.update(format="annals-evidence/2")),
            ("unknown member `more`", lambda b: b.manifest.update(more=1)),
            ("lacks the member `query`", lambda b: b.manifest.pop("query")),
            ("`complete`", lambda b: b.manifest.update(complete=1)),
            ("`size`", lambda b: b.manifest.update(size=23.0)),
            ("unknown member `path`", lambda b: b.events[1].update(path=[])),
            ("unknown member `more`", lambda b: b.events[1].update(more=1)),
            ("unknown member `more`", lambda b: b.range.update(more=1)),
            ("annals-record/9", lambda b: b.events[1]["record"].update(format="annals-record/9")),
            ("a hash of range.json", lambda b: b.range["left"].append("AAAA")),
            ("a hash of range.json", lambda b: b.range["left"].append(7)),
            ("checkpoint.txt is not", lambda b: b.files.update({"checkpoint.txt": "x"})),
        ]:
            with self.subTest(says):
                bundle = Bundle()
                change(bundle)
                self.check(bundle.pack(), UNREADABLE, says=says)
        bundle = Bundle(picked=[7])
        del bundle.events[0]["path"]
        self.check(bundle.pack(), UNREADABLE, says="lacks the member `path`")

    def test_archives_that_are_no_flat_set_of_files_are_refused(self):
        files = list(Bundle().contents().items())

        def entry(name, kind=tarfile.REGTYPE):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "MANIFEST.json"
            return info
        for name, extra in [
            ("folder in a name", [("a/b", b"")]), ("parent", [("../x", b"")]), ("absolute", [("/x", b"")]), ("dot", [(".", b"")]),
            ("folder", [(entry("folder", tarfile.DIRTYPE), b"")]), ("symbolic link", [(entry("x", tarfile.SYMTYPE), b"")]),
            ("hard link", [(entry("x", tarfile.LNKTYPE), b"")]), ("device", [(entry("x", tarfile.CHRTYPE), b"")]),
            ("long name", [("x" * 150, b"")]), ("twice", [("README.txt", b"Read me.\n")]), ("no ASCII", [("é", b"")]),
            ("pax header", [(entry("x", tarfile.XHDTYPE), b"11 path=y\n")]), ("line break", [("a\nb", b"")]),
        ]:
            with self.subTest(name):
                self.check(pack(files + extra), UNREADABLE)
        self.check(pack(files + [("more.txt", b"not listed")]), TAMPERED)
        self.check(pack(files[:-1]), TAMPERED)
        self.check(pack(files[1:]), UNREADABLE, says="MANIFEST.json")
        self.check(pack([]), UNREADABLE)
        whole = gzip.decompress(pack(files))
        in_folder = tarfile.TarInfo("folder/" + "x" * 99).tobuf(tarfile.USTAR_FORMAT)
        self.assertEqual((len(in_folder), in_folder[345:351]), (512, b"folder"))
        for name, raw in [("cut off", whole[:5000]), ("folder before a name", in_folder + whole),
                          ("without end", whole[:-10240]), ("nothing", b""), ("text", b"x" * 600),
                          ("more behind", whole + b"x" * 512), ("negative size", whole[:124] + b"-0000000777\0" + whole[136:]),
                          ("huge size", whole[:124] + b"77777777777\0" + whole[136:])]:
            with self.subTest(name):
                self.check(gzip.compress(raw), UNREADABLE)
        packed = pack(files)
        self.check(packed[:-20], UNREADABLE)
        self.check(packed + b"garbage", UNREADABLE)
        self.check(packed[:2], UNREADABLE)

    def test_limits(self):
        self.addCleanup(setattr, verify, "LINE_BYTES_MAX", verify.LINE_BYTES_MAX)
        self.addCleanup(setattr, verify, "BUNDLE_FILES_MAX", verify.BUNDLE_FILES_MAX)
        self.addCleanup(setattr, verify, "SMALL_FILE_BYTES_MAX", verify.SMALL_FILE_BYTES_MAX)
        self.addCleanup(setattr, verify, "BUNDLE_BYTES_MAX", verify.BUNDLE_BYTES_MAX)
        data = Bundle().pack()
        verify.BUNDLE_FILES_MAX = 6
        self.check(data, UNREADABLE, says="over a limit")
        verify.BUNDLE_FILES_MAX, verify.LINE_BYTES_MAX = 7, 100
        self.check(data, UNREADABLE, says="longer than 100 bytes")
        verify.LINE_BYTES_MAX, verify.SMALL_FILE_BYTES_MAX = 1 << 20, 100
        self.check(data, UNREADABLE, says="over a limit")
        self.check(good_receipt(), UNREADABLE, says="larger than")
        verify.SMALL_FILE_BYTES_MAX, verify.BUNDLE_BYTES_MAX = 1 << 20, 3000
        self.check(data, UNREADABLE, says="over a limit")


class Consistency(VerifyTest):
    def run_with(self, old, new, path, *arguments):
        lines = "".join(base64_text(item) + "\n" for item in path)
        files = [self.write(old, "old"), self.write(new, "new"), self.write(lines, "proof")]
        return run("--consistency", *files, *arguments)

    def test_old_checkpoints_are_continued(self):
        trust = ("--trust", LOG_KEY.text)
        for size in range(24):
            old, new = checkpoint_note(LEAVES[:size]), checkpoint_note(LEAVES)
            path = consistency_path(size, LEAVES) if size else []
            code, output = self.run_with(old, new, path, *trust)
            self.assertEqual(code, GOOD, output)
            self.assertEqual(self.run_with(old, new, path)[0], UNTRUSTED)
            self.assertEqual(self.run_with(old, new, path + [digest(b"")], *trust)[0], TAMPERED)
            if path:
                self.assertEqual(self.run_with(old, new, path[1:], *trust)[0], TAMPERED)
                self.assertEqual(self.run_with(new, old, path, *trust)[0], TAMPERED)

    def test_forks_and_other_logs_are_found(self):
        trust = ("--trust", LOG_KEY.text)
        fork = LEAVES[:5] + [digest(b"other")] + LEAVES[6:]
        path = consistency_path(9, LEAVES)
        for old, new in [(fork[:9], LEAVES), (LEAVES[:9], fork), (fork, LEAVES)]:
            self.assertEqual(self.run_with(checkpoint_note(old), checkpoint_note(new), path, *trust)[0], TAMPERED)
        other = Key("log.example/other")
        code, output = self.run_with(checkpoint_note(LEAVES[:9], [other], other.name), checkpoint_note(LEAVES), path, *trust,
                                     "--trust", other.text, "--json")
        self.assertEqual(code, TAMPERED, output)
        signed_by_stranger = checkpoint_note(LEAVES[:9], [STRANGER])
        self.assertEqual(self.run_with(signed_by_stranger, checkpoint_note(LEAVES), path, *trust)[0], UNTRUSTED)

    def test_unreadable_input(self):
        note = checkpoint_note(LEAVES)
        self.assertEqual(self.run_with("x", note, [])[0], UNREADABLE)
        self.assertEqual(self.run_with(note, note, [b"short"])[0], UNREADABLE)
        self.assertEqual(run("--consistency", self.folder / "absent", self.folder, self.folder)[0], UNREADABLE)


class Received(VerifyTest):
    ID = "0190d1f0-7b7e-7c3a-8a51-0123456789ab"

    def test_a_seq_may_be_a_number_or_a_text_of_digits(self):
        for seq, is_within in [("7", True), ('"7"', True), ("8", False), ('"8"', False), ('"+8"', True), ("null", True)]:
            for line in ('{"event":"text","fields":{"annals_id":"%s","annals_seq":%s}}', '{"annals_id":"%s","annals_seq":%s}'):
                path = self.write((line % (self.ID, seq)).encode())
                self.assertEqual(verify.read_received(path, range(7, 8)), {self.ID} if is_within else set(), seq)

    def test_a_gzip_file_that_is_cut_off_is_named(self):
        data = gzip.compress(self.ID.encode())
        for length in range(2, len(data)):
            path = self.write(data[:length])
            with self.assertRaisesRegex(verify.Unreadable, f"{Path(path).name}. is cut off"):
                verify.read_received(path, range(1, 9))


class Usage(VerifyTest):
    def test_wrong_arguments(self):
        path = self.write(good_receipt())
        for arguments in [[], [path, path], ["--consistency", path], [path, "--consistency", path, path, path], [path, "--shows"],
                          [path, "--show", "--json"], [path, "--trust"], [path, "--trust", "x"], [self.folder], ["absent"],
                          [path, "--trust", LOG_KEY.text[:-1]], [path, "--trust", LOG_KEY.text.replace("annals", "annal")],
                          [path, "--trust", self.write(b"\xff", "bytes")], [path, "--trust", "\udcff+00000000+AAAA"],
                          [path, "--trust", Key(ORIGIN, kind=6).text]]:
            with self.subTest(arguments):
                code, output = run(*arguments)
                self.assertEqual((code, output.count("\n")), (UNREADABLE, 1), output)


class RandomFlips(VerifyTest):
    """No traceback, and nothing changed is ever good. The seed is fixed; a failure names the flip."""

    def flip(self, name, data, make, allowed):
        """Flips bits of `data`, verifies what `make` makes of it, and expects an exit code that is allowed for it."""
        source = random.Random(SEED)
        counts = {}
        for _ in range(FLIPS):
            at, bit = source.randrange(len(data)), 1 << source.randrange(8)
            changed = data[:at] + bytes([data[at] ^ bit]) + data[at + 1:]
            with self.subTest(name, at=at, bit=bit):
                code, output = run(self.write(make(changed)), "--trust", LOG_KEY.text)
                counts[code] = counts.get(code, 0) + 1
                self.assertIn(code, allowed(at, changed), output)
                self.assertEqual(verify.EXIT_CODES[output.split(":")[0]], code, "the first line says the result")
        print(f"{name}: {FLIPS} flips, exit codes {dict(sorted(counts.items()))}", file=sys.stderr)

    def test_receipt(self):
        data = good_receipt(5, record=erased(RECORDS[5], 0))
        self.flip("receipt", data, lambda changed: changed, lambda at, changed: {TAMPERED, UNTRUSTED, UNREADABLE})

    def test_record_in_a_receipt(self):
        def make(changed):
            return good_receipt(5).replace(base64_text(data).encode(), base64_text(changed).encode())
        data = compact(RECORDS[5]).encode()
        self.flip("record", data, make, lambda at, changed: {TAMPERED, UNREADABLE})

    def test_packed_bundle(self):
        def allowed(at, changed):
            # Time and system in the header of gzip say nothing about the content, and some codes have two spellings.
            try:
                return {GOOD} if gzip.decompress(changed) == gzip.decompress(data) else {TAMPERED, UNREADABLE}
            except (OSError, EOFError, zlib.error):
                return {TAMPERED, UNREADABLE}
        data = Bundle().pack()
        self.flip("bundle", data, lambda changed: changed, allowed)

    def test_unpacked_bundle(self):
        data = gzip.decompress(Bundle().pack())
        covered = set()
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                for begin, end in [(0, 100), (124, 135), (156, 157), (345, 500)]:  # Name, size, kind, folder.
                    covered |= set(range(member.offset + begin, member.offset + end))
                covered |= set(range(member.offset_data, member.offset_data + member.size))
            covered |= set(range(member.offset_data + -(-member.size // 512) * 512, len(data)))
        claimed = set()
        for claim in (b"action:write", b"2026-11-22T10:00:00Z"):  # Query and date of the manifest: nobody signs them.
            at = data.index(claim, 512)
            claimed |= set(range(at, at + len(claim)))

        def allowed(at, changed):
            if at in claimed:
                return {GOOD, UNREADABLE}
            return {TAMPERED, UNREADABLE} if at in covered else {GOOD}
        self.flip("tar", data, lambda changed: gzip.compress(changed, 1), allowed)

    def test_files_of_a_bundle_whose_manifest_is_made_to_fit(self):
        for name, picked in [("events.ndjson", None), ("range.json", None), ("checkpoint.txt", None),
                             ("events.ndjson", [7, 8, 16])]:
            def make(changed):
                files = contents | {name: changed}
                manifest = json.loads(files["MANIFEST.json"])
                manifest["files"][name] = digest(changed).hex()
                return pack((files | {"MANIFEST.json": compact(manifest).encode()}).items())
            contents = Bundle(picked=picked).contents()
            self.flip(name, contents[name], make, lambda at, changed: {TAMPERED, UNTRUSTED, UNREADABLE})

    def test_cut_off_anywhere(self):
        for data in (good_receipt(5), Bundle().pack()):
            for length in range(0, len(data), 13):
                self.assertNotEqual(run(self.write(data[:length]), "--trust", LOG_KEY.text)[0], GOOD)


if __name__ == "__main__":
    unittest.main()
