// The datasheets' examples where there is no operating system's library and no test library: Embedded Swift.

@main
struct EmbeddedCheck {
    static func main() {
        var checks = 0
        var failures = 0
        for sheet in Datasheets.all + Datasheets.faultyAnswers {
            do throws(SensorError) {
                try sheet.examine { isSo, what in
                    checks += 1
                    if !isSo {
                        failures += 1
                        print("not so: \(sheet.name): \(what)")
                    }
                }
            } catch {
                failures += 1
                print("not so: \(sheet.name): an error")
            }
        }
        print("\(checks) checks, \(failures) failures")
        if failures > 0 || checks == 0 { fatalError() }
    }
}
