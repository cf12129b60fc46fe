"""What `serd-train report` writes: a page for people, and training/RESULTS.md."""

from training.report.page import write
from training.report.results import results_markdown
from training.report.systems import ReportError, corpora_of

__all__ = ["ReportError", "corpora_of", "results_markdown", "write"]
