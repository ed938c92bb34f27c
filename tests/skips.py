"""A plugin that fails a run for skips nobody expects: ``python -m pytest -p tests.skips --expected-skips tests/expected_skips.txt``.

Without the option everything may be skipped, as on a machine without PostgreSQL or Chromium.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

LINE = "FILE::FUNCTION: REASON  # WHY"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--expected-skips", type=Path, metavar="FILE", help="Fail where a test is skipped that FILE does not name."
    )


def pytest_configure(config: pytest.Config) -> None:
    path: Path | None = config.getoption("--expected-skips")
    if path is not None:
        try:
            expected = read_expected(path.read_text())
        except (OSError, ValueError) as error:
            raise pytest.UsageError(f"--expected-skips {path}: {error}") from error
        config.pluginmanager.register(_Gate(expected))


def read_expected(text: str) -> dict[str, str]:
    """Return why each skip is expected, by ``FILE::FUNCTION: REASON``.

    Raises:
        ValueError: If a line says less than that.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            skip, _, why = line.partition("  # ")
            if ": " not in skip or not why.strip():
                raise ValueError(f"line {number} is not {LINE}")
            found[skip.strip()] = why.strip()
    return found


class _Gate:
    """Compares the skips of a run with those that are expected."""

    def __init__(self, expected: dict[str, str]) -> None:
        self._expected = expected
        self._others: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not hasattr(report, "wasxfail"):
            self._look_at(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._look_at(report)

    def _look_at(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped:
            return
        said = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        skip = f"{report.nodeid.partition('[')[0]}: {said.removeprefix('Skipped: ')}"
        if skip not in self._expected:
            self._others[skip] += 1

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._others and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._others:
            terminalreporter.section("unexpected skips", red=True)
            for skip, count in sorted(self._others.items()):
                terminalreporter.line(f"{count} x {skip}")
