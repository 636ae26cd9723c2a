import Foundation

/// A library that takes the place of the machine's own calls in one program: Tests/Doubles/NAME.c, for LD_PRELOAD.
public enum Interposer {
    /// - Returns: the library's path in the folder.
    public static func make(_ name: String, in folder: String) throws -> String {
        let path = "\(folder)/\(name).so"
        let compiler = Process()
        compiler.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        compiler.arguments = [
            "clang", "-shared", "-fPIC", "-O1", "-o", path, "\(TestFolders.root)/Tests/Doubles/\(name).c", "-ldl",
        ]
        try compiler.run()
        compiler.waitUntilExit()
        guard compiler.terminationStatus == 0 else {
            throw TestFolders.Missing(description: "clang could not make \(name)")
        }
        return path
    }
}
