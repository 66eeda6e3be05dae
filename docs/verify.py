#!/usr/bin/env python3
"""Checks receipts, evidence bundles and manifests of streams of Annals: offline, and without any code of Annals.

    verify.py FILE [--trust VKEY_OR_FILE]... [--require-openings] [--show | --json]
    verify.py MANIFEST [--received FILE] [--trust VKEY_OR_FILE]... [--json]
    verify.py --consistency OLD_CHECKPOINT NEW_CHECKPOINT PROOF [--trust VKEY_OR_FILE]... [--json]

It needs Python 3.11 and the library `cryptography` (Debian: python3-cryptography), for Ed25519 only.

Every event of a log is hashed into a leaf of a Merkle tree (RFC 6962), so that one hash, the root, stands for all
events up to then. A checkpoint says "the log ORIGIN had SIZE events and this ROOT", and the log's key signs it. So
three things are checked: that the events give the leaves, that the leaves give the root, and that a key which you
trust signed the root. The parts come first; how they fit together stands in `check_receipt` and `check_bundle`.

A manifest says how many events a stream has sent in a window of the log, and the root over their ids. With --received, the
ids of what a receiver has are compared with it: `check_manifest`.

Good means: these events, to the letter, were in the log when the checkpoint was signed. It does not mean that what a
producer reported is true. Nobody signs a bundle's query, creation date, policy.json, README.txt and keys.txt.

Exit codes: 0 good; 1 tampered; 2 incomplete (with --require-openings: values are withheld or erased; with --received:
the ids are not those of the manifest); 3 untrusted (no key that you trust signed it); 64 wrong usage or unreadable input.
"""

import argparse
import base64
import gzip
import hashlib
import itertools
import json
import os
import re
import struct
import sys
import uuid
import zlib
from datetime import datetime, timedelta, timezone

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    print("unreadable: the Python library `cryptography` is missing (Debian: python3-cryptography)", file=sys.stderr)
    sys.exit(64)

# From worst to best. The worst finding is the result.
EXIT_CODES = {"tampered": 1, "unreadable": 64, "untrusted": 3, "incomplete": 2, "good": 0}
# Limits, so that a hostile file cannot fill memory. Annals takes events of at most 256 KiB; JSON inside JSON inside
# base64 is some times longer.
LINE_BYTES_MAX = SMALL_FILE_BYTES_MAX = 16 << 20
BUNDLE_BYTES_MAX, BUNDLE_FILES_MAX = 4 << 30, 10_000
FINDINGS_MAX = 20


class Unreadable(ValueError):
    """The input is not in the format; the message says where."""


class Report:
    """What was found out so far."""

    def __init__(self):
        self.events = self.withheld = 0
        self.subject = self.origin = self.size = self.root = self.complete = None
        self.signed_by, self.cosigned, self.findings = [], [], []

    def add(self, kind, message):
        # A hostile file chooses how many faults it has, and how long the names are that are quoted.
        count = sum(known == kind for known, _ in self.findings)
        if count <= FINDINGS_MAX:
            self.findings.append((kind, message[:1000] if count < FINDINGS_MAX else "and more"))

    def result(self):
        kinds = [kind for kind, _ in self.findings]
        return next((kind for kind in EXIT_CODES if kind in kinds), "good")


# ---- The tree: RFC 6962 and RFC 9162, section 2.1 ----

def sha256(data):
    return hashlib.sha256(data).digest()


def node_hash(left, right):
    return sha256(b"\x01" + left + right)


def left_siblings(node, last, path):
    """Says of each hash of a proof whether it stands on the left; None if the proof has the wrong length.

    `node` and `last` count nodes of one level: the one on our way up, and the last one (2.1.3.2 and 2.1.4.2).
    """
    lefts = []
    for _ in path:
        if last == 0:
            return None
        lefts.append(node % 2 == 1 or node == last)
        # At the right edge a node without a sibling goes up as it is.
        while lefts[-1] and node % 2 == 0 and node > 0:
            node, last = node // 2, last // 2
        node, last = node // 2, last // 2
    return lefts if last == 0 else None


