import FieldNodes
import Foundation
import Testing

/// Lines as nodes have sent them.
struct ISEMSFormatTests {
    private static let old =
        "Elektra-Dach;1;1530364575;ATmega8_A_1;711;0;18.614;18.614;14.073;100;100;28;11.67;14.086;7;20;52.507309;13.458635"
    private static let new = old.replacing("Elektra-Dach", with: "Elektra-Dach-Neu") + ";300"

    @Test func readsLinesOfEighteenAndNineteenFields() throws {
        let old = try ISEMSReading(line: Self.old[...])
        #expect(old.nodeID == "Elektra-Dach" && old.revision == "1" && old.firmware == "ATmega8_A_1")
        #expect(old.timeSeconds == 1_530_364_575)
        #expect(old[.timeToShutdown] == 711 && old[.batteryVoltage] == 14.073 && old[.longitude] == 13.458635)
        #expect(old[.status].isNaN)
        #expect(try ISEMSReading(line: Self.new[...])[.status] == 0x300)
        for (text, status) in [(" 440 ", 0x440), ("0x50A", 0x50A), ("50a\r", 0x50A), ("1300", 0x1300)] {
            let line = Self.old + ";" + text
            #expect(try ISEMSReading(line: line[...])[.status] == Double(status), "\(text)")
        }
        let empty = Self.old.replacing("52.507309", with: "") + ";"
        let reading = try ISEMSReading(line: empty[...])
        #expect(reading[.latitude].isNaN && reading[.status].isNaN)
        #expect(try ISEMSReading(line: Self.old.replacing(";0;18.614", with: ";6;18.614")[...])[.isPowerSaveMode] == 0)
        #expect(try ISEMSReading(line: Self.old.replacing(";0;18.614", with: ";1;18.614")[...])[.isPowerSaveMode] == 1)
        #expect(
            try ISEMSReading(line: Self.old.replacing("Elektra-Dach", with: "Solar Irrigation System")[...]).nodeID
                == "Solar Irrigation System")
    }

    @Test func neverKeepsNaNOrInfinity() throws {
        for text in ["nan", "inf", "-inf", "1e999"] {
            #expect(try ISEMSReading(line: Self.old.replacing("14.073", with: text)[...])[.batteryVoltage].isNaN)
        }
    }

    @Test func aBadLineCostsItselfAlone() {
        let bad = [
            "junk", "", "a;b", Self.old.replacing("1530364575", with: "soon"), Self.old.replacing("14.073", with: "x"),
            Self.old + ";xyz", Self.old + ";FFFFFFFFFFFF", "n;1;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0;0",
            Self.old.replacing("1530364575", with: "99999999999"), Self.old.replacing("Elektra-Dach", with: ""),
            Self.old.replacing("Elektra", with: "a/b"),
        ]
        let (readings, rejected) = ISEMSReading.all((bad + [Self.old, Self.new]).joined(separator: "\r\n"))
        #expect(readings.map(\.nodeID) == ["Elektra-Dach", "Elektra-Dach-Neu"])
        #expect(rejected.count == bad.count - 1)
    }

    @Test func tellsTimesOfBerlinThroughBothHours() {
        // TZ=Europe/Berlin date -d @… +%FT%T
        for (seconds, text) in [
            (1_530_364_575, "2018-06-30T15:16:15"), (1_795_224_926, "2026-11-21T02:35:26"),
            // 2025-10-26: 02:59:45 CEST, then 02:00:00 CET.
            (1_761_440_385, "2025-10-26T02:59:45"), (1_761_440_400, "2025-10-26T02:00:00"),
            (1_761_443_985, "2025-10-26T02:59:45"), (1_761_444_000, "2025-10-26T03:00:00"),
            // 2026-03-29: 01:59:59 CET, then 03:00:00 CEST.
            (1_774_745_999, "2026-03-29T01:59:59"), (1_774_746_000, "2026-03-29T03:00:00"),
        ] as [(Int64, String)] {
            #expect(BerlinTime.text(seconds: seconds) == text)
        }
        // Back again: 02:59:45 is two moments, 02:30 of spring none.
        #expect(BerlinTime.seconds(wallSeconds: 1_761_440_385 + 7200) == [1_761_440_385, 1_761_443_985])
        #expect(BerlinTime.seconds(wallSeconds: 1_774_746_000 + 3600 + 1800).isEmpty)
    }

    @Test func readsTheJSONForm() throws {
        let json = Array(
            #"{"timeToShutdown":480,"isPowerSaveMode":0,"openCircuitVoltage":22.0,"mppVoltage":18,"batteryVoltage":13.9,"batteryChargeEstimate":95,"latitude":52.5,"longitude":13.4,"status":"100"}"#
                .utf8)
        let reading = try ISEMSReading(json: json, nodeID: "n1", arrivalSeconds: 1_795_224_926)
        #expect(reading.nodeID == "n1" && reading.timeSeconds == 1_795_224_926)
        #expect(reading[.status] == 0x100 && reading[.mppVoltage] == 18 && reading[.batteryTemperature].isNaN)
        #expect(reading[.isPowerSaveMode] == 0)
        let own = Array(#"{"nodeId":"n1","timestamp":1530364575,"batteryVoltage":1}"#.utf8)
        #expect(try ISEMSReading(json: own, nodeID: "n1", arrivalSeconds: 5_000_000_000).timeSeconds == 1_530_364_575)
        for bad in [
            "", "[]", "{}", "{\"batteryVoltage\":\"x\"}", "{\"nodeId\":\"other\",\"batteryVoltage\":1}",
            "{\"status\":\"zz\"}", "{\"batteryVoltage\":1,\"timestamp\":0}",
            "{\"batteryVoltage\":1,\"timestamp\":\"soon\"}",
            String(repeating: "[", count: 60_000),
        ] {
            #expect(throws: RejectedLine.self, "\(bad.prefix(50))") {
                try ISEMSReading(json: Array(bad.utf8), nodeID: "n1", arrivalSeconds: 1_795_224_926)
            }
        }
    }

    @Test func knowsTopicsByTheirEnd() {
        #expect(ISEMSTopic("/isems/n 1/csvlog") == ISEMSTopic("x/y/z/n 1/csvlog"))
        #expect(ISEMSTopic("isems/testdrive/foobar/n1/data.json")?.form == .json)
        #expect(ISEMSTopic("n1/csvlog")?.nodeID == "n1")
        #expect(ISEMSTopic("csvlog") == nil && ISEMSTopic("/csvlog") == nil && ISEMSTopic("a/b/other") == nil)
        #expect(ISEMSTopic(path: "/api/isems/testdrive/foobar/n1/data")?.nodeID == "n1")
        #expect(ISEMSReading.isPage(Array(" \n<!DOCTYPE html>".utf8)) && !ISEMSReading.isPage(Array("n;1;".utf8)))
    }

    /// Text goes in and the same text comes out; what was not sent is something else.
    @Test func keepsTextsAsTheyWereSent() throws {
        let fields = Self.old.split(separator: ";", omittingEmptySubsequences: false).map(String.init)
        for text in ["", " ", " 1 ", "ESP_1A", "1\u{1B}e", "\u{1B}", "s\u{301}", String(repeating: "x", count: 200)] {
            var line = fields
            (line[1], line[3]) = (text, text)
            let reading = try ISEMSReading(line: line.joined(separator: ";")[...])
            #expect(reading.revision == text && reading.firmware == text, "`\(text)`")
            let texts = ISEMSReading.texts(stored: reading.storedTexts)
            #expect(texts.revision == text && texts.firmware == text, "`\(text)`")
        }
        let object = #"{"batteryVoltage": 13.9, "openMPPTFirmwareVersion": "", "isemsRevision": " 1;2 "}"#
        let reading = try ISEMSReading(json: Array(object.utf8), nodeID: "n", arrivalSeconds: 1_700_000_000)
        #expect(reading.revision == " 1;2 " && reading.firmware == "")
        let texts = ISEMSReading.texts(stored: reading.storedTexts)
        #expect(texts.revision == " 1;2 " && texts.firmware == "")
        // Neither was sent. Earlier versions stored the first of these for it, and nothing stored is the same.
        let bare = try ISEMSReading(
            json: Array(#"{"batteryVoltage": 13.9, "isemsRevision": null}"#.utf8), nodeID: "n",
            arrivalSeconds: 1_700_000_000)
        #expect(bare.revision == nil && bare.firmware == nil && bare.storedTexts == ";")
        for stored in [";", "", nil] {
            let none = ISEMSReading.texts(stored: stored)
            #expect(none.revision == nil && none.firmware == nil)
        }
        let before = ISEMSReading.texts(stored: "1;ATmega8_A_1")
        #expect(before.revision == "1" && before.firmware == "ATmega8_A_1")
    }

    /// A mark that combines with the separator before it does not hide it.
    @Test func separatesFieldsByCharactersOfTheFormat() throws {
        let reading = try ISEMSReading(line: Self.old.replacing("ATmega8_A_1", with: "\u{301}x")[...])
        #expect(reading.revision == "1" && reading.firmware.map { Array($0.utf8) } == Array("\u{301}x".utf8))
    }
}
