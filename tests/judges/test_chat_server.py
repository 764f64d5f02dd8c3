"""The test service itself: what benches and other tests stand on."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from judges.chat import ChatClient, ChatSettings
from judges.question import JudgeSampling, Question
from tests.judges import chat_server
from tests.judges.chat_server import instance
from tests.judges.simple_rubric import SCHEMA, read


def test_as_a_process_of_its_own_it_answers_everything_and_counts():
    command = [sys.executable, str(Path(chat_server.__file__)), "--latency-ms", "20", "--text", '{"score": [1, 2]}']
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            url = server.stdout.readline().strip()
            client = ChatClient(ChatSettings(base_url=url, key_env="", model="m", concurrency=8))
            with ThreadPoolExecutor(8) as pool:
                asked = [Question("sc", (f"question {k}",), read) for k in range(16)]
                replies = list(pool.map(lambda q: client.ask(q, JudgeSampling()), asked))
            assert {reply.text for reply in replies} == {'{"score": [1, 2]}'}
            with urllib.request.urlopen(f"{url}/count") as counted:
                assert json.load(counted) == {"calls": 16}
        finally:
            server.kill()


def test_it_answers_as_the_schema_says():
    result = {json.dumps(instance(SCHEMA, str(k))) for k in range(20)}
    assert len(result) > 10 and all(len(read(text)["score"]) == 2 for text in result)
