"""The reply cache: whole entries or none, from many threads and processes, across kills and bit flips."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import SaveFailed
from judges.cache import SUFFIX, ReplyCache, new_key

ROOT = Path(__file__).parents[2]


def key(name: object) -> bytes:
    made = new_key()
    made.update(repr(name).encode())
    return made.digest()


def filled(folder: Path, n: int) -> Path:
    cache = ReplyCache(folder)
    for k in range(n):
        cache.put(key(k), {"text": f"reply {k}\n\u2028 ünï", "n": k})
    cache.close()
    return next(folder.glob(f"*{SUFFIX}"))


def test_what_is_put_is_got_back_now_and_by_the_next_process(tmp_path):
    cache = ReplyCache(tmp_path)
    assert cache.get(key(0)) is None and list(tmp_path.iterdir()) == []  # nothing is written before there is a reply
    cache.put(key(0), {"text": "old"})
    cache.put(key(0), {"text": "new"})
    assert cache.get(key(0)) == {"text": "new"} and len(cache) == 1
    again = ReplyCache(tmp_path)
    assert again.get(key(0)) == {"text": "new"} and again.get(key(1)) is None
    again.put(key(0), {"text": "newer"})
    assert ReplyCache(tmp_path).get(key(0)) == {"text": "newer"}
    assert len(list(tmp_path.iterdir())) == 2  # one file per process, none of them rewritten


def test_the_file_is_json_lines(tmp_path):
    lines = [json.loads(line) for line in filled(tmp_path, 3).read_text().splitlines()]
    assert [line["reply"]["n"] for line in lines] == [0, 1, 2] and lines[0]["key"] == key(0).hex()


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_cut_anywhere_loses_the_cut_line_alone(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cut")
    path = filled(folder, 4)
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    kept = whole[:cut].count(b"\n")
    cache = ReplyCache(folder)
    assert [cache.get(key(k)) is not None for k in range(4)] == [k < kept for k in range(4)]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_never_gives_another_reply(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("flip")
    path = filled(folder, 3)
    raw = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(bytes(raw))
    results = [ReplyCache(folder).get(key(k)) for k in range(3)]
    assert all(f is None or f["n"] == k for k, f in enumerate(results))
    assert sum(f is not None for f in results) >= 1  # at most the line itself and the one after a lost line break


def test_half_a_line_and_damage_are_said_and_mended(tmp_path, caplog):
    path = filled(tmp_path, 2)
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"reply 0", b"reply 9") + b'{"key": "12')
    with caplog.at_level(logging.WARNING):
        cache = ReplyCache(tmp_path)
        assert cache.get(key(0)) is None and cache.get(key(1)) is not None
    assert [path.name in r.getMessage() for r in caplog.records] == [True, True]
    cache.put(key(0), {"n": 0})
    assert ReplyCache(tmp_path).get(key(0)) == {"n": 0}


def test_threads_share_one_file(tmp_path):
    cache = ReplyCache(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda k: cache.put(key(k), {"n": k, "text": "x" * (k * 37 % 900)}), range(400)))
        result = list(pool.map(lambda k: cache.get(key(k)), range(400)))
    assert [f["n"] for f in result] == list(range(400)) and len(list(tmp_path.iterdir())) == 1
    assert sorted(r["n"] for r in ReplyCache(tmp_path).replies()) == list(range(400))


def test_processes_share_a_folder_and_a_kill_costs_at_most_a_line(tmp_path):
    script = (
        "import sys, os; sys.path.insert(0, sys.argv[1])\n"
        "from judges.cache import ReplyCache, new_key\n"
        "cache = ReplyCache(sys.argv[2]); me = int(sys.argv[3])\n"
        "for k in range(me * 100, me * 100 + 100):\n"
        "    key = new_key(); key.update(repr(k).encode()); cache.put(key.digest(), {'n': k})\n"
        "os._exit(9)\n"  # as a kill does: nothing is flushed or closed
    )
    command = [sys.executable, "-c", script, str(ROOT), str(tmp_path)]
    started = [subprocess.Popen([*command, str(me)]) for me in range(2)]
    assert [p.wait(60) for p in started] == [9, 9]
    cache = ReplyCache(tmp_path)
    assert [cache.get(key(k)) for k in range(200)] == [{"n": k} for k in range(200)]


def test_a_folder_that_cannot_be_written_is_said_before_anything_is_paid(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(SaveFailed, match="cannot be written"):
        ReplyCache(tmp_path / "file" / "cache").check_writable()


def test_many_files_do_not_use_up_the_file_handles(tmp_path):
    for k in range(80):
        cache = ReplyCache(tmp_path)
        cache.put(key(k), {"n": k})
        cache.close()
    cache = ReplyCache(tmp_path)
    assert [cache.get(key(k))["n"] for k in range(80)] == list(range(80))
    assert len(cache._maps) <= 64
