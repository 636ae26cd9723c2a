import Sensors
import Store

/// What an MQTT broker is told of the box.
struct BoxState: Sendable {
    let house: ReceptionHouse

    /// JSON values by name.
    func values() async -> [(name: String, json: String)] {
        let detections = (try? await house.store.detectionTotal()) ?? 0
        let backlog = (try? await house.store.pendingAnalysisCount()) ?? 0
        return [
            ("detections", "\(detections)"),
            ("listeners", "\(Set(house.registry.connections.map(\.listener)).count)"),
            ("backlog_recordings", "\(backlog)"), ("disk_free_bytes", "\(house.storageGuard.space.freeBytes)"),
            ("sound_kept", "\(house.storageGuard.mayKeepSound)"), ("clock_set", "\(house.time.now().isSynchronised)"),
        ]
    }
}
