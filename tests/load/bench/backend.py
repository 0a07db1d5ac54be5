"""The backend of all proxies: nginx with fixed answers, on the client's core."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench import machine
from bench.process import OTHER_CORE, Failure, Process, accepts, check_alone, free_port, wait_for
from bench.shape import HOST

BODY = b"x" * 128
LARGE = bytes(1 << 20)

FAT_REQUEST = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language": "en-US,en;q=0.5",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Referer": "https://example.com/some/page/that/links/here",
    "Cookie": "session=0123456789abcdef0123456789abcdef; theme=dark; consent=yes; ab=variant-3; _ga=GA1.2.1234567890.1700000000",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin",
    "Priority": "u=0, i",
    "X-Request-Id": "7f3c2c1e-9c0e-4f43-9a3e-0b0c5b1f5a11",
    "Traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "Authorization": "Bearer eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4ifQ."
    "c2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJl",
}
"""Fourteen headers with Host, 1.2 KB: what a browser and a tracing gateway send."""

FAT_RESPONSE = {
    "Cache-Control": "public, max-age=600",
    "ETag": '"33a64df551425fcc55e4d42a148795d9f25f89d4"',
    "Vary": "Accept-Encoding, Origin",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "Set-Cookie": "session=0123456789abcdef; Path=/; HttpOnly; Secure; SameSite=Lax",
    "X-Request-Id": "7f3c2c1e-9c0e-4f43-9a3e-0b0c5b1f5a11",
    "Content-Security-Policy": "default-src 'self'; img-src *",
    "Server-Timing": "db;dur=53",
}

FAT_PATH = "/fat/some/longer/path?with=query&and=more"

SEEN = {
    "X-Seen-Host": "$http_host",
    "X-Seen-For": "$http_x_forwarded_for",
    "X-Seen-Protocol": "$server_protocol",
    "X-Seen-Requests": "$connection_requests",
}
"""What `/parity` tells of the request it got."""


@dataclass(frozen=True)
class Certificate:
    """ECDSA P-256, for `bench.test`."""

    certificate: Path
    key: Path
    both: Path


class Backend:
    """The running backend."""

    def __init__(self, folder: Path):
        program = machine.find_command("nginx")
        if program is None:
            raise Failure("nginx is not installed: run tests/install bench")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "www").mkdir(exist_ok=True)
        (folder / "www" / "large").write_bytes(LARGE)
        self.port, self.port_http2 = free_port(), free_port()
        config = folder / "backend.conf"
        config.write_text(_config(folder, self.port, self.port_http2))
        command = [str(program), "-e", "stderr", "-p", str(folder), "-c", str(config)]
        self.process = Process("backend", command, folder / "backend.log", OTHER_CORE)
        for port in (self.port, self.port_http2):
            wait_for("the backend to listen", 10, self.process, lambda port=port: accepts(port))
            check_alone(port, self.process)

    def stop(self) -> None:
        """Ends it."""
        self.process.stop()


def make_certificate(folder: Path) -> Certificate:
    """A new self-signed certificate."""
    made = Certificate(folder / "cert.pem", folder / "key.pem", folder / "both.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
    command += ["-keyout", str(made.key), "-out", str(made.certificate)]
    command += ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST},DNS:localhost"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Failure(f"openssl can't make a certificate: {done.stderr.strip()}")
    made.both.write_bytes(made.certificate.read_bytes() + made.key.read_bytes())
    return made


def _config(folder: Path, port: int, port_http2: int) -> str:
    body = BODY.decode()

    def added(headers: dict[str, str]) -> str:
        return " ".join(f'add_header {name} "{_quoted(value)}";' for name, value in headers.items())

    return f"""\
worker_processes 1;
worker_rlimit_nofile {machine.raise_file_limit()};
daemon off;
pid {folder}/backend.pid;
error_log stderr warn;
events {{ worker_connections 16000; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000000;
  keepalive_timeout 3600s;
  server_tokens off;
  sendfile on;
  tcp_nopush on;
  http2_max_concurrent_streams 1024;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    listen 127.0.0.1:{port_http2} http2 backlog=4096;
    location / {{ return 200 "{body}"; }}
    location = /large {{ root {folder}/www; }}
    location /fat/ {{ {added(FAT_RESPONSE)} return 200 "{body}"; }}
    location = /parity {{ {added(SEEN)} return 200 "{body}"; }}
    location /svc- {{
      location ~ /parity$ {{ {added(SEEN)} return 200 "{body}"; }}
      return 200 "{body}";
    }}
  }}
}}
"""


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
