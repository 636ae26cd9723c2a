import ServiceLifecycle
import Store

/// What the broker keeps for those who come later: the state of the box and of what is behind it, and the last detection.
extension MQTTSink {
    /// How often it is looked at when nothing asks for it.
    static let stateInterval: Duration = .seconds(30)
    /// More are left out.
    static let maximumDevices = 500
    /// Topics of devices that are gone, removed at one look.
    static let maximumRemovals = 100

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
        let devices = Array(await devices().prefix(Self.maximumDevices))
        let names = discovery?.uniqueIDs(devices)
        for device in devices {
            if let discovery, let names {
                await retain(discovery.topic(device.identity), discovery.payload(device, names), device: device.id)
            }
            for state in device.states {
                await retain("\(boxTopic)/\(device.identity.stateTopic)", state, device: device.id)
            }
        }
        await cleanUp(devices)
    }

    /// Removes what the broker keeps of devices that are gone, and asks for what earlier releases left under topics that no
    /// device has now.
    private func cleanUp(_ devices: [MQTTDevice]) async {
        let hasOthers = retained.keepPayloads(ofDevices: Set(devices.map { Array($0.id.utf8) }))
        let former = retained.notAsked(devices.flatMap(formerTopics))
        // Without knowing all devices, one that exists and is only not told of would lose its topics.
        guard hasOthers || !former.isEmpty, let existing = await existing() else { return }
        let ids = Set(existing.map { Array($0.id.utf8) })
        for topic in retained.topics(ofNoneOf: ids, atMost: Self.maximumRemovals) {
            guard (try? await connection.publish(topic, [], retain: true)) != nil else { break }
            retained.remove(topic)
        }
        guard !former.isEmpty else { return }
        let used = existing.reduce(into: Set<[UInt8]>()) { used, device in
            used.insert(Array("\(boxTopic)/\(device.stateTopic)".utf8))
            if let discovery { used.insert(Array(discovery.topic(device).utf8)) }
        }
        for topic in former where !used.contains(Array(topic.topic.utf8)) && retained.ask(topic) {
            connection.subscribe(topic.topic)
        }
    }

    private func formerTopics(_ device: MQTTDevice) -> [RetainedState.Former] {
        let state = device.identity.formerStateTopic.map {
            RetainedState.Former(topic: "\(boxTopic)/\($0)", isOwn: true)
        }
        let config = discovery?.formerTopic(device.identity).map { RetainedState.Former(topic: $0, isOwn: false) }
        return [config, state].compactMap(\.self)
    }

    private func tellDetection() async {
        if retained.detection == nil, let newest = await newestDetection() { _ = retained.noteDetection(newest) }
        guard let detection = retained.detection else { return }
        await retain("\(boxTopic)/\(HomeAssistantDiscovery.lastDetectionTopic)", detection.payload)
    }

    /// From the database: after a start there may be none for long. One whose time may still be moved is held back, as its
    /// delivery is.
    private func newestDetection() async -> RetainedState.Detection? {
        guard let id = (try? await store.newestSettledDetection()) ?? nil else { return nil }
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

    private func retain(_ topic: String, _ payload: [UInt8], device: String? = nil) async {
        guard retained.isNew(topic, payload) else { return }
        do throws(MQTTConnection.Failure) {
            try await connection.publish(topic, payload, retain: true)
            retained.note(topic, payload, device: device)
        } catch {
            // It is new the next time too.
        }
    }
}
