import AudioDSP

/// From a window's raw scores to what is reported of it.
struct DetectionPolicy: Sendable {
    struct Found: Sendable, Equatable {
        let labelIndex: Int
        /// 0...1
        let confidence: Float
    }

    struct Judgement: Sendable, Equatable {
        /// Most confident first.
        var found: [Found]
        /// The highest score of the human classes, whatever the filters say.
        var humanScore: Float
    }

    private let sensitivity: Sensitivity
    private let minimumConfidence: Float
    /// Which labels may be reported: location and season, include and exclude lists.
    private let reported: [Bool]
    private let humanIndices: [Int]

    /// - Parameter inSeason: one value a label, from the location filter; nil for no filter. The classes that are no
    ///   species (Human, Dog, Engine…) have no range and are never filtered by place.
    init(
        labels: LabelSet, sensitivity: Sensitivity, minimumConfidence: Float, inSeason: [Bool]?, include: [String],
        exclude: [String]
    ) {
        self.sensitivity = sensitivity
        self.minimumConfidence = minimumConfidence
        humanIndices = labels.humanIndices
        let included = Set(include.map { $0.lowercased() })
        let excluded = Set(exclude.map { $0.lowercased() })
        reported = labels.entries.enumerated().map { index, entry in
            let names = [entry.scientific.lowercased(), entry.common.lowercased()]
            if names.contains(where: excluded.contains) { return false }
            if !included.isEmpty { return names.contains(where: included.contains) }
            let isSpecies = entry.scientific != entry.english
            return inSeason.map { $0[index] || !isSpecies } ?? true
        }
    }

    func judge(_ logits: [Float]) -> Judgement {
        // The score grows with the logit, so most classes are sorted out by one comparison.
        let threshold = sensitivity.logit(forScore: minimumConfidence)
        var found: [Found] = []
        for index in 0..<min(logits.count, reported.count) where logits[index] > threshold && reported[index] {
            found.append(Found(labelIndex: index, confidence: sensitivity.score(logit: logits[index])))
        }
        found.sort { $0.confidence > $1.confidence }
        let human = humanIndices.map { logits[$0] }.max().map { sensitivity.score(logit: $0) } ?? 0
        return Judgement(found: found, humanScore: human)
    }
}
