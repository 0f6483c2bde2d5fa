"""The live view fits an 80 column terminal and shows what the scene holds."""

from __future__ import annotations

from collections import Counter

from rich.console import Console

from commlayer.demo.view import LaneScene, Reply, Scene, draw, percentile, tell


def scene() -> Scene:
    scene = Scene(phase="traffic", elapsed_s=12, total_s=40, otp_latency_ms=[20, 30, 55], opt_outs=1)
    scene.lanes = [LaneScene("short-code", 100, 97.5, {"critical": 1, "bulk": 1520}), LaneScene("long-code", 1, 1)]
    scene.statuses = Counter(delivered=900, denied=2)
    scene.requested.update(login=30, shop=1900)
    scene.replies.append(Reply("+1********23", "STOP", "stop"))
    return scene


def drawn(scene: Scene) -> str:
    console = Console(width=80, record=True, file=None, force_terminal=False, quiet=False)
    with console.capture() as capture:
        console.print(draw(scene))
    return capture.get()


def test_the_view_shows_lanes_latency_statuses_and_replies_within_80_columns() -> None:
    text = drawn(scene())
    for expected in ("97.5 / 100", "1520", "p99 55 ms", "delivered 900", "+1********23", "STOP", "opt-outs: 1"):
        assert expected in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_an_empty_scene_can_be_drawn_and_told() -> None:
    assert "none sent yet" in drawn(Scene())
    assert "no lanes yet" in tell(Scene())


def test_the_plain_line_says_the_same_in_one_line() -> None:
    line = tell(scene())
    assert "\n" not in line
    assert "short-code 98/100 seg/s, 1521 queued" in line
    assert "otp p99 55 ms" in line


def test_percentiles_of_few_values() -> None:
    assert percentile([], 0.5) is None
    assert percentile([7], 0.99) == 7
    assert percentile(list(range(100)), 0.99) == 99
