public import GRDB

/// Where a large upload stands.
public struct MultipartUpload: Sendable, Hashable, Codable, FetchableRecord {
    public var deliveryID: Int64
    /// Endpoint, bucket and key, so that an upload to another place is never continued.
    public var location: String
    public var uploadID: String
    public var partBytes: Int
    /// What the far end answered for each part that it has, by the part's number from 1; as JSON.
    public var parts: String
    /// UTC.
    public var begunNanoseconds: Int64

    enum CodingKeys: String, CodingKey {
        case location, parts
        case deliveryID = "delivery_id"
        case uploadID = "upload_id"
        case partBytes = "part_bytes"
        case begunNanoseconds = "begun_ns"
    }

    public init(
        deliveryID: Int64, location: String, uploadID: String, partBytes: Int, parts: String, begunNanoseconds: Int64
    ) {
        self.deliveryID = deliveryID
        self.location = location
        self.uploadID = uploadID
        self.partBytes = partBytes
        self.parts = parts
        self.begunNanoseconds = begunNanoseconds
    }

    func save(_ database: Database) throws {
        try database.cachedStatement(
            sql: """
                INSERT OR REPLACE INTO multipart_uploads (delivery_id, location, upload_id, part_bytes, parts, begun_ns)
                VALUES (?, ?, ?, ?, ?, ?)
                """
        ).execute(arguments: [deliveryID, location, uploadID, partBytes, parts, begunNanoseconds])
    }
}
