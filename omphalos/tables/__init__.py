"""Tables by contract: one declared shape for each table, and everything that follows from it.

Contracts are data (``warehouse/contracts/*.toml``). The checks, the logical fingerprint, and the Parquet, CSV and
SQLite writers all read the same contract. This floor knows tables; it knows neither the domain nor the store.
"""
