import Foundation
import TextParts

/// The API's token where the operator has set none: made at the first start, kept beside the database for the daemon's user alone.
struct APITokenFile {
    let path: String

    init(baseFolder: String) { path = "\(baseFolder)/api-token" }

    /// The token, if it was made already and this user may read it.
    var existing: String? {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
        let token = String(text.withoutByteOrderMark.trimmed)
        return token.count >= 16 ? token : nil
    }

    /// The token that the API asks for by these settings, empty for none, and whether it was made just now.
    ///
    /// - Parameter isNeeded: whether one is needed whatever the settings say.
    static func token(
        for settings: Settings, isNeeded: Bool = false
    ) throws -> (token: String, isNew: Bool) {
        guard settings.box.apiToken.isEmpty else { return (settings.box.apiToken, false) }
        guard settings.access.isTokenNeeded || isNeeded else { return ("", false) }
        return try APITokenFile(baseFolder: settings.box.baseFolder).readOrMake()
    }

    /// The token, and whether it was made just now.
    func readOrMake() throws -> (token: String, isNew: Bool) {
        if let existing { return (existing, false) }
        // 32 letters and digits, from the system's random numbers: 160 bits.
        let letters = Array("abcdefghijkmnpqrstuvwxyz23456789")
        var generator = SystemRandomNumberGenerator()
        let token = String((0..<32).map { _ in letters[Int.random(in: 0..<letters.count, using: &generator)] })
        let temporary = "\(path).new"
        try? FileManager.default.removeItem(atPath: temporary)
        guard
            FileManager.default.createFile(
                atPath: temporary, contents: Data("\(token)\n".utf8), attributes: [.posixPermissions: 0o600])
        else { throw CocoaError(.fileWriteUnknown, userInfo: [NSFilePathErrorKey: path]) }
        if let file = FileHandle(forUpdatingAtPath: temporary) {
            try file.synchronize()
            try file.close()
        }
        // Memory: the paths are borrowed for the call.
        guard unsafe rename(temporary, path) == 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        return (token, true)
    }
}
