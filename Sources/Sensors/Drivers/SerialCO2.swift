/// CRC-16 of Modbus: polynomial 0xA001 reflected, start 0xFFFF, sent low byte first (MODBUS over Serial Line V1.02, §6.2.2).
enum ModbusChecksum {
    static func of(_ bytes: some Sequence<UInt8>) -> [UInt8] {
        let crc = bytes.reduce(UInt16(0xFFFF)) { crc, byte in
            var crc = crc ^ UInt16(byte)
            for _ in 0..<8 { crc = crc & 1 != 0 ? crc >> 1 ^ 0xA001 : crc >> 1 }
            return crc
        }
        return [UInt8(crc & 0xFF), UInt8(crc >> 8)]
    }
}

/// Reads the input registers 1 to 4 at once: IR1 tells how the sensor is, IR4 the CO2 (Senseair, "Modbus on Senseair S8",
/// TDE2067, §3 and its example of both in one command; "Modbus on CO2 Engine K30", TDE2336, has the same registers).
///
/// A CO2 with an error bit in IR1 is no reading: bits 0 to 4 and 6 say that the sensor is broken, bit 5 that what it measures is
/// out of its range (overload). Zeros or ones alone have wrong checksums.
private func senseair(_ address: UInt8, _ bus: some Bus) throws(SensorError) -> [Quantity] {
    let request: [UInt8] = [address, 0x04, 0x00, 0x00, 0x00, 0x04]
    let answer = try bus.ask(request + ModbusChecksum.of(request), reading: 13)
    guard ModbusChecksum.of(answer[..<11]) == Array(answer[11...]) else { throw .garbled("the checksum is wrong") }
    guard answer[0] == address, answer[1] == 0x04, answer[2] == 8 else {
        throw .garbled("an answer to another question")
    }
    let meterStatus = answer[4] & 0x7F
    guard meterStatus & 0x5F == 0 else {
        throw .faulty("it says that it is broken: its meter status is 0x\(String(meterStatus, radix: 16))")
    }
    guard meterStatus == 0 else { throw .saturated("it says that what it measures is out of its range") }
    let ppm = Int16(bitPattern: UInt16(answer[9]) << 8 | UInt16(answer[10]))
    return [try .co2(Double(ppm), limit: Double(Int16.max))]
}

/// Senseair S8: address 254, whoever it is.
struct SenseairS8: SensorDriver {
    init(_ options: SensorOptions) throws(SensorError) {}
    func read(_ bus: some Bus) throws(SensorError) -> [Quantity] { try senseair(0xFE, bus) }
}

/// Senseair K30: address 104.
struct SenseairK30: SensorDriver {
    init(_ options: SensorOptions) throws(SensorError) {}
    func read(_ bus: some Bus) throws(SensorError) -> [Quantity] { try senseair(0x68, bus) }
}

/// Winsen MH-Z19B (manual version 1.0, "Protocol", command 0x86).
///
/// While it starts it says a constant (500, 410 or 400 ppm), and 15,000 in bytes 6 and 7 then and only then
/// (revspace.nl/MHZ19, "command 0x86 response frame"; ESPEasy, plugin 49). Versions that always have 0 there, such as the
/// MH-Z19C, cannot be told: their time to warm up counts from when they were first asked. At the end of its range (2,000, 5,000
/// or 10,000 ppm, manual, "Main parameters") it stops. The part does not say which range it has: the option `range_ppm` says it, or
/// a higher value that the part has measured.
struct MHZ19: SensorDriver {
    private static let ends: [(String, UInt16)] = [("2000", 2000), ("5000", 5000), ("10000", 10_000)]

    private let end: UInt16?
    private var highest: UInt16 = 0

    init(_ options: SensorOptions) throws(SensorError) {
        end = try options.choice("range_ppm", Self.ends)
    }

    mutating func read(_ bus: some Bus) throws(SensorError) -> [Quantity] {
        let request: [UInt8] = [0xFF, 0x01, 0x86, 0, 0, 0, 0, 0, 0x79]
        let answer = try bus.ask(request, reading: 9)
        // The bytes between first and last add up, with the last, to 0.
        guard answer[1...8].reduce(0, &+) == 0 else { throw .garbled("the checksum is wrong") }
        guard answer[0] == 0xFF, answer[1] == 0x86 else { throw .garbled("an answer to another question") }
        guard UInt16(answer[6]) << 8 | UInt16(answer[7]) != 15_000 else {
            throw .warming("it has just started, and says a constant")
        }
        let ppm = UInt16(answer[2]) << 8 | UInt16(answer[3])
        let isAtEnd = end.map { ppm >= $0 } ?? (ppm >= highest && Self.ends.contains { $0.1 == ppm })
        guard !isAtEnd else {
            throw .saturated("it says \(ppm) ppm, where its range ends\(end == nil ? ", or may end (range_ppm)" : "")")
        }
        highest = max(highest, ppm)
        return [try .co2(Double(ppm), limit: 65_535)]
    }

    /// Command 0x87: the zero point is 400 ppm, after at least twenty minutes in outdoor air. It does not answer.
    func recalibrate(_ bus: some Bus, co2PPM: Int) throws(SensorError) {
        guard co2PPM == 400 else { throw .badOption("it can be told 400 ppm only") }
        _ = try bus.ask([0xFF, 0x01, 0x87, 0, 0, 0, 0, 0, 0x78])
    }
}

/// GSS ExplorIR-W (user's manual, "Commands"): text at 9600 baud. It is asked, in polling mode.
///
/// After power-on it streams (mode 1), so that an answer has another form until it is begun again. 0 and 65,535 counts are no
/// readings.
struct ExplorIR: SensorDriver {
    private var multiplier = 10.0

    init(_ options: SensorOptions) throws(SensorError) {}

    mutating func begin(_ bus: some Bus) throws(SensorError) {
        // Polling mode; in streaming mode answers would be lost among readings.
        _ = try Self.ask("K 2", bus)
        multiplier = Double(try Self.ask(".", bus))
        guard multiplier > 0 else { throw .faulty("it says that its multiplier is 0") }
    }

    func read(_ bus: some Bus) throws(SensorError) -> [Quantity] {
        [try .co2(Double(try Self.ask("Z", bus)) * multiplier, limit: 65_535 * multiplier)]
    }

    /// `X n`: zero point in a known concentration, in the units of `Z`.
    func recalibrate(_ bus: some Bus, co2PPM: Int) throws(SensorError) {
        let units = Int((Double(co2PPM) / multiplier).rounded())
        guard (1...65_535).contains(units) else { throw .badOption("\(co2PPM) ppm is beyond what it measures") }
        _ = try Self.ask("X \(units)", bus)
    }

    /// An answer is ` Z 00068\r\n`: the letter of the command and five digits; `?` for what it does not understand.
    private static func ask(_ command: String, _ bus: some Bus) throws(SensorError) -> Int {
        let answer = try bus.ask(Array("\(command)\r\n".utf8), reading: 10)
        let fields = answer.split { $0 == 0x20 || $0 == 0x0D || $0 == 0x0A }
        // An answer that was cut off may lack digits.
        guard answer.suffix(2).elementsEqual([0x0D, 0x0A]), fields.count == 2,
            fields[0].elementsEqual(command.utf8.prefix(1)),
            fields[1].count == 5, let number = Int(String(decoding: fields[1], as: UTF8.self))
        else {
            let text = String(decoding: answer.filter { (0x20..<0x7F).contains($0) }, as: UTF8.self)
            throw .garbled("\(command) was answered with \(text)")
        }
        return number
    }
}
