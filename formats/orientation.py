"""Which way up a stored picture is shown, as a number of EXIF: 1 as stored, 2 mirrored, 3 turned by half, 4 upside down
and mirrored, 5 to 8 with width and height exchanged.
"""

from collections.abc import Sequence

EXIF_TAG = 0x0112
PLAIN = 1
_SIGNS = {(1, 1): 1, (-1, 1): 2, (-1, -1): 3, (1, -1): 4}  # of (a, d), where b and c are 0
_CROSSED = {(1, 1): 5, (1, -1): 6, (-1, -1): 7, (-1, 1): 8}  # of (b, c), where a and d are 0
_SLANT = 0.02  # of a matrix's larger entries: what the smaller ones may be


def of_matrix(matrix: Sequence[float]) -> int:
    """The orientation that a display matrix (a, b, c, d) makes: a stored point (x, y) is shown at (a x + c y,
    b x + d y). 1 where it turns by anything but quarters, as browsers take it.
    """
    a, b, c, d = matrix
    straight, crossed = min(abs(a), abs(d)), min(abs(b), abs(c))
    if straight > 0 and max(abs(b), abs(c)) <= _SLANT * straight:
        return _SIGNS[_sign(a), _sign(d)]
    if crossed > 0 and max(abs(a), abs(d)) <= _SLANT * crossed:
        return _CROSSED[_sign(b), _sign(c)]
    return PLAIN


def shown(width: int, height: int, orientation: object) -> tuple[int, int]:
    """Width and height of a picture when it is shown; what is no orientation changes nothing."""
    return (height, width) if orientation in (5, 6, 7, 8) else (width, height)


def _sign(value: float) -> int:
    return 1 if value > 0 else -1
