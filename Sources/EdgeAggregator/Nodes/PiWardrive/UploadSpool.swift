import CEdgeSystem
import FieldNodes
import Foundation
import Synchronization
import TextParts

/// Uploads that wait to be merged: files whose names say whose they are. What is here is synced, and acknowledged.
final class UploadSpool: Sendable {
    enum Form: String, Sendable { case database = "db", records = "json" }

    struct Item: Sendable, Hashable {
        let path: String
        let unit: NodeID
        let form: Form
        let bytes: Int64
    }

    let folder: String
    private let mostBytes: Int64
    private let permit: DiskPermit
    private let budget: SpoolBudget
    private let counter: Mutex<Int>

    /// Files in it that are not whole yet begin so.
    static let unfinished = "part"

    /// - Parameters:
    ///   - mostBytes: What whole and unfinished files may have together.
    ///   - permit: Asked before each write.
    ///   - isOwner: whether nobody else puts files there: what is not whole is then of a run that was cut off.
    ///
    /// Memory: the path is borrowed for the call.
    init(folder: String, mostBytes: Int64, permit: DiskPermit, isOwner: Bool = true) throws {
        self.folder = folder
        self.mostBytes = mostBytes
        self.permit = permit
        budget = SpoolBudget(mostBytes: mostBytes) {
            Self.items(in: folder).reduce(0) { $0 + $1.bytes }
        }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let names = try FileManager.default.contentsOfDirectory(atPath: folder)
        for name in names where isOwner && Self.isUnfinished(name) { unsafe unlink("\(folder)/\(name)") }
        counter = Mutex(names.compactMap { $0.parts(at: ".").first.flatMap { Int($0) } }.max() ?? 0)
    }

    /// Whether a name is one that ``begin()`` gives; other files that somebody put there stay.
    private static func isUnfinished(_ name: String) -> Bool {
        name.hasPrefix("\(unfinished)-") && name.utf8.count == unfinished.utf8.count + 7
    }

    /// A file that a unit's upload is written to. It counts against the spool's limit as it grows.
    func begin() throws(SegmentError) -> SpoolFile {
        try SpoolFile(folder: folder, prefix: Self.unfinished, permit: permit, budget: budget)
    }

    /// In the order in which they came.
    var items: [Item] { Self.items(in: folder) }

    /// Memory: the path and the status are borrowed for the call.
    private static func items(in folder: String) -> [Item] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        let items = names.compactMap { name -> (Int, Item)? in
            let parts = name.parts(at: ".", omittingEmpty: false)
            guard parts.count == 3, let number = Int(parts[0]), let unit = unit(parts[1]),
                let form = Form(rawValue: String(parts[2]))
            else { return nil }
            var status = EdgeFileStatus()
            guard unsafe edge_lstat("\(folder)/\(name)", &status) == 0, status.isFile else { return nil }
            return (number, Item(path: "\(folder)/\(name)", unit: unit, form: form, bytes: status.size_bytes))
        }
        return items.sorted { $0.0 < $1.0 }.map(\.1)
    }

    var bytes: Int64 { items.reduce(0) { $0 + $1.bytes } }

    func hasRoom(_ bytes: Int64) -> Bool { bytes <= mostBytes - self.bytes }

    /// Takes a whole, synced file among what waits, durably; its path there.
    ///
    /// Memory: the path is borrowed for the call.
    @discardableResult
    func take(_ path: String, of unit: NodeID, as form: Form) throws -> String {
        while true {
            let number = counter.withLock { counter in
                counter += 1
                return counter
            }
            let target = "\(folder)/\(number).\(Self.name(of: unit)).\(form.rawValue)"
            // Another process may have taken the number.
            if unsafe access(target, F_OK) == 0 { continue }
            try UploadForm.move(path, to: target)
            return target
        }
    }

    /// Hexadecimal, since a unit's name is free text.
    private static func name(of unit: NodeID) -> String {
        unit.text.utf8.map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0\(digits)" : digits
        }.joined()
    }

    private static func unit(_ name: Substring) -> NodeID? {
        let digits = Array(name.utf8)
        guard digits.count % 2 == 0 else { return nil }
        let bytes = stride(from: 0, to: digits.count, by: 2).compactMap { place in
            UInt8(String(decoding: digits[place..<(place + 2)], as: UTF8.self), radix: 16)
        }
        return NodeID(.piwardrive, String(decoding: bytes, as: UTF8.self))
    }
}
