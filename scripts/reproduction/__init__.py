"""The parts of `scripts/reproduce_report.py`: one section of the report each, and the page that shows them."""
