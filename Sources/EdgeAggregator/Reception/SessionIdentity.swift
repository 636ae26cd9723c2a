/// Which session it is: (listener, boot, counter) names it for ever.
struct SessionIdentity: Hashable, Sendable {
    let listener: ListenerID
    let bootID: String
    let counter: Int
    /// `stream`, `upload` or `mock`.
    let source: String

    /// `listener01/1b4e28ba/17`
    var text: String { "\(listener.text)/\(bootID.prefix(8))/\(counter)" }
}
