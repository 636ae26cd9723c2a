import Logging
import Sensors
import Store

/// Everything that deals with forecast fields, put together.
struct ForecastAssembly: Sendable {
    let house: ForecastHouse
    let fields: FieldRoutes
    let datasets: DatasetResources
    let service: ForecastService

    init(_ settings: Settings, store: Store, time: any TimeSource, disk: DiskGuard, logger: Logger) throws {
        house = try ForecastHouse(settings.forecasts, store: store, time: time, disk: disk, logger: logger)
        fields = FieldRoutes(
            house: house,
            gate: QueryGate(most: settings.forecasts.mostQueries, mostWaiting: settings.forecasts.mostWaitingQueries))
        datasets = DatasetResources(house: house)
        service = ForecastService(house: house, clockWait: .seconds(settings.deliveries.clockWaitSeconds))
    }
}
