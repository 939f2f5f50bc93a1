-- Exposure by instrument and minute: position at the end, lowest and highest, and the limit that held then
WITH minutes AS (
    SELECT date_trunc('minute', time::TIMESTAMP) AS minute, instrument, arg_max(quantity, sequence) AS position,
           min(quantity) AS lowest, max(quantity) AS highest, max(sequence) AS sequence
    FROM rec_positions WHERE operation <> 'deleted'
    GROUP BY ALL
)
SELECT m.minute, m.instrument, m.position, m.lowest, m.highest, s.position_limit
FROM minutes AS m
ASOF LEFT JOIN (SELECT instrument, sequence, position_limit FROM rec_risk_settings) AS s
    ON m.instrument = s.instrument AND m.sequence >= s.sequence
ORDER BY m.minute, m.instrument
