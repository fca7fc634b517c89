"""What the documents say, taken apart: links, headings, commands, figures."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path


def text_of(path: Path) -> str:
    return path.read_text("utf-8")


def targets(text: str) -> list[str]:
    """Where links and the boxes of diagrams lead, as written."""
    found = re.findall(r"\]\(([^)\s]+)[^)]*\)", text)
    return [*found, *re.findall(r'^\s*click \w+ (?:href )?"([^"]+)"', text, re.M)]


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a document."""
    prose = re.sub(r"^```.*?^```", "", text_of(path), flags=re.M | re.S)
    titles = (title.lower() for title in re.findall(r"^#+ (.+)$", prose, re.M))
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


def blocks(text: str, *languages: str) -> list[str]:
    """Fenced blocks in one of ``languages``."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S)
    return [body for language, body in fenced if language in languages]


def commands(text: str, program: str) -> Iterator[list[str]]:
    """What the text tells people to type, as words, for one program."""
    lines = [line for block in blocks(text, "sh") for line in shell_lines(block)]
    outside = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    lines += re.findall(r"`([^`\n]+)`", outside)
    for line in lines:
        found = re.match(rf"\$? ?(?:\S*/)?{program} (.+)", line.strip(), re.S)
        if found:
            yield shlex.split(found[1], comments=True)


def shell_lines(block: str) -> Iterator[str]:
    """Lines as a shell takes them: joined at a backslash and while a quote is open."""
    line = ""
    for part in block.splitlines():
        line += part
        if line.endswith("\\"):
            line = line[:-1]
            continue
        try:
            shlex.split(line, comments=True)
        except ValueError:
            line += "\n"
        else:
            yield line
            line = ""
    assert not line, f"a quote stays open in {line!r}"


def levels(text: str) -> list[int]:
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return [len(marks) for marks in re.findall(r"^(#+) ", prose, re.M)]


def figures(text: str) -> list[str]:
    """Every number of the tables and of what programs printed, in order."""
    rows = re.findall(r"^\|.*\|$", text, re.M)
    parts = [*rows, *blocks(text, "text", "sh", "json")]
    return [n for part in parts for n in re.findall(r"\{\{FIGURE:\w+\}\}|\d+(?:\.\d+)*", part)]
