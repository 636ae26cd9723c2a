import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import TextParts

/// Every path that the daemon answers.
struct Routes: Sendable {
    let stream: StreamRoute
    let upload: UploadRoute
    let listeners: ListenerResources
    let recordings: RecordingResources
    let detections: DetectionResources
    let observations: ObservationResources
    let sensors: SensorResources
    let outputs: OutputResources
    let cards: SoundCardResources
    let field: FieldAssembly
    let forecasts: ForecastAssembly
    let deliveries: DeliveryResources
    let events: EventResource
    let dashboard: Dashboard
    let metrics: MetricsCollector
    let snapshot: StatusSnapshot
    let streamPath: String
    let uploadPath: String
    let keeper: Doorkeeper
    let access: AccessSettings
    let requests: ClientRates
    let failures: ClientRates

    func router() -> Router<EdgeContext> {
        let router = Router(context: EdgeContext.self)
        router.add(middleware: NoSniffing())
        router.add(middleware: ErrorAnswers())
        router.add(middleware: ClientAddresses(proxies: access.trustedProxies))
        if access.stockPaths.contains(.recordings) { addStockPaths(router) }
        addNodePaths(router)
        addHealth(router)
        let guarded = router.group().add(middleware: SecurityHeaders()).add(middleware: ErrorAnswers()).add(
            middleware: hostGuard
        ).add(
            middleware: OriginGuard()
        ).add(
            middleware: tokenGuard)
        if !access.stockPaths.contains(.metrics) { guarded.get("/metrics", use: metrics.answer) }
        guarded.get("/", use: dashboard.answer)
        guarded.get("/events", use: events.stream)
        let api = guarded.group("/api/v1")
        api.get("/status", use: listeners.status)
        api.get("/listeners", use: listeners.listeners)
        api.get("/coverage", use: listeners.coverage)
        api.get("/ledger", use: listeners.ledger)
        api.get("/detections", use: detections.list)
        api.get("/observations", use: observations.list)
        api.get("/observations/latest", use: observations.latest)
        api.get("/sensors", use: sensors.list)
        api.post("/sensors/:name/recalibrate", use: sensors.recalibrate)
        api.get("/sound_cards", use: cards.list)
        api.get("/outputs", use: outputs.list)
        api.post("/outputs/:name", use: outputs.set)
        api.get("/sinks", use: deliveries.sinks)
        api.get("/deliveries", use: deliveries.list)
        api.post("/deliveries/requeue", use: deliveries.requeue)
        addNodeResources(api)
        addForecasts(guarded, api)
        api.get("/recordings", use: recordings.list)
        api.get("/recordings/:name", use: recordings.show)
        api.get("/recordings/:name/audio", use: recordings.download)
        api.delete("/recordings/:name", use: recordings.delete)
        return router
    }

    private var hostGuard: HostGuard { HostGuard(keeper: keeper, proxies: access.trustedProxies) }

    private var tokenGuard: TokenGuard {
        TokenGuard(keeper: keeper, requests: requests, failures: failures)
    }

    /// What the second port answers.
    func metricsRouter() -> Router<EdgeContext> {
        let router = Router(context: EdgeContext.self)
        router.add(middleware: NoSniffing())
        router.add(middleware: ErrorAnswers())
        router.add(middleware: ClientAddresses(proxies: access.trustedProxies))
        if access.stockPaths.contains(.metrics) {
            router.get("/metrics", use: metrics.answer)
        } else {
            router.group().add(middleware: hostGuard).add(middleware: tokenGuard).get("/metrics", use: metrics.answer)
        }
        return router
    }

    private func addStockPaths(_ router: Router<EdgeContext>) {
        for prefix in ["", "/t/:token"] {
            router.post(RouterPath(prefix + streamPath), use: stream.receive)
            router.post(RouterPath(prefix + uploadPath), use: upload.receive)
            for path in [streamPath, uploadPath] {
                for method in [HTTPRequest.Method.get, .head, .put, .delete, .patch] {
                    router.on(RouterPath(prefix + path), method: method) { _, _ in StockAnswer.methodNotAllowed() }
                }
            }
        }
    }

    /// What the clients of the former node systems know.
    private func addNodePaths(_ router: Router<EdgeContext>) {
        if access.stockPaths.contains(.co2) { addCO2Paths(router) }
        if access.stockPaths.contains(.isems) { addISEMSPaths(router) }
        if access.stockPaths.contains(.piwardrive) { addPiWardrivePaths(router) }
    }

    private func addCO2Paths(_ router: Router<EdgeContext>) {
        let (co2, pages) = (field.co2, field.pages)
        router.post("/ou/:id/alive", use: co2.alive)
        router.put("/ou/:id/push-sequential/**", use: co2.push)
        // Whatever else a unit asks is answered in its own manners too.
        for path in ["/ou/:id/alive", "/ou/:id/push-sequential/**", "/ou/:id/**"] {
            for method in [HTTPRequest.Method.get, .head, .post, .put, .delete, .patch]
            where !(method == .post && path.hasSuffix("alive")) && !(method == .put && path.holds("push")) {
                router.on(RouterPath(path), method: method, use: method == .get ? co2.fetch : co2.nothing)
            }
        }
        router.get("/status/alive/recent", use: pages.recent)
        router.head("/status/alive/recent", use: pages.head)
        for path in ["/status/alive/**", "/data/co2/**", "/var/pub/**"] {
            router.get(RouterPath(path), use: pages.page)
            router.head(RouterPath(path), use: pages.head)
        }
    }

