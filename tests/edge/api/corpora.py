"""Hostile strings: paths that climb, code of a dozen languages, secrets."""

from __future__ import annotations

import itertools

_TARGETS = ("outside.txt", "etc/passwd", "operators.jsonl", "si_2025_12_06_002/audit.jsonl")
_UPS = (
    "..", "%2e%2e", "%252e%252e", "..;", "%c0%ae%c0%ae", "．．", "․․", ".%00.", "..%00", "....",
    "%uff0e%uff0e", "..\u200b",
)  # fmt: skip
_SLASHES = ("/", "\\", "%2f", "%5c", "%252f", "//", "/./", "%c0%af", "∕", "\uff0f")
_DEPTHS = (1, 2, 6)

_ALONE = (
    "/", "//", ".", "..", "./", "../", "~", "~/", "~root/.ssh/id_rsa", "/etc/passwd",
    "//etc/passwd",
    "file:///etc/passwd", "C:\\Windows\\win.ini", "\\\\host\\share", "/proc/self/environ",
    "/dev/stdin", "audit.jsonl/", "model", "model/", "model//release.json", "model/./release.json",
    "model/../audit.jsonl", "link", "link/outside.txt", "folder-link/outside.txt", "pipe",
    "model/release.json/x", "a" * 300, "a/" * 60 + "b", "\0", "audit.jsonl\0.txt", "\r\n", " ",
     "CON", "NUL", "aux.json", "-rf", "--help", "$HOME", "`id`", "$(id)", "*", "?", "[a-z]",
    "\u202etxt.exe", "\ufeff", "audit.jsonl ", "audit.jsonl.", "AUDIT.JSONL", "audit%2ejsonl",
)  # fmt: skip

TRAVERSALS = tuple(
    dict.fromkeys(
        [
            *_ALONE,
            *(
                f"{slash.join([up] * depth)}{slash}{target}"
                for up, slash, depth, target in itertools.product(
                    _UPS, _SLASHES, _DEPTHS, _TARGETS[:2]
                )
            ),
            *(
                f"model{slash}..{slash}..{slash}{target}"
                for slash in _SLASHES
                for target in _TARGETS
            ),
        ]
    )
)

INJECTIONS = (
    "'; DROP TABLE feature_flags; --",
    '" OR "1"="1',
    "1) UNION SELECT digest FROM tokens --",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{7*7}} ${7*7} #{7*7} <%= 7*7 %>",
    "!!python/object/apply:os.system ['id']",
    "- &a [*a, *a]\nkey: |\n  text",
    "a: b # c\n---\n...",
    "{{ .Values.secret }}",
    "--upload-pack=touch /tmp/x",
    "$(touch /tmp/x) `touch /tmp/x` ; touch /tmp/x",
    'up{job="x"} or vector(1)',
    'first line\n{"level": "info", "event": "forged"}',
    "first line\r\nsecond line",
    "\u2028separator\u2029",
    "\x1b[2J\x1b[31mred\x07",
    "\u202eright to left\u200b",
    "%s %n %x {0} {self.__class__}",
    "=cmd|' /C calc'!A0",
    "Cycle: si_2025_12_07_001\nStep: promote",
    "не знайдено 🐍 ﷽",
    "null",
    "NaN",
    "../../etc/passwd",
)

CANARIES = (
    "postgresql://predator:canary-database-password@db.internal/predator",
    "https://hooks.slack.com/services/T0000/B0000/canaryCanaryCanary",
    "Authorization: Bearer canary.bearer.string.000001",
    "token=canary-token-in-a-query",
    "password=canary-password",
    "secret=canary-secret-value",
    "api_key=canary-api-key",
    "xoxb-0000-canary-slack-token",
    "ghp_canaryCanaryCanaryCanary0001",
    "sk-canaryCanaryCanaryCanary0002",
    "webhook=https://example.org/canary-webhook",
    "mysql://root:canary-root-password@10.0.0.1/x",
    *(f"prd_{number:03d}canary{'A' * 34}" for number in range(8)),
)
