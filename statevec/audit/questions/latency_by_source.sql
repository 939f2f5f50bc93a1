-- Latency from sent to sequenced, by source: percentiles in microseconds, of inputs whose sender stamps them with the time since 1970
WITH latencies AS (
    SELECT source, (timestamp_ns - sent_ns) / 1000.0 AS us FROM entries
    WHERE sent_ns > 1000000000000000000 AND timestamp_ns >= sent_ns
)
SELECT coalesce(s.name, 'source ' || l.source) AS sent_by, count(*) AS inputs,
       round(approx_quantile(us, 0.5), 1) AS p50, round(approx_quantile(us, 0.9), 1) AS p90,
       round(approx_quantile(us, 0.99), 1) AS p99, round(approx_quantile(us, 0.999), 1) AS p999, round(max(us), 1) AS most
FROM latencies AS l LEFT JOIN (SELECT source, arg_max(name, sequence) AS name FROM sources GROUP BY source) AS s USING (source)
GROUP BY ALL
ORDER BY inputs DESC, sent_by
