import EdgeTesting
import Foundation
import Testing

/// Fields at the far ends: files in a bucket, then the catalogue in PostgreSQL, and gone there too when they are old.
@Suite(.serialized) struct ForecastDeliveryTests {
    private typealias Upstream = ForecastUpstream

    @Test func filesGoFirstThenTheirRows() throws {
        let upstream = try Upstream()
        let database = try PostgreSQLServer(user: "edge", password: "secret", database: "drift")
        let bucket = try FarEnd.s3("rclone", accessKey: "key12345", secretKey: "secret12345", bucket: "fields")
        let settings = upstream.settings([
            "DATABASE_URL": database.url(), "S3_ENDPOINT": "http://127.0.0.1:\(bucket.port)", "S3_BUCKET": "fields",
            "S3_ACCESS_KEY": "key12345", "S3_SECRET_KEY": "secret12345", "AGGREGATOR_UUID": "box-1",
            "DELIVERY_RETRY_FIRST_SEC": "0.1", "DELIVERY_RETRY_MAX_SEC": "1", "HISTORICAL_DAYS": "1",
        ])
        let daemon = try DaemonProcess(settings: settings)
        try daemon.start()
        _ = try daemon.collected(["wind"])
        let all = try daemon.datasets()
        #expect(all.count > 5)
        func rows(_ sql: String) -> String { (try? database.query(sql)) ?? "" }
        Upstream.wait { rows("SELECT count(*) FROM aggregator_datasets") == "\(all.count)" }
        #expect(rows("SELECT count(*) FROM aggregator_datasets") == "\(all.count)")
        #expect(
            rows("SELECT data_type, status, records_collected FROM aggregator_collection_status")
                == "wind|completed|\(all.count)")
        let id = "wind-\(Upstream.stamp(upstream.run))-f003"
        let run = Upstream.text(upstream.run)
        #expect(
            rows(
                "SELECT source, forecast_date, forecast_cycle, is_forecast, extract(epoch from valid_time_start)::bigint, file_path FROM aggregator_datasets WHERE natural_id = '\(id)'"
            )
                == "noaa_gfs|\(run.prefix(10)) 00:00:00|\(run.dropFirst(11).prefix(2))|t|\(upstream.run + 10_800)|box-1/forecasts/wind/\(run.prefix(10).filter { $0 != "-" })/\(run.dropFirst(11).prefix(2))/\(id).nc"
        )
        let path = try #require(all.first { $0["id"] as? String == id }?["file_path"] as? String)
        let file = try Data(contentsOf: URL(fileURLWithPath: "\(daemon.folder)/forecasts/\(path)"))
        #expect(try DeliverySupport.object(bucket, bucket: "fields", "box-1/forecasts/\(path)") == Array(file))
        #expect(daemon.stop() == 0)

        // What is old goes here, then there, then out of the catalogue.
        let later = try DaemonProcess(
            folder: daemon.folder,
            settings: settings.merging(["HISTORICAL_DAYS": "0", "MAX_DATA_AGE_DAYS": "0.5"]) { $1 })
        #expect(try later.command("forecasts", "cleanup").status == 0)
        try later.start()
        let kept = try later.datasets()
        #expect(kept.count < all.count)
        Upstream.wait { rows("SELECT count(*) FROM aggregator_datasets") == "\(kept.count)" }
        #expect(rows("SELECT count(*) FROM aggregator_datasets") == "\(kept.count)")
        let gone = try #require(all.first { row in !kept.contains { $0["id"] as? String == row["id"] as? String } })
        let objects = try DeliverySupport.objects(bucket, bucket: "fields")
        #expect(objects.count == kept.count)
        #expect(!objects.contains("box-1/forecasts/\(gone["file_path"] as? String ?? "")"))
        #expect(later.stop() == 0)

        // Another region: the same names, other files, here and there.
        let south = try DaemonProcess(
            folder: daemon.folder,
            settings: settings.merging(["HISTORICAL_DAYS": "0", "FORECAST_REGION": "-40,-20,0,20"]) { $1 })
        try south.start()
        _ = try south.collected(["wind"], after: 2)
        let anew = try south.datasets()
        #expect(anew.count == 5)
        func there() -> Bool {
            anew.allSatisfy { row in
                let path = row["file_path"] as? String ?? ""
                let file = FileManager.default.contents(atPath: "\(daemon.folder)/forecasts/\(path)") ?? Data([0])
                let object = try? DeliverySupport.object(bucket, bucket: "fields", "box-1/forecasts/\(path)")
                return object == Array(file)
            }
        }
        Upstream.wait { there() && rows("SELECT count(*) FROM aggregator_datasets") == "5" }
        #expect(there())
        #expect(rows("SELECT count(*) FROM aggregator_datasets") == "5")
        #expect(south.stop() == 0)
    }

    /// Without a bucket the rows say where the files are on the box; a server that was away hears of everything once.
    @Test func rowsWaitForTheServer() throws {
        let upstream = try Upstream()
        let database = try PostgreSQLServer(user: "edge", password: "secret", database: "drift")
        database.stop()
        let daemon = try DaemonProcess(
            settings: upstream.settings([
                "DATABASE_URL": database.url(), "AGGREGATOR_UUID": "box-1", "DELIVERY_RETRY_FIRST_SEC": "0.1",
                "DELIVERY_RETRY_MAX_SEC": "1",
            ]))
        try daemon.start()
        _ = try daemon.collected(["wind"])
        try database.start()
        func rows(_ sql: String) -> String { (try? database.query(sql)) ?? "" }
        Upstream.wait { rows("SELECT count(*) FROM aggregator_datasets") == "5" }
        #expect(
            rows("SELECT count(DISTINCT id), min(left(file_path, \(daemon.folder.count))) FROM aggregator_datasets")
                == "5|\(daemon.folder)")
        Upstream.wait { rows("SELECT status FROM aggregator_collection_status") == "completed" }
        #expect(rows("SELECT status FROM aggregator_collection_status") == "completed")
        #expect(daemon.stop() == 0)
    }
}
