import AudioDSP
import EdgeTesting
import Foundation
import Testing

@testable import EdgeAggregator

@Suite struct DetectionPolicyTests {
    private func labels() throws -> LabelSet {
        let folder = try TestFolders.temporary("edge-labels")
        defer { TestFolders.remove(folder) }
        let own = "\(folder)/labels.txt"
        let other = "\(folder)/labels_de.txt"
        try "Parus major_Great Tit\nCorvus corax_Common Raven\nHuman vocal_Human vocal\nDog_Dog\n".write(
            toFile: own, atomically: false, encoding: .utf8)
        try "Parus major_Kohlmeise\nCorvus corax_Kolkrabe\nHuman vocal_Mensch\nDog_Hund\n".write(
            toFile: other, atomically: false, encoding: .utf8)
        return try LabelSet(path: own, translation: other)
    }

    /// Labels that are reported of scores that are all the same.
    private func reported(
        _ logit: Float = 2, inSeason: [Bool]? = nil, include: [String] = [], exclude: [String] = [],
        sensitivity: Double = 1, least: Float = 0.25
    ) throws -> DetectionPolicy.Judgement {
        let policy = DetectionPolicy(
            labels: try labels(), sensitivity: Sensitivity(sensitivity), minimumConfidence: least, inSeason: inSeason,
            include: include, exclude: exclude)
        return policy.judge([logit, logit + 1, logit, logit])
    }

    @Test func saysAllThatIsConfidentTheMostConfidentFirst() throws {
        let all = try reported()
        #expect(all.found.map(\.labelIndex).first == 1 && all.found.count == 4)
        // 1 / (1 + exp(-3)), 1 / (1 + exp(-2))
        #expect(abs(all.found[0].confidence - 0.952574) < 1e-5)
        #expect(abs(all.humanScore - 0.880797) < 1e-5)
        #expect(try reported(-1.2).found.map(\.labelIndex) == [1])
        #expect(try reported(-2.2).found.isEmpty)
        #expect(try reported(-2.2, least: 0.01).found.count == 4)
    }

    /// BirdNET-Analyzer 2.4: a sensitivity of 1.25 is 2.5 more for each raw score.
    @Test func isMoreSensitiveAsTheAuthorsToolIs() throws {
        #expect(try reported(-3, sensitivity: 1.25).found.count == 4)
        #expect(abs(try reported(-3, sensitivity: 1.25).humanScore - 0.377541) < 1e-5)
        #expect(try reported(2, sensitivity: 0.5).found.isEmpty)
    }

    @Test func goesByPlaceAndListsAndHearsVoicesWhateverTheySay() throws {
        // What is no species has no range.
        #expect(try Set(reported(inSeason: [true, false, false, false]).found.map(\.labelIndex)) == [0, 2, 3])
        #expect(try reported(include: ["KOHLMEISE"]).found.map(\.labelIndex) == [0])
        #expect(
            try reported(include: ["corvus corax", "Kohlmeise"], exclude: ["Kohlmeise"]).found.map(\.labelIndex) == [1])
        let quiet = try reported(exclude: ["Human vocal", "Hund", "Parus major", "Kolkrabe"])
        #expect(quiet.found.isEmpty && quiet.humanScore > 0.88)
        // Asked for by name, whether it can be there or not.
        #expect(try reported(inSeason: [false, false, false, false], include: ["Kohlmeise"]).found.count == 1)
    }
}
