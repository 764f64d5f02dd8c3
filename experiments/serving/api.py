"""The application: OpenAI's `POST /v1/images/edits` and `GET /v1/models`, and beside them health, metrics, kept pictures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from common.errors import BadInput
from common.pictures import Picture
from experiments.serving.answers import answer_of, check_size
from experiments.serving.arms import Ask, Made
from experiments.serving.batching import Batcher, Closed, Full
from experiments.serving.errors import ApiError, bad
from experiments.serving.form import Rules
from experiments.serving.kept import PATH, KeptPictures
from experiments.serving.keys import Keys
from experiments.serving.limits import PictureLimits
from experiments.serving.metrics import Metrics
from experiments.serving.upload import Upload, read_form
from experiments.serving.waiting import RETRY_S, results
from experiments.serving.wire import GONE, Wire

Check = Callable[[str, Picture, str], None]  # of a model, a picture and a prompt; raises ApiError


@dataclass(frozen=True)
class Service:
    """Everything that the application needs. `models`: names and what they are. `check` refuses what a model knows nothing of."""

    batcher: Batcher[Ask, Made]
    models: Mapping[str, str]
    rules: Rules
    limits: PictureLimits = field(default_factory=lambda: PictureLimits(25_000_000, 16_000_000))
    keys: Keys = field(default_factory=Keys)
    metrics: Metrics = field(default_factory=Metrics)
    check: Check = lambda model, picture, prompt: None
    fingerprints: Mapping[str, str] = field(default_factory=dict)  # of what defines each model's pictures
    max_requests: int = 128
    max_wait_s: float = 300.0
    upload_s: float = 60.0
    kept: KeptPictures = field(default_factory=lambda: KeptPictures(3600.0, 200, 500_000_000))
    public_url: str = ""  # by which clients reach the server, ending in "/"; empty: what a request's own head says
    started: int = field(default_factory=lambda: int(time.time()))


def create_app(service: Service) -> Wire:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)  # its pages would load scripts from elsewhere
    service.metrics.watch_queue(service.batcher.waiting)

    @app.post("/v1/images/edits")
    async def edits(request: Request) -> Response:
        admit(request, service.keys)
        check_ready(service.batcher)
        if service.metrics.under_way() > service.max_requests:
            raise busy(f"{service.max_requests} requests are under way already; try again later")
        upload = await read_form(request, service.rules, service.limits, service.upload_s)
        made = await edited(request, service, upload)
        base_url = service.public_url or str(request.base_url)
        body = await asyncio.to_thread(answer_of, upload.order, upload.picture, made, service.kept, base_url)
        service.metrics.pictures.labels(upload.order.model).inc(len(made))
        ignored = {"x-ignored": ", ".join(upload.order.ignored)} if upload.order.ignored else {}
        return JSONResponse(body, headers=ignored)

    @app.get("/v1/models")
    async def models(request: Request) -> dict[str, Any]:
        admit(request, service.keys)
        return {"object": "list", "data": [model_of(service, name) for name in service.models]}

    @app.get("/v1/models/{name}")
    async def model(request: Request, name: str) -> dict[str, Any]:
        admit(request, service.keys)
        if name not in service.models:
            raise ApiError(404, f"The model '{name[:100]}' does not exist.", param="model", code="model_not_found")
        return model_of(service, name)

    @app.api_route(PATH + "{name}", methods=["GET", "HEAD"])
    async def picture(request: Request, name: str) -> Response:
        admit(request, service.keys)
        if (found := service.kept.get(name)) is None:
            raise ApiError(
                404, f"there is no such picture (any more): {told_of(service.kept)}", code="picture_not_found"
            )
        file, stays = found
        headers = {"Cache-Control": f"private, max-age={int(stays)}", "X-Content-Type-Options": "nosniff"}
        return Response(file.data, media_type=f"image/{file.kind}", headers=headers)

    @app.get("/health")
    async def health() -> JSONResponse:
        ready = service.batcher.ready.is_set()
        body = {"status": "ready" if ready else "loading", "waiting": service.batcher.waiting()}
        return JSONResponse(body, 200 if ready else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    @app.exception_handler(ApiError)
    async def told(request: Request, error: ApiError) -> JSONResponse:
        return JSONResponse(error.body, error.status, error.headers)

    @app.exception_handler(HTTPException)
    async def of_framework(request: Request, error: HTTPException) -> JSONResponse:
        words = {
            404: f"there is nothing at {request.url.path}; edits are POST /v1/images/edits",
            405: f"{request.method} is not possible at {request.url.path}",
            400: f"the form cannot be read: {error.detail}",
        }
        known = ApiError(error.status_code, words.get(error.status_code, str(error.detail)))
        return JSONResponse(known.body, known.status, dict(error.headers or {}))

    @app.exception_handler(ClientDisconnect)
    async def went_away(request: Request, error: ClientDisconnect) -> Response:
        service.metrics.abandoned.inc()
        return Response(status_code=GONE)

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> JSONResponse:
        known = ApiError(500, "a fault of the server; its log says more", code="internal_error")
        return JSONResponse(known.body, known.status)

    return Wire(app, service.metrics, service.limits.max_bytes)


async def edited(request: Request, service: Service, upload: Upload) -> list[Made]:
    """Put the order into the queue and wait. Raises ApiError or ClientDisconnect."""
    order, picture = upload.order, upload.picture
    check_size(order, picture)
    if order.url:
        try:
            service.kept.check(order.n)
        except BadInput as error:
            raise bad("response_format", str(error)) from None
    await asyncio.to_thread(service.check, order.model, picture, order.prompt)
    asks: Sequence[Ask] = [Ask(order.model, picture.rgb, order.prompt, seed) for seed in order.seeds]
    try:
        futures = service.batcher.submit(asks)
    except Full as error:
        raise busy(str(error)) from None
    except Closed as error:
        raise ApiError(503, str(error), code="stopping", retry_s=RETRY_S) from None
    return await results(request, futures, service.max_wait_s)


def admit(request: Request, keys: Keys) -> None:
    if not keys.admit(request.headers.get("authorization")):
        raise ApiError(
            401, "Incorrect or missing API key; send it as 'Authorization: Bearer <key>'.", code="invalid_api_key"
        )


def check_ready(batcher: Batcher[Ask, Made]) -> None:
    if not batcher.ready.is_set():
        raise ApiError(
            503, "the models are still loading; /health says when they are ready", code="loading", retry_s=RETRY_S
        )


def told_of(kept: KeptPictures) -> str:
    return f"one is kept for {kept.seconds / 60:g} min, and {kept.most} of them at a time"


def busy(message: str) -> ApiError:
    return ApiError(429, message, code="rate_limit_exceeded", retry_s=RETRY_S)


def model_of(service: Service, name: str) -> dict[str, Any]:
    known: dict[str, Any] = {"id": name, "object": "model", "created": service.started, "owned_by": "imageedit-r1"}
    known["description"] = service.models[name]
    if name in service.fingerprints:
        known["fingerprint"] = service.fingerprints[name]
    return known


__all__ = ["Service", "create_app"]
