from __future__ import annotations

from pathlib import Path

from tests.commlayer.conftest import Commlayer

TEXT = """
templates:
  code:
    current: "1"
    default_locale: en
    versions:
      "1":
        variables: {code: {kind: code, max_length: 8}}
        texts: {en: "Your code is {{ code }}", fr: "Voilà: {{ code }} ✓"}
"""


def test_lint_tells_encoding_segments_and_what_forces_ucs2(commlayer: Commlayer, config_file: Path) -> None:
    config_file.write_text(config_file.read_text() + TEXT)
    result = commlayer("templates", "lint")
    assert result.exit_code == 0
    assert "code 1 en: GSM-7, 1 to 1 segments (limit 1)" in result.stdout
    assert "code 1 fr: UCS-2, 1 to 1 segments (limit 1)" in result.stdout
    assert "U+2713 CHECK MARK makes it UCS-2" in result.stdout
    assert "warning: templates.code.versions.1.texts.fr" in result.stderr


def test_lint_fails_on_an_error_of_a_template(commlayer: Commlayer, config_file: Path) -> None:
    config_file.write_text(config_file.read_text() + TEXT.replace("{{ code }}", "{{ cdoe }}"))
    result = commlayer("templates", "lint")
    assert result.exit_code == 2
    assert "templates.code.versions.1.texts.en (line" in result.stderr


def test_list_and_show_tell_what_there_is(commlayer: Commlayer, config_file: Path) -> None:
    config_file.write_text(config_file.read_text() + TEXT)
    assert "code  version 1  en, fr  at most 1 segments" in commlayer("templates", "list").stdout
    assert "{{ code }}  code, at most 8, required" in commlayer("templates", "show", "code").stdout
    missing = commlayer("templates", "show", "cdoe")
    assert (missing.exit_code, missing.stderr) == (
        2,
        "error: no template is called `cdoe`\nfix: did you mean `code`?\n",
    )


def test_no_template_at_all_is_said(commlayer: Commlayer) -> None:
    for command in ("lint", "list"):
        assert "no template is configured" in commlayer("templates", command).stderr
