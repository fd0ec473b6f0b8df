# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
"""The test vectors of docs/wire.md, as the Python implementation understands them.

python_vectors.py FOLDER
"""

import json
import pathlib
import sys
import types
import unittest

import google.protobuf.message
import haul_grpc
import haul_layout
import haul_pool
import haul_reader
from shorthaul.v1 import lane_pb2, payload_pb2

FOLDER = pathlib.Path(sys.argv.pop())


def vectors(file, kind):
    found = json.loads((FOLDER / file).read_text())[kind]
    assert found
    return found


def key_of(vector):
    return haul_pool.Key(int(vector.get("pool_id", "0"), 16), vector["index"],
                         vector["generation"], int(vector["ticket"], 16), int(vector["offset"]))


class Vectors(unittest.TestCase):
    def test_payloads(self):
        for vector in vectors("payloads.json", "payloads"):
            with self.subTest(vector["name"]):
                self.check_payload(vector, bytes.fromhex(vector["hex"]))

    def check_payload(self, vector, encoded):
        payload = payload_pb2.Payload()
        if vector["kind"] == "unparsable":
            with self.assertRaises(google.protobuf.message.DecodeError):
                payload.ParseFromString(encoded)
            return
        payload.ParseFromString(encoded)
        if vector["kind"] == "malformed":
            with self.assertRaises(haul_grpc.Malformed):
                haul_grpc.kind_of(payload)
            return
        if vector["kind"] == "transfer":  # which this implementation does not offer
            with self.assertRaises(haul_grpc.Malformed):
                haul_grpc.kind_of(payload)
            self.assertEqual(payload.transfer, int(vector["transfer"], 16))
            return
        self.assertEqual(haul_grpc.kind_of(payload), vector["kind"])
        self.assertEqual(payload.length, int(vector["length"]))
        self.assertEqual(payload.inline.hex(), vector.get("inline", ""))
        if vector["kind"] == "key":
            self.assertEqual(haul_grpc.key_of(payload), key_of(vector["key"]))
        if vector["canonical"]:
            self.assertEqual(payload.SerializeToString(), encoded)

    def test_probes(self):
        for vector in vectors("probes.json", "probes"):
            with self.subTest(vector["name"]):
                message = getattr(lane_pb2, vector["message"])()
                message.ParseFromString(bytes.fromhex(vector["hex"]))
                if vector["message"] == "ProbeRequest":
                    self.assertEqual(haul_grpc.key_of(message.nonce), key_of(vector["key"]))
                    self.assertEqual(message.nonce.length, int(vector["length"]))
                else:
                    self.assertEqual(
                        (message.attached, message.nonce.hex(), message.participant),
                        (vector["attached"], vector["nonce"], vector["participant"]))

    def test_accept(self):
        for vector in vectors("metadata.json", haul_grpc.ACCEPT):
            with self.subTest(vector["text"]):
                wanted = None if "ignored" in vector else (
                    int(vector["pool_id"], 16), int(vector["slot"]))
                self.assertEqual(haul_grpc.parse_accept(vector["text"]), wanted)

    def test_lend(self):
        for vector in vectors("metadata.json", haul_grpc.LEND):
            with self.subTest(vector["name"]):
                wanted = None if "ignored" in vector else (
                    key_of(vector["key"]), int(vector["room"]))
                self.assertEqual(haul_grpc.parse_lend(bytes.fromhex(vector["hex"])), wanted)

    def test_lane(self):
        for vector in vectors("metadata.json", haul_grpc.LANE):
            with self.subTest(vector["text"]):
                wanted = None if "ignored" in vector else int(vector["lane"], 16)
                self.assertEqual(haul_grpc.parse_lane(vector["text"]), wanted)

    def test_path(self):
        ways = {"none": set(), "shm": {"shm"}, "inline": {"inline"}, "mixed": {"shm", "inline"}}
        for vector in vectors("metadata.json", haul_grpc.PATH):
            with self.subTest(vector["text"]):
                self.assertEqual(
                    haul_grpc.format_path(ways[vector["request"]], ways[vector["response"]]),
                    vector["text"])

    def test_keys(self):
        errors = {"stale": haul_pool.Stale, "invalid": haul_pool.Invalid,
                  "corrupt": haul_pool.Corrupt}
        phases = ("ABSENT", "CREATING", "FREE", "OWNED", "SHARED", "GIVEN", "RETIRED", "TRIMMING",
                  "KEPT", "RETIRING")
        pool = haul_reader.Pool.__new__(haul_reader.Pool)  # what the checks need of one
        pool.pool_id = 1
        pool.geometry = types.SimpleNamespace(n_slots=16, n_buffers=14)
        for vector in vectors("keys.json", "keys"):
            with self.subTest(vector["name"]):
                key = key_of(vector["key"])
                key = key._replace(pool_id=1 if vector["key"]["pool"] == "this" else 2)
                buffer = vector["buffer"]
                phase = (phases.index(buffer["phase"]) if buffer["phase"] in phases
                         else int(buffer["phase"]))
                word = haul_layout.make_word(buffer["generation"], buffer["participant"], phase,
                                           buffer["flags"])
                facts = (int(buffer["ticket"], 16), int(buffer["length"]))

                def look():
                    pool._check(key, int(vector["length"]))
                    pool._judge(key, int(vector["length"]), word, *facts)

                if vector["result"] == "attached":
                    look()
                else:
                    with self.assertRaises(errors[vector["result"]]):
                        look()


unittest.main()
