"""Short questions to the W&B service: whether it can take a record now, and how many steps of a run it has.

The package wandb would repeat such a question for minutes. Here every answer comes within WAIT_S, resolving of names included.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from common.connections import Connections, ExchangeFailed
from common.errors import BadInput, RunFailed
from experiments.runs.wandb_account import key, service, where_key

T = TypeVar("T")
WAIT_S = 6.0
VIEWER = "query Viewer { viewer { id } }"
ENTITY = "query Viewer { viewer { id entity } }"
STEPS = """query RunResumeStatus($project: String, $entity: String, $name: String!) {
  model(name: $project, entityName: $entity) { bucket(name: $name, missingOk: true) { historyLineCount } } }"""


def unavailable() -> str:
    """Why the service cannot take a record now, without the key; empty where it can, or where only the package wandb can tell (a
    certificate or a proxy that is not known here)."""
    address = service()
    try:
        status, answer = within(WAIT_S, lambda: _post(VIEWER, {}))
    except TimeoutError:
        return f"no answer from {address} within {WAIT_S:g} s"
    except ExchangeFailed as failed:
        return f"{failed}" if failed.retry else ""
    except BadInput as bad:
        return f"{address} is no address of a service" if "base_url" in str(bad) else ""
    if key() and (status in (401, 403) or answer == {"data": {"viewer": None}}):
        return f"{address} does not accept the key in {where_key()}"
    return f"{address} answers with status {status}" if status >= 500 else ""


def whose_key() -> str:
    """The entity that the key belongs to. Raises RunFailed where the service does not say."""
    if why := unavailable():
        raise RunFailed(f"W&B cannot be used: {why}")
    try:
        return str(within(WAIT_S, lambda: _post(ENTITY, {}))[1]["data"]["viewer"]["entity"])
    except (TimeoutError, ExchangeFailed, BadInput, KeyError, TypeError) as error:
        raise RunFailed(f"{service()} does not say whose the key is; give entity=<team or user>") from error


def rows_known(entity: str, project: str, run: str) -> int | None:
    """Rows of history that the service has of a run; None where it does not say."""
    given = {"entity": entity, "project": project, "name": run}
    try:
        _, answer = within(WAIT_S, lambda: _post(STEPS, given))
        return int(answer["data"]["model"]["bucket"]["historyLineCount"])
    except (TimeoutError, ExchangeFailed, BadInput, KeyError, TypeError, ValueError):
        return None


def within(seconds: float, call: Callable[[], T]) -> T:
    """What `call` returns or raises; TimeoutError where that takes longer. The call then goes on in a thread that keeps nobody
    waiting."""
    ended: list[Callable[[], T]] = []

    def work() -> None:
        try:
            value = call()
            ended.append(lambda: value)
        except BaseException as error:  # noqa: B902  # it is raised for the caller below
            ended.append(_raising(error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if not ended:
        raise TimeoutError(f"no end within {seconds:g} s")
    return ended[0]()


def _raising(error: BaseException) -> Callable[[], Any]:
    def again() -> Any:
        raise error

    return again


def _post(query: str, variables: Mapping[str, Any]) -> tuple[int, Any]:
    # longer than `within` waits, so that what is said of a silent service does not depend on which limit is noticed first
    connections = Connections(service(), connect_timeout_s=2 * WAIT_S, timeout_s=2 * WAIT_S, limit=1)
    headers = {
        "Authorization": "Basic " + base64.b64encode(f"api:{key()}".encode()).decode(),
        "Content-Type": "application/json",
    }
    try:
        response = connections.post(
            "/graphql", headers, json.dumps({"query": query, "variables": dict(variables)}).encode()
        )
    finally:
        connections.close()
    try:
        return response.status, json.loads(response.body)
    except ValueError:
        return response.status, None


__all__ = ["WAIT_S", "rows_known", "unavailable", "whose_key", "within"]
