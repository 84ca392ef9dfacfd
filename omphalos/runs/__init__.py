"""Runs: plan, execute, record, verify, compare, certify. The floor where screening and the store meet."""
