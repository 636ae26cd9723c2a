/// A picture (SVG 1.1) of what units measured over time: a strip for each deployment, the highest tier on top.
public struct TierPlot: Sendable {
    public struct Strip: Sendable {
        public var label: String
        public var tier: Int
        /// UTC, seconds since 1970, ascending; and what was measured then.
        public var points: [(seconds: Int64, value: Double)]

        public init(label: String, tier: Int, points: [(seconds: Int64, value: Double)]) {
            self.label = label
            self.tier = tier
            self.points = points
        }
    }

    public var title: String
    public var unit: String
    /// UTC, seconds since 1970.
    public var range: ClosedRange<Int64>
    /// Points in so many seconds become their mean.
    public var binSeconds: Int64
    public var strips: [Strip]

    public init(title: String, unit: String, range: ClosedRange<Int64>, binSeconds: Int64, strips: [Strip]) {
        self.title = title
        self.unit = unit
        self.range = range
        self.binSeconds = max(1, binSeconds)
        self.strips = strips.sorted { ($0.tier, $1.label) > ($1.tier, $0.label) }
    }

    private static let left = 170.0
    private static let width = 1000.0
    private static let stripHeight = 70.0
    private static let head = 40.0
    /// More strips than this are not drawn.
    public static let mostStrips = 200

    /// Means of the bins that have points, in order.
    static func bins(_ points: [(seconds: Int64, value: Double)], _ binSeconds: Int64) -> [(Int64, Double)] {
        var bins: [(Int64, Double)] = []
        var sum = 0.0
        var count = 0.0
        var current: Int64?
        for (seconds, value) in points where value.isFinite {
            let bin = seconds.flooredQuotient(by: binSeconds)
            if let before = current, before != bin {
                bins.append((before * binSeconds + binSeconds / 2, sum / count))
                (sum, count) = (0, 0)
            }
            current = bin
            sum += value
            count += 1
        }
        if let current { bins.append((current * binSeconds + binSeconds / 2, sum / count)) }
        return bins
    }

    private func x(_ seconds: Int64) -> Double {
        let span = Double(max(1, range.upperBound - range.lowerBound))
        return Self.left + Double(seconds - range.lowerBound) / span * Self.width
    }

    public var svg: String {
        let drawn = strips.prefix(Self.mostStrips)
        let height = Self.head + Double(max(1, drawn.count)) * Self.stripHeight + 30
        var svg = """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Int(Self.left + Self.width + 20)) \(Int(height))" \
            font-family="sans-serif" font-size="12">
            <rect width="100%" height="100%" fill="white"/>
            <text x="10" y="22" font-size="16">\(Self.escape(title))</text>

            """
        if drawn.isEmpty { svg += "<text x=\"\(Self.left)\" y=\"\(Self.head + 30)\">no data yet</text>\n" }
        for (row, strip) in drawn.enumerated() {
            svg += draw(strip, top: Self.head + Double(row) * Self.stripHeight)
        }
        let bottom = Int(height - 12)
        for part in 0...4 {
            let seconds = range.lowerBound + (range.upperBound - range.lowerBound) * Int64(part) / 4
            let anchor = part == 4 ? "end" : part == 0 ? "start" : "middle"
            svg +=
                "<text x=\"\(Self.text(x(seconds)))\" y=\"\(bottom)\" text-anchor=\"\(anchor)\" fill=\"#555\">"
                + "\(CivilTime.text(seconds: seconds, separator: " ").prefix(16))</text>\n"
        }
        return svg + "</svg>\n"
    }

    private func draw(_ strip: Strip, top: Double) -> String {
        let points = strip.points.filter { range.contains($0.seconds) }
        let bins = Self.bins(points, binSeconds)
        let values = bins.map(\.1)
        let low = values.min() ?? 0
        let high = values.max() ?? 1
        let span = max(high - low, 1e-9)
        let inner = Self.stripHeight - 16
        var text = """
            <g><rect x="\(Int(Self.left))" y="\(Self.text(top))" width="\(Int(Self.width))" height="\(Int(inner))" \
            fill="#f4f6f4"/>
            <text x="10" y="\(Self.text(top + 18))">\(Self.escape(strip.label))</text>
            <text x="10" y="\(Self.text(top + 34))" fill="#555">tier \(strip.tier)</text>

            """
        if let last = values.last {
            text += """
                <text x="10" y="\(Self.text(top + 50))" fill="#555">\(Self.text(low)) to \(Self.text(high)), \
                last \(Self.text(last)) \(Self.escape(unit))</text>

                """
        }
        // A line is broken where bins are missing, so that silence is seen.
        var path = ""
        var before: Int64?
        for (seconds, value) in bins {
            let y = top + 4 + (1 - (value - low) / span) * (inner - 8)
            let isNext = before.map { seconds - $0 <= 3 * binSeconds } ?? false
            path += "\(isNext ? "L" : "M")\(Self.text(x(seconds))) \(Self.text(y))"
            // A point by itself is seen too.
            if !isNext { path += "h0.01" }
            before = seconds
        }
        if !path.isEmpty {
            text +=
                "<path d=\"\(path)\" fill=\"none\" stroke=\"#2a6f4e\" stroke-width=\"1.5\" stroke-linecap=\"round\"/>\n"
        }
        return text + "</g>\n"
    }

    /// With one place behind the point.
    static func text(_ value: Double) -> String {
        guard value.isFinite, abs(value) < 1e15 else { return "0" }
        let tenths = Int64((value * 10).rounded())
        return tenths % 10 == 0 ? "\(tenths / 10)" : "\(Double(tenths) / 10)"
    }

    /// For XML.
    static func escape(_ text: String) -> String {
        var out = ""
        for character in text.unicodeScalars {
            switch character {
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "&": out += "&amp;"
            case "\"": out += "&quot;"
            case "'": out += "&#39;"
            default: if character.value >= 0x20 { out.unicodeScalars.append(character) }
            }
        }
        return out
    }
}
