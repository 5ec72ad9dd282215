"""Are the key pairs of jobs real, different each time, and of the kinds that ssh reads?"""

import asyncio
import base64

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from flowbatch.controllers.keys import make_pair, new_pair


@pytest.mark.parametrize(("algorithm", "kind"), [("rsa", "ssh-rsa"), ("ed25519", "ssh-ed25519")])
def test_the_public_key_belongs_to_the_private_one(algorithm, kind):
    private, public = make_pair(algorithm)
    name, blob = public.split()
    assert name == kind
    base64.b64decode(blob, validate=True)
    read = serialization.load_pem_private_key(private.encode(), None) if algorithm == "rsa" else None
    read = read or serialization.load_ssh_private_key(private.encode(), None)
    form = (serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    assert read.public_key().public_bytes(*form).decode() == public.strip()


def test_an_rsa_key_has_2048_bits():
    read = serialization.load_pem_private_key(make_pair("rsa")[0].encode(), None)
    assert isinstance(read, rsa.RSAPrivateKey)
    assert read.key_size == 2048


async def test_making_a_pair_does_not_hold_up_the_loop():
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.001)

    ticker = asyncio.create_task(tick())
    pairs = [await new_pair() for _ in range(3)]
    ticker.cancel()
    assert len({public for _, public in pairs}) == 3
    assert ticks > 3, "the loop stood still while keys were made"
