"""Whom a decision or a query is about: sealed in the store, in clear only on the way out."""

from __future__ import annotations

from dataclasses import dataclass

from tael.risk.v1 import decision_pb2
from tael_runtime.crypto import Cipher


@dataclass(frozen=True)
class Person:
    """Name and identity number; never shown by repr, so that no log has them."""

    name: str
    id_number: str

    def __repr__(self) -> str:
        return "Person(…)"


def read_person(applicant: decision_pb2.Applicant) -> Person:
    """A person from the contract's message."""
    return Person(applicant.name, applicant.id_number)


def seal_person(cipher: Cipher, person: Person) -> bytes:
    """The contract's message, sealed."""
    message = decision_pb2.Applicant(name=person.name, id_number=person.id_number)
    return cipher.seal(message.SerializeToString(deterministic=True))


def person_index(cipher: Cipher, person: Person) -> bytes:
    """The blind index of the identity number: equal for the same person."""
    return cipher.blind_index("id_number", person.id_number)
