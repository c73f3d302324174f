"""The lender's digital signature on a PDF (PAdES), under a key made once in the data folder."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from pyhanko.keys import load_certs_from_pemder_data, load_private_key_from_pemder_data
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.signers import PdfSignatureMetadata, SimpleSigner, sign_pdf
from pyhanko.sign.validation import SignatureCoverageLevel, validate_pdf_signature
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.registry import SimpleCertificateStore

FIELD = "LenderSignature"
BEGIN, END = datetime(2020, 1, 1, tzinfo=UTC), datetime(2060, 1, 1, tzinfo=UTC)
"""The certificate's validity: wide, because simulated days stand before and after today."""


@dataclass(frozen=True)
class Verdict:
    """What a signature proves."""

    intact: bool
    """The certificate is ours, the signature is valid and covers the whole file."""
    signer: str
    """The certificate's subject; "" where nothing is signed."""


class LenderSigner:
    """Signs and verifies with the lender's key."""

    def __init__(self, data_dir: Path) -> None:
        pem = _key_and_certificate(data_dir / "contract-signing.pem")
        (self._certificate,) = load_certs_from_pemder_data(_part(pem, "CERTIFICATE"))
        registry = SimpleCertificateStore()  # type: ignore[no-untyped-call]  # no types upstream
        registry.register(self._certificate)
        self._signer = SimpleSigner(
            signing_cert=self._certificate,
            signing_key=load_private_key_from_pemder_data(
                _part(pem, "PRIVATE KEY"), passphrase=None
            ),
            cert_registry=registry,
        )

    def sign(self, pdf: bytes, reason: str) -> bytes:
        """The PDF with a signature appended: its own bytes stand unchanged at the beginning."""
        metadata = PdfSignatureMetadata(
            field_name=FIELD,
            md_algorithm="sha256",
            subfilter=SigSeedSubFilter.PADES,
            reason=reason,
        )
        signed: BytesIO = sign_pdf(IncrementalPdfFileWriter(BytesIO(pdf)), metadata, self._signer)
        return signed.getvalue()

    def verify(self, pdf: bytes) -> Verdict:
        """Holds a PDF's signature against our certificate."""
        try:
            signatures = PdfFileReader(BytesIO(pdf)).embedded_signatures
            if len(signatures) != 1:
                return Verdict(intact=False, signer="")
            context = ValidationContext(trust_roots=[self._certificate], allow_fetching=False)
            status = validate_pdf_signature(signatures[0], context)
        except (PdfError, SignatureValidationError, ValueError):
            return Verdict(intact=False, signer="")
        whole = status.coverage == SignatureCoverageLevel.ENTIRE_FILE
        subject: str = status.signing_cert.subject.human_friendly
        return Verdict(intact=bool(status.bottom_line and whole), signer=subject)


def _part(pem: bytes, label: str) -> bytes:
    begin, end = f"-----BEGIN {label}-----".encode(), f"-----END {label}-----".encode()
    return begin + pem.split(begin)[1].split(end)[0] + end + b"\n"


def _key_and_certificate(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        fresh.touch(mode=0o600)
        fresh.write_bytes(_new_pem())
        try:
            path.hardlink_to(fresh)  # atomic, and never over a key that somebody else just made
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_bytes()


def _new_pem() -> bytes:
    """A P-256 key and its self-signed certificate for signing documents."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Tael Bank"),
            x509.NameAttribute(NameOID.COMMON_NAME, "Tael Bank contract seal"),
        ]
    )
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGIN)
        .not_valid_after(END)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + certificate.public_bytes(Encoding.PEM)
