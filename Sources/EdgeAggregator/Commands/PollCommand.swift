import ArgumentParser
import FieldNodes
import Foundation
import Logging
import Sensors
import Store
import TextParts
import Uplink

/// `edge-aggregator poll isems --once`: for a cron job, as the former collector was run. The daemon may run too.
struct PollCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "poll", abstract: "Fetch the logs of nodes once, without the daemon.", discussion: ExitCodes.help,
        subcommands: [ISEMS.self])

    struct ISEMS: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "isems", abstract: "Fetch the logs of the ISEMS nodes in isems_router_ips.")

        @OptionGroup var options: SettingsOptions

        @Flag(help: "Once, and end; the daemon itself polls again and again.")
        var once = false

        func validate() throws {
            guard once else { throw ValidationError("the daemon polls at intervals; this does it with --once only") }
        }

        func run() async throws {
            let settings = try options.load()
            let isems = settings.nodes.isems
            guard !isems.addresses.isEmpty else {
                printError("No node is named. \(ISEMSSettings.hintForPolling).")
                throw ExitCodes.settings
            }
            let transport = try CurlTransport()
            defer { transport.stop() }
            try await OpenStore.use(settings) { house in
                let poller = ISEMSPoller(
                    intake: ISEMSIntake(house: house, mustMatch: isems.mustMatchTopic), transport: transport,
                    addresses: isems.addresses, interval: .seconds(isems.pollIntervalSeconds),
                    timeoutSeconds: isems.pollTimeoutSeconds, concurrency: isems.pollConcurrency)
                let outcomes = await poller.poll(isems.addresses)
                for outcome in outcomes.sorted(by: { $0.address < $1.address }) {
                    print(
                        "\(outcome.address.hidingPasswords): "
                            + (outcome.failure ?? "\(outcome.readings) lines, \(outcome.rejected) rejected"))
                }
                if outcomes.contains(where: { $0.failure != nil }) { throw ExitCodes.failure }
            }
        }
    }
}
