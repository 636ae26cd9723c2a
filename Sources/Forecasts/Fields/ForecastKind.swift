/// A kind of field, and what it consists of.
public enum ForecastKind: String, Sendable, CaseIterable, Codable {
    case wind
    case currents = "ocean-currents"
    case waves

    /// Reads a name as people and other programs write it: `ocean_currents` is `ocean-currents` too.
    public init?(name: some StringProtocol) {
        let name = String(decoding: name.utf8.map { $0 == UInt8(ascii: "_") ? UInt8(ascii: "-") : $0 }, as: UTF8.self)
        self.init(rawValue: name)
    }

    public struct Variable: Sendable, Equatable {
        /// Its name in files and answers.
        public let name: String
        /// Of the CF conventions' table.
        public let standardName: String
        public let longName: String
        public let unit: String
        /// Degrees of a compass: 350 and 10 have 0 between them.
        public var isDirection = false
    }

    public var variables: [Variable] {
        switch self {
        case .wind:
            [
                Variable(
                    name: "x_wind", standardName: "x_wind", longName: "Wind towards the east, 10 m above ground",
                    unit: "m s-1"),
                Variable(
                    name: "y_wind", standardName: "y_wind", longName: "Wind towards the north, 10 m above ground",
                    unit: "m s-1"),
            ]
        case .currents:
            [
                Variable(
                    name: "x_sea_water_velocity", standardName: "x_sea_water_velocity",
                    longName: "Current towards the east at the surface", unit: "m s-1"),
                Variable(
                    name: "y_sea_water_velocity", standardName: "y_sea_water_velocity",
                    longName: "Current towards the north at the surface", unit: "m s-1"),
            ]
        case .waves:
            [
                Variable(
                    name: "sea_surface_wave_significant_height",
                    standardName: "sea_surface_wave_significant_height",
                    longName: "Significant height of wind waves and swell", unit: "m"),
                Variable(
                    name: "sea_surface_wave_mean_period", standardName: "sea_surface_wave_mean_period",
                    longName: "Primary wave mean period", unit: "s"),
                Variable(
                    name: "sea_surface_wave_from_direction", standardName: "sea_surface_wave_from_direction",
                    longName: "Primary wave direction", unit: "degree", isDirection: true),
            ]
        }
    }

    /// Who has made it.
    public var source: String {
        switch self {
        case .wind: "NOAA GFS"
        case .currents: "Copernicus Marine"
        case .waves: "NOAA GFS-Wave"
        }
    }

    /// What the source wants to be said of where the data come from.
    public var attribution: String {
        switch self {
        case .wind, .waves: "NOAA/NWS/NCEP, distributed by the NOAA Open Data Dissemination programme"
        case .currents:
            "Generated using E.U. Copernicus Marine Service Information; https://doi.org/10.48670/moi-00016"
        }
    }
}
