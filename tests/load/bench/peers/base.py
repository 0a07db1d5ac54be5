"""What a peer must know: where it is, how to say what is asked of it, and how to take a change in."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from bench import machine
from bench.process import Process
from bench.shape import Shape


@dataclass(frozen=True)
class Place:
    """Where a proxy finds and puts things."""

    dir: Path
    """Its own directory, for configuration and what it writes."""
    port: int
    """Where it listens, on 127.0.0.1."""
    backend: int
    """Where the backend listens for HTTP/1.1."""
    backend_http2: int
    """Where the backend listens for HTTP/2 with prior knowledge."""
    certificate: Path
    key: Path
    both: Path
    """Certificate and key in one file."""

    def backend_of(self, shape: Shape) -> int:
        """The backend's port for this shape."""
        return self.backend_http2 if shape.upstream_http2 else self.backend


class Peer(ABC):
    """A proxy."""

    name: str
    title: str
    env: dict[str, str] = {}
    keep_stdout = True
    """Whether standard output is worth keeping, or an access log."""

    @abstractmethod
    def program(self) -> Path | None:
        """The binary, None when it is not installed."""

    @abstractmethod
    def version_command(self) -> list[str]:
        """What prints the version in its first line."""

    def lacks(self, shape: Shape) -> str | None:
        """Why it can't do this, None when it can."""
        return None

    @abstractmethod
    def write(self, shape: Shape, place: Place) -> None:
        """Writes its configuration."""

    @abstractmethod
    def command(self, shape: Shape, place: Place) -> list[str]:
        """What to start."""

    @abstractmethod
    def prepare_change(self, shape: Shape, place: Place) -> tuple[Path, Path]:
        """Writes what differs in this shape next to where it belongs; the draft, and the file it replaces."""

    def reload(self, process: Process) -> None:
        """Makes it take the change in, for those that don't watch their files."""

    def described(self) -> dict[str, str]:
        """What ran, for the record."""
        program = self.program()
        if program is None:
            return {}
        return {
            "version": machine.first_line(self.version_command(), self.env),
            "sha256": machine.sha256(program),
        }


def draft_of(path: Path, text: str) -> tuple[Path, Path]:
    """A draft in a sibling directory, so that who watches the file's directory does not see it being written."""
    folder = path.parent.parent / f"{path.parent.name}.drafts"
    folder.mkdir(exist_ok=True)
    draft = folder / path.name
    draft.write_text(text)
    return draft, path


def put(change: tuple[Path, Path]) -> None:
    """Puts a draft in place, whole."""
    os.replace(*change)
