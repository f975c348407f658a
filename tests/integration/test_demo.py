"""The demo of the command line, and the server that it reads from."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from threading import Thread
from urllib.request import Request, urlopen

import pytest
from obstore.store import HTTPStore

from obspec_utils._cli._demo_server import Server
from obspec_utils._cli._run import run
from tests.servers.fixtures import wait_until

SIZE = 300_000
CONTENT = bytes(number % 251 for number in range(SIZE))


@pytest.fixture
def url():
    """The URL of a server, as fast as it can be."""
    server = Server(CONTENT, latency=0, bandwidth=1e12)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def take_log(url):
    with urlopen(f"{url}/-/log") as response:
        return json.load(response)


def test_the_server_sends_ranges_and_counts(url):
    store = HTTPStore(url, client_options={"allow_http": True})
    assert store.get("object").bytes() == CONTENT
    assert store.get_range("object", start=10, end=20) == CONTENT[10:20]
    assert store.get("object", options={"range": {"suffix": 7}}).bytes() == CONTENT[-7:]
    assert store.get("object", options={"range": {"offset": SIZE - 3}}).bytes() == CONTENT[-3:]
    meta = store.head("object")
    assert (meta["size"], meta["e_tag"]) == (SIZE, '"demo"')
    assert take_log(url) == {"requests": 5, "bytes": SIZE + 10 + 7 + 3, "most_in_flight": 1}
    assert take_log(url) == {"requests": 0, "bytes": 0, "most_in_flight": 0}


def test_a_request_has_ended_when_the_client_has_its_last_byte(url):
    store = HTTPStore(url, client_options={"allow_http": True})
    for number in range(200):
        store.get_range("object", start=0, end=SIZE - number)
        store.head("object")
    assert take_log(url) == {"requests": 400, "bytes": 200 * SIZE - sum(range(200)), "most_in_flight": 1}


def test_a_range_past_the_end_is_cut(url):
    request = Request(f"{url}/object", headers={"Range": f"bytes={SIZE - 2}-{SIZE + 100}"})
    with urlopen(request) as response:
        assert response.headers["Content-Range"] == f"bytes {SIZE - 2}-{SIZE - 1}/{SIZE}"
        assert response.read() == CONTENT[-2:]


def test_the_server_ends_when_its_stdin_closes(tmp_path):
    file = tmp_path / "object"
    file.write_bytes(CONTENT)
    command = [sys.executable, "-m", "obspec_utils._cli._demo_server", "0", "1e12", str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        port, size = map(int, server.stdout.readline().split())
        assert size == SIZE
        with urlopen(f"http://127.0.0.1:{port}/object") as response:
            assert response.read() == CONTENT
        server.stdin.close()
        assert server.wait(30) == 0


@pytest.mark.slow
def test_the_demo_reads_the_same_with_every_reader(tmp_path, monkeypatch, capsys):
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # which the demo does not use
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert run(["demo", "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == "Writing a NetCDF4 file of 104 variables ...\n"
    told = json.loads(out)
    rows = {(row["reader"], row["over"]): row for row in told["rows"]}
    assert len({tuple(row["means"]) for row in told["rows"]}) == 1
    assert {row["requests"] for (_, over), row in rows.items() if over == "warm cache"} == {0}
    assert rows["open_reader", "the store"]["bytes"] < 10e6
    assert rows["EagerStoreReader", "the store"]["most_in_flight"] > 4
    assert rows["one streaming GET", "the store"]["requests"] == 1
    assert rows["fsspec's default", "the store"]["most_in_flight"] == 1
    assert Path(told["picture"]).read_bytes().startswith(b"\x89PNG")


def test_ctrl_c_ends_the_demo_and_leaves_no_file(tmp_path):
    """The server's process writes the file, in its own time, and removes it."""
    command = [str(Path(sysconfig.get_path("scripts"), "obspec-utils")), "demo"]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    with subprocess.Popen(command, env=os.environ | {"TMPDIR": str(tmp_path)}, **options) as demo:
        assert demo.stderr.readline() == "Writing a NetCDF4 file of 104 variables ...\n"
        wait_until(lambda: list(tmp_path.iterdir()))
        os.killpg(demo.pid, signal.SIGINT)  # as a terminal does
        out, err = demo.communicate(timeout=60)
    assert (demo.returncode, out, err) == (130, "", "")
    wait_until(lambda: not list(tmp_path.iterdir()))
