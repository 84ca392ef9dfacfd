/*---
question = "Which lists were screened against, how large are they, and how much of them met the feed?"
grain = "one row per list"
key = ["source"]
tables = ["list_coverage"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "an entity that did not match may still be in the feed under another name"

[columns]
source = "text"
entities = "int"
aliases = "int"
weak_aliases = "int"
without_country = "int"
matched_entities = "int"
high_entities = "int"
---*/
select
    source,
    entities,
    aliases,
    weak_aliases,
    without_country,
    matched_entities,
    high_entities
from list_coverage
order by source
