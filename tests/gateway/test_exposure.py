"""Credentials through the bridge, TLS on both sides of it, and no bare exposure."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import ssl
import subprocess
import sys
import time
from pathlib import Path

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from gateway.rest import book, bridge, reason

from support import House, free_port

KEY = "k" * 32


def token(subject: str) -> dict[str, str]:
    claims = {"sub": subject, "roles": ["clerk"], "exp": time.time() + 60}
    return {"authorization": f"Bearer {jwt.encode(claims, KEY, 'HS256')}"}


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A self-signed certificate of 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tael test")])
    now = dt.datetime.now(dt.UTC)
    loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([loopback]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, private = tmp_path / "cert.pem", tmp_path / "key.pem"
    pem.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return pem, private


def test_with_authentication_the_token_decides_and_a_name_alone_counts_for_nothing(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAEL_JWT_KEY", KEY)
    with House(data_dir, jwt_key=KEY) as house, bridge(house.start("ledger")) as client:
        nameless = client.get("/v1/books", headers={"tael-caller": "ann"})
        assert reason(nameless) == (401, "UNAUTHENTICATED")
        body = book("of-ann")
        for subject, book_id in (("ann", "of-ann"), ("ben", "of-ben")):
            made = client.post(
                "/v1/books",
                json={**body, "bookId": book_id},
                headers={**token(subject), "tael-caller": "ann"},
            )
            assert made.status_code == 200, made.text


def test_tls_stands_before_the_bridge_and_behind_it(
    data_dir: Path, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pem, private = certificate
    tls = {"tls_certificate": pem, "tls_key": private, "tls_client_authority": pem, "jwt_key": KEY}
    for name, value in tls.items():
        monkeypatch.setenv(f"TAEL_{name.upper()}", str(value))
    context = ssl.create_default_context(cafile=str(pem))
    context.load_cert_chain(pem, private)
    with (
        House(data_dir, **tls) as house,
        bridge(house.start("ledger"), verify=context) as client,
    ):
        listed = client.get("/v1/books", headers=token("ann"))
        assert listed.status_code == 200, listed.text


def test_the_bridge_does_not_listen_beyond_loopback_without_tls_and_authentication() -> None:
    environment = {**os.environ, "TAEL_GATEWAY__LISTEN": f"0.0.0.0:{free_port()}"}
    run = subprocess.run(
        [sys.executable, "-m", "tael_gateway"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert run.returncode != 0
    assert "TAEL_TLS_CERTIFICATE" in run.stderr
