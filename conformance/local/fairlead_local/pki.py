"""Certificates and kubeconfigs of the local cluster. They live as long as it does."""
import json
import subprocess
from base64 import b64encode

from .paths import STATE, Problem

PKI = STATE / "pki"
SERVER = "https://127.0.0.1:6443"

# name: (subject, names beside it)
CERTIFICATES = {
    "apiserver": (
        "/CN=kube-apiserver",
        "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,"
        "DNS:localhost,IP:127.0.0.1,IP:10.96.0.1,IP:172.30.0.2",
    ),
    "admin": ("/O=system:masters/CN=admin", "DNS:admin"),
    "kube-controller-manager": ("/CN=system:kube-controller-manager", "DNS:kube-controller-manager"),
    "kube-scheduler": ("/CN=system:kube-scheduler", "DNS:kube-scheduler"),
    "kube-proxy": ("/CN=system:kube-proxy", "DNS:kube-proxy"),
    "kubelet": ("/O=system:nodes/CN=system:node:node0", "DNS:node0,IP:172.30.0.2"),
}
CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def make():
    """Makes what is not there."""
    if (PKI / "done").exists():
        return
    PKI.mkdir(parents=True, exist_ok=True)
    PKI.chmod(0o700)
    openssl("req", "-x509", *CURVE, "-keyout", "ca.key", "-out", "ca.crt", "-days", "3650", "-subj", "/CN=local-ca")
    for name, (subject, others) in CERTIFICATES.items():
        (PKI / f"{name}.ext").write_text(f"subjectAltName={others}\nextendedKeyUsage=serverAuth,clientAuth\n")
        openssl("req", *CURVE, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject)
        openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "3650", "-extfile", f"{name}.ext", "-out", f"{name}.crt",
        )
        (PKI / f"{name}.conf").write_text(kubeconfig(name))
    openssl("genrsa", "-out", "service-accounts.key", "2048")
    openssl("rsa", "-in", "service-accounts.key", "-pubout", "-out", "service-accounts.pub")
    (PKI / "done").touch()


def kubeconfig(user):
    def data(file):
        return b64encode((PKI / file).read_bytes()).decode()

    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "local", "cluster": {"server": SERVER, "certificate-authority-data": data("ca.crt")}}
            ],
            "users": [
                {
                    "name": user,
                    "user": {"client-certificate-data": data(f"{user}.crt"), "client-key-data": data(f"{user}.key")},
                }
            ],
            "contexts": [{"name": "local", "context": {"cluster": "local", "user": user}}],
            "current-context": "local",
        },
        indent=1,
    )


def openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], cwd=PKI, capture_output=True, text=True)
    if done.returncode != 0:
        raise Problem(f"openssl {arguments[0]}: {done.stderr.strip()}")
