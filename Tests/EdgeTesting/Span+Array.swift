extension Array where Element: BitwiseCopyable {
    /// Copies the elements of a span to the end.
    public static func += (array: inout [Element], span: Span<Element>) {
        for index in span.indices { array.append(span[index]) }
    }
}
