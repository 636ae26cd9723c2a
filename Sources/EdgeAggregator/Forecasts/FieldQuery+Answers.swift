import Forecasts

extension FieldQuery.Series {
    /// As CF NetCDF. Runs on the archive's thread.
    ///
    /// - Parameter house: Tells the time of the answer.
    func netCDF(_ house: ForecastHouse) throws -> [UInt8] {
        let first = runs.min().map { CalendarTime.text($0) } ?? ""
        let last = runs.max().map { CalendarTime.text($0) } ?? ""
        let of = first == last ? "run of \(first)" : "runs of \(first) to \(last)"
        let history = house.history("made of \(times.count) files of \(kind.source), \(of)", grid)
        let run = Set(runs).count == 1 ? runs.first : nil
        let writer = try FieldWriter(
            FieldWriter.Description(kind: kind, grid: grid, times: times, runSeconds: run, history: history),
            path: nil)
        for (variable, all) in values.enumerated() {
            for (time, part) in all.enumerated() {
                try writer.put(
                    variable: variable, time: time, rows: grid.latitude.count, columns: grid.longitude.count,
                    values: part)
            }
        }
        return try writer.finish()
    }

    /// As JSON: axes, and of each variable the values by time, latitude and longitude, with five decimals at most; null where
    /// there is none.
    func json() -> [UInt8] {
        func list(_ values: [String]) -> String { "[\(values.joined(separator: ","))]" }
        func number(_ value: Double) -> String { "\((value * 1e6).rounded() / 1e6)" }
        var head = "{\"data_type\":\"\(kind.rawValue)\",\"source\":\"\(kind.source)\""
        head += ",\"attribution\":\"\(kind.attribution)\""
        head += ",\"time\":" + list(times.map { "\"\(CalendarTime.text($0))\"" })
        head += ",\"forecast_reference_time\":" + list(runs.map { "\"\(CalendarTime.text($0))\"" })
        head += ",\"latitude\":" + list((0..<grid.latitude.count).map { number(grid.latitude.value($0)) })
        head += ",\"longitude\":" + list((0..<grid.longitude.count).map { number(grid.longitude.value($0)) })
        head += ",\"units\":{" + kind.variables.map { "\"\($0.name)\":\"\($0.unit)\"" }.joined(separator: ",") + "}"
        var text = Array(head.utf8)
        let width = grid.longitude.count
        text.reserveCapacity(text.count + values.count * times.count * grid.points * 9)
        for (variable, all) in zip(kind.variables, values) {
            text += ",\"\(variable.name)\":[".utf8
            for (time, part) in all.enumerated() {
                text += (time == 0 ? "[" : ",[").utf8
                for row in 0..<grid.latitude.count {
                    text += (row == 0 ? "[" : ",[").utf8
                    for column in 0..<width {
                        if column > 0 { text.append(UInt8(ascii: ",")) }
                        Self.append(part[row * width + column], to: &text)
                    }
                    text.append(UInt8(ascii: "]"))
                }
                text.append(UInt8(ascii: "]"))
            }
            text.append(UInt8(ascii: "]"))
        }
        text.append(UInt8(ascii: "}"))
        return text
    }

    /// A number with five decimals at most. By hand: an answer has a hundred thousand.
    private static func append(_ value: Float, to text: inout [UInt8]) {
        guard value.isFinite else {
            text += "null".utf8
            return
        }
        guard abs(value) < 1e9 else {
            text += "\(value)".utf8
            return
        }
        let scaled = (Double(value) * 1e5).rounded()
        if scaled < 0 { text.append(UInt8(ascii: "-")) }
        let whole = UInt64(abs(scaled))
        appendDigits(whole / 100_000, to: &text)
        var decimals = whole % 100_000
        guard decimals > 0 else { return }
        text.append(UInt8(ascii: "."))
        var unit: UInt64 = 10_000
        while decimals > 0 {
            text.append(UInt8(ascii: "0") + UInt8(decimals / unit))
            decimals %= unit
            unit /= 10
        }
    }

    private static func appendDigits(_ number: UInt64, to text: inout [UInt8]) {
        if number >= 10 { appendDigits(number / 10, to: &text) }
        text.append(UInt8(ascii: "0") + UInt8(number % 10))
    }
}
