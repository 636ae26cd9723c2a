import Sensors

/// Sensors, buses and sound cards.
extension MetricsCollector {
    func addSensors(_ page: inout MetricsPage) {
        let readings = sensors.readings
        guard !readings.isEmpty else { return }
        let prefix = "edge_aggregator_sensor_"
        page.family("\(prefix)ok", "gauge", "1 if the sensor gives readings that count.")
        for reading in readings {
            page.sample(
                "\(prefix)ok", [("kind", reading.kind), ("sensor", reading.name)], reading.state == .ok ? 1 : 0)
        }
        page.family("\(prefix)state", "gauge", "1 for the state in which the sensor is, 0 for the others.")
        for reading in readings {
            for state in SensorWatch.State.all {
                page.sample(
                    "\(prefix)state", [("sensor", reading.name), ("state", state.rawValue)],
                    reading.state == state ? 1 : 0)
            }
        }
        page.family("\(prefix)readings_total", "counter", "Readings that counted.")
        for reading in readings {
            page.sample("\(prefix)readings_total", [("sensor", reading.name)], Double(reading.readingsTotal))
        }
        page.family("\(prefix)failures_total", "counter", "Attempts that gave no reading.")
        for reading in readings {
            page.sample("\(prefix)failures_total", [("sensor", reading.name)], Double(reading.failuresTotal))
        }
        page.family("\(prefix)missed_edges_total", "counter", "Edges of a line that the kernel could not keep.")
        for reading in readings {
            guard let missed = reading.missedEdges else { continue }
            page.sample("\(prefix)missed_edges_total", [("sensor", reading.name)], Double(missed))
        }
        page.family("edge_aggregator_bus_resets_total", "counter", "How often a bus was set up anew.")
        for (bus, count) in sensors.busResets.sorted(by: { $0.key < $1.key }) {
            page.sample("edge_aggregator_bus_resets_total", [("bus", bus)], Double(count))
        }
        page.family("\(prefix)value", "gauge", "What the sensor last said, in its own unit; absent while it is not ok.")
        for reading in readings where reading.state == .ok {
            for quantity in reading.quantities {
                page.sample(
                    "\(prefix)value",
                    [("quantity", quantity.name), ("sensor", reading.name), ("unit", quantity.unit)], quantity.value)
            }
        }
    }

    func addSoundCards(_ page: inout MetricsPage) {
        let statuses = cards.map(\.status)
        guard !statuses.isEmpty else { return }
        let prefix = "edge_aggregator_sound_card_"
        page.family("\(prefix)open", "gauge", "1 if the sound card listens.")
        for status in statuses { page.sample("\(prefix)open", [("listener", status.listener)], status.isOpen ? 1 : 0) }
        page.family("\(prefix)overruns_total", "counter", "How often sound was lost because nobody read it in time.")
        for status in statuses {
            page.sample("\(prefix)overruns_total", [("listener", status.listener)], Double(status.overruns))
        }
        page.family("\(prefix)clipped_samples", "gauge", "Samples at full scale since the card was opened.")
        for status in statuses {
            page.sample("\(prefix)clipped_samples", [("listener", status.listener)], Double(status.clippedSamples))
        }
        page.family("\(prefix)level_dbfs", "gauge", "Level of the last second, root mean square and peak.")
        for status in statuses {
            for (kind, level) in [("peak", status.peakDBFS), ("rms", status.rmsDBFS)] {
                if let level {
                    page.sample("\(prefix)level_dbfs", [("kind", kind), ("listener", status.listener)], level)
                }
            }
        }
    }
}
