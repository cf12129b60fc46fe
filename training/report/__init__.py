"""What `serd-train report` writes: a page for people, and training/RESULTS.md."""

from training.report.page import write
from training.report.results import results_markdown
from training.report.systems import ReportError, System

__all__ = ["ReportError", "System", "results_markdown", "write"]
