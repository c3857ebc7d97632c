package segment

import (
	"encoding/binary"
	"slices"
)

// table reads a flatbuffer table in hostile bytes. A reference that leads outside the bytes
// panics with a runtime.Error: whoever reads tables does so under [guard]. Nothing is
// allocated.
// Source: flatbuffers' internals, https://flatbuffers.dev/internals/.
type table struct {
	b   []byte
	pos int
}

// rootTable clips b: a slice expression is checked against the capacity, and what lies behind b
// in memory is not the message's.
func rootTable(b []byte) table {
	return table{slices.Clip(b), int(binary.LittleEndian.Uint32(b))}
}

// field is where the value of a slot lies, or 0 if the slot is absent.
func (t table) field(slot int) int {
	vtable := t.pos - int(int32(binary.LittleEndian.Uint32(t.b[t.pos:])))
	entry := 4 + 2*slot
	if entry+2 > int(binary.LittleEndian.Uint16(t.b[vtable:])) {
		return 0
	}
	offset := int(binary.LittleEndian.Uint16(t.b[vtable+entry:]))
	if offset == 0 {
		return 0
	}
	return t.pos + offset
}

func (t table) byte(slot int) byte {
	if at := t.field(slot); at != 0 {
		return t.b[at]
	}
	return 0
}

func (t table) int16(slot int, absent int16) int16 {
	if at := t.field(slot); at != 0 {
		return int16(binary.LittleEndian.Uint16(t.b[at:]))
	}
	return absent
}

func (t table) int32(slot int, absent int32) int32 {
	if at := t.field(slot); at != 0 {
		return int32(binary.LittleEndian.Uint32(t.b[at:]))
	}
	return absent
}

func (t table) int64(slot int, absent int64) int64 {
	if at := t.field(slot); at != 0 {
		return int64(binary.LittleEndian.Uint64(t.b[at:]))
	}
	return absent
}

func (t table) table(slot int) (table, bool) {
	at := t.field(slot)
	if at == 0 {
		return table{}, false
	}
	return table{t.b, at + int(binary.LittleEndian.Uint32(t.b[at:]))}, true
}

// vectorStart is where the first element of a vector lies, or 0 if the slot is absent.
func (t table) vectorStart(slot int) int {
	at := t.field(slot)
	if at == 0 {
		return 0
	}
	return at + int(binary.LittleEndian.Uint32(t.b[at:])) + 4
}

// vector is the bytes of a vector whose elements have size bytes.
func (t table) vector(slot, size int) []byte {
	start := t.vectorStart(slot)
	if start == 0 {
		return nil
	}
	length := int(binary.LittleEndian.Uint32(t.b[start-4:]))
	return t.b[start:][:length*size]
}

// tableVector is a vector of tables.
type tableVector struct {
	b   []byte
	pos int // of the first reference
	n   int
}

func (t table) tables(slot int) tableVector {
	return tableVector{t.b, t.vectorStart(slot), len(t.vector(slot, 4)) / 4}
}

func (v tableVector) len() int { return v.n }

func (v tableVector) at(i int) table {
	pos := v.pos + 4*i
	return table{v.b, pos + int(binary.LittleEndian.Uint32(v.b[pos:]))}
}
