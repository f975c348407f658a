"""The commands and their options."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer evaluates annotations
from typing import Annotated

import typer

from obspec_utils._about import VERSION
from obspec_utils._cli import _demo, _explain, _glob, _inspect

__all__ = ["app"]

app = typer.Typer(
    help="See what reading from an object store costs, and what makes it cheaper.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Url = Annotated[str, typer.Argument(metavar="URL", help="An object: s3://, gs://, az://, https://, or a local path.")]
Config = Annotated[
    list[str] | None,
    typer.Option(
        "--config",
        metavar="KEY=VALUE",
        help="A setting of the store, such as region=us-west-2 or skip_signature=true; may be repeated. Credentials"
        " come from the environment.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _show_version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"obspec-utils {VERSION}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _main(
    context: typer.Context,
    *,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=lambda v: _show_version(wanted=v)),
    ] = False,
) -> None:
    del version  # which has ended the command
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("glob", short_help="List the objects whose URLs match a pattern.")
def _glob_command(
    patterns: Annotated[
        list[str], typer.Argument(metavar="URL-PATTERN...", help='Such as "s3://bucket/data/**/*.nc", in quotes.')
    ],
    *,
    long: Annotated[bool, typer.Option("--long", "-l", help="Print size and date, too.")] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """List the objects whose URLs match a pattern: * and ? within a segment, [a-z], ** across segments.

    Exits with 1 if there is none.
    """
    found = _glob.run(patterns, config or [], long=long, as_json=json)
    raise typer.Exit(0 if found else 1)


@app.command("inspect", short_help="Show the layout of a file, and what reading it costs.")
def _inspect_command(url: Url, *, config: Config = None, json: Json = False) -> None:
    """Show how an HDF5, NetCDF4 or TIFF file is laid out, what reading it costs, and what would make it cheaper.

    Only its metadata is read.
    """
    _inspect.run(url, config or [], as_json=json)


@app.command("explain", short_help="Compare readers on one object, and recommend one.")
def _explain_command(
    url: Url,
    *,
    workload: Annotated[
        str | None,
        typer.Option(help="What to run: h5netcdf, h5py, rasterio, parquet or read-all. By default by the URL's end."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a picture, such as out.png.")] = None,
    latency: Annotated[float | None, typer.Option(help="Seconds to the first byte, of a network to compute.")] = None,
    bandwidth: Annotated[float | None, typer.Option(help="Bytes per second of one connection to it.")] = None,
    connections: Annotated[int | None, typer.Option(help="Connections to it.")] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Run one workload through every reader, compare requests, bytes and time, and recommend one."""
    network = _explain.network(latency, bandwidth, connections)
    _explain.run(url, config or [], workload, network, plot=plot, as_json=json)


@app.command("demo", short_help="Compare readers on a server on this machine.")
def _demo_command(*, json: Json = False) -> None:
    """Read a NetCDF4 file from a server on this machine with every reader, and compare.

    The server has a latency of 30 ms and 50 MB/s a connection, as cloud storage has.
    """
    _demo.run(as_json=json)
