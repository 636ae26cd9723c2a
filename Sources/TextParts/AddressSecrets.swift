/// Secrets in a text that is known to be one address or connection string.
///
/// In a longer text nobody can tell where an address ends that was written without percent-encoding: a password may hold a quote,
/// a slash or an `@`. Here all of the text is the address.
extension String {
    /// Passwords, users that have none, and values whose names speak of a secret, as they stand in the text.
    public var secretsOfAddress: [String] {
        users.map { $0.halves(at: ":")?.after ?? $0 }.filter { !$0.isEmpty }.map(String.init)
            + HiddenPasswords.values(self[...]).filter { !$0.isEmpty }
    }

    /// The text as ``hidingPasswords`` has it, with nothing left before the last `@` that may be of a user.
    public var addressHidingPasswords: String {
        guard let user = users.max(by: { $0.utf8.count < $1.utf8.count }) else { return hidingPasswords }
        return "\(self[..<user.startIndex])\(HiddenPasswords.replacement)\(self[user.endIndex...])".hidingPasswords
    }

    /// What stands before an `@` and may be a user with a password. More than one where that is not clear: `u:p@h/?to=a@b` ends the
    /// user at the first `@` by RFC 3986, and at the second one if a slash of the password is not encoded.
    private var users: [Substring] {
        let address = halves(at: "://")?.after ?? self[...]
        let authority = Substring(address.utf8.prefix { !"/?#".utf8.contains($0) })
        var users = [authority.halves(atLast: "@")?.before].compactMap(\.self)
        if authority.holds(":"), let (user, _) = address.halves(atLast: "@"), user.endIndex != users.first?.endIndex {
            users.append(user)
        }
        return users
    }
}
