"""Run nginx over a folder until stdin closes: by itself it would outlive whoever started it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.servers._lifeline import announce, end, free_port, wait_for_parent

_START_SECONDS = 10.0
# Another process may take the port that was free.
_TRIES = 5

# `/plain/`: files. `/whole/`: without ranges. `/chunked/`: without a length, and so without ranges. `/nohead/`: as a
# signed URL for GET. `/secret/`: with a password. `/moved/`: redirects. `/busy/`: 5 requests a second, 503 before.
_CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
{user}
events {{}}
http {{
  access_log off;
  default_type application/octet-stream;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  limit_req_zone $server_name zone=one:1m rate=5r/s;
  server {{
    listen 127.0.0.1:{port};
    location /plain/ {{ alias {files}/; }}
    location /whole/ {{ alias {files}/; max_ranges 0; }}
    location /chunked/ {{ alias {files}/; ssi on; ssi_types *; }}
    location /nohead/ {{ if ($request_method = HEAD) {{ return 403; }} alias {files}/; }}
    location /secret/ {{ auth_basic "files"; auth_basic_user_file {folder}/users; alias {files}/; }}
    location /moved/ {{ if ($request_uri ~ ^/moved/(.*)$) {{ return 302 /plain/$1; }} }}
    location /busy/ {{ limit_req zone=one; alias {files}/; }}
  }}
}}
"""


def main(executable: str, files: str) -> None:
    """Serve on a free loopback port."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "users").write_text("user:{PLAIN}p@ss\n", encoding="utf-8")
        for _ in range(_TRIES):
            port = free_port()
            user = "user root;" if os.geteuid() == 0 else ""
            text = _CONFIGURATION.format(folder=folder, files=files, port=port, user=user)
            Path(folder, "nginx.conf").write_text(text, encoding="utf-8")
            command = [executable, "-p", folder, "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]
            with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
                try:
                    if _listens(process, port):
                        announce(port)
                        wait_for_parent()
                        return
                finally:
                    end(process)
        sys.stderr.write(Path(folder, "error.log").read_text(encoding="utf-8"))
    message = "nginx ended before it listened"
    raise SystemExit(message)


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    give_up = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < give_up:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.01)
        else:
            return process.poll() is None
    return False


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
