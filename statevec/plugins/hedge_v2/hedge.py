"""Hedge engine, version 2: as version 1, and ahead of the queue while much is missing. `docs/hedge.md` explains it."""

from statevec import Index, Key, Plugin, i16, i64, u32, u64

hedge = Plugin("hedge", version="2.0.0", schema="hedge.xml")
Side = hedge.schema.enum("Side")
OrderStatus = hedge.schema.enum("OrderStatus")
RiskSwitch = hedge.schema.enum("RiskSwitch")
CancelReason = hedge.schema.enum("CancelReason")
TimeInForce = hedge.schema.enum("TimeInForce")

UNKNOWN_INSTRUMENT = hedge.rejection(1, "no risk settings for this instrument")
UNKNOWN_ORDER = hedge.rejection(2, "no such order, or it is finished and settled")
BAD_QUOTE = hedge.rejection(3, "a price is not positive or too large, the bid above the ask, or the time negative")
BAD_QUANTITY = hedge.rejection(4, "a quantity is negative or too large")
BAD_TREND = hedge.rejection(5, "the trend is not between -100 and 100")
BAD_RISK_SETTING = hedge.rejection(6, "a risk setting is missing or outside its range")
BAD_SEQUENCE = hedge.rejection(7, "the venue sequence is not positive")
BAD_STATUS = hedge.rejection(8, "not a status that the venue can report for this order now")
BAD_FILL = hedge.rejection(9, "the filled quantity shrinks, exceeds the order or contradicts the status")
TOO_MANY_INSTRUMENTS = hedge.rejection(10, "no room for another instrument")

WHOLE_DESK = 0
INSTRUMENTS_MAX = 1_024
OPEN_ORDERS_MAX = 64  # of one instrument
ORDERS_MAX = 1_024  # of the whole desk: one entry has room to cancel them all
LARGEST = 1_000_000_000_000  # price or quantity: what is larger is a mistake
TREND_MAX = 100
NEVER_CROSS = 101
IMPROVE_TICKS = 1  # of an instrument that was told nothing else
ORDER_AGE_MAX_NS = 86_400_000_000_000
LATE_QUOTE_NS = 1_000_000_000


@hedge.record(capacity=1)
class Desk:
    desk: Key[u32]  # WHOLE_DESK
    risk_switch: RiskSwitch


@hedge.record(capacity=INSTRUMENTS_MAX)
class RiskSetting:
    instrument: Key[u32]
    risk_switch: RiskSwitch
    open_order_limit: i16  # orders
    cross_at_trend: i16
    position_limit: i64  # lots, absolute
    order_size_limit: i64  # lots
    open_quantity_limit: i64  # lots
    price_band: i64  # ticks from the midpoint
    requote_distance: i64  # ticks behind the market
    max_order_age_ns: i64
    improve_ticks: i64  # ahead of the queue at most, while more is missing than one order may bring


@hedge.record(capacity=INSTRUMENTS_MAX)
class HedgeTarget:
    instrument: Key[u32]
    quantity: i64  # lots, signed


@hedge.record(capacity=INSTRUMENTS_MAX)
class Market:
    instrument: Key[u32]
    trend: i16
    bid_price: i64  # ticks; 0 before the first quote
    ask_price: i64
    bid_size: i64
    ask_size: i64
    exchange_time_ns: i64
    last_midpoint: i64  # of the quote before, in half ticks; 0 before the second quote


@hedge.record(capacity=INSTRUMENTS_MAX)
class Position:
    instrument: Key[u32]
    quantity: i64  # lots, signed, as the venue says
    venue_sequence: i64  # it contains all fills up to here


@hedge.record(capacity=ORDERS_MAX)
class Order:
    order_id: Key[u64]
    instrument: Index[u32]
    side: Side
    status: OrderStatus
    cancel_requested: bool
    price: i64
    quantity: i64
    filled: i64  # cumulative, as the venue says
    settled: i64  # the part of it that the position is known to contain
    venue_sequence: i64  # of the last update


@hedge.invariant(Order)
def fills_fit_the_order(tx, order):
    return 0 <= order.settled <= order.filled <= order.quantity


@hedge.migrate("RiskSetting", since="1.0.0")
def give_improve_ticks(old, new):
    new.improve_ticks = IMPROVE_TICKS


