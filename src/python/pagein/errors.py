"""What can go wrong: errno values of the library as exceptions.

Error is an OSError, with errno, strerror (the library's words) and filename (the URL). Where Python has
a class for an errno, the Error is one of that class, too, so that `except FileNotFoundError` works.
"""
from __future__ import annotations

import errno
from typing import Optional


class Error(OSError):
    """A call has failed. errno says how, reason has it in words, url is the object's."""

    @property
    def url(self) -> Optional[str]:
        return self.filename

    @property
    def reason(self) -> str:
        return self.strerror or ""


class NotFoundError(Error, FileNotFoundError):
    """ENOENT: the server has no such object."""


class NotPermittedError(Error, PermissionError):
    """EACCES, EPERM: the server, or this machine, does not allow it."""


class RefusedError(Error, ConnectionRefusedError):
    """ECONNREFUSED: nobody listens there."""


class TimedOutError(Error, TimeoutError):
    """ETIMEDOUT: the time that was given has passed."""


class FetchError(Error):
    """Bytes can't be had. offset is the first page of those that were wanted and are not there, in the
    object; status is the HTTP status that said so, or 0. errno: ESTALE when the object has changed,
    EIO, ETIMEDOUT and others when the server does not deliver. Map.retry(), or to read again, tries anew.
    """
    offset: int = 0
    status: int = 0


_CLASSES = {
    errno.ENOENT: NotFoundError,
    errno.EACCES: NotPermittedError,
    errno.EPERM: NotPermittedError,
    errno.ECONNREFUSED: RefusedError,
    errno.ETIMEDOUT: TimedOutError,
}


def error_of(number: int, reason: str, url: Optional[str] = None) -> Error:
    kind = _CLASSES.get(number, Error)
    return kind(number, reason) if url is None else kind(number, reason, url)


def fetch_error(number: int, reason: str, url: str, offset: int, status: int = 0) -> FetchError:
    error = FetchError(number, f"{reason}, at byte {offset}", url)
    error.offset = offset
    error.status = status
    return error
