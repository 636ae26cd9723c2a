/// An account at Copernicus Marine, and what is taken from there.
public struct CopernicusAccount: Sendable {
    public var user: String
    public var password: String
    /// Such as `cmems_mod_glo_phy-cur_anfc_0.083deg_PT6H-i`.
    public var dataset: String
    /// Of the clients' configuration, where everything begins.
    public var configURL: String
    public var authURL: String

    public init(user: String, password: String, dataset: String, configURL: String, authURL: String) {
        self.user = user
        self.password = password
        self.dataset = dataset
        self.configURL = configURL
        self.authURL = authURL
    }

    public var isSet: Bool { !user.isEmpty && !password.isEmpty }
}

/// Without the password, wherever it is printed.
extension CopernicusAccount: CustomStringConvertible, CustomDebugStringConvertible {
    public var description: String { user.isEmpty ? "no account" : "the account of \(user)" }
    public var debugDescription: String { description }
}
