import FieldNodes
import TextParts

/// What nodes of the field may do, and how they are reached.
struct NodeSettings: Sendable {
    let admission: NodeAdmission
    let limits: NodeTable.Limits
    /// 0 for never.
    let silentAfterSeconds: Int64
    let co2: CO2Settings
    let isems: ISEMSSettings
    let piwardrive: PiWardriveSettings

    init(_ reader: inout SettingsReader, box: BoxSettings, spoolFolder: String) {
        admission = NodeAdmission(
            isOpen: reader.text("node_admission") == "open", allowed: Self.names("node_allow", &reader),
            tokens: Self.tokens(&reader))
        limits = NodeTable.Limits(
            nodes: reader.int("max_nodes"), nodesPerAddress: reader.int("max_nodes_per_address"))
        silentAfterSeconds = Int64(reader.int("node_silent_after_min")) * 60
        co2 = CO2Settings(&reader, baseFolder: box.baseFolder)
        isems = ISEMSSettings(&reader, box: box)
        piwardrive = PiWardriveSettings(&reader, baseFolder: box.baseFolder, spoolFolder: spoolFolder)
    }

    /// `co2:co2unit-30aea42a5140`, `isems:*`
    private static func name(_ text: String) -> NodeAdmission.Name? {
        let parts = text.parts(at: ":", maximumSplits: 1).map(String.init)
        guard parts.count == 2, let kind = NodeKind(rawValue: parts[0]) else { return nil }
        if parts[1] == "*" { return NodeAdmission.Name(kind: kind, id: nil) }
        return NodeID(kind, parts[1]).map { NodeAdmission.Name(kind: kind, id: $0) }
    }

    private static let form = "is not kind:id or kind:*, kind being one of co2, isems, piwardrive"

    private static func names(_ setting: String, _ reader: inout SettingsReader) -> Set<NodeAdmission.Name> {
        var names: Set<NodeAdmission.Name> = []
        for text in reader.list(setting) {
            guard let name = name(text) else {
                reader.refuse(setting, "`\(text)` \(form)")
                continue
            }
            names.insert(name)
        }
        return names
    }

    private static func tokens(_ reader: inout SettingsReader) -> [NodeAdmission.Name: String] {
        var tokens: [NodeAdmission.Name: String] = [:]
        for (text, token) in reader.map("node_tokens") {
            guard let name = name(text), name.kind != .co2 else {
                reader.refuse("node_tokens", "`\(text)` \(form); CO2 units can send no token")
                continue
            }
            tokens[name] = token
        }
        return tokens
    }
}

/// CO2 units.
struct CO2Settings: Sendable {
    /// Units' folders.
    let dataFolder: String
    let pingFolder: String
    /// Files of the operator's own that are served.
    let publicFolder: String
    let tiersFile: String
    let mostPushBytes: Int
    let limits: CO2Accounts.Limits
    let groups: [String: [NodeID]]

    init(_ reader: inout SettingsReader, baseFolder: String) {
        let root = reader.text("co2_dir").isEmpty ? baseFolder : reader.text("co2_dir")
        dataFolder = reader.path("data_dir", in: root, "remote_data")
        pingFolder = "\(root)/var/pings"
        publicFolder = "\(root)/var/pub"
        tiersFile = reader.path("deploy_durations_tiered_tsv", in: dataFolder, "manual/deploy_durations_tiered.tsv")
        mostPushBytes = reader.int("co2_max_push_bytes")
        limits = CO2Accounts.Limits(
            unit: CO2Usage(
                bytes: Int64(reader.int("co2_unit_max_bytes")), entries: Int64(reader.int("co2_unit_max_files"))),
            address: CO2Usage(
                bytes: Int64(reader.int("co2_address_max_bytes")), entries: Int64(reader.int("co2_address_max_files"))))
        var groups: [String: [NodeID]] = [:]
        for (name, text) in reader.map("co2_groups") {
            groups[name] = text.parts(at: " ").compactMap { id in
                let unit = NodeID(.co2, id)
                if unit == nil { reader.refuse("co2_groups", "\(name): `\(id)` is not the id of a unit") }
                return unit
            }
        }
        self.groups = groups
    }
}

/// ISEMS solar nodes.
struct ISEMSSettings: Sendable {
    enum Timestamps: String, Sendable { case berlin, utc }

    /// Where one node's log is fetched.
    let addresses: [String]
    let pollIntervalSeconds: Int
    let pollTimeoutSeconds: Int
    let pollConcurrency: Int
    let broker: Broker?
    let mustMatchTopic: Bool
    let hideAfterDays: Int
    let timestamps: Timestamps
    let mostBodyBytes = 65_536

    /// For whoever relied on the ISEMS collector's default.
    static let hintForPolling =
        "ISEMS nodes are polled if isems_router_ips names them; the ISEMS collector polled 10.36.158.33 where ISEMS_ROUTER_IPS was not set"

    struct Broker: Sendable {
        let host: String
        let port: Int
        let user: String
        let password: String
        let isTLS: Bool
        let certificateFile: String
        let topics: [String]
        let clientID: String
    }

    init(_ reader: inout SettingsReader, box: BoxSettings) {
        addresses = reader.list("isems_router_ips").map(Self.address)
        for address in addresses { DeliverySettings.checkURL(address, "isems_router_ips", &reader) }
        pollIntervalSeconds = Int(reader.number("isems_poll_interval_min") * 60)
        pollTimeoutSeconds = reader.int("isems_poll_timeout_sec")
        pollConcurrency = reader.int("isems_poll_concurrency")
        mustMatchTopic = reader.bool("isems_topic_must_match")
        // As the former collector has it: what is no number is 30.
        hideAfterDays = Int(reader.text("hide_inactive_after_days")) ?? 30
        timestamps = Timestamps(rawValue: reader.text("isems_timestamps")) ?? .berlin
        let host = reader.text("mqtt_server")
        broker =
            host.isEmpty
            ? nil
            : Broker(
                host: host, port: reader.int("isems_mqtt_port"), user: reader.text("isems_mqtt_user"),
                password: reader.text("isems_mqtt_password"), isTLS: reader.bool("isems_mqtt_tls"),
                certificateFile: reader.text("isems_mqtt_ca_file"), topics: reader.list("isems_mqtt_topics"),
                clientID: "edge-aggregator-isems-\(box.uuid)")
    }

    /// `10.36.158.33` is the former collector's way to write `http://10.36.158.33/ISEMS/ffopenmppt.log`; a path, or a whole
    /// address, is taken as it is.
    static func address(_ text: String) -> String {
        let text = text.trimmingSpaces
        if text.holds("://") { return text }
        return text.holds("/") ? "http://\(text)" : "http://\(text)/ISEMS/ffopenmppt.log"
    }
}

/// PiWardrive units.
struct PiWardriveSettings: Sendable {
    let spoolFolder: String
    let mostUploadBytes: Int64
    let mostSpoolBytes: Int64
    let keepsUploads: Bool
    /// Where the former service kept them.
    let uploadsFolder: String

    init(_ reader: inout SettingsReader, baseFolder: String, spoolFolder: String) {
        self.spoolFolder = "\(spoolFolder)/piwardrive"
        mostUploadBytes = Int64(reader.int("piwardrive_max_upload_bytes"))
        mostSpoolBytes = Int64(reader.int("piwardrive_spool_max_bytes"))
        keepsUploads = reader.bool("piwardrive_keep_uploads")
        uploadsFolder = reader.path("pw_agg_dir", in: baseFolder, "piwardrive") + "/uploads"
    }
}
