import TextParts

/// Something is wrong with a setting.
struct SettingsProblem: Error, Sendable, CustomStringConvertible, Equatable {
    /// `settings.yaml:12`, `.env:3` or `environment`.
    let place: String
    let message: String

    /// Without passwords: a value that is wrong may hold one.
    var description: String { "\(place): \(message)".hidingPasswords }
}

/// All that is wrong with the settings.
struct SettingsProblems: Error, Sendable, CustomStringConvertible {
    let problems: [SettingsProblem]
    /// What an operator should know besides.
    var notices: [SettingsProblem] = []

    var description: String { problems.map(\.description).joined(separator: "\n") }
}

/// How many single letters must be changed, added or left out to get from one word to another (Levenshtein).
func editDistance(_ first: String, _ second: String) -> Int {
    let first = Array(first.utf8)
    let second = Array(second.utf8)
    var row = Array(0...second.count)
    for (i, letter) in first.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for (j, other) in second.enumerated() {
            let change = diagonal + (letter == other ? 0 : 1)
            diagonal = row[j + 1]
            row[j + 1] = min(change, row[j] + 1, row[j + 1] + 1)
        }
    }
    return row[second.count]
}
