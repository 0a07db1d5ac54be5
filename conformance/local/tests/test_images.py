"""Images from files."""
import json
import re
import sys
import tarfile
import unittest

from support import CONFORMANCE, DIR, IMAGE

from fairlead_local import image


class Images(unittest.TestCase):
    def test_same_files_same_bytes(self):
        one, two = DIR / "one.tar", DIR / "two.tar"
        for archive in (one, two):
            image.Image(["example.com/a:b"], ["/a"], {"/x/y": b"content", "/a": sys.executable}).write(archive)
        self.assertEqual(one.read_bytes(), two.read_bytes())
        one.unlink()
        two.unlink()

    def test_libraries_come_with_their_loader(self):
        paths = image.shared_libraries("/bin/ls")
        self.assertTrue(any("ld-linux" in path for path in paths), paths)
        self.assertTrue(any("libc.so.6" in path for path in paths), paths)

    def test_the_dockerfile_makes_the_same(self):
        """Without Docker it can't be built here: what it says is compared with the image that is made here."""
        archive = DIR / "fairlead.tar"
        image.fairlead_of(sys.executable).write(archive)
        with tarfile.open(archive) as tar:
            manifest = json.load(tar.extractfile("manifest.json"))[0]
            config = json.load(tar.extractfile(manifest["Config"]))["config"]
        archive.unlink()
        dockerfile = (CONFORMANCE.parent / "Dockerfile").read_text()
        last = dockerfile[dockerfile.rindex("\nFROM") :]
        self.assertEqual(json.loads(re.search(r"^ENTRYPOINT (.*)$", last, re.M)[1]), config["Entrypoint"])
        self.assertEqual(re.search(r"^USER (.*)$", last, re.M)[1], config["User"])
        self.assertIn(f" {config['Entrypoint'][0]}\n", re.search(r"^COPY --from=build .*\n", last, re.M)[0])
        tag = re.search(r"docker build -t (\S+)", dockerfile)[1]
        self.assertIn(f"docker.io/library/{tag}", manifest["RepoTags"])
        toolchain = re.search(r"rust:(\S+)-", dockerfile)[1]
        self.assertIn(f'rust-version = "{toolchain}"', (CONFORMANCE.parent / "Cargo.toml").read_text())
        chart = (CONFORMANCE.parent / "charts/fairlead/Chart.yaml").read_text()
        self.assertIn(f"appVersion: {tag.partition(':')[2]}\n", chart)

    def test_every_image_of_the_suite_is_made(self):
        self.assertIn(IMAGE, image.echo_references())
