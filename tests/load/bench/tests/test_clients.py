"""What the load generators print is understood."""

import unittest

from bench.clients import read_h2load, read_wrk
from bench.process import Failure

WRK = """Running 1s test @ http://127.0.0.1:8080/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   716.45us  311.02us   8.84ms   93.12%
  Latency Distribution
     50%  684.00us
     75%  747.00us
     90%    0.87ms
     99%    1.50ms
  45012 requests in 1.10s, 13.74MB read
"""

H2LOAD = """starting benchmark...
finished in 421.33ms, 35601.50 req/s, 1.63MB/s
requests: 15000 total, 15000 started, 15000 done, {succeeded} succeeded, 0 failed, 0 errored, 0 timeout
status codes: {good} 2xx, 0 3xx, {bad} 4xx, 0 5xx
"""


class Wrk(unittest.TestCase):
    def test_counts_and_latency(self):
        load = read_wrk(WRK)
        self.assertEqual((load.requests, load.failed, load.seconds, load.p50_us), (45012, 0, 1.1, 684.0))

    def test_bad_statuses_and_broken_connections_are_failures(self):
        load = read_wrk(WRK + "  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 100\n")
        self.assertEqual(load.failed, 110)

    def test_silence_is_an_error(self):
        with self.assertRaisesRegex(Failure, "unable to connect"):
            read_wrk("unable to connect to 127.0.0.1:1 Connection refused")


class H2load(unittest.TestCase):
    def test_counts(self):
        load = read_h2load(H2LOAD.format(succeeded=15000, good=15000, bad=0), 0.5)
        self.assertEqual((load.requests, load.failed, load.rate), (15000, 0, 30000.0))

    def test_what_it_takes_for_success_is_failure_when_not_2xx(self):
        load = read_h2load(H2LOAD.format(succeeded=15000, good=14000, bad=1000), 0.5)
        self.assertEqual((load.requests, load.failed), (14000, 1000))
