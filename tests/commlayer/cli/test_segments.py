from __future__ import annotations

import json
from pathlib import Path

from tests.commlayer.conftest import Commlayer

VECTORS = Path(__file__).parents[2] / "connectors" / "twilio" / "data" / "segment-vectors.json"


def test_each_line_is_answered_in_order(commlayer: Commlayer) -> None:
    lines = [{"text": "hi"}, {"text": "☕"}, {"text": "“hi”", "smart": True}, {"text": "x" * 161}, {"text": ""}]
    result = commlayer("segments", input="\n".join(map(json.dumps, lines)) + "\n\n")
    assert result.exit_code == 0
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {"encoding": "GSM-7", "segments": 1},
        {"encoding": "UCS-2", "segments": 1},
        {"encoding": "GSM-7", "segments": 1},
        {"encoding": "GSM-7", "segments": 2},
        {"encoding": "GSM-7", "segments": 1},
    ]


def test_a_line_that_cannot_be_read_is_an_error_in_its_place(commlayer: Commlayer) -> None:
    result = commlayer("segments", input='nonsense\n{"body":"x"}\n["x"]\n{"text":"x","smart":"yes"}\n{"text":"x"}\n')
    assert result.exit_code == 1
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [list(answer) for answer in answers] == [["error"]] * 4 + [["encoding", "segments"]]
    assert answers[0]["error"].startswith("line 1: not JSON")
    assert answers[3]["error"] == "line 4: smart must be true or false"


def test_what_no_reader_of_json_takes_is_an_error_in_its_place_too(commlayer: Commlayer) -> None:
    lines = ["\ufeff" + json.dumps({"text": "x"}), "[" * 100_000, json.dumps({"text": "x"})]
    result = commlayer("segments", input="\n".join(lines))
    assert result.exit_code == 1
    assert [list(json.loads(line)) for line in result.stdout.splitlines()] == [
        ["encoding", "segments"],
        ["error"],
        ["encoding", "segments"],
    ]


def test_smart_for_all_lines_is_refused_instead_of_forgotten(commlayer: Commlayer) -> None:
    result = commlayer("segments", "--smart", input='{"text":"x"}\n')
    assert result.exit_code == 2
    assert "--smart belongs to --text" in result.stderr


def test_a_text_is_explained_with_what_forces_ucs2_and_what_it_costs(commlayer: Commlayer) -> None:
    shown = commlayer("segments", "--text", "“" + "x" * 100 + "” ☕").stdout
    assert shown.splitlines()[0] == "2 segments, UCS-2, 104 UTF-16 units"
    assert "“  U+201C LEFT DOUBLE QUOTATION MARK, 1 time\n" in shown
    assert "U+2615 HOT BEVERAGE" in shown
    assert "With GSM-7 characters in their place: 1 segment, GSM-7" in shown


def test_smart_encoding_is_offered_where_it_saves(commlayer: Commlayer) -> None:
    text = "“" + "x" * 100 + "”"
    assert "With Smart Encoding: 1 segment, GSM-7" in commlayer("segments", "--text", text).stdout
    assert commlayer("segments", "--smart", "--text", text).stdout.startswith("1 segment, GSM-7")


def test_a_plain_text_needs_one_line(commlayer: Commlayer) -> None:
    assert commlayer("segments", "--text", "hello").stdout == "1 segment, GSM-7, 5 septets\n"
