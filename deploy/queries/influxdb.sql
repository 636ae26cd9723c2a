-- Examples for InfluxDB 3 (SQL): influxdb3 query --database recordings --token TOKEN "SELECT …", or a panel of Grafana.
-- docs/operations.md ("What arrives where") says what each table has. Tags are aggregator_uuid and what the table names; times are UTC.

-- What was heard in the last day, the newest first.
SELECT time, aggregator_uuid, listener_id, common_name, species, confidence
FROM detections
WHERE time >= now() - INTERVAL '1 day'
ORDER BY time DESC;

-- How often each species was heard on each day, of detections with a confidence of 0.7 or more.
SELECT date_bin(INTERVAL '1 day', time) AS day, common_name, species, count(*) AS detections, max(confidence) AS best
FROM detections
WHERE time >= now() - INTERVAL '30 days' AND confidence >= 0.7
GROUP BY day, common_name, species
ORDER BY day, detections DESC;

-- Detections of each hour and listener.
SELECT date_bin(INTERVAL '1 hour', time) AS hour, aggregator_uuid, listener_id, count(*) AS detections
FROM detections
WHERE time >= now() - INTERVAL '7 days'
GROUP BY hour, aggregator_uuid, listener_id
ORDER BY hour, listener_id;

-- When each species was heard first and last.
SELECT common_name, species, min(time) AS first_heard, max(time) AS last_heard, count(*) AS detections
FROM detections
GROUP BY common_name, species
ORDER BY first_heard;

-- Species that were heard in the last day and never in the 30 days before.
SELECT DISTINCT common_name, species
FROM detections
WHERE time >= now() - INTERVAL '1 day'
  AND species NOT IN (
    SELECT species FROM detections WHERE time >= now() - INTERVAL '31 days' AND time < now() - INTERVAL '1 day')
ORDER BY common_name;

-- Where sound is missing, and why: seconds for each listener and reason.
SELECT aggregator_uuid, listener_id, kind, reason, count(*) AS gaps, sum(duration_sec) AS seconds
FROM coverage
WHERE time >= now() - INTERVAL '7 days'
GROUP BY aggregator_uuid, listener_id, kind, reason
ORDER BY seconds DESC;

-- A sensor's mean, minimum and maximum every ten minutes.
SELECT date_bin(INTERVAL '10 minutes', time) AS ten_minutes, source, quantity, unit,
  avg(value) AS mean, min(value) AS minimum, max(value) AS maximum
FROM observations
WHERE time >= now() - INTERVAL '1 day' AND source = 'scd41' AND quantity = 'co2'
GROUP BY ten_minutes, source, quantity, unit
ORDER BY ten_minutes;

-- The last value of every source and quantity.
SELECT aggregator_uuid, source, quantity, unit, time, value
FROM (
  SELECT *, row_number() OVER (PARTITION BY aggregator_uuid, source, quantity ORDER BY time DESC) AS place
  FROM observations
  WHERE time >= now() - INTERVAL '1 day')
WHERE place = 1
ORDER BY aggregator_uuid, source, quantity;

-- The replaced aggregator's table: recordings that were analysed, with what was found as JSON.
SELECT time, aggregator_uuid, listener_id, filename, duration_sec, detections
FROM analysis
WHERE time >= now() - INTERVAL '1 day' AND detections <> '[]'
ORDER BY time DESC;

-- Hours of sound that were analysed on each day. A tag is text, so its number is cast.
SELECT date_bin(INTERVAL '1 day', time) AS day, aggregator_uuid, listener_id, sum(CAST(duration_sec AS DOUBLE)) / 3600 AS hours
FROM analysis
WHERE time >= now() - INTERVAL '30 days'
GROUP BY day, aggregator_uuid, listener_id
ORDER BY day, listener_id;

-- The replaced aggregator's table of uploads: where each recording is in S3.
SELECT time, aggregator_uuid, listener_id, filename, remote, uploaded_timestamp
FROM uploads
WHERE time >= now() - INTERVAL '1 day'
ORDER BY time DESC;
