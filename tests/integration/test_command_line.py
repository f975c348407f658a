"""The command `obspec-utils`, as processes of its console script run it against the object server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from obspec_utils import __version__
from obspec_utils._cli._errors import message_of
from obspec_utils._cli._output import StatusLine
from obspec_utils._cli._run import run as run_here
from obspec_utils._cli._stores import locate
from tests.servers.fixtures import wait_until

COMMAND = str(Path(sysconfig.get_path("scripts"), "obspec-utils"))
LIMIT = 120
SECRET = "HUSHHUSH"
NAMES = ("2024/a.nc", "2024/b c#.nc", "2025/d.nc", "2025/e.tif")


def start(*arguments, **environment):
    """Start the command, with its output in pipes."""
    names = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "FORCE_COLOR"))}
    command = [COMMAND, *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**names, **environment}
    )


def run(*arguments, code=0, **environment):
    """Run the command; return its output, and what it wrote to stderr."""
    with start(*arguments, **environment) as process:
        out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == code, err
    assert "Traceback" not in err
    return out, err


def refused(*arguments, **environment):
    """Run the command; return the line that tells why it failed."""
    return only_line(*run(*arguments, code=2, **environment))


def only_line(out, err):
    assert out == ""
    lines = [line for line in err.splitlines() if line.startswith("obspec-utils")]
    assert len(lines) == 1, err
    assert SECRET not in err
    return lines[0]


@pytest.fixture
def run_in_process(capsys):
    """Run the command in this process; return its output, and what it wrote to stderr."""

    def run(*arguments, code=0):
        assert run_here([str(argument) for argument in arguments]) == code
        return capsys.readouterr()

    return run


@pytest.fixture
def s3(object_server):
    """The options that make the object server an S3 server."""
    settings = {
        "endpoint": object_server.url,
        "region": "us-east-1",
        "skip_signature": "true",
        "virtual_hosted_style_request": "false",
        "allow_http": "true",
    }
    return [f"--config={key}={value}" for key, value in settings.items()]


@pytest.fixture
def bucket(object_server, files):
    """A bucket with objects."""
    for name in NAMES:
        object_server.put(f"bucket/{name}", bytes(100))
    object_server.put("bucket/climate.nc", files["climate.nc"])
    object_server.put("bucket/grid.tif", files["grid.tif"])
    object_server.clear()
    return object_server


def test_version_and_help():
    assert run("--version")[0] == f"obspec-utils {__version__}\n"
    for arguments in ([], ["--help"], ["glob", "--help"], ["inspect", "--help"], ["explain", "--help"]):
        out, err = run(*arguments)
        assert out.startswith("Usage: obspec-utils")
        assert max(map(len, out.splitlines())) <= 80
        assert err == ""


def test_glob_prints_urls(bucket, s3):
    out, err = run("glob", "s3://bucket/**/*.nc", *s3)
    assert sorted(out.splitlines()) == [
        f"s3://bucket/{name}" for name in ("2024/a.nc", "2024/b c#.nc", "2025/d.nc", "climate.nc")
    ]
    assert err == ""
    out, _ = run("glob", "-l", "s3://bucket/2025/*", *s3)
    assert [line.split()[:2] for line in out.splitlines()] == [["100", "B"]] * 2
    out, _ = run("glob", "s3://bucket/2024/a.nc", "s3://bucket/2025/?.nc", "--json", *s3)
    assert [(found["url"], found["size"]) for found in json.loads(out)] == [
        ("s3://bucket/2024/a.nc", 100),
        ("s3://bucket/2025/d.nc", 100),
    ]


def test_glob_over_http_prints_urls_that_can_be_read(bucket, run_in_process):
    out, _ = run_in_process("glob", f"{bucket.url}/bucket/2024/?%20c*")
    assert out == f"{bucket.url}/bucket/2024/b%20c%23.nc\n"
    assert run_in_process("glob", out.strip())[0] == out


def test_glob_of_local_files(tmp_path):
    (tmp_path / "a%41 b").mkdir()
    for name in ("1.nc", "2.nc"):
        (tmp_path / "a%41 b" / name).write_bytes(b"x")
    expected = [f"{tmp_path.as_posix()}/a%41 b/{name}" for name in ("1.nc", "2.nc")]
    assert sorted(run("glob", tmp_path / "a*" / "[12].nc")[0].splitlines()) == expected
    assert sorted(run("glob", f"{(tmp_path / 'a%41 b').as_uri()}/**")[0].splitlines()) == expected


@pytest.mark.parametrize(("option", "expected"), [([], ""), (["--json"], "[]\n")])
def test_glob_without_a_match(bucket, s3, option, expected, run_in_process):
    out, err = run_in_process("glob", "s3://bucket/nothing/*", *option, *s3, code=1)
    assert (out, err) == (expected, "obspec-utils: no object matches s3://bucket/nothing/*\n")


@pytest.mark.parametrize("source", ["s3", "http", "file", "path"])
def test_inspect_from_every_kind_of_store(bucket, s3, files, tmp_path, source):
    path = tmp_path / "climate.nc"
    path.write_bytes(files["climate.nc"])
    url = {
        "s3": "s3://bucket/climate.nc",
        "http": f"{bucket.url}/bucket/climate.nc",
        "file": path.as_uri(),
        "path": os.path.relpath(path),
    }[source]
    options = s3 if source == "s3" else []
    out, err = run("inspect", url, *options)
    assert out.startswith(f"{url}: NetCDF4, ")
    assert "/temperature" in out
    assert (err, "\x1b" in out) == ("", False)
    told = json.loads(run("inspect", url, "--json", *options)[0])
    assert told["path"] == url
    assert "/temperature" in {array["name"] for array in told["arrays"]}
    if source in {"s3", "http"}:
        assert len(bucket.log()) == 2 * told["requests"]


def test_inspect_a_raster_of_a_signed_url(bucket, run_in_process):
    url = f"{bucket.url}/bucket/grid.tif?signature={SECRET}"
    out, err = run_in_process("inspect", url)
    assert out.startswith(f"{bucket.url}/bucket/grid.tif?...: TIFF, ")
    assert SECRET not in out + err
    assert SECRET not in run_in_process("inspect", url, "--json")[0]


def test_explain(bucket, s3, tmp_path, run_in_process):
    out, _ = run_in_process("explain", "s3://bucket/climate.nc", "--workload", "read-all", *s3, "--latency", "0.1")
    assert "open_reader" in out
    picture = tmp_path / "out.png"
    url = f"{bucket.url}/bucket/climate.nc"
    told = json.loads(
        run_in_process("explain", url, "--json", "--plot", picture, "--bandwidth", "1e6", "--connections", "4")[0]
    )
    assert (told["workload"], told["network"]) == ("h5netcdf", {"latency": 0.03, "bandwidth": 1e6, "connections": 4})
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_credentials_come_from_the_environment(bucket, s3):
    signed = [option for option in s3 if "skip_signature" not in option]
    names = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": SECRET}
    assert run("glob", "s3://bucket/climate.nc", *signed, **names)[0] == "s3://bucket/climate.nc\n"
    assert refused("inspect", "s3://bucket/no.nc", *signed, **names).endswith("no such object: s3://bucket/no.nc")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["frob"], "No such command 'frob'. (see obspec-utils --help)"),
        ([f"https://u:{SECRET}@host/a?b={SECRET}"], "No such command 'https://***@host/a?...'"),
        (["inspect"], "Missing argument 'URL'. (see obspec-utils inspect --help)"),
        (["inspect", "a.nc", "--frob"], "No such option: --frob"),
        (["inspect", "nothing/here.nc"], "no such object: nothing/here.nc"),
        (["inspect", "file:///nothing/here.nc"], "no such object: file:///nothing/here.nc"),
        (
            ["inspect", "ftp://host/a.nc"],
            "there is no store for ftp:// URLs: use s3, gs, az, abfs, http, https or file",
        ),
        (["inspect", "s3:///a.nc"], "the URL must have a bucket or host, such as s3://bucket/key"),
        (["inspect", "memory:///a.nc"], "there is no store for memory:// URLs"),
        (["inspect", "s3://bucket/"], "s3://bucket/ names no object: add its path"),
        (["explain", "https://host"], "https://host names no object: add its path"),
        (["inspect", "http://127.0.0.1:9/a.nc"], "Generic HTTP error: Error performing GET http://127.0.0.1:9/a.nc"),
        (["inspect", f"https://u:{SECRET}@127.0.0.1:9/a?b={SECRET}"], "GET of '' in AiohttpStore("),
        (["inspect", __file__], f"{__file__.lstrip('/')!r} begins with b'"),
        (["inspect", "a.nc", "--config", "region=x"], "local files take no --config"),
        (["inspect", "s3://b/a.nc", "--config", SECRET], "--config takes key=value, such as region=us-west-2"),
        (["inspect", "s3://b/a.nc", "--config", "frob=1"], "Configuration key: 'frob' is not valid for store 'S3'."),
        (["inspect", "s3://b/a.nc", "--config", "allow_http=perhaps"], "Generic Config error: failed to parse"),
        (["inspect", "http://127.0.0.1:9/a.nc", "--config", "region=x"], "'region' is no setting of an HTTP client"),
        (["explain", __file__, "--workload", "frob"], "workload must be a function of a file, or one of h5netcdf, "),
        (["explain", "nothing/here.nc"], "no such object: nothing/here.nc"),
        (["explain", __file__, "--plot", "nothing/here.png"], "there is no folder for --plot nothing/here.png"),
        (["explain", __file__, "--latency=-1"], "latency must be a finite number of at least 0 seconds, got -1.0"),
        (["explain", __file__, "--latency=soon"], "Invalid value for '--latency': "),
        (["glob", "ftp://host/*.nc"], "there is no store for ftp:// URLs"),
    ],
)
def test_errors_are_one_line(arguments, expected, capsys):
    assert run_here(arguments) == 2
    assert only_line(*capsys.readouterr()).startswith(f"obspec-utils: {expected}")


def test_what_obstore_adds_to_errors_is_left_out(capsys):
    assert run_here(["inspect", "http://127.0.0.1:9/a.nc"]) == 2
    line = only_line(*capsys.readouterr())
    assert "Debug source" not in line
    assert "after 2 retries" in line


def test_missing_credentials_are_told():
    asked = "Generic S3 error: Error performing PUT http://169.254.169.254/latest/api/token in 5s"
    message = message_of(OSError(f"{asked}\n\nDebug source:\nGeneric {{"))
    assert message.startswith("no credentials: set those of the store in the environment, such as AWS_ACCESS_KEY_ID")
    assert message.endswith(f"({asked})")


def test_errors_that_are_no_sentences_have_their_type():
    assert message_of(KeyError("a")) == "KeyError: 'a'"
    assert message_of(SystemExit(3)) is None
    panic = type("PanicException", (BaseException,), {})  # which obstore raises for some settings
    assert message_of(panic("Expected config prefix")) == "PanicException: Expected config prefix"


def test_the_traceback_of_an_error_can_be_shown(monkeypatch, capsys):
    monkeypatch.setenv("OBSPEC_UTILS_DEBUG", "1")
    assert run_here(["inspect", f"http://user:{SECRET}@127.0.0.1:1/a.nc"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last):\n")
    assert err.splitlines()[-1].startswith("obspec-utils: ")
    assert SECRET not in err


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("http://127.0.0.1:9/a.nc", "Connection refused"),
        ("http://nowhere.invalid/a.nc", "failed to lookup address information: "),
    ],
)
def test_why_a_host_cannot_be_reached_is_told(url, cause, capsys):
    assert run_here(["inspect", url]) == 2
    line = only_line(*capsys.readouterr())
    assert f"error sending request: {cause}" in line
    assert line.endswith(". Check the URL and the network")


@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_is_one_line(is_terminal, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    progress = StatusLine()
    progress.show("one")
    progress.show("two")
    progress.clear()
    erase = "\r\x1b[K"
    assert capsys.readouterr().err == (f"{erase}one{erase}two{erase}" if is_terminal else "one\n")


def test_the_exit_code_of_an_error():
    assert refused("inspect", "nothing/here.nc") == "obspec-utils: no such object: nothing/here.nc"


@pytest.mark.parametrize(
    ("url", "key", "variable"),
    [
        ("s3://b/a.nc", "secret_access_key", "AWS_SECRET_ACCESS_KEY"),
        ("s3://b/a.nc", "aws_session_token", "AWS_SESSION_TOKEN"),
        ("s3://b/a.nc", "SSE_CUSTOMER_KEY_BASE64", "AWS_SSE_CUSTOMER_KEY_BASE64"),
        ("gs://b/a.nc", "service_account_key", "GOOGLE_SERVICE_ACCOUNT_KEY"),
        ("gs://b/a.nc", "bearer_token", "GOOGLE_BEARER_TOKEN"),
        ("az://b/a.nc", "account_key", "AZURE_STORAGE_ACCOUNT_KEY"),
        ("az://b/a.nc", "azure_storage_sas_token", "AZURE_STORAGE_SAS_TOKEN"),
        ("az://b/a.nc", "bearer_token", "AZURE_STORAGE_TOKEN"),
        ("az://b/a.nc", "client_secret", "AZURE_STORAGE_CLIENT_SECRET"),
    ],
)
def test_credentials_on_the_command_line_are_refused(url, key, variable, capsys):
    assert run_here(["inspect", url, f"--config={key}={SECRET}"]) == 2
    line = only_line(*capsys.readouterr())
    assert line.endswith(f"can read command lines: set {variable} in the environment")


def test_timeouts_are_in_seconds():
    given = ["timeout=5", "connect_timeout=1.5", "read_timeout=500ms"]
    options = locate("https://host/a.nc", given).store.client_options
    assert (options["timeout"], options["connect_timeout"], options["read_timeout"]) == ("5000ms", "1500ms", "500ms")


def test_missing_objects_of_a_server(bucket, s3):
    assert refused("inspect", "s3://bucket/no.nc", *s3) == "obspec-utils: no such object: s3://bucket/no.nc"
    url = f"{bucket.url}/bucket/no.nc"
    assert refused("inspect", f"{url}?signature={SECRET}") == f"obspec-utils: no such object: {url}?..."


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_a_missing_extra(missing):
    program = f"import sys; sys.modules[{missing!r}] = None; from obspec_utils._cli import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f'obspec-utils requires {missing}: pip install "obspec-utils[cli]"\n'


@pytest.mark.parametrize("command", ["inspect", "glob", "explain"])
def test_ctrl_c_while_the_server_is_silent(bucket, command):
    """A call into obstore waits for the server; the command does not."""
    bucket.configure(latency=60)
    with start(command, f"{bucket.url}/bucket/climate.nc") as process:
        wait_until(bucket.log)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert (out, "Traceback" in err) == ("", False)


def test_a_reader_that_wants_no_more(tmp_path):
    for number in range(2000):
        (tmp_path / f"{number:060}.nc").touch()
    with start("glob", tmp_path / "*.nc") as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(LIMIT) == 1


def test_names_that_the_terminal_cannot_show(tmp_path):
    (tmp_path / "ä.nc").touch()
    out, _ = run("glob", tmp_path / "*", PYTHONIOENCODING="ascii")
    assert out == f"{tmp_path.as_posix()}/\\xe4.nc\n"
