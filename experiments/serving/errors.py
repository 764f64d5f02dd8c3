"""Errors as OpenAI's interface gives them: `{"error": {"message", "type", "param", "code"}}` with the right status."""

from __future__ import annotations

from typing import Any

from common.errors import ImageEditError

TYPES = {401: "authentication_error", 429: "rate_limit_error"}


class ApiError(ImageEditError):
    """What a client is told. `param`: the field of the form that is meant; `retry_s`: when it is worth trying again."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code, self.retry_s = status, param, code, retry_s

    @property
    def body(self) -> dict[str, Any]:
        kind = TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}

    @property
    def headers(self) -> dict[str, str]:
        headers = {} if self.retry_s is None else {"Retry-After": str(self.retry_s)}
        return headers | ({"WWW-Authenticate": "Bearer"} if self.status == 401 else {})


def bad(param: str, message: str, code: str | None = None) -> ApiError:
    """A field of the form that cannot be used."""
    return ApiError(400, message, param=param, code=code)


__all__ = ["ApiError", "bad"]
