import Store

/// What is sent of facts, as JSON. `id` is made from the fact, so a repeat shows as one.
enum MQTTMessages {
    static func detection(_ fact: DetectionFact) -> [UInt8] {
        let detection = fact.detection
        let start = UTCText.microseconds(detection.startNanoseconds)
        var json = JSONText()
        json.add("id", "\(detection.listenerID)|\(start)|\(detection.scientificName)|\(fact.modelSHA256.prefix(8))")
        json.add("listener", detection.listenerID)
        json.add("start", start)
        json.add("end", UTCText.microseconds(detection.endNanoseconds))
        json.add("scientific_name", detection.scientificName)
        json.add("common_name", detection.commonName)
        json.add("confidence", detection.confidence)
        json.add("recording", detection.recordingName)
        json.add("offset_seconds", detection.offsetSeconds)
        json.add("model", fact.model)
        json.add("time_quality", detection.timeQuality)
        return json.bytes
    }

    /// What one source said at one moment.
    static func observations(_ observations: [ObservationRecord]) -> [UInt8] {
        guard let first = observations.first else { return [] }
        let time = UTCText.microseconds(first.timeNanoseconds)
        var values = JSONText()
        var raw = JSONText()
        var units = JSONText()
        for observation in observations {
            values.add(observation.quantity, observation.value)
            if let measured = observation.raw { raw.add(observation.quantity, measured) }
            if !observation.unit.isEmpty { units.add(observation.quantity, observation.unit) }
        }
        var json = JSONText()
        json.add("id", "\(first.source)|\(time)")
        json.add("source", first.source)
        json.add("time", time)
        json.add("time_quality", first.timeQuality)
        json.addRaw("values", values.object)
        json.addRaw("raw", raw.object)
        json.addRaw("units", units.object)
        return json.bytes
    }
}
