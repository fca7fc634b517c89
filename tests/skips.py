"""Which skipped tests a build server lets pass."""

from __future__ import annotations

import pytest

PLATFORM = "platform: "
"""Reasons that start so are about the operating system, which no installation can change."""


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure, unless its reason is the platform or it is an expected failure.

    A test that is skipped for want of a package or of data says nothing, and looks green.
    """
    if not report.skipped or hasattr(report, "wasxfail") or not isinstance(report.longrepr, tuple):
        return
    path, line, reason = report.longrepr
    reason = reason.removeprefix("Skipped: ")
    if not reason.startswith(PLATFORM):
        report.outcome = "failed"
        report.longrepr = f"{path}:{line}: skipped, which CI does not allow: {reason}"
