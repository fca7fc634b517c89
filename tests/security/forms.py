"""Hostile text: paths that climb, text that a parser could take for code."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product

CANARY = "canary.txt"
"""A file that stands in every folder above the stores."""

_UP = [
    *["..", ".", "...", "....", "..;", ".. ", " ..", "..\t", "..\n", "..\0", "..%00", "\u200b.."],
    *["%2e%2e", "%252e%252e", "%c0%ae%c0%ae", "\uff0e\uff0e", "\u2024\u2024", "\u202e..", "..."],
]
_SEPARATORS = ["/", "\\", "//", "/./", "%2f", "%5c", "%252f", "\u2215", "\uff0f", "\u2044", "/\0/"]
_DEPTHS = (1, 5)
_SINGLE = [
    *["", " ", ".", "..", "~", "~root", "-", "--", "-rf", "*", "?", "$HOME", "${HOME}", "%HOME%"],
    *["/", "//", "///", "\\", "\\\\", "\0", "\n", "\r\n", "\t", "\x1b[2J", "\u202e", "\ud800"],
    *["/etc/passwd", "//etc/passwd", "/etc//passwd", "/./etc/passwd", "/proc/self/environ"],
    *["/dev/stdin", "/dev/fd/0", "/dev/zero", "file:///etc/passwd", "file:/etc/passwd"],
    *["C:\\Windows\\win.ini", "C:/Windows", "C:", "\\\\host\\share", "//host/share", "\\\\?\\C:\\"],
    *["CON", "NUL", "aux.txt", "LPT1", "a:$DATA", "a::$INDEX", "name.", "name ", "name:stream"],
    *[".git", ".git/config", ".GIT/HEAD", ".g\u200cit/config", "git~1", ".gitmodules", ".git."],
    *["HEAD", "refs/heads/main", "objects/info/alternates", "hooks/post-commit", "config"],
    *["packed-refs", "refs/tags/x", "main.lock", "incoming/x", "incoming", "ab", "ab/cd"],
    *["a/../../b", "a/b/../../../c", "./../x", "a/..", "../", "..//", "a//b", "a/./b", "a/b/"],
    *["x" * 256, "x" * 5000, "a/" * 2000, "../" * 2000, "\uff0e" * 300, "%2e" * 300],
    *["http://127.0.0.1/x", "http://169.254.169.254/latest", "s3://bucket/x", "git@host:x"],
    *["models:/a/1", "models:/../1", "models:/a@gold", "runs:/x/../y", "si_2025_12_07_001/.."],
    *["si_2025_12_07_001\n", "si_2025_12_07_001\0", "../si_2025_12_07_001", "si_２025_12_07_001"],
    *[
        "v2.0/../..",
        "v2.0@{0}",
        "v2.0^{}",
        "v2.0~1",
        "v2.0:values.yaml",
        "v2.0..main",
        "@",
        "@{-1}",
    ],
    *["a" * 63, "A" * 64, "a" * 65, "a" * 64 + "\n", "a" * 64 + "/..", "../" + "a" * 61],
]


def traversals() -> list[str]:
    """More than 500 different forms of leaving a folder, or of making a parser leave it."""
    climbing = (
        f"{prefix}{(up + separator) * depth}{CANARY}"
        for up, separator, depth, prefix in product(_UP, _SEPARATORS, _DEPTHS, ("", "a/"))
    )
    return list(dict.fromkeys([*_SINGLE, *climbing]))


INJECTIONS = [
    *["$(touch pwned)", "`touch pwned`", "; touch pwned", "| touch pwned", "&& touch pwned"],
    *["\ntouch pwned\n", "' ; touch pwned ; '", '" ; touch pwned ; "', "$IFS", "${x:=pwned}"],
    *["--upload-pack=touch pwned", "-c core.sshCommand=x", "--exec=id", "-oProxyCommand=x"],
    *["' OR '1'='1", "'; DROP TABLE runs; --", '" OR 1=1 --', "x') --", "%' --", "\\' OR 1=1"],
    *["{{7*7}}", "${7*7}", "#{7*7}", "<%= 7*7 %>", "{% import os %}", "{0.__class__}", "%(x)s"],
    *["!!python/object/apply:os.system [touch pwned]", "!!python/name:os.system", "*a", "&a x"],
    *["<<: *x", "a: b", "- a", "# c", "---\na: 1", "...\n", "%YAML 1.1", "? a", "| x", "> x"],
    *["__import__('os').system('touch pwned')", "eval(1)", "lambda: 0", "cos\nsystem\n(S'x'\ntR."],
    *["<script>alert(1)</script>", "<!--", "]]>", "<!DOCTYPE x [<!ENTITY y SYSTEM 'file:///x'>]>"],
    *["a\r\nSet-Cookie: x=1", "a\nCycle: forged", "a\n\nStep: forged\n", "a\x85Cycle: forged"],
    *["a\u2028Cycle: forged", "\x1b]0;pwned\x07", "\x1b[31m", "\b\b\b", "\x7f", "\u202egnp.exe"],
    *["=cmd|'/c calc'!A1", "@SUM(1)", "+1+1", "${jndi:ldap://x/a}", "null", "~", "yes", "1e999"],
    *[
        ".inf",
        "-.nan",
        "0x1F",
        "1_000",
        "12:30:45",
        "2025-12-07",
        "\ufeff",
        "\ufffe",
        "\0",
        "\\u0000",
    ],
]


def texts(count: int, seed: int) -> Iterator[str]:
    """``count`` strings of valid Unicode, made to upset a reader of YAML."""
    chance = random.Random(seed)  # noqa: S311 - the same texts every time
    marks = ":#-?&*!|>'\"%@`{}[],~=<.+_\\/ \t\n\r\0\x07\x1b\x7f\x85\xa0\u2028\u2029\ufeff\u202e"
    letters = "ab0129eExXnNyYtf"
    words = [text for text in INJECTIONS if text.isprintable() or "\n" in text]
    yield from INJECTIONS[:count]
    for _ in range(count - len(INJECTIONS)):
        parts = [
            chance.choice(marks)
            if chance.random() < 0.5
            else chance.choice(letters)
            if chance.random() < 0.9
            else chr(chance.choice((chance.randrange(0xD800), chance.randrange(0xE000, 0x110000))))
            for _ in range(chance.randrange(16))
        ]
        if chance.random() < 0.1:
            parts.insert(chance.randrange(len(parts) + 1), chance.choice(words))
        yield "".join(parts)
