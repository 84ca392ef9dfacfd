"""The domain: read feeds and lists, normalize, find candidates, score, explain, summarize, and write review tables."""
