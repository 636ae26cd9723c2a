import Hummingbird

/// `GET /api/v1/sound_cards`.
struct SoundCardResources: Sendable {
    let cards: [SoundCardService]

    struct Card: Encodable {
        let listener: String
        let device: String
        let isOpen: Bool
        let reason: String?
        let overruns: Int64
        let clippedSamples: Int64
        /// Of the last second.
        let rmsDbfs: Double?
        let peakDbfs: Double?
    }

    @Sendable
    func list(_ request: Request, _ context: EdgeContext) async throws -> Response {
        struct Page: Encodable { let soundCards: [Card] }
        return try Answer.json(
            Page(
                soundCards: cards.map(\.status).map {
                    Card(
                        listener: $0.listener, device: $0.device, isOpen: $0.isOpen, reason: $0.reason,
                        overruns: $0.overruns, clippedSamples: $0.clippedSamples, rmsDbfs: $0.rmsDBFS,
                        peakDbfs: $0.peakDBFS)
                }))
    }
}
