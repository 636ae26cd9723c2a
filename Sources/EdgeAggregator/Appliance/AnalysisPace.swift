import Synchronization

/// How much of the time the analysis may work; set by whoever watches the board, asked by the workers after each window.
/// Reception knows nothing of it.
final class AnalysisPace: Sendable {
    private let value = Atomic<Int>(100)

    /// 5...100.
    var percent: Int {
        get { value.load(ordering: .relaxed) }
        set { value.store(min(max(newValue, 5), 100), ordering: .relaxed) }
    }

    /// What to rest after so long a piece of work.
    func rest(after work: Duration) -> Duration {
        let percent = percent
        return percent >= 100 ? .zero : work * (100 - percent) / percent
    }
}
