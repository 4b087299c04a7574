"""`remote-worker bulk`: a recipe for every picture of a store, planned, run and looked at."""

import argparse
from collections.abc import Callable, Mapping

from ..settings import Settings
from . import bulk_reports, bulk_running


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Put `bulk` and its own commands among the others."""
    bulk = commands.add_parser("bulk", help="apply a recipe to every picture of a store")
    kinds = bulk.add_subparsers(dest="what", required=True, metavar="what")
    for add in _ADDED:
        add(kinds)


def bulk(options: argparse.Namespace, settings: Settings) -> int:
    """Do one of its commands; the answer is the exit status."""
    return _COMMANDS[options.what](options, settings)


_ADDED: tuple[Callable[["argparse._SubParsersAction[argparse.ArgumentParser]"], None], ...] = (
    bulk_running.add,
    bulk_reports.add,
)
"""What adds the arguments of one or more commands."""
_COMMANDS: Mapping[str, Callable[[argparse.Namespace, Settings], int]] = {
    "plan": bulk_running.plan,
    "run": bulk_running.run,
    "run-shard": bulk_running.run_shard,
    "status": bulk_reports.status,
    "retry": bulk_reports.retry,
    "report": bulk_reports.report,
}
