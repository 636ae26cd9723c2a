import Foundation
import TextParts

/// The name of a file as the replaced receiver gave it: `<listener>_<YYYYMMDD>T<HHMMSS>Z.<extension>`, in UTC. What it was still writing
/// is called the same with `.tmp` at the end.
///
/// A number after the time (`…Z-2.wav`) is of this program: a recording's name is unique, and the replaced receiver could give one twice.
struct LegacyRecordingName: Equatable, Sendable {
    let listener: ListenerID
    /// UTC, with the resolution of a second: when the first sound of a stream arrived, or when an upload was stored.
    let startNanoseconds: Int64
    let container: RecordingContainer
    /// Whether the file was still being written.
    let isUnfinished: Bool
    /// The name of the finished file.
    let finished: String

    private let stem: String
    /// As it is written, for example `WAV`.
    private let fileExtension: String

    static let unfinishedSuffix = ".tmp"

    /// Nil for any other name.
    init?(_ name: String) {
        let isUnfinished = name.hasSuffix(Self.unfinishedSuffix)
        let finished = isUnfinished ? String(name.dropLast(Self.unfinishedSuffix.utf8.count)) : name
        guard let (stem, fileExtension) = finished.halves(atLast: "."),
            let container = RecordingContainer(rawValue: fileExtension.lowercased()),
            let underscore = stem.halves(atLast: "_")
        else { return nil }
        let (stamp, number) = Self.numbered(underscore.after)
        guard let listener = ListenerID(underscore.before), number.map({ $0 >= 2 }) ?? true,
            let start = UploadName(filename: "\(listener)_\(stamp).wav").startNanoseconds
        else { return nil }
        self.listener = listener
        startNanoseconds = start
        self.container = container
        self.isUnfinished = isUnfinished
        self.finished = finished
        self.stem = "\(listener)_\(stamp)"
        self.fileExtension = String(fileExtension)
    }

    /// The finished name with a number, from 2 on.
    func numbered(_ number: Int) -> String { "\(stem)-\(number).\(fileExtension)" }

    /// The time, and the number behind it; 0 for something else behind it.
    private static func numbered(_ text: Substring) -> (stamp: Substring, number: Int?) {
        guard let (stamp, number) = text.halves(at: "-") else { return (text, nil) }
        let isNumber = (1...9).contains(number.utf8.count) && number.utf8.allSatisfy { (0x30...0x39).contains($0) }
        return (stamp, isNumber ? Int(number) ?? 0 : 0)
    }

    /// Whether a name ends as that of a sound file, whatever else it says.
    static func isOfSound(_ name: String) -> Bool {
        let finished = name.hasSuffix(unfinishedSuffix) ? name.dropLast(unfinishedSuffix.utf8.count) : name[...]
        return finished.halves(atLast: ".").flatMap { RecordingContainer(rawValue: $0.after.lowercased()) } != nil
    }
}

/// Where the replaced receiver left its files.
struct LegacyFolders: Sendable, Equatable {
    /// Finished recordings. They stay there: a row may name a file without a folder of its listener.
    let recordings: String
    /// Recordings that were still being written.
    let unfinished: [String]

    /// The replaced receiver had `recordings_tmp` beside `recordings`, unless its setting, which names the spool here, said otherwise.
    init(recordingsFolder: String, spoolFolder: String) {
        recordings = recordingsFolder
        let parent = (recordingsFolder as NSString).deletingLastPathComponent
        let usual = "\(parent.isEmpty ? "." : parent == "/" ? "" : parent)/recordings_tmp"
        let known = Self.real(usual) == Self.real(spoolFolder) ? [spoolFolder] : [spoolFolder, usual]
        unfinished = known.filter { Self.real($0) != Self.real(recordingsFolder) }
    }

    /// The folders of these that a path names: one of them, or the folder above the recordings for all. Nil for any other path.
    func folders(at path: String) -> [String]? {
        let real = Self.real(path)
        let parent = (Self.real(recordings) as NSString).deletingLastPathComponent
        if real == parent { return [recordings] + unfinished }
        return ([recordings] + unfinished).first { Self.real($0) == real }.map { [$0] }
    }

    /// The path without links and without a slash at its end; of a folder that is not there, as far as it can be told.
    static func real(_ path: String) -> String {
        URL(fileURLWithPath: path).resolvingSymlinksInPath().standardizedFileURL.path
    }
}
