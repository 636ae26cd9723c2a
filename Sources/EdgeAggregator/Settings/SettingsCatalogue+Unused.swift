/// Settings of the replaced systems that nothing reads. They are known so that their files and environments are accepted; docs/operations.md
/// lists them.
extension SettingsCatalogue {
    static let unusedGroup = "Of the replaced systems"

    static let unused: [SettingDescription] =
        [
            ("db_dir", "The CO2 server's scripts kept their database there."),
            ("web_pub_dir", "The CO2 server's pages are made when they are asked for."),
            ("flask_env", "Any page may read /measurements, as in the ISEMS collector's production."),
            ("pw_agg_pool_size", "There is one database connection that writes."),
            ("redis_host", "Nothing here needs Redis."),
            ("stream_maxlen", "There are no Redis streams: what waits is in the database."),
            ("log_cfg", "log_level and log_format say how the daemon logs."),
            ("worker_id", "One daemon does the work of all workers."),
            ("s3_use_ssl", "The scheme of s3_endpoint, http:// or https://, says it."),
        ].map { .init($0.0, .text, "", withoutEffect: true, group: unusedGroup, "Accepted, without effect. \($0.1)") }
        + [
            .init(
                "redis_url", .text, "", secret: true, withoutEffect: true, group: unusedGroup,
                "Accepted, without effect. Nothing here needs Redis.")
        ]
}