@hedge.on("RiskConfig")
def on_risk_config(tx, message):
    """A field that is left out keeps its value; a new instrument needs its limits."""
    instrument = message.instrument
    missing = instrument == WHOLE_DESK and message.risk_switch is None
    if missing or not RiskSwitch.RISK_ON <= given(message.risk_switch, RiskSwitch.RISK_ON) <= RiskSwitch.RISK_OFF:
        return tx.reject(BAD_RISK_SETTING)
    if instrument == WHOLE_DESK:
        desk = tx.desks.edit(WHOLE_DESK) if WHOLE_DESK in tx.desks else tx.desks.insert(WHOLE_DESK)
        desk.risk_switch = message.risk_switch
        for order in tx.orders:
            if message.risk_switch == RiskSwitch.RISK_OFF and is_working(order):
                cancel(tx, order, CancelReason.RISK_OFF)
        return
    if instrument not in tx.risk_settings:
        if len(tx.risk_settings) == INSTRUMENTS_MAX:
            return tx.reject(TOO_MANY_INSTRUMENTS)
        added = tx.risk_settings.insert(instrument)
        added.cross_at_trend = NEVER_CROSS
        added.improve_ticks = IMPROVE_TICKS
        tx.markets.insert(instrument)
    risk = tx.risk_settings.edit(instrument)
    risk.risk_switch = given(message.risk_switch, risk.risk_switch)
    risk.open_order_limit = given(message.open_order_limit, risk.open_order_limit)
    risk.cross_at_trend = given(message.cross_at_trend, risk.cross_at_trend)
    risk.position_limit = given(message.position_limit, risk.position_limit)
    risk.order_size_limit = given(message.order_size_limit, risk.order_size_limit)
    risk.open_quantity_limit = given(message.open_quantity_limit, risk.open_quantity_limit)
    risk.price_band = given(message.price_band, risk.price_band)
    risk.requote_distance = given(message.requote_distance, risk.requote_distance)
    risk.max_order_age_ns = given(message.max_order_age_ns, risk.max_order_age_ns)
    risk.improve_ticks = given(message.improve_ticks, risk.improve_ticks)
    # A limit that was never given is 0, which is outside the range where it must be given.
    sizes = 1 <= risk.order_size_limit <= LARGEST and 1 <= risk.open_quantity_limit <= LARGEST
    limits = 0 <= risk.position_limit <= LARGEST and 1 <= risk.open_order_limit <= OPEN_ORDERS_MAX
    ticks = 0 <= risk.price_band <= LARGEST and 0 <= risk.requote_distance <= LARGEST
    ahead = 0 <= risk.improve_ticks <= LARGEST
    manner = -TREND_MAX <= risk.cross_at_trend <= NEVER_CROSS and 1 <= risk.max_order_age_ns <= ORDER_AGE_MAX_NS
    if not (sizes and limits and ticks and ahead and manner):
        return tx.reject(BAD_RISK_SETTING)
    work_towards_target(tx, instrument)


@hedge.on("HedgeIntent")
def on_hedge_intent(tx, message):
    if message.instrument not in tx.risk_settings:
        return tx.reject(UNKNOWN_INSTRUMENT)
    if not -LARGEST <= message.target_quantity <= LARGEST:
        return tx.reject(BAD_QUANTITY)
    if message.instrument not in tx.hedge_targets:
        tx.hedge_targets.insert(message.instrument)
    tx.hedge_targets.edit(message.instrument).quantity = message.target_quantity
    work_towards_target(tx, message.instrument)


@hedge.on("MarketTrend")
def on_market_trend(tx, message):
    if message.instrument not in tx.risk_settings:
        return tx.reject(UNKNOWN_INSTRUMENT)
    if not -TREND_MAX <= message.trend <= TREND_MAX:
        return tx.reject(BAD_TREND)
    tx.markets.edit(message.instrument).trend = message.trend
    work_towards_target(tx, message.instrument)


@hedge.on("MarketData")
def on_market_data(tx, message):
    """A quote a little older than the last one was overtaken and is ignored; a much older one is a new session."""
    if message.instrument not in tx.risk_settings:
        return tx.reject(UNKNOWN_INSTRUMENT)
    if not 0 < message.bid_price <= message.ask_price <= LARGEST or message.exchange_time_ns < 0:
        return tx.reject(BAD_QUOTE)
    if not (0 <= message.bid_size <= LARGEST and 0 <= message.ask_size <= LARGEST):
        return tx.reject(BAD_QUANTITY)
    market = tx.markets.edit(message.instrument)
    if 0 < market.exchange_time_ns - message.exchange_time_ns <= LATE_QUOTE_NS:
        return
    known = market.exchange_time_ns == message.exchange_time_ns
    if not known or market.bid_price != message.bid_price or market.ask_price != message.ask_price:
        market.last_midpoint = market.bid_price + market.ask_price
    market.bid_price = message.bid_price
    market.ask_price = message.ask_price
    market.bid_size = message.bid_size
    market.ask_size = message.ask_size
    market.exchange_time_ns = message.exchange_time_ns
    work_towards_target(tx, message.instrument)


