"""The proxies that are measured, one module each. All run one worker, without access log, as their own guides tune them."""

from bench.peers.base import Peer, Place
from bench.peers.envoy import Envoy
from bench.peers.fairlead import Fairlead
from bench.peers.haproxy import HAProxy
from bench.peers.nginx import Nginx
from bench.peers.traefik import Traefik

PEERS: dict[str, Peer] = {peer.name: peer for peer in (Fairlead(), Nginx(), HAProxy(), Envoy(), Traefik())}

__all__ = ["PEERS", "Peer", "Place"]
