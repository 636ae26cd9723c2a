import Foundation

/// User and password of an `Authorization: Basic` field (RFC 7617).
struct BasicCredentials {
    let user: String
    let password: String

    init?(_ field: String) {
        let pieces = field.split(separator: " ", maxSplits: 1)
        guard pieces.count == 2, pieces[0].lowercased() == "basic", let data = Data(base64Encoded: String(pieces[1]))
        else { return nil }
        let credentials = String(decoding: data, as: UTF8.self)
        guard let colon = credentials.firstIndex(of: ":") else { return nil }
        user = String(credentials[..<colon])
        password = String(credentials[credentials.index(after: colon)...])
    }
}
