"""What can go wrong between bytes and a score: one shallow tree. It refuses to turn any of it into a score."""

from __future__ import annotations


class ModelError(Exception):
    """The detector could not do what was asked."""

    def __init__(self, detail: str | None = None) -> None:
        """`detail` replaces the default message, which is the class's docstring."""
        super().__init__(detail or type(self).__doc__)


class BadImage(ModelError):
    """The bytes are not an image that can be scored."""

    slug = "undecodable"


class EmptyFile(BadImage):
    """The file has no bytes."""

    slug = "empty-file"


class UnsupportedMedia(BadImage):
    """The bytes are of no image format that is scored here."""

    slug = "unsupported-media-type"


class TooManyPixels(BadImage):
    """The image claims more pixels than the limit."""

    slug = "too-many-pixels"


class TooLong(BadImage):
    """The video is longer than the limit."""

    slug = "too-long"


class TooComplex(BadImage):
    """The file has more parts than are worth decoding."""

    slug = "too-complex"


class TooCostly(BadImage):
    """Decoding the file took too much time or memory and was ended."""

    slug = "too-costly"


class TooManyTracks(BadImage):
    """The video has more tracks of pictures than are looked at."""

    slug = "too-many-tracks"


class TooMuchMetadata(BadImage):
    """The file holds more beside its pixels than is skipped."""

    slug = "too-much-metadata"


class TornFile(BadImage):
    """The file ends before its image does."""

    slug = "torn-file"


class UnsafeMember(BadImage):
    """The archive's member leads out of the folder, is a link, or unpacks to far more than it is."""

    slug = "unsafe-member"


class NoFace(BadImage):
    """No face was found where faces are to be cut out."""

    slug = "no-face"


class ReleaseError(ModelError):
    """The detector release is missing or not what its own record says."""


class EncoderError(ModelError):
    """The encoder is missing, damaged, or not the one that the release was made with."""


class DeviceError(ModelError):
    """The device asked for is not there."""


class DatasetError(ModelError):
    """The folder of images cannot be trained or tested on."""


class Diverged(ModelError):
    """Training left the numbers: its loss is infinite or none."""
