-- A feed in which most months are unknown makes the trend and the first-time importers worthless: worth a warning.
{{ config(severity='warn') }}
select cast(count(*) as bigint) as shipments
from {{ ref('stg_shipments') }}
having 2 * count(*) filter (where ship_month = '0000-00') > count(*)
