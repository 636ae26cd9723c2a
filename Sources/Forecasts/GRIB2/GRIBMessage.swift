/// One GRIB message of edition 2 (WMO-No. 306, Manual on Codes, volume I.2, FM 92).
///
/// Sections 2 to 7 may repeat within a message, so that it has several fields.
public struct GRIBMessage: Sendable {
    /// 0 meteorology, 10 oceanography (code table 0.0).
    public let discipline: Int
    /// Seconds since 1970, UTC.
    public let referenceSeconds: Int64
    public let fields: [GRIBField]
    /// From `GRIB` to `7777`, both inclusive.
    public let byteCount: Int

    /// Fields of a message; real ones have one or two.
    static let mostFields = 1_000

    /// - Parameter bytes: begins with `GRIB`; what follows the message is left alone.
    public init(_ bytes: ArraySlice<UInt8>) throws(GRIBError) {
        let head = GRIBOctets(bytes.prefix(16), section: 0)
        guard bytes.starts(with: Array("GRIB".utf8)) else { throw .malformed("it does not begin with GRIB") }
        let edition = try head.unsigned(8, 1)
        guard edition == 2 else { throw .unsupported("edition \(edition)") }
        discipline = try head.unsigned(7, 1)
        byteCount = try head.unsigned(9, 8)
        guard byteCount <= bytes.count else { throw .truncated("\(bytes.count) of \(byteCount) octets are there") }
        guard byteCount >= 16 + 21 + 4 else { throw .malformed("its length is \(byteCount) octets") }
        let message = bytes.prefix(byteCount)
        guard message.suffix(4).elementsEqual("7777".utf8) else { throw .malformed("it does not end with 7777") }
        var walk = GRIBSections(message: message, discipline: discipline)
        try walk.run()
        guard let reference = walk.referenceSeconds, !walk.fields.isEmpty else {
            throw .malformed("it has no field")
        }
        referenceSeconds = reference
        fields = walk.fields
    }

    /// All messages of a file, one behind the other.
    public static func all(_ bytes: [UInt8]) throws(GRIBError) -> [GRIBMessage] {
        var messages: [GRIBMessage] = []
        var place = 0
        while place < bytes.count {
            let message = try GRIBMessage(bytes[place...])
            place += message.byteCount
            messages.append(message)
        }
        return messages
    }
}

/// Goes through the sections of a message.
private struct GRIBSections {
    let message: ArraySlice<UInt8>
    let discipline: Int
    private(set) var referenceSeconds: Int64?
    private(set) var fields: [GRIBField] = []
    private var grid: GRIBOctets?
    private var product: GRIBOctets?
    private var representation: GRIBOctets?
    private var bitmap: GRIBBitmap?
    private var lastNumber = 0

    init(message: ArraySlice<UInt8>, discipline: Int) {
        self.message = message
        self.discipline = discipline
    }

    mutating func run() throws(GRIBError) {
        var place = message.startIndex + 16
        let end = message.endIndex - 4
        while place < end {
            guard end - place >= 5 else { throw .malformed("a section of less than 5 octets") }
            let head = GRIBOctets(message[place..<end], section: 0)
            let (length, number) = (try head.unsigned(1, 4), try head.unsigned(5, 1))
            guard length >= 5, length <= end - place else {
                throw .malformed("section \(number) has \(length) octets, and there are \(end - place)")
            }
            try take(GRIBOctets(message[place..<(place + length)], section: number))
            place += length
        }
        guard lastNumber == 7 else { throw .malformed("it ends after section \(lastNumber)") }
    }

    private mutating func take(_ section: GRIBOctets) throws(GRIBError) {
        let number = section.section
        let follows =
            switch number {
            case 1: lastNumber == 0
            case 2: lastNumber == 1 || lastNumber == 7
            case 3: lastNumber == 1 || lastNumber == 2 || lastNumber == 7
            case 4: lastNumber == 3 || lastNumber == 7
            case 5...7: lastNumber == number - 1
            default: false
            }
        guard follows else { throw .malformed("section \(number) follows section \(lastNumber)") }
        lastNumber = number
        switch number {
        case 1: referenceSeconds = try Self.time(section)
        case 3: grid = section
        case 4: product = section
        case 5: representation = section
        case 6: bitmap = try GRIBBitmap(section, before: bitmap)
        case 7: try addField(data: section)
        default: break
        }
    }

    private mutating func addField(data: GRIBOctets) throws(GRIBError) {
        guard let grid, let product, let representation, let bitmap, let referenceSeconds else {
            throw .malformed("section 7 comes before what describes it")
        }
        guard fields.count < GRIBMessage.mostFields else { throw .malformed("more than \(fields.count) fields") }
        fields.append(
            GRIBField(
                discipline: discipline, referenceSeconds: referenceSeconds, grid: grid, product: product,
                representation: representation, bitmap: bitmap, data: data))
    }

    /// Octets 13 to 19 of section 1.
    private static func time(_ section: GRIBOctets) throws(GRIBError) -> Int64 {
        let (year, month) = (try section.unsigned(13, 2), try section.unsigned(15, 1))
        let (day, hour) = (try section.unsigned(16, 1), try section.unsigned(17, 1))
        let (minute, second) = (try section.unsigned(18, 1), try section.unsigned(19, 1))
        guard
            let time = CalendarTime.seconds(
                year: year, month: month, day: day, hour: hour, minute: minute, second: second)
        else { throw .malformed("its reference time is \(year)-\(month)-\(day) \(hour):\(minute):\(second)") }
        return time
    }
}
