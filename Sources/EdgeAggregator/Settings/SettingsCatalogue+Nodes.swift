extension SettingsCatalogue {
    static let nodes: [SettingDescription] = [
        .init(
            "node_admission", .choice(["listed", "open"]), "listed", group: "Field nodes",
            "listed: a node that is neither in node_allow nor admitted (`edge-aggregator nodes admit`) is refused, and is listed as waiting. open: every node may send."
        ),
        .init(
            "node_allow", .list, "", group: "Field nodes",
            "Nodes that may send without being admitted one by one: kind:id or kind:*, kind being co2, isems or piwardrive. ISEMS nodes that are polled, or come from the broker in mqtt_server, need none."
        ),
        .init(
            "node_tokens", .map, "", secret: true, group: "Field nodes",
            "Tokens of PiWardrive units and of ISEMS nodes that POST, by kind:id or kind:*: as the password in the unit's address (http://van7:TOKEN@box:9100/upload), as a Bearer header, or as token= in the query. Empty for none. As soon as one unit of a kind has a token, every other unit of that kind needs one too, its own or that of kind:*; the others are rejected (401)."
        ),
        .init(
            "max_nodes", .int(1...100_000), "2000", group: "Field nodes",
            "Nodes that are known; a tenth of them may wait to be admitted. More are rejected, except nodes that are named in node_allow or node_tokens, or that `nodes admit` has admitted where the settings admit nobody else: they always have room. A node that nobody has named and that keeps no files gives its room to another one when it was silent for 30 days."
        ),
        .init(
            "max_nodes_per_address", .int(1...100_000), "500", group: "Field nodes",
            "Nodes that one network address (of IPv6 a /64 network) may add under names that the operator has not named; a hundredth of max_nodes may wait to be admitted. A node that has not sent the token it needs is never added."
        ),
        .init(
            "node_silent_after_min", .int(0...525_600), "1560", unit: "min", group: "Field nodes",
            "An admitted node that was not heard of for so long raises an alarm (log, /events, metrics); 0 for never. CO2 units send once a day."
        ),
        .init(
            "co2_dir", .text, "", group: "Field nodes: CO2 units",
            "Where remote_data/ and var/pings/ of CO2 units are; empty for base_dir."),
        .init(
            "data_dir", .text, "", group: "Field nodes: CO2 units",
            "The units' folders, as the former server's scripts name them; empty for <co2_dir>/remote_data."),
        .init(
            "deploy_durations_tiered_tsv", .text, "", group: "Field nodes: CO2 units",
            "Which unit stood where and when, for plots; empty for <data_dir>/manual/deploy_durations_tiered.tsv."),
        .init(
            "co2_groups", .map, "", group: "Field nodes: CO2 units",
            "Units that get updates together, by the group's name: ids with spaces between them. `@name` stands for them, `@all` for all that are admitted."
        ),
        .init(
            "co2_max_push_bytes", .int(4096...16_777_216), "262144", unit: "B", group: "Field nodes: CO2 units",
            "The largest piece of a file that a unit may push at once; units push 4096."),
        .init(
            "co2_unit_max_bytes", .int(102_400...Int.max), "200000000", unit: "B", group: "Field nodes: CO2 units",
            "What one unit may keep here; beyond that its pushes are refused."),
        .init(
            "co2_unit_max_files", .int(100...1_000_000), "20000", group: "Field nodes: CO2 units",
            "Files and folders that one unit may keep here; beyond that its pushes are rejected. A unit's program counts to 9999 in each of its two folders."
        ),
        .init(
            "co2_address_max_bytes", .int(102_400...Int.max), "2000000000", unit: "B", group: "Field nodes: CO2 units",
            "What all units may keep together that one network address has added, apart from units that the operator has named, and those that had files here before this limit existed."
        ),
        .init(
            "co2_address_max_files", .int(100...10_000_000), "100000", group: "Field nodes: CO2 units",
            "Files and folders that all units may keep together that one network address has added, apart from the same units."
        ),
        .init(
            "mqtt_server", .text, "", group: "Field nodes: ISEMS nodes",
            "A broker to which ISEMS nodes publish, as the former collector names it; empty for none."),
        .init("isems_mqtt_port", .int(1...65_535), "1883", group: "Field nodes: ISEMS nodes", "Its port."),
        .init("isems_mqtt_user", .text, "", group: "Field nodes: ISEMS nodes", "A user there; empty for none."),
        .init(
            "isems_mqtt_password", .text, "", secret: true, group: "Field nodes: ISEMS nodes", "The user's password."),
        .init("isems_mqtt_tls", .bool, "false", group: "Field nodes: ISEMS nodes", "Connect with TLS."),
        .init(
            "isems_mqtt_ca_file", .text, "", group: "Field nodes: ISEMS nodes",
            "Certificates to trust instead of the system's."),
        .init(
            "isems_mqtt_topics", .list, "/isems/+/csvlog,isems/testdrive/foobar/+/data.json",
            group: "Field nodes: ISEMS nodes",
            "What is subscribed; whatever ends in <nodeid>/csvlog or <nodeid>/data.json is taken, so # is possible too."
        ),
        .init(
            "isems_topic_must_match", .bool, "true", group: "Field nodes: ISEMS nodes",
            "Refuse lines whose node is not the one in the topic."),
        .init(
            "isems_router_ips", .list, "", group: "Field nodes: ISEMS nodes",
            "Nodes whose log is fetched: 10.36.158.33 means http://10.36.158.33/ISEMS/ffopenmppt.log; a path of its own (10.0.0.5/csv.log) or a whole address may stand there too. Empty for none; the ISEMS collector polled 10.36.158.33 where it was not set."
        ),
        .init(
            "isems_poll_interval_min", .number(0.05...10_080), "15", unit: "min", group: "Field nodes: ISEMS nodes",
            "How often. One that fails is left alone for twice as long each time, up to four hours."),
        .init(
            "isems_poll_timeout_sec", .int(1...600), "20", unit: "s", group: "Field nodes: ISEMS nodes",
            "How long an answer may take."),
        .init(
            "isems_poll_concurrency", .int(1...64), "8", group: "Field nodes: ISEMS nodes", "Nodes asked at a time."),
        .init(
            "hide_inactive_after_days", .text, "30", unit: "days", group: "Field nodes: ISEMS nodes",
            "/measurements/latest leaves out nodes that were silent for so long; what is no number is 30."),
        .init(
            "isems_timestamps", .choice(["berlin", "utc"]), "berlin", group: "Field nodes: ISEMS nodes",
            "Times in /measurements: wall time of Europe/Berlin without a zone, as the former collector has it; or UTC, with a Z."
        ),
        .init(
            "piwardrive_max_upload_bytes", .int(10_000...4_000_000_000), "104857600", unit: "B",
            group: "Field nodes: PiWardrive units", "The largest database that a unit may send."),
        .init(
            "piwardrive_spool_max_bytes", .int(10_000...100_000_000_000), "524288000", unit: "B",
            group: "Field nodes: PiWardrive units",
            "What may wait to be merged; beyond that uploads are refused until there is room."),
        .init(
            "piwardrive_keep_uploads", .bool, "false", group: "Field nodes: PiWardrive units",
            "Keep each unit's last upload as it came, below pw_agg_dir/uploads. It holds password hashes and tracks."),
        .init(
            "pw_agg_dir", .text, "", group: "Field nodes: PiWardrive units",
            "The former service's folder; empty for <base_dir>/piwardrive."),
        .init(
            "pw_agg_port", .int(0...65_535), "0", group: "Field nodes: PiWardrive units",
            "The former service's port: one more on which everything is answered, on the first address of listen; 0 for none."
        ),
    ]
}
