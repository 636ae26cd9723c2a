/// Facts of the BirdNET V2.4 model.
public enum BirdNET {
    /// Hertz.
    public static let sampleRate = 48_000
    /// Samples of one window: 3 s.
    public static let windowSamples = 144_000
    public static let windowNanoseconds: Int64 = 3_000_000_000
    /// A last window with less sound than this is not analysed; with more it is padded with silence.
    public static let shortestTailSeconds = 1.5
    /// The library version whose option layout is known.
    public static let libraryVersion = "2.17.1"
}