def is_included(leaf, index, path, size, root):
    """Whether `leaf` is number `index` in the tree of `size` leaves with this root."""
    lefts = left_siblings(index, size - 1, path) if index < size else None
    for sibling, is_left in zip(path, lefts or []):
        leaf = node_hash(sibling, leaf) if is_left else node_hash(leaf, sibling)
    return lefts is not None and leaf == root


def is_consistent(old_size, old_root, new_size, new_root, path):
    """Whether the old tree is the beginning of the new one."""
    if old_size == 0 or old_size == new_size:
        return path == [] and old_root == (new_root if old_size == new_size else sha256(b""))
    if old_size > new_size or path == []:
        return False
    if old_size.bit_count() == 1:
        path = [old_root] + path  # A perfect old tree is itself a node of the new one.
    node, last = old_size - 1, new_size - 1
    while node % 2 == 1:
        node, last = node // 2, last // 2
    lefts = left_siblings(node, last, path[1:])
    old = new = path[0]
    for sibling, is_left in zip(path[1:], lefts or []):
        old = node_hash(sibling, old) if is_left else old
        new = node_hash(sibling, new) if is_left else node_hash(new, sibling)
    return lefts is not None and old == old_root and new == new_root


def subtree_counts(begin, end):
    """Leaf counts of the largest aligned perfect subtrees that cover the leaves from `begin` to before `end`."""
    counts = []
    while begin < end:
        count = 1 << ((end - begin).bit_length() - 1)
        while begin % count != 0:
            count //= 2
        counts.append(count)
        begin += count
    return counts


def root_of(subtrees):
    """The root over perfect subtrees, given as pairs of leaf count and root from left to right."""
    joined = []
    for count, root in subtrees:
        while joined and joined[-1][0] == count:
            root = node_hash(joined.pop()[1], root)
            count *= 2
        joined.append((count, root))
    root = joined.pop()[1] if joined else sha256(b"")
    while joined:
        root = node_hash(joined.pop()[1], root)
    return root


# ---- Strict reading ----

NAME = r"[^\s+\x00-\x1f]+"
NUMBER = "0|[1-9][0-9]{0,18}"
HEX_16_BYTES, HEX_32_BYTES = "[0-9a-f]{32}", "[0-9a-f]{64}"
UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# Before `=` only some letters leave no bits over. So the same bytes have one spelling.
BASE64 = "([A-Za-z0-9+/]{4})*+([A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=|[A-Za-z0-9+/][AQgw]==)?"
BASE64_HASH = "[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]="
SIZE, I64 = range(2**63), range(-2**63, 2**63)


def check(value, rule, what):
    """Returns `value` if it follows the rule: a pattern, a range of whole numbers, an object's members, or a type."""
    kind = {str: str, range: int, dict: dict}.get(type(rule), rule)
    if type(value) is not kind:
        raise Unreadable(f"{what} must be of the type {kind.__name__}")
    if type(rule) is str and not re.fullmatch(rule, value):
        raise Unreadable(f"{what} must be `{rule}` and is `{value}`")
    if type(rule) is range and value not in rule:
        raise Unreadable(f"{what} must be from {rule[0]} to {rule[-1]}")
    if type(rule) is dict:
        for name in rule:
            if name not in value:
                raise Unreadable(f"{what} lacks the member `{name}`")
            check(value[name], rule[name], f"`{name}` of {what}")
        for name in value.keys() - rule.keys():
            raise Unreadable(f"{what} has the unknown member `{name}`")
    return value


