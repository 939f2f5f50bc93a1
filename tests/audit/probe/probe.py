"""Things with weights and grades: a plugin with every kind of read, line and refusal, for the tests of `explain`."""

from statevec import Index, Key, Ordered, Plugin, Unique, i64, u32

probe = Plugin("probe", version="1.0.0", schema="probe.xml")
Grade = probe.schema.enum("Grade")

THERE = probe.rejection(1, "a thing of that number is there already")
HEAVIEST = 1_000


@probe.record(capacity=64)
class Thing:
    number: Key[u32]
    grade: Index[Grade]
    tag: Unique[i64]
    weight: Ordered[i64]
    label: i64


@probe.record(capacity=4)
class Total:
    grade: Key[Grade]
    weight: i64


@probe.invariant(Thing)
def weight_is_positive(tx, thing):
    return thing.weight > 0


@probe.invariant(Total, whole_table=True)
def totals_are_few(tx, totals):
    return len(totals) <= 2


@probe.on("Add")
def on_add(tx, message):
    if message.number in tx.things:
        tx.reject(THERE)
        return
    thing = tx.things.insert(message.number)
    thing.grade = message.grade
    thing.tag = message.number * 10
    thing.weight = message.weight
    add_to_total(
        tx,
        message.grade,
        message.weight,
    )


@probe.on("Weigh")
def on_weigh(tx, message):
    total = 0
    count = 0
    for thing in tx.things.where(grade=message.grade):
        total += heavy(thing)
        count += 2
    lightest = 0
    for thing in tx.things.ascending(weight=0):
        lightest = thing.weight
        break
    weighed = tx.emit.weighed()
    weighed.total = total
    weighed.each = lightest + total // message.divisor


@probe.on("Remove")
def on_remove(tx, message):
    tx.things.delete(message.number)


@probe.on("Find")
def on_find(tx, message):
    thing = tx.things.unique(tag=message.tag)
    if thing is not None:
        tx.things.edit(thing.number).label = message.tag
    else:
        tx.set_timer(message.tag, tx.now_ns + 5)


@probe.on("Spread")
def on_spread(tx, message):
    for part in message.parts:
        tx.things.edit(part.number).weight = part.weight


def heavy(thing):
    return thing.weight if thing.weight <= HEAVIEST else HEAVIEST


def add_to_total(tx, grade, weight):
    if tx.totals.get(grade) is None:
        tx.totals.insert(grade)
    total = tx.totals.edit(grade)
    total.weight += weight
