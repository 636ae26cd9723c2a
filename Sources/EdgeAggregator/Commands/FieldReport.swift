import Forecasts
import Foundation

/// What is in a file of fields, for people: a table, and a map of the first.
enum FieldReport {
    static func grib(_ bytes: [UInt8]) throws -> String {
        var lines: [String] = []
        var picture: [String] = []
        var number = 0
        for message in try GRIBMessage.all(bytes) {
            for field in message.fields {
                number += 1
                lines.append("\(number)  \(try head(field))")
                guard picture.isEmpty else { continue }
                do throws(GRIBError) {
                    picture = map(try field.field(), title: "field \(number)")
                } catch {
                    lines.append("   \(error)")
                }
            }
        }
        return (lines + picture).joined(separator: "\n")
    }

    private static func head(_ field: GRIBField) throws -> String {
        var parts = ["run \(CalendarTime.text(field.referenceSeconds))"]
        do throws(GRIBError) {
            let product = try field.product()
            parts.append("+\(product.forecastSeconds / 3600) h")
            parts.append("parameter \(field.discipline).\(product.category).\(product.parameter)")
            parts.append("surface \(product.surfaceType) at \(product.surfaceValue)")
        } catch {
            parts.append("\(error)")
        }
        do throws(GRIBError) {
            let grid = try field.grid()
            parts.append("\(grid.columns) × \(grid.rows) from \(grid.firstLatitude), \(grid.firstLongitude)")
        } catch {
            parts.append("\(error)")
        }
        parts.append("packing 5.\(try field.packingTemplate())")
        return parts.joined(separator: ", ")
    }

    static func netCDF(_ path: String) throws -> String {
        let reader = try FieldReader(path: path)
        let grid = reader.grid
        guard let kind = reader.kind, let window = GridWindow(grid, in: .globe) else {
            return "\(path) has none of the variables of this program"
        }
        var lines = [
            "\(kind.rawValue), \(kind.source)",
            "times       \(reader.times.map(CalendarTime.text).joined(separator: " "))",
            "latitudes   \(grid.latitude.first) to \(grid.latitude.last), \(grid.latitude.count)",
            "longitudes  \(grid.longitude.first) to \(grid.longitude.last), \(grid.longitude.count)",
        ]
        var all: [[Float]] = []
        for variable in kind.variables {
            let values = try reader.values(variable, in: window)
            all.append(values)
            let real = values.filter(\.isFinite)
            lines.append(
                "\(variable.name)  \(real.min() ?? .nan) to \(real.max() ?? .nan) \(variable.unit), "
                    + "\(values.count - real.count) of \(values.count) without a value")
        }
        // Two components are shown as one speed.
        let isVector = kind != .waves
        let shown = isVector ? zip(all[0], all[1]).map { ($0 * $0 + $1 * $1).squareRoot() } : all[0]
        return
            (lines
            + map(
                GridField(grid: window.grid, values: shown), title: isVector ? "speed, m s-1" : kind.variables[0].name))
            .joined(separator: "\n")
    }

    private static func map(_ field: GridField, title: String) -> [String] {
        let picture = FieldPicture(field)
        let axis = field.grid
        return ["", "\(title): \(picture.least) (blank) to \(picture.most) (@), · has no value"] + picture.lines
            + ["from \(axis.latitude.last), \(axis.longitude.first) to \(axis.latitude.first), \(axis.longitude.last)"]
    }
}