def parse_json(data, what):
    """Reads JSON in which no member stands twice, since programs differ in which one they take."""
    def unique(pairs):
        if len(dict(pairs)) < len(pairs):
            raise ValueError("an object has the same member twice")
        return dict(pairs)
    try:
        return json.loads(data.decode(), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{what} is not good JSON: {error}") from None


def parse_base64(value, what):
    return base64.b64decode(check(value, BASE64, what))


def parse_hashes(lines, what):
    return [base64.b64decode(check(line, BASE64_HASH, f"a hash of {what}")) for line in lines]


def read_small_file(path):
    with open(path, "rb") as file:
        data = file.read(SMALL_FILE_BYTES_MAX + 1)
    if len(data) > SMALL_FILE_BYTES_MAX:
        raise Unreadable(f"`{path}` is larger than {SMALL_FILE_BYTES_MAX} bytes")
    return data


# ---- Records and leaves: docs/STORAGE.md, "Leaf" ----

RECORD = {
    "format": "annals-record/1", "log_id": UUID, "id": UUID, "kind": range(256), "time_us": I64, "received_us": I64,
    "registry_version": range(2**32), "nonce": HEX_16_BYTES, "body": str, "openings": list,
}
PATH = r"/[^\x00-\x1f]{0,254}"
OPENING = {"path": PATH, "salt": HEX_16_BYTES, "value": str}
OPENING_WITHHELD = {"path": PATH, "commitment": HEX_32_BYTES}


def check_record(report, record, what):
    check(record, RECORD, what)
    if len(record["openings"]) > 16:
        raise Unreadable(f"{what} has more than 16 openings")
    for index, opening in enumerate(record["openings"]):
        is_withheld = type(opening) is dict and "commitment" in opening
        check(opening, OPENING_WITHHELD if is_withheld else OPENING, f"opening {index} of {what}")
        report.withheld += is_withheld
        # The leaf covers the path of an opening only together with its value. The body names the path, too.
        if is_withheld and not names_opening(record["body"], opening["path"], index):
            report.add("tampered", f"the body of {what} has no place for its withheld opening `{opening['path']}`")


def names_opening(body, path, index):
    try:
        members = json.loads(body, parse_int=str)  # As text, since events may hold numbers of any length.
    except (json.JSONDecodeError, RecursionError):
        return False
    return type(members) is dict and members.get(path[1:]) == {"$f": str(index)}


def commitment(opening):
    if "commitment" in opening:
        return bytes.fromhex(opening["commitment"])
    salt, path, value = bytes.fromhex(opening["salt"]), opening["path"].encode(), opening["value"].encode()
    return sha256(b"annals/field/1\0" + salt + struct.pack(">H", len(path)) + path + value)


def leaf_hash(record):
    leaf = b"ANL1" + uuid.UUID(record["log_id"]).bytes + uuid.UUID(record["id"]).bytes
    leaf += struct.pack(">Bqq", record["kind"], record["time_us"], record["received_us"])
    leaf += sha256(b"annals/body/1\0" + bytes.fromhex(record["nonce"]) + record["body"].encode())
    leaf += bytes([len(record["openings"])]) + b"".join(commitment(opening) for opening in record["openings"])
    leaf += struct.pack(">HI", 4, record["registry_version"])
    return sha256(b"\x00" + leaf)


def printable(line):
    """Without control characters, with which an event could paint a false verdict onto the terminal."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in line)


def show(seq, record):
    print(printable(f"event {seq} {record['id']}: {record['body']}"))
    for opening in record["openings"]:
        print(printable(f"  {opening['path']}: {opening.get('value', 'withheld or erased')}"))


# ---- Checkpoints and keys: c2sp.org/signed-note, tlog-checkpoint, tlog-cosignature ----

CHECKPOINT = re.compile(
    rf"(?P<text>(?P<origin>[^\x00-\x1f]+)\n(?P<size>{NUMBER})\n(?P<root>{BASE64_HASH})\n)\n"
    rf"(?P<signatures>(— {NAME} [A-Za-z0-9+/=]+\n){{1,100}})"
)
KEY = re.compile(rf"(?P<name>{NAME})\+(?P<id>[0-9a-f]{{8}})\+(?P<material>[A-Za-z0-9+/=]+)")
LOG_KEY, COSIGNER_KEY = 0x01, 0x04


def parse_checkpoint(note, what):
    checkpoint = CHECKPOINT.fullmatch(note)
    if not checkpoint or int(checkpoint["size"]) not in SIZE:
        raise Unreadable(f"{what} is not three lines (origin, size, root), an empty line, 1 to 100 signature lines")
    return checkpoint


def parse_keys(trusted):
    """Reads key texts, or files of them, one a line; returns type and public key by name and key id."""
    keys = {}
    for given in trusted:
        lines = read_small_file(given).decode().split("\n") if os.path.isfile(given) else [given]
        for line in (line.strip() for line in lines if line.strip() and not line.startswith("#")):
            found = KEY.fullmatch(line)
            material = parse_base64(found["material"], "a key") if found else b""
            if len(material) != 33 or material[0] not in (LOG_KEY, COSIGNER_KEY):
                raise Unreadable(f"`{line}` is neither a file nor an Ed25519 key text NAME+ID+KEY of type 1 or 4")
            key_id = sha256(found["name"].encode() + b"\n" + material)[:4]
            if key_id.hex() != found["id"]:
                raise Unreadable(f"the id of the key text `{line}` should be {key_id.hex()}; a letter must be wrong")
            keys[found["name"], key_id] = material
    return keys


def check_signatures(report, checkpoint, keys, what="the checkpoint of {size:,} events"):
    report.origin, report.size, report.root = checkpoint["origin"], int(checkpoint["size"]), checkpoint["root"]
    signed_by, others, what = [], [], what.format(size=report.size)
    for line in checkpoint["signatures"].split("\n")[:-1]:
        _, name, blob = line.split(" ")
        blob = parse_base64(blob, f"the signature of `{name}`")
        label, material = f"{name}+{blob[:4].hex()}", keys.get((name, blob[:4]))
        if material is None:
            others.append(label)
            continue
        signature, message, time = blob[4:], checkpoint["text"].encode(), None
        if material[0] == COSIGNER_KEY:
            time, signature = int.from_bytes(signature[:8], "big"), signature[8:]
            message = f"cosignature/v1\ntime {time}\n".encode() + message
        try:
            Ed25519PublicKey.from_public_bytes(material[1:]).verify(signature, message)
        except InvalidSignature:
            report.add("tampered", f"the signature of `{label}` does not fit {what}")
            continue
        if material[0] == COSIGNER_KEY:
            report.cosigned.append({"name": name, "time": time})
            report.add("note", f"{what} is cosigned by `{name}`, {utc(time)}")
        elif name == report.origin:
            signed_by.append(label)
        else:
            others.append(f"{label} (a key that you trust, but of another log)")
    report.signed_by += [label for label in signed_by if label not in report.signed_by]
    if signed_by == []:
        report.add("untrusted", f"no key that you trust signed {what}; it names, not "
                   f"checked: {', '.join(others)}. Get the text NAME+ID+KEY of that key from the log's operator, by "
                   "another way than this file came, compare NAME+ID with these, and give all of it with --trust")


def utc(time):
    return (datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=time)).isoformat() if time < 2**37 else time


# ---- Receipts: c2sp.org/tlog-proof ----

RECEIPT_HEADER = b"c2sp.org/tlog-proof@v1\n"


def check_receipt(report, keys, options):
    head, _, note = read_small_file(options.file).decode().partition("\n\n")
    lines = head.split("\n")
    if len(lines) < 3 or not lines[1].startswith("extra ") or not lines[2].startswith("index "):
        raise Unreadable("the receipt does not begin with the lines `extra` and `index`")
    record = parse_json(parse_base64(lines[1][6:], "`extra`"), "the record in `extra`")
    index, path = int(check(lines[2][6:], NUMBER, "`index`")), parse_hashes(lines[3:], "the receipt")
    check_signatures(report, parse_checkpoint(note, "the checkpoint of the receipt"), keys)
    check_record(report, record, "the record")
    if not is_included(leaf_hash(record), index, path, report.size, base64.b64decode(report.root)):
        report.add("tampered", "record, index and hashes do not give the root of the checkpoint")
    report.events = 1
    report.subject = f"event {index:,} of {report.origin}, in the checkpoint of {report.size:,} events"
    if options.show:
        show(index, record)


# ---- Evidence bundles ----

MANIFEST = {
    "format": "annals-evidence/1", "origin": str, "log_id": UUID, "size": SIZE, "root": BASE64_HASH, "query": str,
    "from_seq": SIZE, "to_seq": SIZE, "events": SIZE, "complete": bool, "created": str, "files": dict,
}
RANGE = {"begin": SIZE, "end": SIZE, "left": list, "right": list}


def read_bundle(path):
    """Returns SHA-256 of each file, content of the small ones that we need, and place and size of the events.

    Not by `tarfile`, which follows links and long names, and has run forever on hostile archives.
    """
    digests, contents, place, total = {}, {}, (0, 0), 0
    with gzip.open(path) as archive:
        while (header := archive.read(512)) != bytes(512):
            name, size, kind, folder = header[:100].rstrip(b"\0"), header[124:135], header[156:157], header[345:500]
            if not re.fullmatch(rb"[\w-][\w.-]*", name) or kind not in (b"0", b"\0") or any(folder) \
                    or not re.fullmatch(b"[0-7]{11}", size):
                raise Unreadable("the bundle is cut off, or holds something else than plain files outside of folders")
            name, size = name.decode(), int(size, 8)
            total += size
            is_kept = name in ("MANIFEST.json", "checkpoint.txt", "keys.txt", "range.json")
            if len(digests) == BUNDLE_FILES_MAX or total > BUNDLE_BYTES_MAX or is_kept and size > SMALL_FILE_BYTES_MAX:
                raise Unreadable(f"`{name}` brings the bundle over a limit")
            if name in digests:
                raise Unreadable(f"the bundle holds `{name}` twice")
            if name == "events.ndjson":
                place = (archive.tell(), size)
            digest, content = hashlib.sha256(), b""
            for begin in range(0, size, 1 << 20):
                piece = archive.read(min(size - begin, 1 << 20))
                digest.update(piece)
                content += piece if is_kept else b""
            archive.read(-size % 512)  # Files are filled up to full blocks.
            digests[name], contents[name] = digest.hexdigest(), content
        if any(archive.read(1 << 20)) or archive.read(1):
            raise Unreadable("something stands behind the end of the bundle")
    return digests, contents, place


def read_events(report, path, place, manifest, options):
    """Yields seq, leaf hash and proof of each event, having checked the order and what an event shows by itself."""
    shape = {"seq": SIZE, "record": dict} | ({} if manifest["complete"] else {"path": list})
    (begin, rest), lowest = place, manifest["from_seq"]
    with gzip.open(path) as archive:
        archive.seek(begin)
        while rest > 0:
            line = archive.readline(min(rest, LINE_BYTES_MAX))
            what = f"line {report.events + 1:,} of events.ndjson"
            if not line.endswith(b"\n"):
                raise Unreadable(f"{what} is cut off, or longer than {LINE_BYTES_MAX} bytes")
            event = check(parse_json(line, what), shape, what)
            seq, record = event["seq"], event["record"]
            check_record(report, record, f"event {seq:,}")
            if not lowest <= seq < manifest["to_seq"]:
                report.add("tampered", f"event {seq:,} is out of order, or outside of from_seq to to_seq")
            if record["log_id"] != manifest["log_id"]:
                report.add("tampered", f"event {seq:,} is of another log than MANIFEST.json says")
            if options.show:
                show(seq, record)
            rest, lowest, report.events = rest - len(line), seq + 1, report.events + 1
            yield seq, leaf_hash(record), parse_hashes(event.get("path", []), f"event {seq:,}")


def check_each(report, events, manifest):
    report.complete = False
    report.add("note", f"the query `{manifest['query']}` picked the events; that it fits no others is not proven")
    for seq, leaf, path in events:
        if not is_included(leaf, seq, path, report.size, base64.b64decode(report.root)):
            report.add("tampered", f"record, seq and path of event {seq:,} do not give the root of the checkpoint")


def check_range(report, events, manifest, data):
    """Recomputes the root from what is left of the range, its events, and what is right of it: so none is missing."""
    beside = check(parse_json(data, "range.json"), RANGE, "range.json")
    begin, end = manifest["from_seq"], manifest["to_seq"]
    left, right = parse_hashes(beside["left"], "range.json"), parse_hashes(beside["right"], "range.json")
    left_counts, right_counts = subtree_counts(0, begin), subtree_counts(end, report.size)
    leaves = ((1, leaf) for _, leaf, _ in events)
    root = root_of(itertools.chain(zip(left_counts, left), leaves, zip(right_counts, right)))
    counts_fit = (len(left), report.events, len(right)) == (len(left_counts), end - begin, len(right_counts))
    bounds_fit = (beside["begin"], beside["end"]) == (begin, end)
    report.complete = counts_fit and bounds_fit and root == base64.b64decode(report.root)
    if report.complete:
        report.add("note", f"complete: no event from number {begin:,} to before number {end:,} is missing")
    else:
        report.add("tampered", "the events and range.json do not give the root: an event is missing or changed")


def check_bundle(report, keys, options):
    digests, contents, place = read_bundle(options.file)
    manifest = check(parse_json(contents.get("MANIFEST.json", b""), "MANIFEST.json"), MANIFEST, "MANIFEST.json")
    for name in sorted(manifest["files"].keys() | digests.keys() - {"MANIFEST.json"}):
        if name not in digests or digests[name] != manifest["files"].get(name):
            report.add("tampered", f"`{name}` is not there, or not as MANIFEST.json lists it")
    for name in ["checkpoint.txt", "events.ndjson"] + ["range.json"] * manifest["complete"]:
        if name not in contents:
            raise Unreadable(f"the bundle lacks `{name}`")
    check_signatures(report, parse_checkpoint(contents["checkpoint.txt"].decode(), "checkpoint.txt"), keys)
    for line in contents.get("keys.txt", b"").decode(errors="replace").split()[:FINDINGS_MAX]:
        if report.signed_by == []:
            report.add("note", f"keys.txt names `{line}`; do not trust it before you have compared every letter")
    if (manifest["origin"], manifest["size"], manifest["root"]) != (report.origin, report.size, report.root):
        report.add("tampered", "origin, size or root of MANIFEST.json are not those of checkpoint.txt")
    if not manifest["from_seq"] <= manifest["to_seq"] <= report.size:
        report.add("tampered", "from_seq and to_seq of MANIFEST.json do not lie in the checkpoint")
    events = read_events(report, options.file, place, manifest, options)
    if manifest["complete"]:
        check_range(report, events, manifest, contents["range.json"])
    else:
        check_each(report, events, manifest)
    if report.events != manifest["events"]:
        report.add("tampered", f"there are {report.events:,} events, and {manifest['events']:,} in MANIFEST.json")
    count = "1 event" if report.events == 1 else f"{report.events:,} events"
    report.subject = f"{count} of {report.origin}, in the checkpoint of {report.size:,} events"


# ---- Command line ----

# ---- Manifests of streams: docs/STREAMS.md, "Manifests" ----

MANIFEST_HEADER = b"annals stream manifest v1\n"
STREAM_MANIFEST = re.compile(
    rf"(?P<text>annals stream manifest v1\nlog (?P<origin>[^\x00-\x1f]+)\nstream {UUID}\nname [^\x00-\x1f]+\n"
    rf"query [^\x00-\x1f]*\nmanifest (?P<number>{NUMBER})\nfirst_seq (?P<first>{NUMBER})\nlast_seq (?P<last>{NUMBER})\n"
    rf"count (?P<size>{NUMBER})\nroot (?P<root>{BASE64_HASH})\ndead_letters (?:{NUMBER})\nclosed [0-9TZ:.-]+\n)\n"
    rf"(?P<signatures>(— {NAME} [A-Za-z0-9+/=]+\n){{1,100}})"
)
# Where the forms of events have the id, and the seq if they have one.
ID_PLACES = ("result.annals_id", "id", "annals_id", "fields.ID", "message.fields.audit_log.id", "metadata.uid", "event.id", "jsonPayload.fields.ID",
             "fields.annals_id", "event.fields.ID", "event.metadata.uid")
SEQ_PLACES = ("seq", "annals_seq", "message.fields.audit_log.seq", "unmapped.seq", "annals.seq", "event.seq", "fields.annals_seq")


def member(event, path):
    for name in path.split("."):
        event = event.get(name) if isinstance(event, dict) else None
    return event


def whole_number(value):
    """A number, also as a text of digits: indexed fields of Splunk are texts."""
    is_number = type(value) is int or isinstance(value, str) and re.fullmatch("[0-9]{1,20}", value)
    return int(value) if is_number else None


def whole_lines(lines, path):
    try:
        for line in lines:
            yield line.strip()
    except EOFError:
        raise Unreadable(f"the gzip file `{path}` is cut off") from None


def id_and_seq(line):
    """The id of the event that a line names, and its seq where the line has it."""
    first = line.split(",")[0].strip().strip('"')  # The first column of a table, too.
    if re.fullmatch(UUID, first):
        return first, None
    if "{" in line:  # Collectors write a time or a host before the event.
        try:
            event = json.loads(line[line.index("{"):])
        except ValueError:
            event = None
        found = [member(event, place) for place in ID_PLACES]
        event_id = next((value for value in found if isinstance(value, str) and re.fullmatch(UUID, value)), None)
        if event_id is not None:
            seqs = (whole_number(member(event, place)) for place in SEQ_PLACES)
            return event_id, next((seq for seq in seqs if seq is not None), None)
    syslog = re.search(rf'\[annals@32473 id="(?P<id>{UUID})" seq="(?P<seq>[0-9]+)"', line)
    human = None if syslog else re.search(rf'ID="?(?P<id>{UUID})', line)
    return (syslog["id"], int(syslog["seq"])) if syslog else (human["id"] if human else None, None)


def files_below(path):
    if not os.path.isdir(path):
        return [path]
    files = []
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if name != "manifests"]
        files += [os.path.join(folder, name) for name in names if not name.endswith((".unfinished", ".lock"))]
    return sorted(files)


def read_received(place, window):
    """The ids of the events in a file or directory, one event or id a line, gzipped or not; those of another window are left out."""
    ids, lines_read = set(), 0
    for path in files_below(place):
        with open(path, "rb") as file:
            is_gzip = file.read(2) == b"\x1f\x8b"
        with (gzip.open if is_gzip else open)(path, "rt", encoding="utf-8", errors="replace") as lines:
            for line in whole_lines(lines, path):
                lines_read += line != ""
                event_id, seq = id_and_seq(line)
                if event_id is not None and (seq is None or seq in window):
                    ids.add(event_id)
                lines_read -= event_id is not None and seq is not None and seq not in window
    if lines_read > 0 and not ids:
        raise Unreadable(f"no line of `{place}` names an event: events in a form that Annals sends are expected, or one id a line")
    return ids


def check_manifest(report, keys, options):
    manifest = STREAM_MANIFEST.fullmatch(read_small_file(options.file).decode())
    if not manifest:
        raise Unreadable("the manifest does not have the lines that it should have")
    check_signatures(report, manifest, keys, "the manifest of {size:,} events")
    first, last = int(manifest["first"]), int(manifest["last"])
    report.subject = f"manifest {manifest['number']} of {report.origin}, {report.size:,} events from seq {first:,} to {last:,}"
    if options.received is None:
        return
    ids = sorted(read_received(options.received, range(first, last + 1)))
    report.events = len(ids)
    root = root_of((1, sha256(b"\x00" + event_id.encode())) for event_id in ids)
    if len(ids) > report.size:
        report.add("incomplete", f"{len(ids):,} ids are given, and the window has {report.size:,}: give those of seq {first:,} to {last:,} alone")
    elif len(ids) != report.size:
        report.add("incomplete", f"{len(ids):,} of {report.size:,} events are there; `annals streams reconcile` says which are missing")
    elif root != base64.b64decode(report.root):
        report.add("incomplete", "as many events are there as should be, but not these; `annals streams reconcile` says which are missing")


def check_consistency(report, keys, options):
    old, new = (parse_checkpoint(read_small_file(path).decode(), f"`{path}`") for path in options.consistency[:2])
    path = parse_hashes(read_small_file(options.consistency[2]).decode().split(), "the proof")
    check_signatures(report, old, keys)
    check_signatures(report, new, keys)
    old_size, old_root, new_root = int(old["size"]), base64.b64decode(old["root"]), base64.b64decode(new["root"])
    report.subject = f"the first {old_size:,} events of {report.origin} are unchanged in that of {report.size:,}"
    if old["origin"] != new["origin"] or not is_consistent(old_size, old_root, report.size, new_root, path):
        report.add("tampered", "the proof does not show that the new checkpoint continues the old one")


class Parser(argparse.ArgumentParser):
    def error(self, message):  # argparse would exit with 2, which means incomplete.
        raise Unreadable(f"{message}; see --help")


def parse_arguments(arguments):
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("file", nargs="?", help="a receipt, an evidence bundle or a manifest")
    parser.add_argument("--received", metavar="FILE", help="what the receiver of a stream has, to compare with its manifest")
    parser.add_argument("--consistency", nargs=3, metavar=("OLD_CHECKPOINT", "NEW_CHECKPOINT", "PROOF"))
    parser.add_argument("--trust", action="append", default=[], metavar="VKEY_OR_FILE", help="a key, or a file of keys")
    parser.add_argument("--require-openings", action="store_true", help="exit with 2 if values are withheld or erased")
    parser.add_argument("--show", action="store_true", help="print the events; believe them only if the result is good")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(arguments)
    if (options.file is None) == (options.consistency is None) or options.show and options.json:
        parser.error("give either FILE or --consistency, and either --show or --json")
    return options


def check_input(report, options):
    keys = parse_keys(options.trust)
    if options.consistency is not None:
        return check_consistency(report, keys, options)
    with open(options.file, "rb") as file:
        start = file.read(len(RECEIPT_HEADER))
    if start.startswith(b"\x1f\x8b"):  # What gzip begins with.
        check_bundle(report, keys, options)
    elif start == RECEIPT_HEADER:
        check_receipt(report, keys, options)
    elif start == MANIFEST_HEADER[:len(start)] and start:
        check_manifest(report, keys, options)
    else:
        raise Unreadable("the file is neither a receipt, an evidence bundle nor a manifest")
    if report.withheld > 0:
        report.add("incomplete" if options.require_openings else "note",
                   f"withheld or erased values: {report.withheld:,}; what is left of them are commitments")


def print_report(report, is_json):
    result, verdict = report.result(), []
    if result in ("good", "incomplete"):
        verdict = [f"{result}: {report.subject} signed by {', '.join(report.signed_by)}"]
    if result == "untrusted":
        verdict = [f"untrusted: {report.subject}; all of it fits, but nobody whom you trust signed it"]
    worst_first = sorted(report.findings, key=lambda finding: [*EXIT_CODES, "note"].index(finding[0]))
    findings = [f"{kind}: {message}" for kind, message in worst_first]
    if is_json:
        facts = {"result": result, "events": report.events, "withheld_openings": report.withheld, "findings": findings}
        names = ("origin", "size", "root", "signed_by", "cosigned", "complete")
        print(json.dumps(facts | {name: getattr(report, name) for name in names}))
    else:
        print("\n".join(printable(line) for line in verdict + findings))


def main(arguments):
    report = Report()
    try:
        check_input(report, parse_arguments(arguments))
    except (OSError, EOFError, ValueError, zlib.error, RecursionError, MemoryError) as error:
        report.add("unreadable", str(error) or type(error).__name__)
    print_report(report, "--json" in arguments)
    return EXIT_CODES[report.result()]


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        os._exit(64)  # Whoever read our output has gone, so it says nothing about the input.
    sys.exit(code)
