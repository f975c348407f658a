"""The command `obspec-utils`."""

from __future__ import annotations

import sys

__all__ = ["main"]

_REQUIRED = {"click", "rich", "typer"}


def main() -> None:
    """Run the command that the process was started with, and exit."""
    try:
        from obspec_utils._cli._run import run  # noqa: PLC0415 - an extra

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _REQUIRED:
            raise
        sys.stderr.write(f'obspec-utils requires {missing}: pip install "obspec-utils[cli]"\n')
        code = 2
    sys.exit(code)