@hedge.on("OrderUpdate")
def on_order_update(tx, message):
    """An update that is not newer than the last one was sent twice or overtaken: ignored."""
    if message.order_id not in tx.orders:
        return tx.reject(UNKNOWN_ORDER)
    if message.venue_sequence <= 0:
        return tx.reject(BAD_SEQUENCE)
    order = tx.orders.edit(message.order_id)
    if message.venue_sequence <= order.venue_sequence:
        return
    if is_final(order.status) or not OrderStatus.ACCEPTED <= message.status <= OrderStatus.REJECTED:
        return tx.reject(BAD_STATUS)
    least = order.quantity if message.status == OrderStatus.FILLED else order.filled
    if not least <= message.filled_quantity <= order.quantity:
        return tx.reject(BAD_FILL)
    order.status = OrderStatus.FILLED if message.filled_quantity == order.quantity else message.status
    order.filled = message.filled_quantity
    order.venue_sequence = message.venue_sequence
    instrument = order.instrument
    settle(tx, order)
    work_towards_target(tx, instrument)


@hedge.on("PositionUpdate")
def on_position_update(tx, message):
    """A fact, so it is taken for an instrument without risk settings too: those may come later."""
    if message.venue_sequence <= 0:
        return tx.reject(BAD_SEQUENCE)
    if not -LARGEST <= message.quantity <= LARGEST:
        return tx.reject(BAD_QUANTITY)
    if message.instrument not in tx.positions:
        if len(tx.positions) == INSTRUMENTS_MAX:
            return tx.reject(TOO_MANY_INSTRUMENTS)
        tx.positions.insert(message.instrument)
    position = tx.positions.edit(message.instrument)
    if message.venue_sequence <= position.venue_sequence:
        return
    position.quantity = message.quantity
    position.venue_sequence = message.venue_sequence
    for order in tx.orders.where(instrument=message.instrument):
        settle(tx, tx.orders.edit(order.order_id))
    if message.instrument in tx.risk_settings:
        work_towards_target(tx, message.instrument)


@hedge.on_timer
def on_timer(tx, timer_id):
    """The order with that id has come of age."""
    if timer_id in tx.orders and is_working(tx.orders[timer_id]):
        cancel(tx, tx.orders[timer_id], CancelReason.AGE)


def work_towards_target(tx, instrument):
    """One look at an instrument: cancel what should not work any more, place at most one order."""
    risk = tx.risk_settings[instrument]
    desk = tx.desks.get(WHOLE_DESK)
    risk_off = risk.risk_switch == RiskSwitch.RISK_OFF or (desk is not None and desk.risk_switch == RiskSwitch.RISK_OFF)
    working = 0  # signed lots that orders may still add to the position we know: open ones, fills not contained in it
    leaving = 0  # the part of it whose cancellation has been asked for
    orders = 0
    for order in tx.orders.where(instrument=instrument):
        orders += 1
        working += signed(order.side, open_quantity(order) + order.filled - order.settled)
        if order.cancel_requested:
            leaving += signed(order.side, open_quantity(order))
        elif risk_off and is_working(order):
            cancel(tx, order, CancelReason.RISK_OFF)
    market = tx.markets[instrument]
    target = tx.hedge_targets.get(instrument)
    if risk_off or market.bid_price == 0 or target is None:
        return
    position = tx.positions.get(instrument)
    held = position.quantity if position is not None else 0
    missing = max(-risk.position_limit, min(risk.position_limit, target.quantity)) - held  # if no order fills any more
    if orders > 0:
        staying = working - leaving
        surplus = staying - missing if working > 0 else missing - staying
        cancel_unwanted(tx, risk, market, max(surplus, abs(staying) - risk.open_quantity_limit))
    gap = missing - working
    one_sided = working == 0 or (working > 0) == (gap > 0)
    if one_sided and orders < risk.open_order_limit and len(tx.orders) < ORDERS_MAX:
        quantity = min(abs(gap), risk.open_quantity_limit - abs(working))
        place(tx, risk, market, Side.BUY if gap > 0 else Side.SELL, quantity)


