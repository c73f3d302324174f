"""A face as it comes over the wire: one header, then the image in chunks."""

from __future__ import annotations

from collections.abc import Iterator

from tael.origination.v1 import customer_pb2 as pb
from tael_origination.reasons import Reason
from tael_runtime.errors import InvalidArgument

MOST_BYTES = 4 * 1024 * 1024


def read_face(parts: Iterator[pb.VerifyFaceRequest]) -> tuple[pb.VerifyFaceHeader, bytes]:
    """The header and the whole image. Raises InvalidArgument FACE_STREAM on any other shape."""
    first = next(parts, None)
    if first is None or first.WhichOneof("part") != "header":
        raise InvalidArgument("header", "comes first", Reason.FACE_STREAM)
    image = bytearray()
    for part in parts:
        if part.WhichOneof("part") != "chunk":
            raise InvalidArgument("header", "comes only once", Reason.FACE_STREAM)
        image += part.chunk
        if len(image) > MOST_BYTES:
            raise InvalidArgument("chunk", "4 MiB in all at most", Reason.FACE_STREAM)
    if not image:
        raise InvalidArgument("chunk", "the image is missing", Reason.FACE_STREAM)
    return first.header, bytes(image)
