import CEdgeSystem
import FieldNodes
import Foundation
import TextParts

/// Updates for units: `remote_data/<unit>/updates/update-…/`, which become program code and settings on them. Only the
/// operator puts anything here; units look for the last name and fetch its files one by one.
struct UpdateShelf: Sendable {
    struct Problem: Error, CustomStringConvertible {
        let description: String
        init(_ text: String) { description = text }
    }

    let dataFolder: String
    let permit: DiskPermit

    static let mostFileBytes = 8_388_608
    static let mostFiles = 1000
    private static let mostParts = 8

    private func folder(_ unit: NodeID) -> String { "\(dataFolder)/\(unit.text)/updates" }

    /// Names of published updates, in order.
    func names(_ unit: NodeID) -> [String]? {
        guard let all = try? FileManager.default.contentsOfDirectory(atPath: folder(unit)) else { return nil }
        return all.filter { FileName.isPlain($0) }.sorted()
    }

    /// What a unit asks for below `updates`: a folder's names, or a file. Nil when there is nothing.
    enum Item: Sendable {
        case names([String])
        case file(path: String)
    }

    /// Memory: the path and the status are borrowed for the call.
    func item(_ unit: NodeID, _ path: [String], isRecursive: Bool) -> Item? {
        guard path.count <= Self.mostParts, path.allSatisfy({ FileName.isPlain($0) }) else { return nil }
        let place = ([folder(unit)] + path).joined(separator: "/")
        var status = EdgeFileStatus()
        guard unsafe edge_lstat(place, &status) == 0 else { return nil }
        if status.isFile { return .file(path: place) }
        guard status.isFolder else { return nil }
        if isRecursive {
            let files = FolderFiles.all(below: place).map(\.path)
            return .names(files.filter { path in path.parts(at: "/").allSatisfy { FileName.isPlain($0) } })
        }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: place)) ?? []
        return .names(names.filter { FileName.isPlain($0) }.sorted())
    }

    // MARK: - For the operator

    private func staging(_ unit: NodeID, _ name: String) -> String { "\(folder(unit))/.staging-\(name)" }

    static func check(_ name: String) throws(Problem) {
        guard name.hasPrefix("update-"), FileName.isPlain(name) else {
            throw Problem("`\(name)`: units install only what begins with update-, of A-Z a-z 0-9 . _ -")
        }
    }

    /// Puts a file of an update that is not published yet.
    func stage(_ unit: NodeID, _ name: String, path: String, bytes: [UInt8]) throws {
        try Self.check(name)
        let parts = path.parts(at: "/", omittingEmpty: false)
        guard (1..<Self.mostParts).contains(parts.count), parts.allSatisfy({ FileName.isPlain($0) }) else {
            throw Problem("`\(path)` is not a path of A-Z a-z 0-9 . _ - and /")
        }
        guard ["flash", "conf-patch"].contains(parts[0]), parts.count > 1 else {
            throw Problem("`\(path)`: units install only what is in flash/ and conf-patch/")
        }
        if parts[0] == "conf-patch" {
            let object = try? JSONSerialization.jsonObject(with: Data(bytes))
            guard object is [String: Any], path.hasSuffix(".json") else {
                throw Problem("`\(path)`: what is in conf-patch/ must be JSON objects")
            }
        }
        let place = "\(staging(unit, name))/\(path)"
        try permit.take(bytes.count, path: place)
        try FileManager.default.createDirectory(
            atPath: (place as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        guard FolderFiles.all(below: staging(unit, name)).count < Self.mostFiles else {
            throw Problem("an update has \(Self.mostFiles) files at most")
        }
        // Memory: the path is borrowed for the call; the text of the error is the system's and is copied at once.
        let descriptor = unsafe open(place, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o640)
        guard descriptor >= 0 else { throw Problem(unsafe "\(place): \(String(cString: strerror(errno)))") }
        let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        try handle.write(contentsOf: Data(bytes))
        try handle.synchronize()
    }

    /// Shows an update to the unit, all of it at once.
    ///
    /// Memory: the paths are borrowed for the calls; the text of the error is the system's and is copied at once.
    func publish(_ unit: NodeID, _ name: String) throws {
        try Self.check(name)
        let files = FolderFiles.all(below: staging(unit, name))
        // An empty folder stops a unit's communication for good.
        guard !files.isEmpty else { throw Problem("\(name) has no files yet for \(unit.text)") }
        let published = names(unit) ?? []
        guard !published.contains(name) else {
            throw Problem(
                "\(name) is published for \(unit.text) already; units do not fetch a name twice: choose a later one")
        }
        if let last = published.last, last > name {
            throw Problem("\(unit.text) would not see \(name): it takes the last by name, which is \(last)")
        }
        let place = "\(folder(unit))/\(name)"
        guard unsafe rename(staging(unit, name), place) == 0 else {
            throw Problem(unsafe "\(place): \(String(cString: strerror(errno)))")
        }
        for folder in [place, folder(unit)] {
            let descriptor = unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            if descriptor >= 0 {
                fsync(descriptor)
                close(descriptor)
            }
        }
    }

    /// Takes an update back, staged or published; a unit that has it keeps it. False when there is none.
    ///
    /// Memory: the path is borrowed for the call.
    func withdraw(_ unit: NodeID, _ name: String) throws -> Bool {
        try Self.check(name)
        let places = ["\(folder(unit))/\(name)", staging(unit, name)]
        let found = places.filter { unsafe access($0, F_OK) == 0 }
        for place in found { try FileManager.default.removeItem(atPath: place) }
        return !found.isEmpty
    }
}
