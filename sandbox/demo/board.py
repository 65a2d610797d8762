"""What the terminal shows: one line per booking while it lives, then the table of how all of them ended."""

import time
from collections.abc import Iterator, Sequence
from typing import Final, Self

from rich import box
from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from models.money import display
from sandbox.asking import Json
from sandbox.client import StackDescription
from sandbox.demo.play import Played
from sandbox.demo.stage import CURRENCY

REFRESHED: Final = 8
"""Times a second."""

ROOMY: Final = 115
"""Columns from which on there is room for reasons."""


class Board:
    """Live on a terminal, and a line for each piece of news anywhere else."""

    def __init__(self, console: Console, names: Sequence[str]) -> None:
        self._console = console
        self._began = time.monotonic()
        self._news = dict.fromkeys(names, "about to start")
        self._spinners = {name: Spinner("dots") for name in names}
        self._live = Live(get_renderable=self._table, console=console, refresh_per_second=REFRESHED)

    def __enter__(self) -> Self:
        """Start showing."""
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last state on the screen."""
        if self._console.is_terminal:
            self._live.stop()

    def say(self, name: str, news: str) -> None:
        """Tell what a booking waits for now."""
        self._news[name] = news
        if not self._console.is_terminal:
            seconds = time.monotonic() - self._began
            self._console.print(f"{seconds:5.1f} s  {name:<22}  {news}", soft_wrap=True, highlight=False)

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for name, news in self._news.items():
            over = news == "done" or news.startswith("FAILED")
            mark = Text("✓" if news == "done" else "✗") if over else self._spinners[name]
            table.add_row(mark, name, Text(news, style="dim" if news == "done" else ""))
        return table


def show_outcomes(console: Console, stack: StackDescription, played: Sequence[Played]) -> None:
    """Print the table of outcomes, and where each booking can be looked at."""
    roomy = console.width >= ROOMY
    table = Table(
        title=f"Outcomes, amounts in {CURRENCY.upper()}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1 if roomy else 0),
    )
    for column in ("scenario", "booking", "payment", "payout"):
        table.add_column(column, no_wrap=True)
    for column in ("captured", "refunded", "fee", "share"):
        table.add_column(column, justify="right", no_wrap=True)
    for one in played:
        for row in _rows(one, reasons=roomy):
            table.add_row(*row)
    console.print(table)
    for one in played:
        for booking in one.bookings:
            url = stack.workflow_url(booking["workflow_id"])
            console.print(f"  {one.scenario.name:<22}  {url}", soft_wrap=True, highlight=False)


def _rows(played: Played, *, reasons: bool) -> Iterator[list[str]]:
    if not played.bookings:
        yield [played.scenario.name, "did not end"]
    for number, booking in enumerate(played.bookings):
        yield ["" if number else played.scenario.name, *_cells(booking, reasons=reasons)]


def _cells(booking: Json, *, reasons: bool) -> list[str]:
    payment, payout = booking["payment"], booking["payout"]
    reason = f" ({booking['status_reason']})" if reasons and booking["status_reason"] else ""
    amounts = (
        payment[name] for name in ("amount_captured", "amount_refunded", "platform_fee", "provider_share")
    )
    return [
        f"{booking['status']}{reason}",
        payment["status"],
        payout["status"] if payout else "none",
        *(display(amount, CURRENCY).partition(" ")[0] for amount in amounts),
    ]
