"""The chat-completions protocol: the form of a request and the meaning of a reply. OpenAI's own service, Google's compatible
endpoint, vLLM and other servers implement it with small differences."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from common.errors import BadInput
from common.replies import AllRejected, Refused, Unusable
from judges.question import JudgeSampling, Question

OWN_FIELDS = ("model", "messages", "stream", "n", "response_format")  # never set by `extra`
FILTERED = ("content_filter", "safety", "prohibited_content", "blocklist", "spii")  # a choice's finish_reason
REFUSED = ("content_filter", "content_policy_violation", "moderation_blocked")  # an error's code or type
FOR_ALL = {
    "model_not_found": "name a model that this service has",
    "not_found": "name a model that this service has",
    "notfounderror": "name a model that this service has",
    "404": "name a model that this service has, and check its base URL",
    "insufficient_quota": "the account has no money left, or its limit is reached",
}
OWN_WORDS = ("unsupported_parameter", "unsupported_value", "unknown_parameter", "unknown name", "unrecognized request")
SCHEMA_WORDS = ("json_schema", "response_format", "response_schema")


@dataclass(frozen=True)
class ChatReply:
    """A successful reply. `text` is None where the model refused or was cut off before it said anything."""

    text: str | None
    refusal: str = ""
    cut: bool = False
    input_tokens: int = 0
    output_tokens: int = 0
    model: str = ""  # as the service names what answered
    fingerprint: str = ""


def check_extra(extra: Mapping[str, Any]) -> None:
    """Raises BadInput for further request fields that are set elsewhere or are no plain JSON."""
    if clash := sorted(set(extra) & set(OWN_FIELDS)):
        raise BadInput(f"extra request fields must not hold {', '.join(clash)}: the client sets them")
    try:
        json.dumps(dict(extra), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BadInput(f"extra request fields must be plain JSON values: {error}") from None


def request_head(
    model: str, question: Question, sampling: JudgeSampling, repeat: int, structured: bool, extra: Mapping[str, Any]
) -> bytes:
    """JSON of a request without its messages: an object to which `request_body` adds them. `extra` comes last: it replaces
    fields, and a null in it takes one out. `top_k` is no field of the protocol; servers that know it get it in `extra`."""
    fields: dict[str, Any] = {"model": model, "max_tokens": sampling.max_tokens}
    fields |= {"temperature": sampling.temperature, "top_p": sampling.top_p}
    fields["seed"] = None if sampling.seed is None else sampling.seed + repeat
    if structured and question.schema is not None:
        name = re.sub(r"[^A-Za-z0-9_-]", "_", question.name)[:64] or "reply"
        schema = {"name": name, "strict": True, "schema": question.schema}
        fields["response_format"] = {"type": "json_schema", "json_schema": schema}
    fields |= extra
    return json.dumps({k: v for k, v in fields.items() if v is not None}).encode()


def request_body(head: bytes, system: str, parts: Sequence[bytes]) -> bytes:
    """The whole request; `parts` are the JSON of the user message's pieces."""
    pieces = [head[:-1], b', "messages": [']
    if system:
        pieces.append(json.dumps({"role": "system", "content": system}).encode() + b", ")
    return b"".join([*pieces, b'{"role": "user", "content": [', b", ".join(parts), b"]}]}"])


class ReplyReader:
    """As `common.replies.Reader`. `structured`: whether the request asked for a schema."""

    def __init__(self, structured: bool) -> None:
        self.structured = structured

    def read(self, reply: dict[str, Any]) -> ChatReply:
        choices = reply.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            if why := self.refusal(reply):  # some gateways send an error as a success
                raise Refused(why)
            raise Unusable(f"a reply without choices: {json.dumps(reply)[:200]}")
        message = choice.get("message")
        message = message if isinstance(message, dict) else {}
        finish, text = str(choice.get("finish_reason") or "").lower(), _text(message.get("content"))
        given, made = _usage(reply.get("usage"))
        chat_reply = ChatReply(
            text or None,
            input_tokens=given,
            output_tokens=made,
            model=str(reply.get("model") or ""),
            fingerprint=str(reply.get("system_fingerprint") or ""),
        )
        refusal = message.get("refusal")
        if isinstance(refusal, str) and refusal.strip():
            return replace(chat_reply, text=None, refusal=f"the model refused: {refusal}")
        if finish in FILTERED:
            return replace(
                chat_reply, text=None, refusal=f"the content filter stopped the reply (finish_reason {finish})"
            )
        if finish == "length":
            return replace(chat_reply, cut=True)
        if not text:
            raise Unusable(f"an empty reply (finish_reason {finish or 'not given'})")
        return chat_reply

    def refusal(self, reply: dict[str, Any]) -> str:
        error = reply.get("error")
        error = error if isinstance(error, dict) else reply  # older vLLM servers have no "error" around it
        message = str(error.get("message") or "no words")
        causes = {str(error.get(k)).lower() for k in ("code", "type", "status")}
        if causes & set(REFUSED):
            return f"the content filter refused: {message}"
        for cause in sorted(causes & set(FOR_ALL)):
            raise AllRejected(f"{message}; {FOR_ALL[cause]}")
        details = f"{message} {error.get('param')}".lower()
        if self.structured and any(word in details for word in SCHEMA_WORDS):
            raise AllRejected(
                f"the service does not take the JSON schema of structured output ({message}); ask without it: "
                "structured=false (judge.structured=false)"
            )
        if any(word in f"{details} {' '.join(causes)}" for word in OWN_WORDS):
            raise AllRejected(
                f"the service does not know a field of the request, or not its value ({message}); a null among the extra "
                "fields takes it out (judge.extra.<field>=null), another value there replaces it"
            )
        return ""


def _text(content: Any) -> str:
    if isinstance(content, list):  # some servers send pieces
        content = "".join(p["text"] for p in content if isinstance(p, dict) and isinstance(p.get("text"), str))
    return content if isinstance(content, str) and content.strip() else ""


def _usage(usage: Any) -> tuple[int, int]:
    """Tokens in and out. Thinking counts as output: some services leave it out of the completion but not of the total."""
    usage = usage if isinstance(usage, dict) else {}
    given, completion, total = (_count(usage.get(k)) for k in ("prompt_tokens", "completion_tokens", "total_tokens"))
    return given, max(completion, total - given)


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


__all__ = ["OWN_FIELDS", "ReplyReader", "ChatReply", "check_extra", "request_body", "request_head"]
