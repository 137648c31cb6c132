"""Text and marks of the operations pages can be told from their ground in both themes."""

import re
from pathlib import Path

import pytest

import payhub_operations

CSS = (Path(payhub_operations.__file__).parent / "static" / "operations.css").read_text()
TEXT_CONTRAST_MIN = 4.5  # WCAG 2.2, 1.4.3
MARK_CONTRAST_MIN = 3.0  # WCAG 2.2, 1.4.11


def _themes() -> dict[str, dict[str, str]]:
    light, dark = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
    return {
        name: dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", text))
        for name, text in (("light", light), ("dark", dark))
    }


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    brighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("ground", ["ground", "raised"])
@pytest.mark.parametrize("text", ["ink", "soft", "link", "good", "bad", "wait"])
def test_text_can_be_read(theme: str, ground: str, text: str):
    colours = _themes()[theme]
    assert _contrast(colours[text], colours[ground]) >= TEXT_CONTRAST_MIN


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_focus_and_the_text_on_buttons_can_be_seen(theme: str):
    colours = _themes()[theme]
    assert _contrast(colours["focus"], colours["ground"]) >= MARK_CONTRAST_MIN
    assert _contrast(colours["focus"], colours["raised"]) >= MARK_CONTRAST_MIN
    assert _contrast(colours["ground"], colours["link"]) >= TEXT_CONTRAST_MIN
