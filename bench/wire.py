"""Unary gRPC calls over one HTTP/2 connection, many at once, at the least cost to the machine.

The generator of a load shares the cores with what it measures, and a call through grpc.aio costs
its process 250 µs and more; here it is a fifth of that. Plain frames of RFC 9113 and literal headers
of RFC 7541: enough for requests prebuilt as bytes, to a server on loopback without TLS.
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
HEADER_TABLE_SIZE, ENABLE_PUSH, INITIAL_WINDOW_SIZE = 1, 2, 4
WINDOW = 2**31 - 1
"""What the server may send unasked: everything, as a connection serves one round."""
DEFAULT_WINDOW = 65_535
FRAME = 16_384
"""Octets of a frame, at most, until a server says more."""
OK = b"grpc-status\x010"
"""In the last headers of a call that succeeded: they are literal, as the table has no room."""


@dataclass
class _Sending:
    """A request whose data wait for room."""

    stream: int
    data: memoryview


class Wire:
    """One connection. Single-threaded: `send` requests, then `receive` answers. Close it."""

    def __init__(self, target: str, path: str) -> None:
        host, _, port = target.rpartition(":")
        self._socket = socket.create_connection((host, int(port)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._headers = _headers(path, target)
        self._next_stream = 1
        self._room = DEFAULT_WINDOW
        self._stream_room = DEFAULT_WINDOW
        self._rooms: dict[int, int] = {}
        self._waiting: deque[_Sending] = deque()
        self._out = bytearray(PREFACE)
        self._in = bytearray()
        self._answers: dict[int, bytearray] = {}
        settings = ((HEADER_TABLE_SIZE, 0), (ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, WINDOW))
        self._frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *one) for one in settings))
        self._frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW - DEFAULT_WINDOW))

    def send(self, request: bytes) -> int:
        """Begins a call with a serialised request; the call's number. Flushed by `receive`."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        self._frame(HEADERS, END_HEADERS, stream, self._headers)
        self._rooms[stream] = self._stream_room
        message = b"\0" + len(request).to_bytes(4, "big") + request
        self._waiting.append(_Sending(stream, memoryview(message)))
        self._fill()
        return stream

    def receive(self) -> Iterator[tuple[int, bytes | str]]:
        """Flushes, waits, and gives (call, serialised answer) of the calls that ended.

        Text in place of an answer is what the server said of a call that failed. Raises
        ConnectionError where the server leaves.
        """
        if self._out:
            self._socket.sendall(self._out)
            self._out.clear()
        got = self._socket.recv(1 << 18)
        if not got:
            raise ConnectionError("the server closed the connection")
        self._in += got
        at, end = 0, len(self._in)
        while end - at >= 9:
            length = int.from_bytes(self._in[at : at + 3], "big")
            if end - at - 9 < length:
                break
            kind, flags = self._in[at + 3], self._in[at + 4]
            stream = int.from_bytes(self._in[at + 5 : at + 9], "big")
            body = self._in[at + 9 : at + 9 + length]
            at += 9 + length
            if kind == DATA:
                self._answers.setdefault(stream, bytearray()).extend(body)
            elif kind == HEADERS and flags & END_STREAM:
                answer = self._ended(stream)
                yield stream, answer if OK in body else _said(bytes(body))
            elif kind == RST_STREAM and stream in self._rooms:
                self._ended(stream)
                yield stream, f"reset: HTTP/2 error {int.from_bytes(body, 'big')}"
            else:
                self._control(kind, flags, stream, body)
        del self._in[:at]

    def close(self) -> None:
        """Ends the calls under way."""
        self._socket.close()

    def _ended(self, stream: int) -> bytes:
        """The answer's message, without its five octets of prefix."""
        del self._rooms[stream]
        return bytes(self._answers.pop(stream, b"")[5:])

    def _control(self, kind: int, flags: int, stream: int, body: bytearray) -> None:
        if kind == WINDOW_UPDATE:
            more = int.from_bytes(body, "big")
            if stream == 0:
                self._room += more
            elif stream in self._rooms:
                self._rooms[stream] += more
            self._fill()
        elif kind == PING and not flags & ACK:
            self._frame(PING, ACK, 0, bytes(body))
        elif kind == SETTINGS and not flags & ACK:
            for name, value in struct.iter_unpack(">HI", body):
                if name == INITIAL_WINDOW_SIZE:
                    grown, self._stream_room = value - self._stream_room, value
                    self._rooms = {one: room + grown for one, room in self._rooms.items()}
            self._frame(SETTINGS, ACK, 0, b"")
            self._fill()
        elif kind == GOAWAY:
            raise ConnectionError(f"the server goes away: {bytes(body[8:])!r}")

    def _fill(self) -> None:
        """Frames as much of what waits as there is room for, in turn."""
        for _ in range(len(self._waiting)):
            sending = self._waiting.popleft()
            stream, data = sending.stream, sending.data
            while data and (size := min(FRAME, self._room, self._rooms[stream], len(data))) > 0:
                self._room -= size
                self._rooms[stream] -= size
                self._frame(DATA, END_STREAM * (size == len(data)), stream, data[:size])
                data = data[size:]
            if data:
                self._waiting.append(_Sending(stream, data))

    def _frame(self, kind: int, flags: int, stream: int, body: bytes | memoryview) -> None:
        self._out += struct.pack(">IBI", len(body) << 8 | kind, flags, stream)
        self._out += body


def _headers(path: str, authority: str) -> bytes:
    """A call's header block: indexed fields of the static table, then literals never indexed."""
    method_post, scheme_http, name_authority, name_path = b"\x83", b"\x86", b"\x01", b"\x04"
    name_content_type = b"\x0f\x10"
    return b"".join(
        (
            method_post,
            scheme_http,
            name_path + _text(path),
            name_authority + _text(authority),
            name_content_type + _text("application/grpc"),
            b"\x00" + _text("te") + _text("trailers"),
        )
    )


def _said(headers: bytes) -> str:
    """The readable part of literal headers: grpc-status, grpc-message and their values."""
    readable, _, _ = headers.partition(b"grpc-status-details-bin")
    return "".join(chr(octet) if 32 <= octet < 127 else " " for octet in readable).strip()


def _text(value: str) -> bytes:
    assert len(value) < 127, value
    return bytes((len(value),)) + value.encode()
