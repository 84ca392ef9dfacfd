with

shipments as (

    select * from {{ ref('int_shipments') }}

),

importers as (

    select * from {{ ref('int_importers') }}

),

outliers as (

    select * from {{ ref('price_outliers') }}

),

flags as (

    select
        shipment_id,
        'listedParty' as flag
    from shipments
    where is_matched = 1

    union all

    select
        shipment_id,
        'highPriorityGoods' as flag
    from shipments
    where is_high_priority = 1

    union all

    select
        shipment_id,
        'highPriorityToTransshipmentPoint' as flag
    from shipments
    where is_high_priority = 1 and is_to_transshipment_point = 1

    union all

    select
        shipments.shipment_id,
        'highPriorityToFirstTimeImporter' as flag
    from shipments
    inner join importers on shipments.importer_id = importers.importer_id
    where shipments.is_high_priority = 1 and importers.is_first_time = 1

    union all

    select
        shipment_id,
        'deliveredToThirdCountry' as flag
    from shipments
    where
        destination_country <> importer_country
        and destination_country <> 'ZZ'
        and importer_country <> 'ZZ'

    union all

    select
        shipment_id,
        'originIsDestination' as flag
    from shipments
    where origin_country = destination_country and origin_country <> 'ZZ'

    union all

    select
        shipment_id,
        'priceOutlier' as flag
    from outliers

    union all

    select
        shipment_id,
        'roundValue' as flag
    from shipments
    where value_minor > 0 and value_minor % 100000 = 0

    union all

    select
        shipment_id,
        'commodityNotGiven' as flag
    from shipments
    where hs6 = '000000'

    union all

    select
        shipment_id,
        'importerNotGiven' as flag
    from shipments
    where importer_id is null

),

final as (

    select
        flags.shipment_id,
        flags.flag,
        cast(count(*) over (partition by flags.shipment_id) as bigint) as flags_of_shipment,
        shipments.ship_month,
        shipments.importer_id,
        shipments.origin_country,
        shipments.destination_country,
        shipments.hs6
    from flags
    inner join shipments on flags.shipment_id = shipments.shipment_id

)

select * from final
