import Foundation

/// Lines, topics, paths and JSON of nodes: no input may crash their readers, and what they take keeps their rules.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    guard count > 0 else { return 0 }
    let bytes = Array(UnsafeBufferPointer(start: start + 1, count: count - 1))
    let text = String(decoding: bytes, as: UTF8.self)
    switch start[0] % 8 {
    case 0, 1:
        let (readings, rejected) = ISEMSReading.all(text)
        for reading in readings {
            precondition(reading.values.allSatisfy { !$0.isInfinite } && NodeID(.isems, reading.nodeID) != nil)
            precondition(reading.timeSeconds >= ISEMSReading.earliestSeconds)
            _ = BerlinTime.text(seconds: reading.timeSeconds)
        }
        precondition(readings.count + rejected.count <= bytes.count)
    case 2, 3:
        for isCut in [false, true] {
            guard let reading = try? CO2Reading(line: text[...], isCut: isCut) else { continue }
            precondition(
                reading.values.count == CO2Reading.layout.count && reading.values.allSatisfy { !$0.isInfinite })
        }
        // Where a file is cut must not change its lines.
        var whole: [Substring] = []
        _ = CO2Lines.split(bytes[...], isEnd: true) { line, _, _ in whole.append(line) }
        let cut = Int(start[0]) % (bytes.count + 1)
        var pieces: [Substring] = []
        let taken = CO2Lines.split(bytes[..<cut], isEnd: false) { line, _, _ in pieces.append(line) }
        _ = CO2Lines.split(bytes[taken...], isEnd: true) { line, _, _ in pieces.append(line) }
        precondition(whole == pieces)
    case 4:
        if let reading = try? ISEMSReading(json: bytes, nodeID: "n", arrivalSeconds: 1_795_224_926) {
            precondition(reading.values.allSatisfy { !$0.isInfinite })
        }
        _ = UnitHealth.all(json: bytes)
    case 5:
        if let path = PushPath(text) {
            precondition(!path.text.contains("..") || !path.text.split(separator: "/").contains(".."))
            precondition(path.text.hasPrefix("data/") || path.text.hasPrefix("errors/"))
        }
        _ = ISEMSTopic(text)
        if let node = NodeID(.co2, text) { precondition(!node.text.contains("/") && !node.text.hasPrefix(".")) }
        _ = DeployTier.all(text)
    case 6:
        let entry = CO2ErrorEntry(line: text[...], next: nil)
        precondition(entry.message.unicodeScalars.allSatisfy { $0.value >= 0x20 })
        if let (ping, time) = Ping.parse(text) { _ = ping.line(nanoseconds: time) }
        _ = CivilTime.nanoseconds(isoText: text)
    default:
        multipart(bytes)
    }
    return 0
}

/// A body gives the same parts wherever it is cut.
private func multipart(_ bytes: [UInt8]) {
    func parse(_ pieces: [ArraySlice<UInt8>]) -> (parts: [String], content: [UInt8], isFinished: Bool, failed: Bool) {
        var parser = MultipartParser(boundary: "b")
        var parts: [String] = []
        var content: [UInt8] = []
        for piece in pieces {
            do {
                try parser.consume(piece) { (event) throws(Never) in
                    switch event {
                    case .begin(let name, let filename): parts.append("\(name)|\(filename ?? "")")
                    case .data(let data): content.append(contentsOf: data)
                    case .end: parts.append("end")
                    }
                }
            } catch {
                return (parts, content, false, true)
            }
        }
        return (parts, content, parser.isFinished, false)
    }
    let whole = parse([bytes[...]])
    let cut = bytes.count / 3
    let pieces = parse([bytes[..<cut], bytes[cut...]])
    precondition(whole.failed == pieces.failed && whole.isFinished == pieces.isFinished)
    if !whole.failed { precondition(whole.parts == pieces.parts && whole.content == pieces.content) }
    precondition(whole.content.count <= bytes.count)
}
