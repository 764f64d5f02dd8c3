"""A server on this machine that knows as much of W&B's interface as the package wandb needs to upload a run.

POST /graphql, by operation:

* `Viewer`: whose the key is; `ServerFeaturesQuery`: no optional feature; `OrganizationCoreWeaveOrganizationID`: none;
* `RunResumeStatus`: a run as it is known, or nothing; `UpsertBucket`: make a run or change it;
* `CreateRunFiles`: an address to PUT each file to;
* `ArtifactType`, `CreateArtifact`, `CreateArtifactManifest`, `UpdateArtifactManifest`, `ClientIDMapping`, `CreateArtifactFiles`,
  `CommitArtifact`, `UseArtifact`: an artifact, the files that it holds, that it is complete, that a run used it.

* `UpsertView2`, `upsertView`: a workspace, a report; `ProjectInternalId`, `GetProjects`: what a report asks before.

POST /files/<entity>/<project>/<run>/file_stream: lines of the history, by their number, the summary and the exit code.
PUT /run/<run>/<file>, /artifact/<artifact>/<file>: the files themselves. POST /sdk/…, telemetry, is thrown away.

Every request needs the key. Anything else is answered with 400 and kept in `unknown`. `trouble` makes the server ill from then
on: a status such as 500 answers everything with it, "hang" answers nothing. `trouble_at` lets the trouble begin with the first
request of an operation, `trouble_in` keeps it to paths that end so.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any
from urllib.parse import quote, unquote

KEY = "0123456789" * 4
ENTITY = "someone"


@dataclass
class StoredRun:
    name: str  # W&B's word for the id
    project: str
    config: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)  # tags, notes, jobType, groupName, displayName
    history: dict[int, dict[str, Any]] = field(default_factory=dict)  # by number of the line
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    files: dict[str, bytes] = field(default_factory=dict)

    def steps(self) -> dict[int, dict[str, Any]]:
        """The last row of each step, as W&B shows it."""
        return {row["_step"]: row for _, row in sorted(self.history.items())}


@dataclass
class StoredArtifact:
    name: str
    type: str
    client_id: str
    manifest: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    committed: bool = False
    used_by: list[str] = field(default_factory=list)  # runs
    made_by: str = ""


class WandBServer:
    def __init__(self) -> None:
        self.runs: dict[str, StoredRun] = {}
        self.artifacts: dict[str, StoredArtifact] = {}
        self.views: dict[str, dict[str, Any]] = {}  # workspaces and reports, as the library sends them
        self.operations: list[str] = []
        self.unknown: list[str] = []
        self.trouble: int | str = ""
        self.trouble_at: tuple[str, int | str] | None = None
        self.trouble_in = ""
        self.lock, self.over = Lock(), Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if server.trouble_at is not None and server.trouble_at[0].encode() in data:
                    (_, server.trouble), server.trouble_at = server.trouble_at, None
                if server.trouble == "hang" and self.path.endswith(server.trouble_in):
                    server.over.wait()
                    self.close_connection = True
                    return
                status, answer = server.answer(self.command, self.path, self.headers.get("Authorization", ""), data)
                text = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = answer

            def log_message(self, *anything: Any) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads, block_on_close = True, False

            def handle_error(self, *anything: Any) -> None:
                pass  # a client that closes its connections

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def heal(self) -> None:
        """End a trouble; requests that hang are dropped."""
        self.trouble, self.trouble_at, self.trouble_in = "", None, ""
        self.over.set()
        self.over = Event()

    def answer(self, method: str, path: str, authorization: str, data: bytes) -> tuple[int, Any]:
        with self.lock:
            if isinstance(self.trouble, int) and path.endswith(self.trouble_in):
                return self.trouble, {"errors": [{"message": "trouble"}]}
            if path.startswith("/sdk/"):
                return 200, {}
            kind, *place = unquote(path).strip("/").split("/", 2)
            if method == "PUT" and kind in ("run", "artifact"):  # the address itself is the permission
                (self.runs if kind == "run" else self.artifacts)[place[0]].files[place[1]] = data  # type: ignore[attr-defined]
                return 200, {}
            if authorization != "Basic " + base64.b64encode(f"api:{KEY}".encode()).decode():
                return 401, {"errors": [{"message": "invalid key"}]}
            if path.endswith("/file_stream"):
                return 200, self.stream(path.split("/")[-2], json.loads(data))
            return self.graphql(json.loads(data)) if path == "/graphql" else self.refuse(f"{method} {path}")

    def refuse(self, what: str) -> tuple[int, Any]:
        self.unknown.append(what)
        return 400, {"errors": [{"message": f"unknown: {what}"}]}

    def stream(self, run: str, told: Mapping[str, Any]) -> dict[str, Any]:
        stored = self.runs[run]
        for name, part in (told.get("files") or {}).items():
            rows = enumerate(part["content"], part["offset"])
            if name == "wandb-history.jsonl":
                stored.history.update({k: json.loads(line) for k, line in rows})
            if name == "wandb-summary.json":
                stored.summary = json.loads(part["content"][-1])
        if told.get("complete"):
            stored.exit_code = told["exitcode"]
        return {"exitcode": None, "limits": {}}

    def graphql(self, query: Mapping[str, Any]) -> tuple[int, Any]:
        given = query.get("variables") or {}
        given = given.get("input", given)
        operation = re.search(r"(?:query|mutation)\s+(\w+)", query["query"])[1]  # type: ignore[index]
        self.operations.append(operation)
        known: dict[str, Callable[[Any], Any]] = {
            "Viewer": lambda g: {"viewer": {
                "id": "1", "entity": ENTITY, "username": ENTITY, "email": "", "flags": "{}", "teams": {"edges": []}}},
            "ServerFeaturesQuery": lambda g: {"serverInfo": {"features": []}},
            "OrganizationCoreWeaveOrganizationID": lambda g: {"entity": {"organization": None}},
            "RunResumeStatus": self.resume_status,
            "UpsertBucket": self.upsert,
            "CreateRunFiles": lambda g: {"createRunFiles": {"runID": g["run"], "uploadHeaders": [], "files": [
                {"name": name, "uploadUrl": self.address("run", g["run"], name)} for name in g["files"]]}},
            "ProjectInternalId": lambda g: {"project": {"internalId": f"internal-{g['projectName']}"}},
            "GetProjects": self.projects,
            "UpsertView2": self.upsert_view,
            "upsertView": self.upsert_view,
            "ArtifactType": self.artifact_type,
            "CreateArtifact": self.create_artifact,
            "CreateArtifactManifest": self.manifest,
            "UpdateArtifactManifest": self.manifest,
            "ClientIDMapping": lambda g: {"clientIDMapping": next(
                ({"serverID": i} for i, a in self.artifacts.items() if a.client_id == g["clientID"]), None)},
            "CreateArtifactFiles": self.artifact_files,
            "CommitArtifact": self.commit,
            "UseArtifact": self.use_artifact,
        }  # fmt: skip
        return (200, {"data": known[operation](given)}) if operation in known else self.refuse(operation)

    def address(self, kind: str, owner: str, name: str) -> str:
        return f"{self.url}/{kind}/{owner}/{quote(name)}"

    def project(self, name: str) -> dict[str, Any]:
        return {"id": name, "name": name, "entity": {"id": ENTITY, "name": ENTITY}}

    def bucket(self, run: StoredRun) -> dict[str, Any]:
        return {"id": run.name, "name": run.name, "displayName": run.settings.get("displayName"), "description": "",
                "config": json.dumps(run.config), "sweepName": None, "historyLineCount": len(run.history)}  # fmt: skip

    def resume_status(self, given: Mapping[str, Any]) -> Any:
        run, bucket = self.runs.get(given["name"]), None
        if run is not None:
            tail = [json.dumps(run.history[max(run.history)])] if run.history else []
            bucket = self.bucket(run) | {
                "summaryMetrics": json.dumps(run.summary), "logLineCount": 0, "eventsLineCount": 0,
                "historyTail": json.dumps(tail), "eventsTail": "[]", "tags": run.settings.get("tags") or [],
                "notes": run.settings.get("notes"), "wandbConfig": '{"t": 1}'}  # fmt: skip
        return {"model": self.project(given["project"]) | {"bucket": bucket}}

    def upsert(self, given: Mapping[str, Any]) -> Any:
        inserted = given["name"] not in self.runs
        run = self.runs.setdefault(given["name"], StoredRun(given["name"], given["project"]))
        run.config.update(json.loads(given.get("config") or "{}"))
        wanted = ("displayName", "groupName", "jobType", "notes", "tags")
        run.settings.update({key: given[key] for key in wanted if given.get(key) is not None})
        return {"upsertBucket": {"bucket": self.bucket(run) | {"project": self.project(run.project)},
                                 "inserted": inserted}}  # fmt: skip

    def projects(self, given: Mapping[str, Any]) -> Any:
        nobody: dict[str, Any] = {"edges": []}
        user = {"id": "1", "name": ENTITY, "username": ENTITY, "email": "", "admin": False, "flags": "{}", "entity": ENTITY,
                "deletedAt": None, "apiKeys": nobody, "teams": nobody}  # fmt: skip
        nodes = [
            {"__typename": "Project", "id": name, "name": name, "entityName": ENTITY, "createdAt": "2026-01-01T00:00:00Z",
             "isBenchmark": False, "user": user}
            for name in sorted({run.project for run in self.runs.values()})
        ]  # fmt: skip
        info = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
        return {"models": {"edges": [{"node": node} for node in nodes], "pageInfo": info}}

    def upsert_view(self, given: Mapping[str, Any]) -> Any:
        inserted = given.get("id") not in self.views
        number = f"view-{len(self.views) + 1}" if inserted else given["id"]
        self.views[number] = dict(given) | {"id": number}
        project = {"id": given["projectName"], "name": given["projectName"], "entityName": given["entityName"]}
        view = {k: given.get(k) for k in ("type", "name", "displayName", "description", "spec")}
        return {
            "upsertView": {"view": view | {"id": number, "project": project, "updatedAt": None}, "inserted": inserted}
        }

    def artifact_type(self, given: Mapping[str, Any]) -> Any:
        name = given["name"].partition(":")[0]
        stored = next((a for a in self.artifacts.values() if a.name == name), None)
        return {"project": {"artifact": stored and {"artifactType": {"name": stored.type}}}}

    def create_artifact(self, given: Mapping[str, Any]) -> Any:
        number = str(len(self.artifacts) + 1)
        name = given["artifactCollectionName"]
        self.artifacts[number] = StoredArtifact(
            name, given["artifactTypeName"], given["clientID"], made_by=given.get("runName") or ""
        )
        return {"createArtifact": {"artifact": {
            "id": number, "state": "PENDING", "artifactSequence": {"latestArtifact": None}}}}  # fmt: skip

    def manifest(self, given: Mapping[str, Any]) -> Any:
        address = self.address("artifact", number := given["artifactID"], "manifest")
        file = {"id": number, "uploadUrl": address, "uploadHeaders": []}
        return {"createArtifactManifest": {"artifactManifest": {"id": number, "file": file}}}

    def artifact_files(self, given: Mapping[str, Any]) -> Any:
        nodes = [
            {"storagePath": f["name"], "uploadUrl": self.address("artifact", f["artifactID"], f["name"]),
             "uploadHeaders": [], "uploadMultipartUrls": None, "artifact": {"id": f["artifactID"]}}
            for f in given["artifactFiles"]
        ]  # fmt: skip
        return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}

    def use_artifact(self, given: Mapping[str, Any]) -> Any:
        self.artifacts[given["artifactID"]].used_by.append(given["runName"])
        return {"useArtifact": {"artifact": {"id": given["artifactID"]}}}

    def commit(self, given: Mapping[str, Any]) -> Any:
        stored = self.artifacts[given["artifactID"]]
        stored.manifest, stored.committed = json.loads(stored.files.pop("manifest")), True
        return {"commitArtifact": {"artifact": {"id": given["artifactID"], "digest": ""}}}


@contextmanager
def wandb_server() -> Iterator[WandBServer]:
    server = WandBServer()
    Thread(target=server.http.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        server.over.set()
        server.http.shutdown()
        server.http.server_close()


__all__ = ["ENTITY", "KEY", "StoredArtifact", "StoredRun", "WandBServer", "wandb_server"]
