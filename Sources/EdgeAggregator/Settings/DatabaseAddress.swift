import TextParts

/// What the address of a database names. SQLAlchemy's forms are read too: `postgresql+psycopg2://…` has the driver in its scheme.
enum DatabaseAddress: Equatable {
    /// As libpq reads it: `postgresql://…`.
    case postgreSQL(String)
    case sqlite
    case unknown

    init(_ text: String) {
        guard let (scheme, rest) = text.halves(at: ":") else {
            self = .unknown
            return
        }
        switch scheme.before("+").lowercased() {
        case "postgresql", "postgres": self = rest.begins(with: "//") ? .postgreSQL("postgresql:\(rest)") : .unknown
        case "sqlite": self = .sqlite
        default: self = .unknown
        }
    }
}
