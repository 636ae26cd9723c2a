import EdgeTesting
import FieldNodes
import Testing

/// The heat map, against answers of the former service.
struct OverlayGridTests {
    private func grid(_ places: [(Double, Double)], bins: Int) throws -> OverlayGrid {
        let latitudes = places.map(\.0)
        let longitudes = places.map(\.1)
        let bounds = OverlayGrid.Bounds(
            latitude: (latitudes.min() ?? 0)...(latitudes.max() ?? 0),
            longitude: (longitudes.min() ?? 0)...(longitudes.max() ?? 0))
        var grid = OverlayGrid(bounds: bounds, bins: bins)
        for (latitude, longitude) in places {
            let place = try #require(AccessPoint.Place(latitude, longitude))
            let isIn = grid.add(place)
            #expect(isIn)
        }
        return grid
    }

    private func text(_ grid: OverlayGrid) -> [String] {
        grid.points.map { "\($0.latitude),\($0.longitude),\($0.count)" }
    }

    @Test func agreesWithTheFormerService() throws {
        let places = [(1.0, 2.0), (1.1, 2.1)]
        #expect(text(try grid(places, bins: 1)) == ["1.05,2.05,2"])
        #expect(text(try grid(places, bins: 100)) == ["1.0005,2.0005,1", "1.0995000000000001,2.0995,1"])
        // One by itself is shown too.
        #expect(text(try grid([(69.5, 30.25)], bins: 100)) == ["69.5,30.25,1"])
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func staysRightWhilePlacesComeAndGo(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let corners = [(0.0, 0.0), (10.0, 10.0)]
        var places = corners
        var moving = try grid(corners, bins: 37)
        for _ in 0..<2000 {
            if places.count > 100, Bool.random(using: &random) {
                let gone = places.remove(at: Int.random(in: 2..<places.count, using: &random))
                let place = try #require(AccessPoint.Place(gone.0, gone.1))
                let isGone = moving.remove(place)
                #expect(isGone)
            } else {
                let new = (Double.random(in: 0.1...9.9, using: &random), Double.random(in: 0.1...9.9, using: &random))
                places.append(new)
                let place = try #require(AccessPoint.Place(new.0, new.1))
                let isIn = moving.add(place)
                #expect(isIn)
            }
        }
        #expect(text(moving) == text(try grid(places, bins: 37)), "seed \(seed)")
        let outside = try #require(AccessPoint.Place(11, 5))
        let isOutside = !moving.add(outside)
        #expect(isOutside)
        let edge = try #require(AccessPoint.Place(0, 0))
        let isEdge = !moving.remove(edge)
        #expect(isEdge, "the bounds may shrink")
    }
}
