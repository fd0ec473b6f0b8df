# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
"""examples/python/haul_pool.py on a pool of the C library's making, which audits it afterwards.

Environment: SHORTHAUL, the command line program.
"""

import json
import os
import signal
import subprocess
import threading
import time
import unittest

from haul_pool import Exhausted, Invalid, Participant, PoolError, Reader, Stale

SHORTHAUL = os.environ["SHORTHAUL"]
NAME = f"test-python-{os.getpid()}"
FOREVER = 1 << 62


def shorthaul(*arguments):
    return subprocess.run([SHORTHAUL, "pool", *arguments], check=True, capture_output=True,
                          text=True).stdout


def in_child(run):
    """Run in a forked child, which is then killed; False if it raised."""
    said, say = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            kept = run()
            os.write(say, b"y")
            signal.pause()
        finally:
            os._exit(1 if kept else 2)
    os.close(say)
    ok = os.read(said, 1) == b"y"
    os.close(said)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return ok


class Pool(unittest.TestCase):
    def setUp(self):
        shorthaul("create", NAME, "--class", "4KiB:2:2", "--class", "64KiB:1:1")
        self.a, self.b = Participant(NAME, "a"), Participant(NAME, "b")
        self.reader = Reader(NAME)

    def tearDown(self):
        self.b.close()
        self.reader.close()
        self.a.close()
        shorthaul("reap", NAME)
        try:
            shorthaul("audit", NAME)  # fails if it finds anything
            self.assertEqual(self.totals("free"), 3)
        finally:
            shorthaul("rm", "--force", NAME)

    def totals(self, phase):
        return json.loads(shorthaul("info", NAME, "--json"))["pools"][0]["totals"][phase]

    def share(self, data):
        buffer = self.a.alloc(len(data))
        buffer.data[:] = data
        return buffer, buffer.share()

    def test_bytes_arrive(self):
        for data in (b"", b"x", os.urandom(4096), os.urandom(5000)):
            buffer, key = self.share(data)
            with self.b.attach(key, len(data)) as seen:
                self.assertEqual(seen, data)
            self.assertEqual(self.reader.read(key, len(data)), data)
            buffer.release()
            for read in (self.reader.read, lambda *k: self.b.attach(*k).__enter__()):
                with self.assertRaises(Stale):
                    read(key, len(data))

    def test_a_part(self):
        buffer, key = self.share(b"0123456789")
        with self.b.attach(key._replace(offset=3), 4) as seen:
            self.assertEqual(seen, b"3456")
        self.assertEqual(self.reader.read(key._replace(offset=3), 7), b"3456789")
        with self.assertRaises(Invalid):
            self.reader.read(key._replace(offset=3), 8)
        buffer.release()

    def test_what_is_attached_stays(self):
        buffer, key = self.share(b"stays")
        with self.b.attach(key, 5) as seen, self.b.attach(key, 5) as again:
            buffer.release()
            self.assertEqual((self.totals("retired"), self.totals("free")), (1, 2))
            self.assertEqual((bytes(seen), bytes(again)), (b"stays", b"stays"))
        self.assertEqual(self.totals("free"), 3)

    def test_a_reader_that_is_overtaken(self):
        """The buffer is released, and filled by the next, between the reader's two looks."""
        buffer, key = self.share(b"first")
        opened = self.reader._open_buffer

        def overtaken(index, writable):
            buffer.release()
            self.other, self.other_key = self.share(b"other")
            return opened(index, writable)

        self.reader._open_buffer = overtaken
        with self.assertRaises(Stale):
            self.reader.read(key, 5)
        self.assertEqual(self.other_key.index, key.index)
        self.other.release()

    def test_gifts(self):
        buffer = self.a.alloc(4)
        buffer.data[:] = b"gift"
        key = buffer.give(self.b.slot, time.monotonic_ns() + FOREVER)
        with self.assertRaises(Stale):
            self.a.claim(key, 4).__enter__()
        with self.b.claim(key, 4) as seen:
            self.assertEqual(seen, b"gift")
            self.assertFalse(self.a.revoke(key))
        key = self.a.alloc(4).give(self.b.slot, time.monotonic_ns() + FOREVER)
        self.assertTrue(self.a.revoke(key))
        with self.assertRaises(Stale):
            self.b.claim(key, 4).__enter__()
        buffer = self.a.alloc(4)
        with self.assertRaises(Invalid):
            buffer.give(9, 0)
        buffer.release()

    def lend(self):
        buffer = self.a.alloc(0)
        return buffer.give(self.b.slot, time.monotonic_ns() + FOREVER)

    def test_gifts_to_be_filled(self):
        key = self.lend()
        with self.assertRaises(Stale):
            self.a.claim_empty(key, 4)
        buffer = self.b.claim_empty(key, 4)
        buffer.data[:] = b"back"
        back = buffer.give(self.a.slot, time.monotonic_ns() + FOREVER)
        self.assertEqual((back.index, back.generation), (key.index, key.generation + 1))
        with self.a.claim(back, 4) as seen:
            self.assertEqual(seen, b"back")
        with self.assertRaises(Exhausted):
            self.b.claim_empty(self.lend(), 4097)
        self.assertEqual(self.totals("free"), 3)
        full = self.a.alloc(1).give(self.b.slot, time.monotonic_ns() + FOREVER)
        with self.assertRaises(Invalid):
            self.b.claim_empty(full, 1)
        self.assertTrue(self.a.revoke(full))

    def test_a_giver_waits(self):
        key = self.lend()
        self.assertFalse(self.a.wait_claimed(key, 0))
        self.assertFalse(self.a.wait_claimed(key, 0.01))
        claiming = threading.Thread(target=lambda: self.b.claim_empty(key, 0).release())
        claiming.start()
        self.assertTrue(self.a.wait_claimed(key, 60))
        claiming.join()
        self.assertTrue(self.a.wait_claimed(key, 0))

    def test_exhausted(self):
        buffers = [self.a.alloc(1) for _ in range(3)]
        for length in (1, 1 << 20):
            with self.assertRaises(Exhausted):
                self.b.alloc(length)
        for buffer in buffers:
            buffer.release()

    def test_the_dead_are_reaped(self):
        buffer, key = self.share(b"mine")

        def attach_and_own():
            pool = Participant(NAME, "dead")
            view = pool.attach(key, 4)
            self.assertEqual(view.__enter__(), b"mine")
            return pool, view, pool.alloc(1).share(), pool.alloc(1)

        self.assertTrue(in_child(attach_and_own))
        buffer.release()
        self.assertEqual(self.totals("free"), 0)
        shorthaul("reap", NAME)
        self.assertEqual(self.totals("free"), 3)

    def test_a_child_has_nothing(self):
        def use():
            for act in (lambda: self.a.alloc(1), lambda: self.a.revoke((0,) * 5)):
                with self.assertRaises(PoolError):
                    act()
            return True

        self.assertTrue(in_child(use))
        self.a.alloc(1).release()


unittest.main()
