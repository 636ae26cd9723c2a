import Foundation
import TextParts

/// User and password of an `Authorization: Basic` field (RFC 7617).
struct BasicCredentials {
    let user: String
    let password: String

    init?(_ field: String) {
        let pieces = field.parts(at: " ", maximumSplits: 1)
        guard pieces.count == 2, pieces[0].lowercased() == "basic", let data = Data(base64Encoded: String(pieces[1]))
        else { return nil }
        let credentials = String(decoding: data, as: UTF8.self)
        guard let colon = credentials.utf8.firstIndex(of: UInt8(ascii: ":")) else { return nil }
        user = String(credentials[..<colon])
        password = String(credentials[credentials.utf8.index(after: colon)...])
    }
}
