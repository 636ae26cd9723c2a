/// Templates 5.2 and 5.3: values in groups, each with a reference and a width of its own; with 5.3 not the values
/// themselves but their differences, of the first or second order. What NCEP writes its fields with.
struct ComplexPacking {
    private enum Missing {
        case none, primary, primaryAndSecondary
    }

    private let scale: GRIBScale
    private let missing: Missing
    private let groups: Int
    private let widthReference: Int
    private let widthBits: Int
    private let lengthReference: Int
    private let lengthIncrement: Int
    private let lastLength: Int
    private let lengthBits: Int
    /// 0 when the values are not differenced.
    private let order: Int
    private let extraOctets: Int

    init(_ section: GRIBOctets, isDifferenced: Bool) throws(GRIBError) {
        scale = try GRIBScale(section)
        switch try section.unsigned(23, 1) {
        case 0: missing = .none
        case 1: missing = .primary
        case 2: missing = .primaryAndSecondary
        case let number: throw .unsupported("the missing value management \(number)")
        }
        groups = try section.unsigned(32, 4)
        widthReference = try section.unsigned(36, 1)
        widthBits = try section.unsigned(37, 1)
        lengthReference = try section.unsigned(38, 4)
        lengthIncrement = try section.unsigned(42, 1)
        lastLength = try section.unsigned(43, 4)
        lengthBits = try section.unsigned(47, 1)
        guard widthBits <= 32, lengthBits <= 32 else {
            throw .unsupported("group widths of \(widthBits) bits, group lengths of \(lengthBits) bits")
        }
        if isDifferenced {
            order = try section.unsigned(48, 1)
            extraOctets = try section.unsigned(49, 1)
            // Some writers name no order where they have not differenced.
            guard (0...2).contains(order) else { throw .unsupported("differences of order \(order)") }
            guard extraOctets <= 7 else { throw .unsupported("extra descriptors of \(extraOctets) octets") }
        } else {
            order = 0
            extraOctets = 0
        }
    }

    /// Where the lists of section 7 begin, in bits; each is padded to an octet.
    private struct Layout {
        let widths: Int
        let lengths: Int
        let values: Int
    }

    func values(_ data: ArraySlice<UInt8>, count: Int) throws(GRIBError) -> [Float] {
        guard count > 0 else { return [] }
        guard (1...count).contains(groups) else { throw .malformed("\(groups) groups for \(count) values") }
        let extras = GRIBOctets(data, section: 7)
        var first = [0, 0]
        var minimum = 0
        if order > 0, extraOctets > 0 {
            for place in 0..<order { first[place] = try extras.signed(place * extraOctets + 1, extraOctets) }
            minimum = try extras.signed(order * extraOctets + 1, extraOctets)
        }
        let lists = data.dropFirst(order > 0 ? (order + 1) * extraOctets : 0)
        let bits = BitField(lists)
        func padded(_ width: Int) -> Int { (groups * width + 7) / 8 * 8 }
        let widths = padded(scale.bits)
        let lengths = widths + padded(widthBits)
        let layout = Layout(widths: widths, lengths: lengths, values: lengths + padded(lengthBits))
        guard layout.values <= bits.bitCount else {
            throw .truncated("\(data.count) octets, and \(groups) groups are described in more")
        }
        let sum = Integrator(order: order, first: (first[0], first[1]), minimum: minimum, scale: scale)
        // Memory: `bits` owns the packed bytes until the closure returns.
        return try unsafe bits.withBase { base throws(GRIBError) in
            try unsafe unpack(base, bits.bitCount, layout, sum, count)
        }
    }

    /// Memory: the caller owns the packed bytes until the return; the new array owns `room`. Each group is checked to fit into both.
    private func unpack(
        _ base: UnsafeRawPointer, _ bitCount: Int, _ layout: Layout, _ start: Integrator, _ count: Int
    ) throws(GRIBError) -> [Float] {
        var sum = start
        var references = BitField.Cursor(at: 0, width: scale.bits)
        var widths = BitField.Cursor(at: layout.widths, width: widthBits)
        var lengths = BitField.Cursor(at: layout.lengths, width: lengthBits)
        var position = layout.values
        var done = 0
        var failure: GRIBError?
        let values = unsafe [Float](unsafeUninitializedCapacity: count) { room, filled in
            for group in 0..<groups {
                let reference = unsafe references.next(base)
                let width = unsafe widthReference + widths.next(base)
                let scaled = unsafe lengths.next(base)
                let length = group == groups - 1 ? lastLength : lengthReference + lengthIncrement * scaled
                guard width <= 32, length <= count - done, position + width * length <= bitCount else {
                    failure =
                        width > 32
                        ? .unsupported("a group of values of \(width) bits")
                        : length > count - done
                            ? .malformed("its groups have more than \(count) values")
                            : .truncated("its groups have more bits than there are")
                    break
                }
                var cursor = BitField.Cursor(at: position, width: width)
                let gap = self.gap(width)
                if missing == .none {
                    for place in done..<(done + length) {
                        unsafe room.initializeElement(at: place, to: sum.next(reference + cursor.next(base)))
                    }
                } else {
                    for place in done..<(done + length) {
                        let raw = unsafe cursor.next(base)
                        // A group without bits is missing as a whole when its reference says so.
                        let isGap = gap.contains(width == 0 ? reference : raw)
                        unsafe room.initializeElement(at: place, to: isGap ? .nan : sum.next(reference + raw))
                    }
                }
                position += width * length
                done += length
            }
            filled = done
        }
        if let failure { throw failure }
        guard done == count else { throw .malformed("its groups have \(done) of \(count) values") }
        return values
    }

    /// The numbers that stand for a missing value in a group: all bits set, and for the secondary one less.
    private func gap(_ width: Int) -> ClosedRange<Int> {
        let all = (1 << (width == 0 ? scale.bits : width)) - 1
        return missing == .primaryAndSecondary ? max(0, all - 1)...all : all...all
    }

    /// Adds differences up to values. What does not fit wraps round: only damaged messages have such.
    private struct Integrator {
        let order: Int
        let first: (Int, Int)
        let minimum: Int
        let scale: GRIBScale
        private var index = 0
        private var last = 0
        private var beforeLast = 0

        init(order: Int, first: (Int, Int), minimum: Int, scale: GRIBScale) {
            self.order = order
            self.first = first
            self.minimum = minimum
            self.scale = scale
        }

        @inline(__always)
        mutating func next(_ packed: Int) -> Float {
            let value: Int
            if order == 0 {
                value = packed
            } else if index < order {
                value = index == 0 ? first.0 : first.1
            } else if order == 1 {
                value = packed &+ minimum &+ last
            } else {
                value = packed &+ minimum &+ (last &* 2) &- beforeLast
            }
            index &+= 1
            beforeLast = last
            last = value
            return Float(scale.reference + Double(value) * scale.factor)
        }
    }
}
