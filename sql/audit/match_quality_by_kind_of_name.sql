/*---
question = "How do scores spread over bands, kinds of name and agreement of countries?"
grain = "one row per list, band, kind of name and relation of countries"
key = ["source", "band", "name_kind", "country_relation"]
tables = ["match_quality"]
engines = ["duckdb", "sqlite", "postgres"]
caveat = "a spread of scores says nothing about how many matches are right"

[columns]
source = "text"
band = "text"
name_kind = "text"
country_relation = "text"
items = "int"
min_score_bp = "int"
median_score_bp = "int"
max_score_bp = "int"
with_reasons_against = "int"

[parameters.source]
kind = "text"
default = ""
max_bytes = 300
about = "one list only; all where empty"
---*/
select
    source,
    band,
    name_kind,
    country_relation,
    items,
    min_score_bp,
    median_score_bp,
    max_score_bp,
    with_reasons_against
from match_quality
where $source = '' or source = $source
order by source, case band when 'high' then 1 when 'medium' then 2 else 3 end, name_kind, country_relation
