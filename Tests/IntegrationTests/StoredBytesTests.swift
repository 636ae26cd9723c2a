import EdgeTesting
import Foundation
import Testing

/// What is stored is what was sent, whatever the frames look like and whoever else talks to the daemon.
@Suite(.serialized) struct StoredBytesTests {
    private static let secret = "another-clients-secret"

    /// Random 16-bit sound in frames of 960 bytes; `first` is put at the start of each frame.
    private func frames(_ count: Int, first: UInt8?, _ random: inout SeededGenerator) -> [[UInt8]] {
        (0..<count).map { _ in
            var frame = random.bytes(960)
            if let first { frame[0] = first }
            return frame
        }
    }

    private func send(_ frames: [[UInt8]], together count: Int, to stream: RawConnection) throws {
        var rest = frames.enumerated().map { WireMaker.frame($0.offset, $0.element) }[...]
        while !rest.isEmpty {
            try stream.send(WireMaker.chunk(rest.prefix(count).flatMap { $0 }))
            rest = rest.dropFirst(count)
        }
        try stream.send(WireMaker.lastChunk)
        #expect(try DaemonProcess.parse(stream.answer()).status == 200)
    }

    /// Frames that may begin a WAV header are looked at before they are taken: `R` and `B` begin RIFF, RF64 and BW64.
    @Test(arguments: [nil, UInt8(ascii: "R"), UInt8(ascii: "B")], [1, 400])
    func keepsEveryByteOfFramesThatAreLookedAt(first: UInt8?, together: Int) throws {
        var random = SeededGenerator()
        let daemon = try DaemonProcess(settings: ["STORAGE_THREADS": "4"])
        try daemon.start()
        // Frame 0 is a header and sound.
        var sound = frames(400, first: first, &random)
        sound[0] = random.bytes(960)
        var wire = sound
        wire[0] = WireMaker.wavHeader() + wire[0]
        let others = DispatchGroup()
        let port = daemon.port
        DispatchQueue.global().async(group: others) {
            for _ in 0..<40 {
                _ = try? DaemonProcess.request(
                    "PUT", "/co2unit-1/data/readings/readings-0000.tsv", port: port,
                    headers: ["Authorization: Bearer \(Self.secret)"])
            }
        }
        try send(wire, together: together, to: daemon.stream("a"))
        others.wait()
        let recordings = try daemon.recordings()
        let kept = try recordings.flatMap { try daemon.sound($0) }
        let isSame = kept == sound.flatMap { $0 }
        #expect(isSame, "first byte \(String(describing: first)), \(together) frames in a chunk")
        #expect(!Data(kept).contains(Array(Self.secret.utf8)))
    }

    /// 24-bit samples cut over the ends of frames are put together from two of them.
    @Test func keepsEveryByteOfSamplesThatAreCut() throws {
        var random = SeededGenerator()
        let daemon = try DaemonProcess()
        try daemon.start()
        let sound = random.bytes(3 * 48_000 * 4)
        var wire = [WireMaker.wavHeader(bits: 24)]
        for start in stride(from: 0, to: sound.count, by: 4096) {
            wire.append(Array(sound[start..<min(start + 4096, sound.count)]))
        }
        try send(wire, together: 50, to: daemon.stream("a"))
        let isSame = try daemon.recordings().flatMap { try daemon.sound($0) } == sound
        #expect(isSame)
    }
}

extension Data {
    fileprivate func contains(_ pattern: [UInt8]) -> Bool { range(of: Data(pattern)) != nil }
}
