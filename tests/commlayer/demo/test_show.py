"""The closing table tells how many arrived, and why the others did not."""

from __future__ import annotations

from rich.console import Console

from commlayer.demo.balance import Balance
from commlayer.demo.plan import Fate
from commlayer.demo.show import closing_table


def test_below_the_sums_stands_why_messages_did_not_arrive() -> None:
    reasons = {(Fate.DENIED, "opted_out"): 1, (Fate.REFUSED, "21614"): 4, (Fate.UNDELIVERED, "30003"): 1200}
    result = Balance(2000, 795, 1205, 0, 0, (), reasons)
    console = Console(width=80)
    with console.capture() as capture:
        console.print(closing_table(result))
    rows = [line.strip("│ ").split("│") for line in capture.get().splitlines() if line.startswith("│")]
    told = [tuple(cell.strip() for cell in row) for row in rows]
    assert told[:3] == [("requested", "2,000"), ("delivered", "795"), ("failed as planned", "1,205")]
    assert told[-3:] == [("30003 undelivered", "1,200"), ("21614 refused", "4"), ("opted_out", "1")]
