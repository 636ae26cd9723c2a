/// What a store asks about the disk that it writes to. By default there is always room, and nothing is set aside.
public struct StoreRoom: Sendable {
    /// Whether changes may be written that make the database larger. Asked for each group of changes.
    public var mayGrow: @Sendable () -> Bool
    /// Frees a part of what is set aside for a disk that is full to the last byte. False if nothing is left to free.
    public var free: @Sendable () -> Bool

    public init(
        mayGrow: @escaping @Sendable () -> Bool = { true }, free: @escaping @Sendable () -> Bool = { false }
    ) {
        self.mayGrow = mayGrow
        self.free = free
    }
}
