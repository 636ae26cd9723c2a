import Store

/// What an importer found in its source, and what became of it.
struct ImportTally {
    /// Rows that could be read.
    var found = 0
    /// Of these, rows that the store did not have.
    var new = 0
    /// Rows that could not be taken.
    var rejected = 0
    /// Files and tables that could not be read, or not to their end, each in a sentence.
    var problems: [String] = []

    var isComplete: Bool { problems.isEmpty }
    /// Whether there was something in the source and nothing of it could be used.
    var isNothing: Bool { found == 0 && (rejected > 0 || !problems.isEmpty) }

    /// Counts what is about to be committed. Call it before the commit.
    mutating func count(_ changes: [StoreChange], in store: Store) async throws {
        add(changes, new: try await store.newReadings(in: changes))
    }

    /// The same, on a thread that may wait.
    mutating func countBlocking(_ changes: [StoreChange], in store: Store) throws {
        add(changes, new: try store.newReadingsBlocking(in: changes))
    }

    private mutating func add(_ changes: [StoreChange], new: Int) {
        for case .readings(let batch) in changes { found += batch.count }
        self.new += new
    }

    /// In a line: `of 53 rows 50 are new, 3 were there already, 1 more was rejected`.
    var text: String {
        if found == 0, rejected == 0 { return "there are no readings in it" }
        let rejected = "\(self.rejected) more rejected"
        if found > 0, new == 0 { return "all of \(found) rows were there already, \(rejected)" }
        return "of \(found) rows \(new) are new, \(found - new) were there already, \(rejected)"
    }

    /// Prints the result of a source, problems to standard error.
    func report(_ source: String) {
        print("\(source): \(text)")
        for problem in problems { printError(problem) }
        if isNothing { printError("\(source): nothing of it was taken") }
    }

    /// Ends the command with an error if something could not be read, or if nothing was taken of what was there.
    func end() throws {
        if isNothing || !isComplete { throw ExitCodes.failure }
    }
}
