"""SSH key pairs for jobs whose pods log in to each other: made once per job, kept in the job's Secret.

The Secret is the truth. A pair that loses the race to be stored is thrown away, so a controller that dies between
making and storing one has done no harm.
"""

import asyncio
from typing import Literal

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

Algorithm = Literal["rsa", "ed25519"]

#: Volcano's: every ssh that speaks RSA at all accepts it.
RSA_BITS = 2048


def make_pair(algorithm: Algorithm = "rsa") -> tuple[str, str]:
    """A new (private key, public key): PEM as ssh-keygen writes it, and one line of authorized_keys."""
    key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
    if algorithm == "rsa":
        key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
        form = serialization.PrivateFormat.TraditionalOpenSSL
    else:
        key = ed25519.Ed25519PrivateKey.generate()
        form = serialization.PrivateFormat.OpenSSH
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), public.decode() + "\n"


async def new_pair(algorithm: Algorithm = "rsa") -> tuple[str, str]:
    """`make_pair` in a thread: an RSA pair takes tens of milliseconds, in which the loop would stand still."""
    return await asyncio.to_thread(make_pair, algorithm)
