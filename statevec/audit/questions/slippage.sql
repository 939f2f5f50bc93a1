-- Slippage by instrument and side: ticks that fills cost against the midpoint when the order went out, by lots
WITH fills AS (
    SELECT order_id, max(filled_quantity) AS lots, arg_max(last_price, venue_sequence) AS price
    FROM in_order_update WHERE outcome = 0 AND filled_quantity > 0
    GROUP BY order_id
),
quotes AS (
    SELECT instrument, sequence, bid_price + ask_price AS doubled_mid FROM rec_markets WHERE bid_price > 0
),
orders AS (
    SELECT o.instrument, o.side, o.sequence, f.lots, f.price
    FROM out_place_order AS o JOIN fills AS f USING (order_id)
)
SELECT o.instrument, o.side, count(*) AS orders, sum(o.lots)::BIGINT AS lots,
       round(sum(o.lots * (2 * o.price - q.doubled_mid) * if(o.side = 'BUY', 1, -1)) / sum(o.lots) / 2, 3)
           AS ticks_a_lot
FROM orders AS o ASOF JOIN quotes AS q ON o.instrument = q.instrument AND o.sequence >= q.sequence
GROUP BY ALL
ORDER BY o.instrument, o.side
