import TextParts

/// A family of NCEP's files, and the records of it that are wanted.
public struct GFSProduct: Sendable {
    /// A record: its words in the index and the filter, and its codes in the message.
    public struct Record: Sendable, Equatable {
        public let variable: String
        /// As the index says it.
        public let level: String
        public let discipline: Int
        public let category: Int
        public let parameter: Int
        public let surfaceType: Int
        public let surfaceValue: Double
    }

    public let kind: ForecastKind
    public let records: [Record]
    /// Behind `gfs.YYYYMMDD/HH/`: the folder, and the file's name before and after the hour.
    private let folder: String
    private let stem: @Sendable (_ cycle: String) -> String
    private let hourSuffix: String
    /// Of the NOMADS filter's scripts; nil where there is none.
    private let filterScript: String?

    /// Wind 10 m above ground, a quarter of a degree.
    public static let wind = GFSProduct(
        kind: .wind,
        records: [
            Record(
                variable: "UGRD", level: "10 m above ground", discipline: 0, category: 2, parameter: 2,
                surfaceType: 103, surfaceValue: 10),
            Record(
                variable: "VGRD", level: "10 m above ground", discipline: 0, category: 2, parameter: 3,
                surfaceType: 103, surfaceValue: 10),
        ],
        folder: "atmos", stem: { "gfs.t\($0)z.pgrb2.0p25.f" }, hourSuffix: "", filterScript: "filter_gfs_0p25.pl")

    /// Waves at the surface, a quarter of a degree.
    public static let waves = GFSProduct(
        kind: .waves,
        records: [("HTSGW", 3), ("PERPW", 11), ("DIRPW", 10)].map { name, parameter in
            Record(
                variable: name, level: "surface", discipline: 10, category: 0, parameter: parameter, surfaceType: 1,
                surfaceValue: 0)
        },
        folder: "wave/gridded", stem: { "gfswave.t\($0)z.global.0p25.f" }, hourSuffix: ".grib2", filterScript: nil)

    /// `gfs.20260829/00/atmos/gfs.t00z.pgrb2.0p25.f003`
    public func path(runSeconds: Int64, hour: Int) -> String {
        let cycle = Self.cycle(runSeconds)
        return "gfs.\(CalendarTime.dayText(runSeconds))/\(cycle)/\(folder)/" + name(cycle: cycle, hour: hour)
    }

    private func name(cycle: String, hour: Int) -> String {
        stem(cycle) + CalendarTime.digits(hour, 3) + hourSuffix
    }

    private static func cycle(_ runSeconds: Int64) -> String {
        CalendarTime.digits(CalendarTime.parts(runSeconds).hour, 2)
    }

    /// A request to the filter that cuts a box out at the server; nil where there is no filter.
    ///
    /// - Parameter base: such as `https://nomads.ncep.noaa.gov/cgi-bin`.
    func filterURL(base: String, runSeconds: Int64, hour: Int, box: GeoBox) -> String? {
        guard let filterScript else { return nil }
        let cycle = Self.cycle(runSeconds)
        var query = ["file=" + name(cycle: cycle, hour: hour)]
        for record in records {
            query.append("lev_" + record.level.replacingText(" ", with: "_") + "=on")
            query.append("var_\(record.variable)=on")
        }
        if !box.isGlobe {
            query += [
                "subregion=", "leftlon=\(box.west)", "rightlon=\(box.east)", "toplat=\(box.north)",
                "bottomlat=\(box.south)",
            ]
        }
        query.append(
            "dir=%2Fgfs.\(CalendarTime.dayText(runSeconds))%2F\(cycle)%2F\(folder.replacingText("/", with: "%2F"))")
        var seen: Set<String> = []
        return "\(base)/\(filterScript)?" + query.filter { seen.insert($0).inserted }.joined(separator: "&")
    }

    /// What is wrong with a field, if it is to be a record of a run and an hour; nil when nothing is.
    func problem(_ field: GRIBField, _ record: Record, runSeconds: Int64, hour: Int) -> String? {
        do throws(GRIBError) {
            let product = try field.product()
            guard field.discipline == record.discipline, product.category == record.category,
                product.parameter == record.parameter
            else { return "is another variable" }
            guard product.surfaceType == record.surfaceType, product.surfaceValue == record.surfaceValue else {
                return "is of another level"
            }
            guard product.intervalEndSeconds == nil else { return "is not of one time" }
            guard field.referenceSeconds == runSeconds else {
                return "is of the run of \(CalendarTime.text(field.referenceSeconds))"
            }
            guard product.forecastSeconds == Int64(hour) * 3600 else {
                return "is for hour \(product.forecastSeconds / 3600)"
            }
            return nil
        } catch {
            return "cannot be read: \(error)"
        }
    }

    /// The wanted records out of messages, in the order of ``records``. Others are passed over: neighbours of a merged range.
    func fields(
        of messages: [GRIBMessage], runSeconds: Int64, hour: Int
    ) throws(CollectionFailure) -> [GRIBField] {
        var found: [GRIBField] = []
        let all = messages.flatMap(\.fields)
        for record in records {
            var problems: [String] = []
            let field = all.first { field in
                guard let problem = problem(field, record, runSeconds: runSeconds, hour: hour) else { return true }
                problems.append(problem)
                return false
            }
            guard let field else {
                let why = problems.first { $0 != "is another variable" } ?? "is not there"
                throw .failed("\(record.variable) of hour \(hour) \(why)")
            }
            found.append(field)
        }
        return found
    }
}
