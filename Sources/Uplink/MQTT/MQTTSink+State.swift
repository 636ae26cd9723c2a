import ServiceLifecycle
import Store

/// What the broker keeps for those who come later: the state of the box and of what is behind it, and the last detection.
extension MQTTSink {
    /// How often it is looked at when nothing asks for it.
    static let stateInterval: Duration = .seconds(30)
    /// More are left out.
    static let mostDevices = 500

    public func run() async throws {
        connection.start()
        await cancelWhenGracefulShutdown {
            var next = ContinuousClock.now
            while !Task.isCancelled {
                guard connection.failure == nil else {
                    await wake.wait(atMost: Self.stateInterval)
                    continue
                }
                if retained.takeForgotten() || ContinuousClock.now >= next {
                    next = .now + Self.stateInterval
                    await tell()
                }
                await tellDetection()
                await removeFormer()
                await wake.wait(atMost: max(.zero, next - .now))
            }
        }
        await connection.end()
    }

    private func tell() async {
        // By now the broker has sent what it keeps there.
        for topic in retained.takeAsked() { connection.unsubscribe(topic) }
        let devices = Array(await devices().prefix(Self.mostDevices))
        let names = discovery?.uniqueIDs(devices)
        for device in devices {
            if let discovery, let names { await retain(discovery.topic(device), discovery.payload(device, names)) }
            for state in device.states { await retain("\(boxTopic)/\(device.stateTopic)", state) }
        }
        askForFormer(devices)
    }

    /// Asks for what earlier releases left under topics that no device has now.
    private func askForFormer(_ devices: [MQTTDevice]) {
        let used = devices.reduce(into: Set<[UInt8]>()) { used, device in
            used.insert(Array("\(boxTopic)/\(device.stateTopic)".utf8))
            if let discovery { used.insert(Array(discovery.topic(device).utf8)) }
        }
        for device in devices {
            let state = device.formerStateTopic.map { ("\(boxTopic)/\($0)", true) }
            for (topic, isOwn) in [discovery?.formerTopic(device).map { ($0, false) }, state].compactMap(\.self)
            where !used.contains(Array(topic.utf8)) && retained.askFormer(topic, isOwn: isOwn) {
                connection.subscribe(topic)
            }
        }
    }

    private func tellDetection() async {
        if retained.detection == nil, let newest = await newestDetection() { _ = retained.noteDetection(newest) }
        guard let detection = retained.detection else { return }
        await retain("\(boxTopic)/\(HomeAssistantDiscovery.lastDetectionTopic)", detection.payload)
    }

    /// From the database: after a start there may be none for long.
    private func newestDetection() async -> RetainedState.Detection? {
        guard let id = try? await store.detectionTotal(), id > 0 else { return nil }
        let delivery = DeliveryRecord(id: 0, sink: name, kind: .detections, firstID: id, lastID: id)
        guard let fact = (try? await store.detectionFacts(of: [delivery]))?.first else { return nil }
        return RetainedState.Detection(id: id, payload: MQTTMessages.detection(fact))
    }

    /// Removes what earlier releases left under topics that have another form now: an empty message (MQTT 5, §3.3.1.3).
    private func removeFormer() async {
        for topic in retained.takeFound() {
            try? await connection.publish(topic, [], retain: true)
        }
    }

    private func retain(_ topic: String, _ payload: [UInt8]) async {
        guard retained.isNew(topic, payload) else { return }
        do throws(MQTTConnection.Failure) {
            try await connection.publish(topic, payload, retain: true)
            retained.note(topic, payload)
        } catch {
            // It is new the next time too.
        }
    }
}
