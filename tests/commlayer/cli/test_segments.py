from __future__ import annotations

import json
import os
import subprocess
import sys
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


def test_every_vector_of_twilios_calculator_is_answered_as_it_says(commlayer: Commlayer) -> None:
    vectors = json.loads(VECTORS.read_text(encoding="utf-8"))["vectors"]
    texts = ["".join(text * times for text, times in vector["parts"]) for vector in vectors]
    lines = [{"text": text, "smart": vector["smart"]} for text, vector in zip(texts, vectors, strict=True)]
    result = commlayer("segments", input="\n".join(map(json.dumps, lines)))
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {name: vector[name] for name in ("encoding", "segments")} for vector in vectors
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


def test_a_line_that_is_no_utf8_is_an_error_in_its_place_whatever_the_locale(tmp_path: Path) -> None:
    lines = b'{"text": "caf\xc3\xa9"}\r\n{"text": "caf\xe9"}\n{"text": "x"}\n'
    for errors in ("strict", "surrogateescape"):
        done = subprocess.run(
            [sys.executable, "-m", "commlayer", "segments"],
            input=lines,
            capture_output=True,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "PYTHONIOENCODING": f"utf-8:{errors}"},
        )
        assert done.returncode == 1, done.stderr
        assert [json.loads(line) for line in done.stdout.splitlines()] == [
            {"encoding": "GSM-7", "segments": 1},
            {"error": "line 2: not UTF-8 at byte 13"},
            {"encoding": "GSM-7", "segments": 1},
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
    assert commlayer("segments", "--text", "h").stdout == "1 segment, GSM-7, 1 septet\n"
