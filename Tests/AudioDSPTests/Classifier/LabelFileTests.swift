import EdgeTesting
import Foundation
import Testing

@testable import AudioDSP

/// Files of labels as editors write them.
@Suite struct LabelFileTests {
    @Test(arguments: ["\n", "\r\n"], ["", "\u{FEFF}"])
    func haveAnyLineEndAndAByteOrderMark(end: String, mark: String) throws {
        let folder = try TestFolders.temporary("labels")
        defer { TestFolders.remove(folder) }
        func write(_ name: String, _ lines: [String]) throws -> String {
            let path = "\(folder)/\(name)"
            try Data((mark + lines.joined(separator: end) + end).utf8).write(to: URL(fileURLWithPath: path))
            return path
        }
        // A name may begin with a combining mark, which is one Character with the `_` before it.
        let own = try write("own.txt", ["Turdus merula_Blackbird", "Parus major_\u{301}Great Tit", ""])
        let other = try write("other.txt", ["Turdus merula_Amsel", "Parus major_Kohlmeise", ""])
        let labels = try LabelSet(path: own, translation: other)
        #expect(labels.entries.map(\.scientific) == ["Turdus merula", "Parus major"])
        #expect(labels.entries.map(\.english) == ["Blackbird", "\u{301}Great Tit"])
        #expect(labels.entries.map(\.common) == ["Amsel", "Kohlmeise"])
    }
}
