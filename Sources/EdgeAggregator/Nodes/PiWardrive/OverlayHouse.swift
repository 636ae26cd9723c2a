import FieldNodes
import Store
import Synchronization
import Uplink

/// The heat map's grids, kept up to date while uploads are merged, so that a question costs the same with a thousand places
/// and with a million.
///
/// A grid is as wide as all places together. Where a place makes it wider, or what made it so wide goes, the grid is made
/// anew from the store, by whoever merges or asks next.
final class OverlayHouse: Sendable {
    private struct Key: Hashable {
        let bins: Int
        /// The bytes of its name; nil for all units.
        let unit: [UInt8]?
    }

    private struct Known {
        var grid: OverlayGrid?
        var text: [UInt8]?
        /// Turns of asking, to know which was asked last.
        var asked: Int
    }

    private struct State {
        var grids: [Key: Known] = [:]
        var turn = 0
        /// Grows with each change: a grid made from older rows must not replace one that knows better.
        var changes = 0
    }

    /// Grids that are kept; one of 500 × 500 cells takes some MB.
    static let mostGrids = 4

    private let store: Store
    private let state = Mutex(State())

    init(store: Store) {
        self.store = store
    }

    struct Move: Sendable {
        var from: AccessPoint.Place?
        var to: AccessPoint.Place?
    }

    /// Tells of places of a unit that have come, gone or moved, once they are in the store.
    func note(_ moves: [Move], unit: String) {
        state.withLock { state in
            state.changes += 1
            for key in state.grids.keys where key.unit == nil || key.unit == Array(unit.utf8) {
                guard var known = state.grids.removeValue(forKey: key) else { continue }
                known.text = nil
                if var grid = known.grid {
                    // Not held twice while it is changed.
                    known.grid = nil
                    let isRight = moves.allSatisfy { move in
                        (move.from.map { grid.remove($0) } ?? true) && (move.to.map { grid.add($0) } ?? true)
                    }
                    known.grid = isRight ? grid : nil
                }
                state.grids[key] = known
            }
        }
    }

    /// Tells that places of a unit have changed in ways that nobody has noted.
    func forget(unit: String) {
        state.withLock { state in
            state.changes += 1
            for key in state.grids.keys where key.unit == nil || key.unit == Array(unit.utf8) {
                state.grids[key]?.grid = nil
                state.grids[key]?.text = nil
            }
        }
    }

    /// Makes the grids anew that have outgrown their bounds.
    func mend() async {
        let lost = state.withLock { state in state.grids.filter { $0.value.grid == nil }.map(\.key) }
        for key in lost { _ = try? await make(key) }
    }

    /// `{"points":[[lat,lon,count],…]}`
    func text(bins: Int, unit: String?, sinceSeconds: Int64?) async throws -> [UInt8] {
        if let sinceSeconds {
            return Self.text(try await grid(bins: bins, unit: unit, sinceSeconds: sinceSeconds))
        }
        let key = Key(bins: bins, unit: unit.map { Array($0.utf8) })
        let kept = state.withLock { state -> [UInt8]? in
            state.turn += 1
            state.grids[key]?.asked = state.turn
            if let text = state.grids[key]?.text { return text }
            guard let grid = state.grids[key]?.grid else { return nil }
            let text = Self.text(grid)
            state.grids[key]?.text = text
            return text
        }
        if let kept { return kept }
        return Self.text(try await make(key))
    }

    private func make(_ key: Key) async throws -> OverlayGrid? {
        let before = state.withLock { $0.changes }
        let made = try await grid(
            bins: key.bins, unit: key.unit.map { String(decoding: $0, as: UTF8.self) }, sinceSeconds: nil)
        state.withLock { state in
            // Something was merged meanwhile: this is right for whoever asked, and not for later.
            guard state.changes == before, let made else { return }
            state.turn += 1
            state.grids[key] = Known(grid: made, text: nil, asked: state.turn)
            if state.grids.count > Self.mostGrids,
                let oldest = state.grids.min(by: { $0.value.asked < $1.value.asked })?.key
            {
                state.grids[oldest] = nil
            }
        }
        return made
    }

    private func grid(bins: Int, unit: String?, sinceSeconds: Int64?) async throws -> OverlayGrid? {
        guard let bounds = try await store.placeBounds(unit: unit, sinceSeconds: sinceSeconds) else { return nil }
        let empty = OverlayGrid(
            bounds: OverlayGrid.Bounds(latitude: bounds.latitude, longitude: bounds.longitude), bins: bins)
        return try await store.eachPlace(unit: unit, sinceSeconds: sinceSeconds, into: empty) {
            grid, latitude, longitude in
            guard let place = AccessPoint.Place(latitude, longitude) else { return }
            // A place that came since the bounds were read is in none of them.
            _ = grid.add(place)
        }
    }

    /// Memory: the text is this function's; its bytes are copied within the closure.
    private static func text(_ grid: OverlayGrid?) -> [UInt8] {
        var bytes = Array("{\"points\":[".utf8)
        for (place, point) in (grid?.points ?? []).enumerated() {
            var text =
                "\(place > 0 ? "," : "")[\(PythonText.number(point.latitude)),\(PythonText.number(point.longitude)),\(point.count)]"
            text.withUTF8 { unsafe bytes.append(contentsOf: $0) }
        }
        bytes += Array("]}".utf8)
        return bytes
    }
}
