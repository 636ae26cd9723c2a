import AudioDSP
import EdgeTesting
import Foundation
import Testing

/// Scores equal those of the bare C interface.
@Suite struct GoldenVectorTests {
    /// The real recording at 48 kHz, resampled once; both sides get the same samples.
    private func birds() throws -> [Float] {
        let reader = try SoundFileReader(path: TestFolders.birds())
        let resampler = try Resampler(from: reader.sampleRate)
        var samples: [Float] = []
        var failure: (any Error)?
        while try reader.readMono(
            channel: .mix, maxFrames: 4096,
            { block in
                do { try resampler.process(block) { samples += $0 } } catch { failure = error }
            }) > 0
        {}
        try resampler.flush { samples += $0 }
        if let failure { throw failure }
        return samples
    }

    @Test func equalTheReferenceProgramInEveryClass() throws {
        let models = try TestFolders.models()
        let sound = try birds()
        // 10.1 s hold 15 windows at steps of half a second.
        let starts = Array(stride(from: 0, through: sound.count - BirdNET.windowSamples, by: 24_000))
        #expect(starts.count >= 10)
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        var input = Data()
        for start in starts {
            sound[start..<(start + BirdNET.windowSamples)].withUnsafeBytes { input.append(contentsOf: $0) }
        }
        try input.write(to: URL(fileURLWithPath: "\(folder)/in"))
        let library = "\(models)/libtensorflowlite_c.so"
        let modelPath = "\(models)/BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite"
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "\(TestFolders.products)/birdnet-reference")
        process.arguments = [library, modelPath, "score", "\(folder)/in", "\(folder)/out"]
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
        let reference = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/out")).withUnsafeBytes {
            Array($0.bindMemory(to: Float.self))
        }
        let model = try BirdNETModel(library: try TensorFlowLiteLibrary(path: library), path: modelPath)
        try #require(reference.count == starts.count * model.outputs)
        // The second classifier shares the first one's packed weights.
        for classifier in [try BirdNETClassifier(model: model), try BirdNETClassifier(model: model)] {
            var scores = [Float](repeating: 0, count: model.outputs)
            var greatest: Float = 0
            for (number, start) in starts.enumerated() {
                var output = scores.mutableSpan
                try classifier.logits(sound.span.extracting(start..<(start + BirdNET.windowSamples)), into: &output)
                for index in scores.indices {
                    greatest = max(greatest, abs(scores[index] - reference[number * model.outputs + index]))
                }
            }
            print("greatest difference of \(starts.count) x \(model.outputs) raw scores: \(greatest)")
            #expect(greatest <= 1e-4)
        }
    }

    @Test func expectsAsManySpeciesAtAPlaceAsTheModelsAuthorsTools() throws {
        let models = try TestFolders.models()
        let library = try TensorFlowLiteLibrary(path: "\(models)/libtensorflowlite_c.so")
        let filter = LocationFilter(
            library: library, path: "\(models)/BirdNET_GLOBAL_6K_V2.4_MData_Model_V2_FP16.tflite", outputs: 6522)
        // Counted with the authors' Python tools at a threshold of 0.03.
        for (latitude, longitude, week, count) in [
            (52.5, 13.4, 20, 163), (52.5, 13.4, 48, 124), (42.5, -76.45, 4, 64), (42.5, -76.45, 20, 132),
            (42.5, -76.45, -1, 255),
        ] {
            let species = try filter.probabilities(latitude: latitude, longitude: longitude, week: week)
            #expect(species.count { $0 >= 0.03 } == count)
        }
        #expect(LocationFilter.week(dayOfYear: 1, daysInYear: 365) == 1)
        #expect(LocationFilter.week(dayOfYear: 365, daysInYear: 365) == 48)
    }

    @Test func saysWhatIsWrongWithLibraryModelAndLabels() throws {
        let models = try TestFolders.models()
        #expect { try TensorFlowLiteLibrary(path: "/nowhere/lib.so") } throws: {
            ($0 as? ClassifierError)?.code == .libraryMissing
        }
        let library = try TensorFlowLiteLibrary(path: "\(models)/libtensorflowlite_c.so")
        #expect(library.version == "2.17.1")
        #expect { try BirdNETModel(library: library, path: "/nowhere.tflite") } throws: {
            ($0 as? ClassifierError)?.code == .modelUnreadable
        }
        #expect {
            try BirdNETModel(library: library, path: "\(models)/BirdNET_GLOBAL_6K_V2.4_MData_Model_V2_FP16.tflite")
        } throws: {
            ($0 as? ClassifierError)?.code == .modelUnfit
        }
        let labels = try LabelSet(path: "\(models)/labels/en.txt", translation: "\(models)/labels/de.txt")
        #expect(labels.entries.count == 6522)
        #expect(
            labels.humanIndices.map { labels.entries[$0].english }.sorted() == [
                "Human non-vocal", "Human vocal", "Human whistle",
            ])
        #expect(labels.entries.first { $0.scientific == "Turdus merula" }?.common == "Amsel")
        let folder = try TestFolders.temporary()
        defer { TestFolders.remove(folder) }
        try "Turdus merula_Amsel".write(toFile: "\(folder)/short.txt", atomically: true, encoding: .utf8)
        #expect { try LabelSet(path: "\(models)/labels/en.txt", translation: "\(folder)/short.txt") } throws: {
            ($0 as? ClassifierError)?.code == .labelsUnfit
        }
    }

    @Test func hasTheBiasFormOfSensitivity() {
        // 1 / (1 + exp(-(x + 10 (s - 1)))), computed by hand.
        #expect(abs(Sensitivity(1).score(logit: 0) - 0.5) < 1e-6)
        #expect(abs(Sensitivity(1).score(logit: 1.386_294_4) - 0.8) < 1e-6)
        #expect(abs(Sensitivity(1.25).score(logit: -2.5) - 0.5) < 1e-6)
        #expect(abs(Sensitivity(0.5).score(logit: 5) - 0.5) < 1e-6)
        #expect(abs(Sensitivity(1.25).logit(forScore: 0.8) - (1.386_294_4 - 2.5)) < 1e-5)
    }
}
