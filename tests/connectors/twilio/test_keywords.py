from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.twilio.addresses import SenderType
from connectors.twilio.keywords import KeywordMatch, KeywordPacks, match
from schemas.records import KeywordIntent

STOP = ["STOP", "UNSUBSCRIBE", "END", "QUIT", "STOPALL", "REVOKE", "OPTOUT", "CANCEL"]
START = ["START", "UNSTOP", "YES"]
HELP = ["HELP", "INFO"]
INTENT = dict.fromkeys(STOP, KeywordIntent.STOP) | dict.fromkeys(START, KeywordIntent.START)
INTENT |= dict.fromkeys(HELP, KeywordIntent.HELP)
PERSONAL_TEXTS = Path(__file__).resolve().parents[4] / "shared" / "data" / "sms-texts.jsonl"


@pytest.mark.parametrize("word", INTENT)
@pytest.mark.parametrize("form", ["{}", " {}", "{}\n", "\u200b{} ", "\t{}\r\n"])
def test_each_of_twilios_words_matches_alone_in_any_case_with_space_around_it(word: str, form: str) -> None:
    for written in (word, word.lower(), word.capitalize(), word.swapcase()):
        assert match(form.format(written)) == KeywordMatch(INTENT[word], word, exact=True)


@pytest.mark.parametrize(
    "text", ["STOP.", "Stop!!", '"STOP"', "“Stop”", "'quit'", "stop…", "(unsubscribe)", "-END-", "STOP. "]
)
def test_a_stop_in_quotes_or_with_punctuation_counts_though_twilio_would_not_act(text: str) -> None:
    found = match(text)

    assert found is not None
    assert found.intent is KeywordIntent.STOP
    assert not found.exact


@pytest.mark.parametrize("text", ["START!", '"YES"', "Yes.", "help?", "info."])
def test_a_start_or_help_must_be_the_bare_word(text: str) -> None:
    assert match(text) is None


@pytest.mark.parametrize(
    "text",
    ["STOP PLEASE", "please stop", "don't stop", "st op", "stopp", "S T O P", "OPT OUT", "", " ", ".", "yes please",
     "the end", "stop2", "unstoppable", "cancelled", "STOP" * 20, "stop\nme"],
)  # fmt: skip
def test_anything_but_one_word_is_no_keyword(text: str) -> None:
    assert match(text) is None


@pytest.mark.parametrize("sender", [SenderType.TOLL_FREE, SenderType.SHORT_CODE, SenderType.CHANNEL])
def test_yes_starts_again_on_long_codes_only(sender: SenderType) -> None:
    assert match("YES", SenderType.LONG_CODE) is not None
    assert match("YES", sender) is None
    assert match("START", sender) is not None
    assert match("STOP", sender) is not None


def test_full_width_letters_are_letters() -> None:
    assert match("ＳＴＯＰ") == KeywordMatch(KeywordIntent.STOP, "STOP", exact=True)


def test_a_pack_of_another_language_is_data_and_stop_wins_over_start() -> None:
    packs = KeywordPacks({"a": {"start": ["ALTO"], "help": ["AYUDA"]}, "b": {"stop": ["ALTO", "détener"]}})

    assert packs.match("alto") == KeywordMatch(KeywordIntent.STOP, "ALTO", exact=True)
    assert packs.match("DÉTENER") == KeywordMatch(KeywordIntent.STOP, "DÉTENER", exact=True)
    assert packs.match("ayuda") == KeywordMatch(KeywordIntent.HELP, "AYUDA", exact=True)
    assert packs.match("STOP") is None


def test_what_people_write_to_each_other_is_never_a_keyword() -> None:
    """Real texts where they are present; a few of our own in any case."""
    texts = [
        "Yup next stop.",
        "I dun thk i'll quit yet",
        "Yes i have. So that's why u texted",
        "help me pls",
        "The end.",
    ]
    if PERSONAL_TEXTS.exists():
        rows = [json.loads(line) for line in PERSONAL_TEXTS.read_text(encoding="utf-8").splitlines()]
        texts += [row["text"] for row in rows if row["kind"] == "personal"]

    assert [text for text in texts if match(text) is not None] == []


@given(st.text(max_size=60))
def test_any_text_gets_an_answer_and_a_match_is_one_word(text: str) -> None:
    found = match(text)

    if found is not None:
        assert found.keyword in INTENT
        assert len(text.split()) == 1 or not found.exact
