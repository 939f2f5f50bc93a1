"""`statevec metrics`: an instance's figures for Prometheus, on a port or once on standard output."""

from __future__ import annotations

import time

import click

from statevec.cli.echo import echo

PORT = 9464
ONCE_SECONDS = 0.2


@click.command()
@click.option("--instance", required=True, type=click.Path(exists=True, file_okay=False), help="Instance directory.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 lets the system choose."
)
@click.option("--address", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--once", is_flag=True, help="Print what a scrape would get, and end.")
def metrics(instance: str, port: int, address: str, once: bool) -> None:
    """Export an instance's metrics until SIGTERM. Changes nothing and takes no lock; the list is in docs/live.md."""
    from statevec.engine.instance import open_instance
    from statevec.roles.stop_request import StopRequest

    try:
        from statevec.roles.metrics import MetricsExporter
    except ModuleNotFoundError as error:
        raise click.ClickException(f"{error.name} is not installed: pip install 'statevec[metrics]'") from error
    with MetricsExporter(open_instance(instance)) as exporter:
        exporter.look()
        if once:
            time.sleep(ONCE_SECONDS)
            exporter.look()
            for line in exporter.text().rstrip("\n").split("\n"):
                echo(line)
            return
        stop = StopRequest()
        try:
            port = exporter.serve(address, port)
        except OSError as error:
            raise click.BadParameter(f"{address}:{port}: {error.strerror}", param_hint="--port") from None
        echo(f"http://{address}:{port}/metrics")
        stop.wait()
