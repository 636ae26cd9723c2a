import CEdgeSystem
import FieldNodes
import Foundation
import Synchronization

/// What units keep here is counted in their folders when it is needed, and then as they push.
extension CO2Depot {
    /// Empty files and folders are removed when they are a day old. Nothing was acknowledged that would be in them.
    private static let emptyLifetimeNanoseconds: Int64 = 86_400 * 1_000_000_000

    /// How many folders a file needs that are not there.
    ///
    /// Memory: the path is borrowed for the call.
    func missingFolders(_ unit: NodeID, _ path: PushPath) -> Int64 {
        Int64(parents(unit, path).dropFirst().count { unsafe access($0, F_OK) != 0 })
    }

    /// Counts what a unit is about to keep. Its folder is looked through when it is first heard of, and those of the other units of
    /// its address. Before a push is rejected, all of them are counted again, if that was not done a moment ago: the operator may
    /// have removed files.
    ///
    /// - Parameters:
    ///   - path: The file that is pushed.
    ///   - entries: Asked after the folder was looked through, since old empty folders are removed then.
    func reserve(_ unit: NodeID, _ path: PushPath, bytes: Int64, entries: @autoclosure () -> Int64) throws {
        let fellows = sharingFellows(of: unit)
        let all = Set(fellows + [unit])
        for one in accounts.withLock({ accounts in all.filter { !accounts.isKnown($0) } }) {
            count(one, pushed: unit, path)
        }
        let usage = CO2Usage(bytes: bytes, entries: entries())
        func take() throws(CO2Accounts.Refusal) {
            try accounts.withLock { (accounts) throws(CO2Accounts.Refusal) in
                try accounts.reserve(unit, usage, fellows: fellows)
            }
        }
        do {
            do { try take() } catch {
                let old = accounts.withLock { accounts in all.filter { accounts.isOld($0, at: .now) } }
                guard !old.isEmpty else { throw error }
                for one in old { count(one, pushed: unit, path) }
                try take()
            }
        } catch {
            throw Failure(code: .tooLarge, description: "\(error)")
        }
    }

    /// The units that share the limit of an address with a unit, itself among them; none where it has no such limit.
    private func sharingFellows(of unit: NodeID) -> [NodeID] {
        let fellows = fellows(unit)
        guard !fellows.isEmpty else { return [] }
        let exempt = unitsBeforeLimits.withLock { units in
            if let units { return units }
            let read = UnitsBeforeLimits.load(folder, report)
            units = read
            return read
        }
        return exempt.contains(unit) ? [] : fellows.filter { !exempt.contains($0) }
    }

    /// Counts what is in a unit's folder. While a push to it is under way, that push counts it.
    ///
    /// - Parameters:
    ///   - unit: The unit whose push this is; its lock is held.
    ///   - path: The file that it pushes.
    private func count(_ one: NodeID, pushed unit: NodeID, _ path: PushPath) {
        if one == unit { removeEmpty(unit, path) }
        if lockIndex(one) == lockIndex(unit) {
            setUsage(one)
            return
        }
        let isCounted: Void? = locks[lockIndex(one)].mutex.withLockIfAvailable { _ in setUsage(one) }
        guard isCounted == nil else { return }
        let usage = FolderFiles.usage(of: "\(folder)/\(one.text)")
        accounts.withLock { if !$0.isKnown(one) { $0.set(one, usage, at: .now) } }
    }

    private func setUsage(_ unit: NodeID) {
        let usage = FolderFiles.usage(of: "\(folder)/\(unit.text)")
        accounts.withLock { $0.set(unit, usage, at: .now) }
    }

    /// The file that is pushed stays: it is open, and what is acknowledged is written to it.
    private func removeEmpty(_ unit: NodeID, _ path: PushPath) {
        let before = Int64(Date().timeIntervalSince1970 * 1e9) - Self.emptyLifetimeNanoseconds
        let pushed = self.path(unit, path)
        for name in PushPath.writableFolders
        where FolderFiles.removeEmpty(below: "\(folder)/\(unit.text)/\(name)", before: before, keeping: pushed) {
            // Folders that are made again must be synced again.
            synced.withLock { $0[unit] = nil }
        }
    }
}
