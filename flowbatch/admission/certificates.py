"""Keys and certificates of the webhook: an authority of its own, and what it signs. Nothing is stored here.

Elliptic curves, because a new pair takes a tenth of a millisecond and every TLS stack that Kubernetes knows reads it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_LIFETIME = timedelta(days=365)
LIFETIME = timedelta(days=90)
#: A certificate is replaced when less than this part of its life is left.
RENEWED_AT = 1 / 3
#: Clocks of the API server and of this program may differ a little.
SLACK = timedelta(minutes=5)


def new_authority(now: datetime) -> tuple[str, str]:
    """(certificate, key) of a new authority, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"flowbatch webhook CA {now:%Y-%m-%d}")
    builder = _builder(name, name, key, now, CA_LIFETIME)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs=True), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return _certificate_pem(builder.sign(key, hashes.SHA256())), _key_pem(key)


def new_certificate(ca: str, ca_key: str, names: Sequence[str], now: datetime) -> tuple[str, str]:
    """(certificate, key) of a server with these DNS names, signed by the authority."""
    authority = x509.load_pem_x509_certificate(ca.encode())
    signer = serialization.load_pem_private_key(ca_key.encode(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey), "the authority's key is one of ours"
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name(names[0][:64]), authority.subject, key, now, LIFETIME)
    alternatives = x509.SubjectAlternativeName([x509.DNSName(each) for each in names])
    builder = builder.add_extension(alternatives, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    builder = builder.add_extension(issuer, critical=False)
    return _certificate_pem(builder.sign(signer, hashes.SHA256())), _key_pem(key)


def certificates(pem: str) -> list[str]:
    """The certificates in a bundle that can be read, each as PEM."""
    try:
        return [_certificate_pem(each) for each in x509.load_pem_x509_certificates(pem.encode())]
    except ValueError:
        return []


def fresh(pem: str, now: datetime) -> bool:
    """Whether a certificate is in force and has enough of its life left."""
    read = _read(pem)
    if read is None:
        return False
    begin, end = read.not_valid_before_utc, read.not_valid_after_utc
    return begin <= now < end - (end - begin) * RENEWED_AT


def expired(pem: str, now: datetime) -> bool:
    """Whether nobody may trust the certificate any more."""
    read = _read(pem)
    return read is None or read.not_valid_after_utc <= now


def owns(pem: str, key: str) -> bool:
    """Whether `key` is the key of a certificate, and one that can sign here."""
    certificate = _read(pem)
    try:
        owner = serialization.load_pem_private_key(key.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    known = isinstance(owner, ec.EllipticCurvePrivateKey)
    return known and certificate is not None and owner.public_key() == certificate.public_key()


def serves(pem: str, key: str, ca: str, names: Sequence[str]) -> bool:
    """Whether a certificate belongs to `key`, is signed by `ca`, and is for all of `names`."""
    certificate, authority = _read(pem), _read(ca)
    if certificate is None or authority is None or not owns(pem, key):
        return False
    try:
        certificate.verify_directly_issued_by(authority)
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return set(alternatives.get_values_for_type(x509.DNSName)) >= set(names)


def _read(pem: str) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except ValueError:
        return None


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - SLACK).not_valid_after(now + life)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _certificate_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
