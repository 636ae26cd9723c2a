/// The description of the API (OpenAPI 3.1).
enum OpenAPI {
    static let document = """
        {"openapi":"3.1.0","info":{"title":"Edge Aggregator","version":"\(Version.text)","description":"Listeners, recordings, detections and what was lost. Times are RFC 3339 in UTC; questions also take seconds since 1970. Lists come newest first; pass `next` as `cursor` for the following page. Errors are RFC 9457 problem details."},"paths":{\(paths.joined(separator: ","))}}
        """

    private static let paths = [
        operation("/api/v1/status", "The state of the whole box", []),
        operation("/api/v1/listeners", "Listeners, connected or not", ["cursor", "limit"]),
        operation(
            "/api/v1/recordings", "Recordings", ["listener", "from", "to", "state", "analysis", "cursor", "limit"]),
        operation("/api/v1/recordings/{name}", "One recording", [], path: "name"),
        operation(
            "/api/v1/recordings/{name}/audio",
            "Its sound; ranges are answered. 409 while it is written or before it is analyzed", [], path: "name"),
        operation(
            "/api/v1/detections", "Detections, as JSON or (format=csv) CSV",
            ["listener", "species", "recording", "min_confidence", "from", "to", "cursor", "limit", "format"]),
        operation(
            "/api/v1/observations", "What sensors and the board said, as JSON or (format=csv) CSV",
            ["source", "quantity", "from", "to", "cursor", "limit", "format"]),
        operation("/api/v1/observations/latest", "The last of each series", ["format"]),
        operation("/api/v1/sensors", "Sensors of the box: how each is, and what it last said", []),
        operation(
            "/api/v1/sensors/{name}/recalibrate", "Tell a CO2 sensor how many ppm are about it", ["co2"], path: "name",
            method: "post"),
        operation("/api/v1/nodes", "Nodes of the field: kind, id, place, state, battery, signal", ["kind", "state"]),
        operation("/api/v1/nodes/rejected", "Lines of nodes that could not be taken", ["kind", "limit"]),
        operation("/api/v1/nodes/{kind}/{id}", "One node", [], path: "kind", "id"),
        operation("/api/v1/nodes/{kind}/{id}/admit", "Let a node send", [], path: "kind", "id", method: "post"),
        operation("/api/v1/nodes/{kind}/{id}/refuse", "Let it send no more", [], path: "kind", "id", method: "post"),
        operation(
            "/api/v1/nodes/{kind}/{id}/errors", "What a CO2 unit wrote in its own log", ["limit"], path: "kind", "id"),
        operation("/api/v1/nodes/{kind}/{id}/updates", "Updates published for a CO2 unit", [], path: "kind", "id"),
        operation(
            "/api/v1/nodes/{kind}/{id}/updates/{name}", "Put a file of an update that is not published yet", ["path"],
            path: "kind", "id", "name", method: "put"),
        operation(
            "/api/v1/nodes/{kind}/{id}/updates/{name}/publish", "Show an update to a CO2 unit, all of it at once", [],
            path: "kind", "id", "name", method: "post"),
        operation("/api/v1/forecasts", "Forecast fields: what there is, how collections ended, the next ones", []),
        operation(
            "/api/v1/datasets", "The catalogue of forecast fields",
            ["type", "start_time", "end_time", "run", "newest", "limit"]),
        operation("/api/v1/datasets/{id}", "One field of the catalogue", [], path: "id"),
        operation("/api/v1/datasets/{id}/download", "Its file (NetCDF); ranges are answered", [], path: "id"),
        operation(
            "/v1/data/{type}", "Values for a box and a time, as NetCDF or (format=json) JSON",
            ["min_lat", "max_lat", "min_lon", "max_lon", "start_time", "end_time", "format"], path: "type"),
        operation(
            "/v1/data/{type}/point", "Values at a place, between the points and times around it",
            ["lat", "lon", "time", "start_time", "end_time"], path: "type"),
        operation("/api/v1/sound_cards", "Sound cards that listen: how each is, and how loud", []),
        operation("/api/v1/outputs", "Lines that the box sets", []),
        operation(
            "/api/v1/outputs/{name}", "Set one: state=on, off or cycle", ["state"], path: "name", method: "post"),
        operation(
            "/api/v1/coverage", "What was heard and what was lost, by listener",
            ["listener", "from", "to", "cursor", "limit"]),
        operation("/api/v1/ledger", "The lines of the loss ledger", ["listener", "kind", "cursor", "limit"]),
        operation("/api/v1/sinks", "Far ends: how they are, and what waits for them", []),
        operation(
            "/api/v1/deliveries", "The outbox, oldest first", ["sink", "kind", "state", "cursor", "limit"]),
        operation(
            "/api/v1/deliveries/requeue", "Give refused deliveries another chance: all, one sink's, or one",
            ["sink", "id"], method: "post"),
        operation("/events", "Detections and recordings as they come (server-sent events)", []),
        operation("/healthz", "Alive", []),
        operation("/readyz", "Able to receive, keep and analyse; else 503 with reasons", []),
        operation("/metrics", "Metrics (Prometheus text format)", []),
    ]

    private static func operation(
        _ path: String, _ summary: String, _ query: [String], path names: String..., method: String = "get"
    ) -> String {
        let parameters =
            query.map { #"{"name":"\#($0)","in":"query","schema":{"type":"string"}}"# }
            + names.map { #"{"name":"\#($0)","in":"path","required":true,"schema":{"type":"string"}}"# }
        return
            #""\#(path)":{"\#(method)":{"summary":"\#(summary)","parameters":[\#(parameters.joined(separator: ","))],"responses":{"200":{"description":"OK"}}}}"#
    }
}
