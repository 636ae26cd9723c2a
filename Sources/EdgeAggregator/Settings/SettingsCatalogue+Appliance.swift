/// How the box runs as an appliance: who may ask it, and how it spares and guards itself.
extension SettingsCatalogue {
    static let access: [SettingDescription] = [
        .init(
            "require_api_token", .choice(["auto", "yes", "no"]), "auto", group: "Access",
            "Whether /api/v1, /events, /v1 and the page need api_token. With auto they do as soon as an address other than loopback is listened on. If one is needed and none is set, a random one is made at the first start, kept in <base_dir>/api-token and shown once."
        ),
        .init(
            "tls_listen", .list, "", group: "Access",
            "Addresses (host:port) on which requests are answered over TLS, beside those of listen; empty for none."),
        .init(
            "tls_certificate_file", .text, "", group: "Access",
            "The certificate and those that lead to its root, as PEM. Read again on SIGHUP, without dropping a connection."
        ),
        .init("tls_key_file", .text, "", group: "Access", "Its private key, as PEM."),
        .init(
            "trusted_proxies", .list, "", group: "Access",
            "Addresses of proxies (10.0.0.2, 10.0.0.0/24) whose X-Forwarded-For tells who asks."),
        .init(
            "host_names", .list, "", group: "Access",
            "Further names by which the box is asked (edge.example.org, a service's name in a container network), without scheme and port. While no api_token is asked for, the page, /api/v1, /v1 and /events answer only to literal addresses, localhost, the box's own host name, the same with .local, the names in listen and tls_listen, and these; any other name in Host gets 421. With a token every name will do."
        ),
        .init(
            "stock_paths", .list, "recordings,co2,isems,piwardrive,metrics", group: "Access",
            "Which paths of the stock clients are answered; they need no api_token, only what their own settings ask for. Without metrics, /metrics needs the token, on metrics_port too."
        ),
        .init(
            "api_requests_per_minute", .int(0...1_000_000), "1200", group: "Access",
            "Requests that one client may make to what api_token guards; more get 429; 0 for no limit."),
        .init(
            "login_failures_per_minute", .int(1...10_000), "20", group: "Access",
            "Wrong tokens that one client may send to what api_token guards; more get 429, the right token too."),
        .init(
            "max_known_clients", .int(16...100_000), "1024", group: "Access",
            "Clients whose requests are counted at a time; beyond that the one longest unheard of is forgotten."),
        .init(
            "max_discarded_body_bytes", .int(0...1_000_000_000), "16777216", unit: "B", group: "Access",
            "Maximum size of a rejected request's body that is still read, and discarded, so that its sender sees the answer and not a broken connection; for at most 30 s. 0 closes at once."
        ),
    ]

    static let appliance: [SettingDescription] = [
        .init(
            "profile", .choice(["auto", "pi4", "pi5", "generic"]), "auto", group: "Appliance",
            "Which defaults the board gets for analyzer_workers and the processors of each stage; auto asks the device tree."
        ),
        .init(
            "analyzer_cpu_affinity", .text, "", group: "Appliance",
            "Processors for the analysis, as 0,2-3; empty for those of the profile."),
        .init(
            "everything_but_analyzer_cpu_affinity", .text, "", group: "Appliance",
            "Processors for everything else; empty for those of the profile."),
        .init(
            "analyzer_nice", .int(0...19), "10", group: "Appliance",
            "How much the analysis gives way to everything else on the same processor (nice(1))."),
        .init(
            "analysis_slow_celsius", .number(30...150), "75", unit: "°C", group: "Appliance",
            "From this temperature of the processor on the analysis slows down; reception never does."),
        .init(
            "analysis_slowest_celsius", .number(30...150), "82", unit: "°C", group: "Appliance",
            "At this temperature it works a tenth of the time; more than analysis_slow_celsius. Of the two, one that is not set gives way."
        ),
        .init(
            "analysis_memory_pressure", .number(1...100), "20", unit: "%", group: "Appliance",
            "Share of ten seconds in which something waited for memory (PSI) from which on it works a quarter of the time."
        ),
        .init(
            "board_watch_interval_sec", .int(0...3600), "5", unit: "s", group: "Appliance",
            "How often temperature, supply and memory are looked at for that; 0 for never."),
        .init(
            "sysfs_root", .text, "", group: "Appliance",
            "Before /sys and /proc, where these are looked up elsewhere than on this machine."),
        .init(
            "safe_mode_after", .int(0...100), "0", group: "Appliance",
            "After so many starts in a row that came to a bad end within ten minutes, the next one is in safe mode: it receives and stores, and leaves analysis, deliveries and forecasts for later; 0 for never. The package, the card and the container have 3."
        ),
        .init(
            "safe_mode_minutes", .int(1...100_000), "60", unit: "min", group: "Appliance",
            "How long safe mode is kept before a normal start is tried again."),
        .init(
            "update_lock_file", .text, "", group: "Appliance",
            "A file that is there while recordings are written, at most an hour at a time, for whoever updates containers (balena: /tmp/balena/updates.lock); empty for none."
        ),
    ]
}
