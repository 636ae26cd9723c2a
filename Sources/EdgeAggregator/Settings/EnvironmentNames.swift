import TextParts

/// Names in the environment that are none of a setting, and may be meant as one.
///
/// The environment holds names of many other programs. So a name is told of only if few letters make a setting's name of it, few in
/// relation to its length, and not at all if it is short.
enum EnvironmentNames {
    /// Notices are made of so many names at most, in alphabetical order.
    static let maximumNotices = 16
    /// How long a name must be, in bytes, to be told of with one or two letters that differ.
    private static let minimumBytes = (one: 7, two: 9)

    private static let known = names(of: SettingsCatalogue.all)
    /// What somebody may have meant.
    private static let useful = names(of: SettingsCatalogue.all.filter { !$0.isWithoutEffect })
    private static let plain = Set(SettingsCatalogue.all.filter { !$0.isSecret }.map(\.environmentName))

    private static func names(of settings: [SettingDescription]) -> Set<String> {
        var names = Set(settings.map(\.environmentName))
        names.formUnion(SettingsCatalogue.aliases.keys.map { $0.uppercased() })
        names.formUnion(settings.filter(\.isSecret).map { $0.environmentName + "_FILE" })
        return names
    }

    static func notices(_ names: Set<String>) -> [SettingsProblem] {
        names.subtracting(known).sorted().compactMap(message).prefix(maximumNotices).map {
            SettingsProblem(place: "environment", message: $0)
        }
    }

    /// What may be wrong with a name; nil if it looks like none of ours.
    static func message(_ name: String) -> String? {
        if name.hasSuffix("_FILE"), plain.contains(String(name.dropLast(5))) {
            return "\(name) is not read: only secrets can be in a file; set \(name.dropLast(5))"
        }
        let upper = name.uppercased()
        if known.contains(upper) { return "\(name) is not read: names of settings are in capitals; set \(upper)" }
        // Variables of programs are in capitals; others belong to shells.
        guard name == upper, let near = nearest(upper) else { return nil }
        return "\(name) is not a setting; the nearest is \(near)"
    }

    private static func nearest(_ name: String) -> String? {
        let bytes = name.utf8.count
        let most = bytes >= minimumBytes.two ? 2 : bytes >= minimumBytes.one ? 1 : 0
        guard most > 0 else { return nil }
        let near = useful.compactMap { candidate -> (name: String, distance: Int)? in
            guard abs(candidate.utf8.count - bytes) <= most else { return nil }
            let distance = editDistance(candidate, name)
            return distance <= most ? (candidate, distance) : nil
        }
        return near.min { ($0.distance, $0.name) < ($1.distance, $1.name) }?.name
    }
}
