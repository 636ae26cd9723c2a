import AudioDSP
import EdgeTesting
import Foundation
import Testing

@Suite struct SignalGateTests {
    @Test func equalsTheDirectTransform() {
        var random = SeededGenerator()
        for size in [4, 8, 64, 1024] {
            let fft = RealFFT(size: size)
            let samples = (0..<size).map { _ in Float.random(in: -1...1, using: &random) }
            let window = [Float](repeating: 1, count: size)
            var power = [Float](repeating: 0, count: size / 2 + 1)
            var sums = power.mutableSpan
            fft.addPower(of: samples.span, window: window.span, to: &sums)
            for bin in stride(from: 0, through: size / 2, by: max(1, size / 16)) {
                var real = 0.0
                var imaginary = 0.0
                for (index, sample) in samples.enumerated() {
                    let angle = 2 * Double.pi * Double(bin) * Double(index) / Double(size)
                    real += Double(sample) * cos(angle)
                    imaginary -= Double(sample) * sin(angle)
                }
                let wanted = real * real + imaginary * imaginary
                #expect(abs(Double(power[bin]) - wanted) <= 1e-3 * max(1, wanted))
            }
        }
    }

    private func verdict(_ samples: [Float]) -> (SignalGate.Verdict, SignalGate.Measures) {
        let gate = SignalGate()
        let measures = gate.measure(samples.span, meter: SignalGate.Meter())
        return (gate.verdict(measures), measures)
    }

    @Test func tellsNoiseClippingAndSilenceFromBirds() throws {
        var random = SeededGenerator()
        for level in [0.0001, 0.01, 0.5] as [Float] {
            let noise = (0..<144_000).map { _ in Float.random(in: -level...level, using: &random) }
            let result = verdict(noise)
            print("white noise at \(level): \(result.1)")
            #expect(result.0 == .noise)
        }
        #expect(verdict([Float](repeating: 0, count: 144_000)).0 == .silent)
        let loud = (0..<144_000).map { Float(max(-1, min(1, 4 * sin(Double($0) / 7)))) }
        #expect(verdict(loud).0 == .clipped)
        let reader = try SoundFileReader(path: TestFolders.birds())
        let resampler = try Resampler(from: reader.sampleRate)
        var birds: [Float] = []
        while try reader.readMono(
            channel: .mix, maxFrames: 4096,
            { block in
                try? resampler.process(block) { birds += $0 }
            }) > 0
        {}
        for start in stride(from: 0, through: birds.count - 144_000, by: 48_000) {
            let result = verdict(Array(birds[start..<(start + 144_000)]))
            print("birds at \(start / 48_000) s: \(result.1)")
            #expect(result.0 == .pass)
        }
    }

    @Test(arguments: [8000, 22_050, 32_000, 44_100, 96_000, 384_000])
    func resamplesATone(rate: Int) throws {
        let resampler = try Resampler(from: rate)
        let tone = (0..<rate).map { Float(sin(2 * Double.pi * 1000 * Double($0) / Double(rate))) }
        var out: [Float] = []
        for start in stride(from: 0, to: tone.count, by: 3001) {
            let piece = tone[start..<min(start + 3001, tone.count)]
            try resampler.process(piece.span) { out += $0 }
        }
        try resampler.flush { out += $0 }
        #expect(abs(out.count - 48_000) <= 1)
        // The same tone at the same phase, but for the filter's edges.
        var greatest: Float = 0
        for index in 4000..<44_000 {
            greatest = max(greatest, abs(out[index] - Float(sin(2 * Double.pi * 1000 * Double(index) / 48_000))))
        }
        #expect(greatest < 1e-4)
    }
}
