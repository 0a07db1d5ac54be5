"""Images from files."""
import sys
import unittest

from support import DIR, IMAGE

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

    def test_every_image_of_the_suite_is_made(self):
        self.assertIn(IMAGE, image.echo_references())
