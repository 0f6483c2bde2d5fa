from __future__ import annotations

from structlog.testing import capture_logs

from connectors.webhooks.burst import Burst
from tests.support.waiting import until


async def test_a_burst_is_one_line_with_details_and_one_with_the_count_once_it_is_quiet() -> None:
    with capture_logs() as lines:
        burst = Burst("trouble", quiet_s=0.1)
        for number in range(4):
            burst.happened(number=number)
        assert lines == [{"event": "trouble", "number": 0, "log_level": "warning"}]

        await until(lambda: len(lines) == 2)
        assert lines[1] == {"event": "trouble: over", "count": 4, "log_level": "warning"}

        burst.happened(number=9)
        assert lines[2]["number"] == 9, "the next one is news again"
        burst.close()
        assert lines[3]["count"] == 1


async def test_closing_where_nothing_happened_says_nothing() -> None:
    with capture_logs() as lines:
        Burst("trouble").close()

    assert lines == []
