extension SettingsCatalogue {
    static let forecasts: [SettingDescription] = [
        .init(
            "forecasts", .choice(["disabled", "enabled"]), "disabled", group: "Forecasts",
            "Whether forecast fields are collected. What is there already is served either way."),
        .init(
            "forecast_data_types", .list, "wind,ocean-currents", group: "Forecasts",
            "Which: wind, ocean-currents (with a Copernicus Marine account), waves."),
        .init(
            "forecast_region", .list, "", unit: "°", group: "Forecasts",
            "min_lat,max_lat,min_lon,max_lon of what is kept; empty for the globe. A min_lon above max_lon is across the date line."
        ),
        .init(
            "historical_days", .int(0...30), "7", unit: "d", group: "Forecasts",
            "How many days back fields are kept complete; at most max_data_age_days. Of the two, one that is not set gives way."
        ),
        .init(
            "forecast_hours", .int(0...384), "120", unit: "h", group: "Forecasts", "How far ahead a forecast goes."),
        .init(
            "forecast_interval_hours", .int(1...24), "3", unit: "h", group: "Forecasts",
            "The time between fields. Beyond 120 hours GFS has every third hour."),
        .init(
            "collection_schedule", .text, "0 */6 * * *", group: "Forecasts",
            "When fields are collected: minute hour day month weekday, in UTC, or @hourly, @daily (@midnight), @weekly, @monthly, @yearly (@annually). Also at each start, so that a missed time is made up."
        ),
        .init(
            "cleanup_schedule", .text, "0 2 * * *", group: "Forecasts",
            "When old fields are removed, in the same form. A time that was missed is made up once at the next start."),
        .init(
            "max_data_age_days", .number(0.1...3650), "14", unit: "d", group: "Forecasts",
            "Fields for times longer ago are removed."),
        .init(
            "forecasts_dir", .text, "", group: "Forecasts", "Where fields are kept; empty for <base_dir>/forecasts."),
        .init(
            "forecasts_max_bytes", .int(1_000_000...Int.max), "8000000000", unit: "B", group: "Forecasts",
            "All fields together; beyond that, what newer runs have replaced is removed first, then the oldest."),
        .init(
            "forecasts_min_free_bytes", .int(0...Int.max), "0", unit: "B", group: "Forecasts",
            "Nothing is collected while less is free on the disk; more than min_free_disk_bytes, or 0 for twice that, so that forecasts stop before any sound does."
        ),
        .init(
            "forecasts_daily_mb", .int(0...10_000_000), "0", unit: "MB", group: "Forecasts",
            "Fetched a day (UTC) at most, for metered links; 0 for no limit."),
        .init(
            "forecast_parallel_requests", .int(1...8), "4", group: "Forecasts", "Requests to a server at a time."),
        .init(
            "forecast_requests_per_minute", .int(1...1000), "100", group: "Forecasts",
            "NOMADS shuts out who asks more than about 120 times a minute."),
        .init(
            "forecast_stall_timeout_sec", .int(1...3600), "60", unit: "s", group: "Forecasts",
            "A transfer that moves less than a byte a second for so long is cut, and goes on from there."),
        .init(
            "forecast_retry_first_sec", .number(0.01...600), "2", unit: "s", group: "Forecasts",
            "The pause after a request that failed; each that follows is twice as long, up to five attempts."),
        .init(
            "forecast_max_query_values", .int(1000...100_000_000), "2000000", group: "Forecasts",
            "Values in one answer of /v1/data; each has 4 bytes, and some 9 more as JSON."),
        .init(
            "forecast_max_queries", .int(1...64), "4", group: "Forecasts",
            "Answers of /v1/data that are made or held at a time."),
        .init(
            "forecast_max_waiting_queries", .int(0...10_000), "64", group: "Forecasts",
            "Questions that wait for that; more are answered 503."),
        .init(
            "noaa_gfs_base_url", .list, "https://noaa-gfs-bdp-pds.s3.amazonaws.com", group: "Forecasts",
            "Servers that have NOAA's gfs.YYYYMMDD folders, in the order in which they are asked."),
        .init(
            "noaa_gfs_filter_url", .text, "https://nomads.ncep.noaa.gov/cgi-bin", group: "Forecasts",
            "Where the NOMADS filter's scripts are, asked last; empty for not at all."),
        .init(
            "copernicus_username", .text, "", group: "Forecasts",
            "Of an account at marine.copernicus.eu; empty for no currents."),
        .init("copernicus_password", .text, "", secret: true, group: "Forecasts", "Its password."),
        .init(
            "copernicus_dataset", .text, "cmems_mod_glo_phy-cur_anfc_0.083deg_PT6H-i", group: "Forecasts",
            "The dataset that currents are taken from; it has the variables uo and vo, or utotal and vtotal. Also as copernicus_dataset_id."
        ),
        .init(
            "copernicus_config_url", .text, "https://stac.marine.copernicus.eu/clients-config-v1", group: "Forecasts",
            "Where Copernicus Marine says where its catalogue is."),
        .init(
            "copernicus_auth_url", .text,
            "https://auth.marine.copernicus.eu/realms/MIS/protocol/openid-connect/token", group: "Forecasts",
            "Where the account is checked."),
        .init("forecast_ca_file", .text, "", group: "Forecasts", "Certificates to trust instead of the system's."),
    ]
}
