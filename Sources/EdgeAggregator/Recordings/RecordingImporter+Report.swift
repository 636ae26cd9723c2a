/// What became of the files of the replaced receiver.
extension RecordingImporter {
    /// Why a file was not taken. It stays where it is.
    enum Rejection: CaseIterable, Hashable {
        case kind, name, link, empty, noSound, costly, written, forbidden, otherDisk, disk

        var text: String {
            switch self {
            case .kind: "the name does not end with .wav, .flac, .mp3 or that of another kind of sound file"
            case .name:
                "the name is not LISTENER_YYYYMMDDTHHMMSSZ.wav (.flac, .mp3), with 1 to 64 of A-Z a-z 0-9 . _ - as the listener; rename it"
            case .link: "it is a link, a folder or a device, and not a file"
            case .empty: "it is empty"
            case .noSound: "it holds no sound that can be decoded"
            case .costly: "it takes longer than 10 minutes to decode"
            case .written: "another program is writing it; end the replaced receiver and run this again"
            case .forbidden:
                "this user may not read and write it; run this as its owner, or give it to the daemon's user with chown"
            case .otherDisk: "it is on another file system than recordings_dir; move it there and run this again"
            case .disk: "it cannot be read or written now; look at the disk and run this again"
            }
        }

        /// Whether the file may be taken later as it is, so that this run was not complete.
        var isObstacle: Bool {
            switch self {
            case .kind, .name, .link, .empty, .noSound, .costly: false
            case .written, .forbidden, .otherDisk, .disk: true
            }
        }
    }

    struct Report {
        /// Rows that were written now.
        var new = 0
        /// Of these, files whose sizes in the header were repaired.
        var repaired = 0
        var bytes: Int64 = 0
        /// Files that have a row.
        var alreadyThere = 0
        /// How many for each reason, and some of their names.
        private(set) var rejected: [Rejection: (count: Int, examples: [String])] = [:]
        /// Folders that could not be read to their end, each in a sentence.
        var problems: [String] = []

        private static let maximumExamples = 3

        var found: Int { new + alreadyThere }
        var rejectedCount: Int { rejected.values.reduce(0) { $0 + $1.count } }
        /// Whether everything that could be read was.
        var isComplete: Bool { problems.isEmpty && !rejected.keys.contains(where: \.isObstacle) }
        /// Whether there were files and none of them could be used.
        var isNothing: Bool { found == 0 && (rejectedCount > 0 || !problems.isEmpty) }

        mutating func reject(_ name: String, _ reason: Rejection) {
            var entry = rejected[reason] ?? (0, [])
            entry.count += 1
            if entry.examples.count < Self.maximumExamples { entry.examples.append(name) }
            rejected[reason] = entry
        }

        /// As other importers say it: `of 53 recordings 50 are new, 3 were there already, 1 more rejected`.
        var text: String {
            if found == 0, rejectedCount == 0 { return "there are no recordings in it" }
            let rejected = "\(rejectedCount) more rejected"
            if found > 0, new == 0 { return "all of \(found) recordings were there already, \(rejected)" }
            return "of \(found) recordings \(new) are new, \(alreadyThere) were there already, \(rejected)"
        }

        /// A line for each reason, with names as others gave them in quotes.
        var rejections: [String] {
            Rejection.allCases.compactMap { reason in
                guard let (count, examples) = rejected[reason] else { return nil }
                let names = examples.map(\.debugDescription).joined(separator: ", ")
                return "\(count) rejected: \(reason.text): \(names)\(count > examples.count ? ", …" : "")"
            }
        }
    }
}
