-- Fills by hour: orders placed, lots wanted and filled, and how they ended
WITH ended AS (
    SELECT order_id, max(filled_quantity) AS filled, arg_max(status, venue_sequence) AS status
    FROM in_order_update WHERE outcome = 0
    GROUP BY order_id
)
SELECT date_trunc('hour', o.time::TIMESTAMP) AS hour, coalesce(e.status, 'NO ANSWER') AS ended, count(*) AS orders,
       sum(o.quantity)::BIGINT AS lots, coalesce(sum(e.filled), 0)::BIGINT AS filled_lots,
       round(coalesce(sum(e.filled), 0) / sum(o.quantity), 4) AS fill_ratio
FROM out_place_order AS o LEFT JOIN ended AS e USING (order_id)
GROUP BY ALL
ORDER BY hour, orders DESC, ended
