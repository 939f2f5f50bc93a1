-- What changed at each cutover: shares of the 100,000 inputs before it and behind it
WITH cutovers AS (
    SELECT sequence, cause, name || '@' || version AS to_version FROM deciders WHERE cause <> 'leadership'
),
sides AS (
    SELECT c.sequence AS cutover, c.cause, c.to_version, e.sequence > c.sequence AS behind, e.outcome, e.outputs_length
    FROM cutovers AS c JOIN entries AS e ON e.sequence BETWEEN c.sequence - 100000 AND c.sequence + 100000
    WHERE e.kind IN ('command', 'timer')
)
SELECT cutover, cause, to_version, if(behind, 'behind', 'before') AS side, count(*) AS inputs,
       round(100 * avg((outcome > 0)::INTEGER), 3) AS rejected_percent,
       round(100 * avg((outcome < 0)::INTEGER), 3) AS faulted_percent,
       round(100 * avg((outputs_length > 0)::INTEGER), 3) AS with_outputs_percent
FROM sides
GROUP BY ALL
ORDER BY cutover, side
