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

/// Reads CO2 from input register 4 (Senseair, "Modbus on Senseair S8", TDE2067, §3).
private func senseair(_ address: UInt8, _ bus: some Bus) throws(SensorError) -> [Quantity] {
    let request: [UInt8] = [address, 0x04, 0x00, 0x03, 0x00, 0x01]
    let answer = try bus.ask(request + ModbusChecksum.of(request), reading: 7)
    guard ModbusChecksum.of(answer[..<5]) == Array(answer[5...]) else { throw .garbled("the checksum is wrong") }
    guard answer[0] == address, answer[1] == 0x04, answer[2] == 2 else {
        throw .garbled("an answer to another question")
    }
    return [Quantity("co2", Double(Int16(bitPattern: UInt16(answer[3]) << 8 | UInt16(answer[4]))), unit: "ppm")]
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
struct MHZ19: SensorDriver {
    init(_ options: SensorOptions) throws(SensorError) {}

    func read(_ bus: some Bus) throws(SensorError) -> [Quantity] {
        let request: [UInt8] = [0xFF, 0x01, 0x86, 0, 0, 0, 0, 0, 0x79]
        let answer = try bus.ask(request, reading: 9)
        // The bytes between first and last add up, with the last, to 0.
        guard answer[1...8].reduce(0, &+) == 0 else { throw .garbled("the checksum is wrong") }
        guard answer[0] == 0xFF, answer[1] == 0x86 else { throw .garbled("an answer to another question") }
        return [Quantity("co2", Double(UInt16(answer[2]) << 8 | UInt16(answer[3])), unit: "ppm")]
    }

    /// Command 0x87: the zero point is 400 ppm, after at least twenty minutes in outdoor air. It does not answer.
    func recalibrate(_ bus: some Bus, co2PPM: Int) throws(SensorError) {
        guard co2PPM == 400 else { throw .badOption("it can be told 400 ppm only") }
        _ = try bus.ask([0xFF, 0x01, 0x87, 0, 0, 0, 0, 0, 0x78])
    }
}

/// GSS ExplorIR-W (user's manual, "Commands"): text at 9600 baud. It is asked, in polling mode.
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
        [Quantity("co2", Double(try Self.ask("Z", bus)) * multiplier, unit: "ppm")]
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
        let text = String(decoding: answer, as: UTF8.self)
        let fields = text.split(whereSeparator: { $0.isWhitespace })
        // An answer that was cut off may lack digits.
        guard text.hasSuffix("\r\n"), fields.count == 2, fields[0] == command.prefix(1), fields[1].count == 5,
            let number = Int(fields[1])
        else {
            throw .garbled("\(command) was answered with \(text.filter { $0.isASCII && !$0.isNewline })")
        }
        return number
    }
}
