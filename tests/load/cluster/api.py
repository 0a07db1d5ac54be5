"""A small Kubernetes client: the API server of the kubeconfig, JSON in and out, on one connection."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

Object = dict[str, Any]


class Failure(Exception):
    """What went wrong, for people."""


class Api:
    """Requests to the API server with the current context's client certificate or token."""

    def __init__(self) -> None:
        config = json.loads(_kubectl("config", "view", "--raw", "--minify", "--output=json"))
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        context = ssl.create_default_context(cadata=_pem(cluster, "certificate-authority"))
        self._headers = {"Content-Type": "application/json"}
        if certificate := _pem(user, "client-certificate"):
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
                file.write(certificate + "\n" + (_pem(user, "client-key") or ""))
                file.flush()
                context.load_cert_chain(file.name)
        elif token := user.get("token"):
            self._headers["Authorization"] = f"Bearer {token}"
        server = urlsplit(cluster["server"])
        self._connection = http.client.HTTPSConnection(server.hostname or "", server.port, context=context, timeout=60)

    def __call__(self, method: str, path: str, body: Object | None = None, kind: str | None = None) -> tuple[int, Object]:
        """The status and the object of a request. `kind` is the media type of a patch."""
        headers = self._headers | ({"Content-Type": kind} if kind else {})
        text = None if body is None else json.dumps(body)
        try:
            self._connection.request(method, path, text, headers)
            response = self._connection.getresponse()
        except (OSError, http.client.HTTPException):
            # The server was started anew, or closed an idle connection.
            self._connection.close()
            self._connection.request(method, path, text, headers)
            response = self._connection.getresponse()
        answer = response.read()
        return response.status, json.loads(answer) if answer else {}

    def get(self, path: str) -> Object:
        """An object or a list."""
        return self._good(*self("GET", path), path)

    def create(self, path: str, body: Object) -> Object:
        """A new object."""
        return self._good(*self("POST", path, body), path)

    def patch(self, path: str, body: Object) -> Object:
        """A merge patch."""
        return self._good(*self("PATCH", path, body, "application/merge-patch+json"), path)

    def apply(self, path: str, body: Object) -> Object:
        """Server-side apply."""
        path = f"{path}?fieldManager=measure&force=true"
        return self._good(*self("PATCH", path, body, "application/apply-patch+yaml"), path)

    def delete(self, path: str) -> None:
        """Deletes what is there, or nothing."""
        status, answer = self("DELETE", path)
        if status not in (200, 202, 404):
            raise Failure(f"DELETE {path}: {status} {answer.get('message')}")

    @staticmethod
    def _good(status: int, answer: Object, path: str) -> Object:
        if status not in (200, 201):
            raise Failure(f"{path}: {status} {answer.get('message')}")
        return answer


def until(what: str, holds: Callable[[], Any], seconds: float = 60, pause: float = 0.02) -> Any:
    """Waits until something holds; its value."""
    end = time.monotonic() + seconds
    while not (value := holds()):
        if time.monotonic() > end:
            raise Failure(f"not within {seconds:.0f} s: {what}")
        time.sleep(pause)
    return value


def _pem(holder: Object, name: str) -> str | None:
    if data := holder.get(f"{name}-data"):
        return base64.b64decode(data).decode()
    if path := holder.get(name):
        with open(path, encoding="ascii") as file:
            return file.read()
    return None


def _kubectl(*arguments: str) -> str:
    try:
        return subprocess.run(["kubectl", *arguments], check=True, capture_output=True, text=True).stdout
    except FileNotFoundError as error:
        raise Failure("kubectl is not installed") from error
    except subprocess.CalledProcessError as error:
        raise Failure(f"kubectl {' '.join(arguments)}: {error.stderr.strip()}; is KUBECONFIG set?") from error


