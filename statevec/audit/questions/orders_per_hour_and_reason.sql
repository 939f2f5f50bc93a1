-- Orders per hour: placed because of which input, cancelled for which reason
SELECT date_trunc('hour', o.time::TIMESTAMP) AS hour, 'placed' AS what, e.message AS reason, count(*) AS orders,
       sum(o.quantity)::BIGINT AS lots
FROM out_place_order AS o JOIN entries AS e USING (sequence)
GROUP BY ALL
UNION ALL
SELECT date_trunc('hour', time::TIMESTAMP), 'cancelled', reason, count(*), NULL
FROM out_cancel_order
GROUP BY ALL
ORDER BY hour, what DESC, orders DESC, reason
