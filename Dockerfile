# syntax=docker/dockerfile:1
# The same as on any machine: `make setup`, then `make run`.
#   docker build --target cpu -t imageedit-r1:cpu .      docker run --rm imageedit-r1:cpu
#   docker build --target cuda -t imageedit-r1:cuda .    docker run --rm --gpus all imageedit-r1:cuda
FROM python:3.11-slim-bookworm AS base
LABEL org.opencontainers.image.title="imageedit-r1" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN apt-get update && apt-get install -y --no-install-recommends make && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 app \
    && mkdir -p /app/outputs && chown -R app:app /app
WORKDIR /app
COPY --chown=app:app . .
USER app
ENV PATH="/app/.venv/bin:$PATH" \
    PYTHONUNBUFFERED=1
VOLUME /app/outputs
CMD ["make", "run"]

FROM base AS cpu
RUN --mount=type=cache,target=/home/app/.cache,uid=1000,gid=1000 make setup

# torch's wheels bring CUDA's libraries; the driver is the host's (NVIDIA's container toolkit). No GPU is there while an image is
# built, so the build of torch is named: one that fits the host's driver.
FROM base AS cuda
ARG CUDA_BUILD=cu130
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    IMAGEEDIT_CUDA=${CUDA_BUILD}
RUN --mount=type=cache,target=/home/app/.cache,uid=1000,gid=1000 make setup extra-deepspeed
