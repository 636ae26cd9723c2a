import FieldNodes
import Foundation
import TextParts

/// The units that had files here before there was a limit by address: what they have does not count for it, so that an update locks
/// out no fleet behind one address. Each keeps its own limit.
///
/// The list is made once, when the limit is needed first, and stays in a file beside the units' folders.
enum UnitsBeforeLimits {
    static let fileName = ".units-before-address-limit"
    private static let title = "# CO2 units that have no limit by address. Remove a line to give one its limit."

    /// - Parameter report: Takes what the operator must know.
    static func load(_ folder: String, _ report: (String) -> Void) -> Set<NodeID> {
        let path = "\(folder)/\(fileName)"
        if let data = FileManager.default.contents(atPath: path) {
            let lines = String(decoding: data, as: UTF8.self).parts(at: "\n")
            // A file that was cut off by a loss of power has no title.
            if lines.first.map({ Array($0.utf8) }) == Array(title.utf8) {
                return Set(lines.dropFirst().compactMap { NodeID(.co2, $0) })
            }
        }
        let units = FolderFiles.names(in: folder, onFailure: { _ in }).compactMap { NodeID(.co2, $0) }.filter { unit in
            PushPath.writableFolders.contains {
                FileManager.default.fileExists(atPath: "\(folder)/\(unit.text)/\($0)")
            }
        }
        do {
            // A folder that is not there yet must not be taken for one of an earlier version later.
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let text = ([title] + units.map(\.text)).joined(separator: "\n") + "\n"
            try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            report("\(path) cannot be written, so the list of units without a limit by address is made again: \(error)")
        }
        if !units.isEmpty {
            report(
                "\(units.count) CO2 units had files here before co2_address_max_bytes and co2_address_max_files; "
                    + "these limits do not count for them (\(path))")
        }
        return Set(units)
    }
}
