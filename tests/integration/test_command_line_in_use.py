"""The command `obspec-utils` where something is wrong: errors before the work, and after all of it."""

from __future__ import annotations

import json
import os

import pytest
from rich.console import Console

from obspec_utils._cli import _output
from obspec_utils._cli._run import run


@pytest.fixture
def run_in_process(capsys):
    """Run the command in this process; return its output, and what it wrote to stderr."""

    def run_here(*arguments, code=2):
        assert run([str(argument) for argument in arguments]) == code
        return capsys.readouterr()

    return run_here


@pytest.fixture
def path(tmp_path):
    """A file that is of no format."""
    path = tmp_path / "a.nc"
    path.write_bytes(b"hello")
    return path


def test_no_json_before_an_error(run_in_process):
    out, err = run_in_process("glob", "--json", "http://127.0.0.1:9/*.nc")
    assert out == ""
    assert err.startswith("obspec-utils: Generic HTTP error")


@pytest.mark.parametrize("option", ["--json", "--latency=0.1"])
def test_explain_fails_if_the_workload_fails_with_every_reader(path, option, run_in_process):
    out, err = run_in_process("explain", path, option)
    assert "not the signature of a valid netCDF4 file" in out
    assert err.endswith("obspec-utils: the workload h5netcdf ended in an error with every reader\n")
    if option == "--json":
        assert json.loads(out)["recommended"] is None


@pytest.mark.parametrize("name", ["out", "out.frob", "folder", "folder.png"])
def test_a_plot_that_can_not_be_written_is_refused_before_the_work(path, tmp_path, name, run_in_process):
    for folder in ("folder", "folder.png"):
        (tmp_path / folder).mkdir()
    plot = tmp_path / name
    out, err = run_in_process("explain", path, "--plot", plot)
    assert out == ""
    assert err.startswith("obspec-utils: --plot must name a file that ends in one of .")
    assert err.endswith(f", got {plot}\n")


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() == 0, reason="root may write everywhere")
def test_a_plot_without_permission_is_refused_before_the_work(path, tmp_path, run_in_process):
    plot = tmp_path / "out.png"
    plot.touch(0o444)
    assert run_in_process("explain", path, "--plot", plot) == (
        "",
        f"obspec-utils: no permission to write --plot {plot}\n",
    )


@pytest.mark.parametrize("key", ["endpoint", "AWS_ENDPOINT_URL", "aws_endpoint_url_s3", "proxy_url"])
def test_addresses_are_urls(key, run_in_process):
    out, err = run_in_process(
        "inspect", "s3://b/a.nc", "--config", f"{key}=127.0.0.1:9", "--config", "skip_signature=true"
    )
    assert (out, err) == ("", f"obspec-utils: --config {key.lower()} must be a URL, such as https://host:9000\n")


@pytest.mark.parametrize("command", ["inspect", "explain"])
def test_a_folder_is_no_object(command, tmp_path, run_in_process):
    assert run_in_process(command, tmp_path) == ("", f"obspec-utils: {tmp_path} is a folder: name a file\n")
    assert run_in_process(command, tmp_path.as_uri()) == ("", f"obspec-utils: {tmp_path} is a folder: name a file\n")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path, run_in_process):
    pipe = tmp_path / "a.nc"
    os.mkfifo(pipe)
    assert run_in_process("inspect", pipe) == ("", f"obspec-utils: {pipe} is no regular file: name a file\n")


def test_http_that_is_not_allowed(run_in_process):
    options = [f"--config={it}" for it in ("endpoint=http://127.0.0.1:9", "skip_signature=true", "region=us-east-1")]
    _, err = run_in_process("inspect", "s3://b/a.nc", *options)
    assert err.startswith("obspec-utils: requests without TLS need --config allow_http=true (")


@pytest.mark.parametrize("option", ["--long", "--json"])
def test_glob_prints_no_password(object_server, option, run_in_process):
    object_server.put("bucket/a.nc", b"hello")
    host = object_server.url.removeprefix("http://")
    out, err = run_in_process("glob", option, f"http://user:HUSHHUSH@{host}/bucket/*.nc", code=0)
    assert f"http://{host}/bucket/a.nc" in out
    assert "HUSHHUSH" not in out + err


def test_the_workload_of_a_signed_url_is_that_of_its_path(object_server, run_in_process):
    object_server.put("bucket/a.nc", b"hello")
    out, _ = run_in_process("explain", f"{object_server.url}/bucket/a.nc?signature=x.tif", "--json")
    assert json.loads(out)["workload"] == "h5netcdf"


def test_numbers_in_shapes_are_not_highlighted_in_part(capsys, monkeypatch):
    def on_terminal(**options):
        return Console(force_terminal=True, color_system="standard", **options)

    monkeypatch.setattr(_output, "Console", on_terminal)
    _output.print_text("image 0  1500x1400x3  6.016 MiB (98%) 1,000 [bold]")
    blue, end = "\x1b[1;36m", "\x1b[0m"
    expected = f"image {blue}0{end}  1500x1400x3  {blue}6.016{end} MiB ({blue}98{end}%) {blue}1,000{end} [bold]\n"
    assert capsys.readouterr().out == expected
