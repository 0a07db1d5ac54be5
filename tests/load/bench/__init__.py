"""Load tests of Fairlead beside its peers: nginx, HAProxy, Envoy and Traefik.

    cells ──► subjects (peer × shape) ──► interleaved rounds ──► results.json, table

A *cell* is one question ("H1 → H1, 32 connections"). Its *subjects* are proxies that do the same work, each with one
worker on core 0; backend and client share core 1. A *round* loads each subject once, for a second or more, and reads
the CPU clock of its processes before and after. What is compared is CPU time per request, as a ratio within a round:
the rate a shared machine reaches says little, the work a proxy does for a request says much.
"""
