"""What is missing is said, with the way out."""
import os
import re
import subprocess
import unittest
from pathlib import Path
from unittest import mock

from support import CONFORMANCE, TARGET, cluster

from fairlead_local import requirements


class Messages(unittest.TestCase):
    def failing(self, *words, **environment):
        done = cluster(*words, check=False, env={**os.environ, **environment})
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        return done.stderr

    def test_no_privileges(self):
        with self.assertRaisesRegex(Exception, "CAP_SYS_ADMIN.*--privileged"):
            status = Path("/proc/self/status").read_text()
            lacking = re.sub(r"CapEff:.*", "CapEff:\t0000000000000000", status)
            with mock.patch.object(Path, "read_text", return_value=lacking):
                requirements.check_capabilities()

    def test_no_root(self):
        with mock.patch("os.geteuid", return_value=1000):
            with self.assertRaisesRegex(Exception, "root is needed.*sudo"):
                requirements.check()

    def test_long_path(self):
        with mock.patch.object(requirements, "DIR", Path("/" + "a" * 100)):
            with self.assertRaisesRegex(Exception, "CLUSTER_DIR"):
                requirements.check_place()

    def test_missing_packages(self):
        with mock.patch.object(requirements, "find", return_value=None):
            self.assertIn("containerd", requirements.missing_packages())
            with self.assertRaisesRegex(Exception, "install .*runc.* by hand"):
                requirements.install_packages()

    def test_not_up(self):
        other = str(TARGET / "cluster-none")
        self.assertIn("conformance/cluster up", self.failing("kubectl", "get", "nodes", CLUSTER_DIR=other))
        self.assertIn("conformance/cluster up", self.failing("exec", "true", CLUSTER_DIR=other))

    def test_a_reader_that_has_seen_enough(self):
        for words in (["status"], ["--help"]):
            reader, writer = os.pipe()
            os.close(reader)
            done = subprocess.run([CONFORMANCE / "cluster", *words], stdout=writer, stderr=subprocess.PIPE, text=True)
            os.close(writer)
            self.assertEqual(done.stderr, "", words)

    def test_existing(self):
        self.assertIn("KUBECONFIG", self.failing("--existing", "up", KUBECONFIG=""))
        self.assertIn("does not answer", self.failing("--existing", "up", KUBECONFIG="/no/such/file"))
        self.assertIn("--load", self.failing("--existing", "load-image", "echo"))
        self.assertIn("--kind needs", self.failing("--kind", "x", "up", PATH="/usr/bin:/bin"))
