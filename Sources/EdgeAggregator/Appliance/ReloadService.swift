import Foundation
import Logging
import Sensors
import ServiceLifecycle
import UnixSignals

/// On SIGHUP reads the settings again and takes over what can change while the daemon runs: tokens, the allow-list, host names, the
/// level of the log, the TLS identity. For the rest it says that a restart is needed. Settings that are wrong, or that would silently
/// remove a protection (``ReloadCheck``), change nothing.
struct ReloadService: Service {
    static let live: Set<String> = ["api_token", "host_names", "listener_allow", "listener_tokens", "log_level"]

    let settings: Settings
    let keeper: Doorkeeper
    let identity: ServerIdentity?
    let status: ReloadStatus
    let time: any TimeSource
    let logger: Logger
    /// Reads the settings as they are now.
    let load: @Sendable () throws -> Settings

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var current = settings
            for await _ in await UnixSignalsSequence(trapping: .sighup) {
                do {
                    let new = try load()
                    if apply(new, over: current) { current = new }
                } catch {
                    reject("\(error)")
                }
            }
        }
        try? await gracefulShutdown()
    }

    private func reject(_ reason: String) {
        status.rejected(at: time.now().utcNanoseconds, reason: reason)
        logger.error(
            "The settings were not taken over: they are wrong; those of before stay", metadata: ["reason": "\(reason)"])
    }

    /// Returns whether the new settings are in force.
    private func apply(_ new: Settings, over old: Settings) -> Bool {
        let token: String
        do {
            // The addresses are those of the start until a restart: a token that they needed is still asked for.
            token = try APITokenFile.token(for: new, isNeeded: settings.access.isTokenNeeded).token
        } catch {
            // Open doors are no answer to a disk that is ill.
            logger.error("No token could be made; the one of before stays", metadata: ["reason": "\(error)"])
            token = keeper.apiToken
        }
        let objections = ReloadCheck.objections(
            to: ReloadCheck.Protection(apiToken: token, effective: new.effective),
            over: ReloadCheck.Protection(apiToken: keeper.apiToken, effective: old.effective))
        guard objections.isEmpty else {
            reject(objections.joined(separator: "; "))
            return false
        }
        keeper.rules = Doorkeeper.Rules(
            listeners: ListenerAdmission(allowed: new.reception.allowed, tokens: new.reception.tokens),
            apiToken: token, hosts: new.access.hosts)
        status.accepted(at: time.now().utcNanoseconds)
        LogLevel.set(new.box.logLevel)
        do {
            try identity?.reload()
        } catch {
            logger.error("The TLS identity of before stays", metadata: ["reason": "\(error)"])
        }
        let changed = SettingsCatalogue.all.map(\.name).filter {
            new.effective[$0]?.value != old.effective[$0]?.value
        }
        let waiting = changed.filter { !Self.live.contains($0) }
        logger.notice(
            "The settings were read again",
            metadata: [
                "taken_over": "\(changed.filter(Self.live.contains).joined(separator: ","))",
                "need_a_restart": "\(waiting.joined(separator: ","))",
            ])
        return true
    }
}
