"""Notes with a title of fixed length and texts of any: a plugin for the tests of what reaches a terminal."""

from statevec import Key, Plugin, chars, u32

notes = Plugin("notes", version="1.0.0", schema="notes.xml")


@notes.record(capacity=64)
class Note:
    number: Key[u32]
    title: chars[16]


@notes.on("Note")
def on_note(tx, message):
    if message.number not in tx.notes:
        tx.notes.insert(message.number)
    note = tx.notes.edit(message.number)
    note.title = message.title
    noted = tx.emit.noted()
    noted.note_id = message.number
    noted.title = message.title
    noted.text = message.text
    noted.raw = message.raw
