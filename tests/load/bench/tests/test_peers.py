"""Configurations say what the shape asks."""

import json
import tempfile
import unittest
from pathlib import Path

from bench.peers import PEERS, Place
from bench.peers.base import put
from bench.shape import Routes, Shape


class Configurations(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = Path(folder.name)
        for name in ("cert.pem", "key.pem"):
            (self.dir / name).write_text(name)

    def place(self, name: str) -> Place:
        (self.dir / name).mkdir()
        certificate, key = self.dir / "cert.pem", self.dir / "key.pem"
        return Place(self.dir / name, 8080, 9000, 9001, certificate, key, certificate)

    def text(self, place: Place) -> str:
        return "\n".join(f.read_text() for f in sorted(place.dir.rglob("*")) if f.is_file())

    def test_every_route_is_in_every_configuration(self):
        shape = Shape(routes=Routes("prefixes", 250))
        for name, peer in PEERS.items():
            place = self.place(name)
            peer.write(shape, place)
            text = self.text(place)
            for index in (0, 99, 100, 249):
                self.assertIn(f"/svc-{index}", text, name)
            self.assertNotIn("/svc-250", text, name)

    def test_a_change_is_seen_only_when_put(self):
        before, after = (Shape(routes=Routes("hosts", 20, change=n)) for n in (0, 1))
        for name, peer in PEERS.items():
            place = self.place(name)
            peer.write(before, place)
            change = peer.prepare_change(after, place)
            self.assertIn("/v0", change[1].read_text(), name)
            self.assertNotEqual(change[0].parent, change[1].parent, name)
            put(change)
            self.assertIn("/v1", change[1].read_text(), name)
            self.assertNotIn("/v0", change[1].read_text(), name)

    def test_backends_are_shared_or_not(self):
        for own, count in ((False, 1), (True, 30)):
            routes = Routes("hosts", 30, own_backends=own)
            place = self.place(f"envoy-{own}")
            PEERS["envoy"].write(Shape(routes=routes), place)
            config = json.loads((place.dir / "envoy.json").read_text())
            self.assertEqual(len(config["static_resources"]["clusters"]), count)

    def test_only_nginx_lacks_http2_to_backends(self):
        shape = Shape(http2=True, upstream_http2=True)
        self.assertEqual([name for name, peer in PEERS.items() if peer.lacks(shape)], ["nginx"])
