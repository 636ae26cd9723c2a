import Foundation
import Logging
import ServiceLifecycle
import UnixSignals

/// On SIGHUP reads the settings again and takes over what can change while the daemon runs: tokens, the allow-list, the level of
/// the log, the TLS identity. For the rest it says that a restart is needed. Wrong settings change nothing.
struct ReloadService: Service {
    static let live: Set<String> = ["api_token", "listener_allow", "listener_tokens", "log_level"]

    let settings: Settings
    let keeper: Doorkeeper
    let identity: ServerIdentity?
    let logger: Logger
    /// Reads the settings as they are now.
    let load: @Sendable () throws -> Settings

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var current = settings
            for await _ in await UnixSignalsSequence(trapping: .sighup) {
                do {
                    let new = try load()
                    apply(new, over: current)
                    current = new
                } catch {
                    logger.error(
                        "The settings were not taken over: they are wrong; those of before stay",
                        metadata: ["reason": "\(error)"])
                }
            }
        }
        try? await gracefulShutdown()
    }

    private func apply(_ new: Settings, over old: Settings) {
        let token: String
        do {
            // The addresses are those of the start until a restart: a token that they needed is still asked for.
            token = try APITokenFile.token(for: new, isNeeded: settings.access.isTokenNeeded).token
        } catch {
            // Open doors are no answer to a disk that is ill.
            logger.error("No token could be made; the one of before stays", metadata: ["reason": "\(error)"])
            token = keeper.apiToken
        }
        keeper.rules = Doorkeeper.Rules(
            listeners: ListenerAdmission(allowed: new.reception.allowed, tokens: new.reception.tokens),
            apiToken: token)
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
    }
}