    private func addISEMSPaths(_ router: Router<EdgeContext>) {
        let isems = field.isems
        for prefix in ["", "/api"] {
            for (path, answer) in [("/measurements/latest", isems.all), ("/measurements/:id/latest", isems.one)] {
                let path = RouterPath(prefix + path)
                router.get(path, use: answer)
                router.head(path, use: answer)
                router.on(path, method: .options, use: ISEMSRoutes.options)
                for method in [HTTPRequest.Method.post, .put, .delete, .patch] {
                    router.on(path, method: method, use: ISEMSRoutes.methodNotAllowed)
                }
            }
        }
        router.post("/api/isems/**", use: isems.receive)
    }

    private func addPiWardrivePaths(_ router: Router<EdgeContext>) {
        let units = field.piwardrive
        for path in ["/", "/upload", "/u/:unit", "/u/:unit/upload"] {
            router.post(RouterPath(path), use: units.upload)
        }
        router.get("/upload", use: PiWardriveRoutes.methodNotAllowed("POST"))
        router.get("/stats", use: units.stats)
        router.get("/overlay", use: units.overlay)
        for path in ["/stats", "/overlay"] {
            router.post(RouterPath(path), use: PiWardriveRoutes.methodNotAllowed("GET"))
        }
    }

    /// The paths of data as the clients of the former aggregator know them, and the catalogue.
    private func addForecasts(_ guarded: RouterGroup<EdgeContext>, _ api: RouterGroup<EdgeContext>) {
        for group in [guarded.group("/v1"), api] {
            group.get("/data/:type", use: forecasts.fields.box)
            group.get("/data/:type/point", use: forecasts.fields.place)
        }
        api.get("/forecasts", use: forecasts.datasets.status)
        api.get("/datasets", use: forecasts.datasets.list)
        api.get("/datasets/:id", use: forecasts.datasets.show)
        api.get("/datasets/:id/download", use: forecasts.datasets.download)
    }

    private func addNodeResources(_ api: RouterGroup<EdgeContext>) {
        let nodes = field.resources
        let changes = api.group().add(middleware: NearbyGuard(keeper: keeper))
        api.get("/nodes", use: nodes.list)
        api.get("/nodes/rejected", use: nodes.rejected)
        api.get("/nodes/:kind/:id", use: nodes.show)
        changes.post("/nodes/:kind/:id/admit", use: nodes.admit)
        changes.post("/nodes/:kind/:id/refuse", use: nodes.refuse)
        api.get("/nodes/:kind/:id/errors", use: nodes.errors)
        api.get("/nodes/:kind/:id/updates", use: nodes.updates)
        changes.put("/nodes/:kind/:id/updates/:name", use: nodes.stage)
        changes.post("/nodes/:kind/:id/updates/:name/publish", use: nodes.publish)
        changes.delete("/nodes/:kind/:id/updates/:name", use: nodes.withdraw)
    }

    private func addHealth(_ router: Router<EdgeContext>) {
        if access.stockPaths.contains(.metrics) { router.get("/metrics", use: metrics.answer) }
        router.get("/healthz") { _, _ in Answer.text("{\"status\":\"alive\"}", type: "application/json") }
        router.get("/readyz") { [snapshot] _, _ in
            struct Readiness: Encodable {
                let isReady: Bool
                let reasons: [String]
            }
            let reasons = snapshot.unreadyReasons
            return try Answer.json(
                Readiness(isReady: reasons.isEmpty, reasons: reasons),
                status: reasons.isEmpty ? .ok : .serviceUnavailable)
        }
        router.get("/openapi.json") { _, _ in Answer.text(OpenAPI.document, type: "application/json") }
    }
}

/// Turns what a route throws into an answer that says what was wrong.
struct ErrorAnswers: RouterMiddleware {
    func handle(
        _ request: Request, context: EdgeContext, next: (Request, EdgeContext) async throws -> Response
    ) async throws -> Response {
        let isAPI = request.uri.path.hasPrefix("/api/")
        do {
            return try await next(request, context)
        } catch let error as QueryError {
            return try Answer.problem(.badRequest, "Bad query", detail: error.description)
        } catch let error as HTTPError where error.status == .notFound {
            if request.uri.path.hasPrefix("/ou/") { return CO2Routes.notFound(context) }
            guard isAPI else { return StockAnswer.notFound() }
            return try Answer.problem(.notFound, "No such path", detail: "There is nothing at \(request.uri.path)")
        } catch let error as HTTPError {
            return try Answer.problem(error.status, error.status.reasonPhrase, detail: error.body ?? "")
        } catch {
            context.logger.error("A request failed", metadata: ["path": "\(request.uri.path)", "error": "\(error)"])
            return try Answer.problem(
                .internalServerError, "The box could not answer", detail: "See the daemon's log for the reason")
        }
    }
}
