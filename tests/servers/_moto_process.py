"""Run moto's S3 application until stdin closes; with `--gcs`, behind a translation for GCSStore."""

from __future__ import annotations

import argparse
import logging
import re
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from tests.servers._lifeline import announce, wait_for_parent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication

_AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=test/20200101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
_FROM_GCS = "HTTP_X_GOOG_"
_TO_S3 = "HTTP_X_AMZ_"


def translate_gcs(application: WSGIApplication) -> WSGIApplication:
    """Wrap an S3 application so that the XML API of Google Cloud Storage reaches it."""

    def translated(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        environ["HTTP_AUTHORIZATION"] = _AUTHORIZATION
        for name in [name for name in environ if name.startswith(_FROM_GCS)]:
            environ[name.replace(_FROM_GCS, _TO_S3)] = environ.pop(name)
        # Generation 0 is how GCS says "only if there is none yet".
        if environ.pop("HTTP_X_AMZ_IF_GENERATION_MATCH", None) == "0":
            environ["HTTP_IF_NONE_MATCH"] = "*"
        # The store escapes even the hyphens of a bucket's name, which moto does not undo.
        for name in ("RAW_URI", "REQUEST_URI"):
            environ[name] = re.sub("^/[^/?]*", lambda bucket: unquote(bucket[0]), environ[name])
        return application(environ, _renaming(start_response))

    return translated


def _renaming(start_response: StartResponse) -> Callable[..., Any]:
    def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
        renamed = [(name.lower().replace("x-amz-", "x-goog-"), text) for name, text in headers]
        return start_response(status, renamed, *more)

    return start


def main() -> None:
    """Serve on a free loopback port."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gcs", action="store_true", help="accept what a GCSStore sends")
    application: WSGIApplication = create_backend_app("s3")
    if parser.parse_args().gcs:
        application = translate_gcs(application)
    # Its request log would fill the test report; warnings of moto itself still show.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    announce(server.port)
    wait_for_parent()
    server.shutdown()
    server.server_close()


if __name__ == "__main__":
    main()
