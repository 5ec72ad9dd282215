"""The TLS side of a kubeconfig: which authority to trust, which certificate to show; verified unless told not to be."""

import base64
import binascii
import ssl
import tempfile
from pathlib import Path

from flowbatch.api.meta import JsonObject
from flowbatch.kube.errors import ConfigError
from flowbatch.kube.kubeconfig import text


def ssl_context(cluster: JsonObject, user: JsonObject) -> ssl.SSLContext:
    """A client context from the kubeconfig's cluster and user. Raises ConfigError, saying which field is wrong."""
    authority = pem(cluster, "certificate-authority")
    try:
        context = ssl.create_default_context(cadata=authority.decode("ascii") if authority else None)
    except (ssl.SSLError, ValueError) as problem:
        raise ConfigError(f"certificate-authority is no PEM certificate: {problem}") from None
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate, key = pem(user, "client-certificate"), pem(user, "client-key")
    if bool(certificate) != bool(key):
        raise ConfigError("client-certificate and client-key belong together; only one is given")
    if certificate:
        show(context, certificate, key)
    return context


def pem(body: JsonObject, field: str) -> bytes:
    """`field`-data decoded, else the content of the file that `field` names, else nothing."""
    inline, file = text(body, f"{field}-data"), text(body, field)
    try:
        if inline:
            return base64.b64decode(inline, validate=True)
        return Path(file).read_bytes() if file else b""
    except binascii.Error:
        raise ConfigError(f"{field}-data is not base64") from None
    except OSError as problem:
        raise ConfigError(f"cannot read {field} {file}: {problem.strerror}") from None


def show(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Present `certificate` to servers. OpenSSL reads files only, so the key exists as one, private, for a moment."""
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(certificate.rstrip() + b"\n" + key)
        file.flush()
        try:
            context.load_cert_chain(file.name)
        except (ssl.SSLError, OSError) as problem:
            raise ConfigError(f"client-certificate and client-key do not make a pair: {problem}") from None
