-- Which version decided how much: entries, outcomes, outputs, from when to when
WITH versions AS (
    SELECT logic_version, any_value(name || '@' || version) AS version, any_value(content_hash[:12]) AS hash
    FROM deciders GROUP BY logic_version
)
SELECT coalesce(v.version, 'logic version ' || e.logic_version) AS version, v.hash, count(*) AS entries,
       count(*) FILTER (e.outcome > 0) AS rejected, count(*) FILTER (e.outcome < 0) AS faulted,
       count(*) FILTER (e.outputs_length > 0) AS with_outputs, min(e.sequence) AS first_sequence,
       max(e.sequence) AS last_sequence, min(e.time)::TIMESTAMP AS first_time, max(e.time)::TIMESTAMP AS last_time
FROM entries AS e LEFT JOIN versions AS v USING (logic_version)
GROUP BY ALL
ORDER BY first_sequence