def place(tx, risk, market, side, quantity):
    """Send one order for at most that many lots, if the market's price is inside the price band."""
    crossing = is_crossing(risk, market, side)
    price = price_for(risk, market, side)
    hurried = quantity > risk.order_size_limit  # more is missing than one order may bring
    quantity = min(quantity, risk.order_size_limit)
    if crossing:
        quantity = min(quantity, market.ask_size if side == Side.BUY else market.bid_size)
    if quantity <= 0 or not is_in_both_bands(risk, market, price):
        return
    ahead = ticks_ahead(risk, market, side) if hurried and not crossing else 0
    price += signed(side, ahead)
    order_id = tx.next_id()
    too_old_ns = tx.now_ns + risk.max_order_age_ns
    tx.set_timer(order_id, too_old_ns)
    order = tx.orders.insert(order_id)
    order.instrument = risk.instrument
    order.side = side
    order.price = price
    order.quantity = quantity
    request = tx.emit.place_order(expires_ns=too_old_ns)
    request.order_id = order_id
    request.instrument = risk.instrument
    request.side = side
    request.price = price
    request.quantity = quantity
    request.expires_at_ns = too_old_ns
    request.time_in_force = TimeInForce.IMMEDIATE_OR_CANCEL if crossing else TimeInForce.GOOD_TILL_CANCEL
    request.ticks_ahead = ahead


def cancel_unwanted(tx, risk, market, surplus):
    """Cancel what the market left behind or a limit no longer allows, and other orders until `surplus` is gone."""
    kept = 0
    for order in tx.orders.where(instrument=risk.instrument):
        if is_working(order):
            lots = open_quantity(order)
            if is_left_behind(risk, market, order):
                cancel(tx, order, CancelReason.PRICE)
            elif surplus > 0 or lots > risk.order_size_limit or kept == risk.open_order_limit:
                cancel(tx, order, CancelReason.TARGET)
            else:
                kept += 1
                lots = 0
            surplus -= lots


def cancel(tx, order, reason):
    """Ask the venue once; the order counts until the venue confirms."""
    tx.orders.edit(order.order_id).cancel_requested = True
    tx.cancel_timer(order.order_id)
    request = tx.emit.cancel_order()
    request.order_id = order.order_id
    request.instrument = order.instrument
    request.reason = reason


def given(value, kept):
    return kept if value is None else value


def settle(tx, order):
    """Note which fills the position contains; forget a finished order once it contains them all."""
    position = tx.positions.get(order.instrument)
    if position is not None and order.venue_sequence <= position.venue_sequence:
        order.settled = order.filled
    if is_final(order.status):
        tx.cancel_timer(order.order_id)
        if order.filled == order.settled:
            tx.orders.delete(order.order_id)


def open_quantity(order):
    """Lots that may still be filled, as far as the venue has told."""
    return 0 if is_final(order.status) else order.quantity - order.filled


def signed(side, quantity):
    return quantity if side == Side.BUY else -quantity


def price_for(risk, market, side):
    """Where a new order would go now: its own side of the market, or the other side when it crosses."""
    return market.ask_price if (side == Side.BUY) == is_crossing(risk, market, side) else market.bid_price


def is_crossing(risk, market, side):
    """Whether the trend runs away from an order of that side, and there is something to take."""
    size = market.ask_size if side == Side.BUY else market.bid_size
    return size > 0 and signed(side, market.trend) >= risk.cross_at_trend


def ticks_ahead(risk, market, side):
    """How far ahead of the queue an order in a hurry goes: never beyond the midpoint, nor out of the price band."""
    ahead = min(risk.improve_ticks, (market.ask_price - market.bid_price) // 2)
    price = price_for(risk, market, side) + signed(side, ahead)
    return ahead if is_in_both_bands(risk, market, price) else 0


def is_in_band(risk, price, midpoint):  # midpoint in half ticks
    return abs(2 * price - midpoint) <= 2 * risk.price_band


def is_in_both_bands(risk, market, price):
    wild = market.last_midpoint > 0 and not is_in_band(risk, price, market.last_midpoint)
    return not wild and is_in_band(risk, price, market.bid_price + market.ask_price)


def is_left_behind(risk, market, order):
    """Whether a new order would be placed too many ticks ahead of this one, or this one is outside the price band."""
    ahead = signed(order.side, price_for(risk, market, order.side) - order.price)
    return ahead > risk.requote_distance or not is_in_band(risk, order.price, market.bid_price + market.ask_price)


def is_working(order):
    """In the market, as far as we know, and nobody has asked to take it out."""
    return not order.cancel_requested and not is_final(order.status)


def is_final(status):
    return status == OrderStatus.FILLED or status == OrderStatus.CANCELLED or status == OrderStatus.REJECTED
