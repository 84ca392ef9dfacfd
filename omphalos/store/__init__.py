"""The content-addressed store: objects, refs, trees in and out of folders, and the names people type.

``durable`` is the only place that makes bytes durable; ``objects`` alone knows where an object lies.
"""
