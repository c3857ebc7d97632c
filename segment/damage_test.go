package segment

// How: every byte of an object is damaged, one after the other. With the checksum as it was,
// Decode must say so. With the checksum made to fit, as a hostile index would, it may read other
// values or refuse, but must not panic, and every cell of what it gives must be readable. The
// same for the footer.

import (
	"errors"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	flatbuffers "github.com/google/flatbuffers/go"

	"github.com/fozlog/foz"
)

func encodeSample(t testing.TB, codec Codec) ([]byte, []foz.Segment) {
	t.Helper()
	parts, requests := sampleParts()
	object, segments, err := (&Encoder{Codec: codec}).Encode(nil, parts, requests)
	if err != nil {
		t.Fatal(err)
	}
	return object, segments
}

// touch reads every cell.
func touch(rows *foz.Rows) (sum int) {
	for _, r := range listRows(rows) {
		for _, c := range slices.Concat(r.key, r.value, r.headers) {
			sum += int(c)
		}
	}
	return sum
}

func TestDecodeDamaged(t *testing.T) {
	for _, codec := range []Codec{Uncompressed, LZ4} {
		object, segments := encodeSample(t, codec)
		for _, s := range segments {
			msg := slices.Clone(object[s.ByteStart:s.ByteEnd])
			for i := range msg {
				for _, flip := range []byte{1, 0x80, 0xff} {
					msg[i] ^= flip
					if _, err := Decode(msg, s); !errors.Is(err, ErrDamaged) {
						t.Fatalf("byte %d: error %v", i, err)
					}
					lying := s
					lying.CRC32C = crc32.Checksum(msg, castagnoli)
					if rows, err := Decode(msg, lying); err == nil {
						touch(rows)
					} else if !errors.Is(err, ErrDamaged) {
						t.Fatalf("byte %d, checksum fits: error %v", i, err)
					}
					msg[i] ^= flip
				}
			}
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	object, segments := encodeSample(t, Uncompressed)
	s := segments[0]
	msg := object[s.ByteStart:s.ByteEnd]
	with := func(change func(*foz.Segment)) foz.Segment {
		changed := s
		change(&changed)
		return changed
	}
	cut := func(n int64) foz.Segment {
		return with(func(s *foz.Segment) {
			s.ByteEnd = s.ByteStart + n
			s.CRC32C = crc32.Checksum(msg[:n], castagnoli)
		})
	}
	schema := schemaMessage(storedFields)
	for _, c := range []struct {
		name string
		msg  []byte
		s    foz.Segment
		want string
	}{
		{"short", msg[:len(msg)-8], s, "bytes"},
		{"long", append(slices.Clone(msg), 0), s, "bytes"},
		{"checksum", msg, with(func(s *foz.Segment) { s.CRC32C++ }), "crc32c"},
		{"rows", msg, with(func(s *foz.Segment) { s.Rows++ }), "3 rows, not 4"},
		{"cut body", msg[:len(msg)-8], cut(int64(len(msg) - 8)), "body length"},
		{"cut metadata", msg[:100], cut(100), "not a record batch"},
		{"nothing", nil, foz.Segment{}, "not a record batch"},
		{"schema", schema, foz.Segment{ByteEnd: int64(len(schema)),
			CRC32C: crc32.Checksum(schema, castagnoli)}, "not a record batch"},
	} {
		_, err := Decode(c.msg, c.s)
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

// TestTableEnds: a vector may not reach over the end of its message into what follows it in
// memory.
func TestTableEnds(t *testing.T) {
	whole := slices.Concat(
		le32(4),                  // 0: the root table is at 4
		le32(4-12),               // 4: its vtable at 12
		le32(20-8),               // 8: its slot 0, a vector at 20
		[]byte{6, 0, 8, 0, 4, 0}, // 12: the vtable has 6 bytes, the table 8, slot 0 is 4 into it
		[]byte{0, 0},             //
		le32(40),                 // 20: the vector has 40 bytes
		make([]byte, 40),
	)
	read := func(b []byte) (n int, err error) {
		defer guard(&err)
		return len(rootTable(b).vector(0, 1)), nil
	}
	if n, err := read(whole); n != 40 || err != nil {
		t.Fatalf("%d bytes, error %v: the test itself is wrong", n, err)
	}
	if n, err := read(whole[:63]); err == nil {
		t.Errorf("%d bytes of a message that ends before", n)
	}
}

func TestInspectDamaged(t *testing.T) {
	object, segments := encodeSample(t, Uncompressed)
	footer := int(segments[len(segments)-1].ByteEnd)
	for i := footer; i < len(object); i++ {
		damagedObject := slices.Clone(object)
		damagedObject[i] ^= 0x40
		f, err := Inspect(damagedObject)
		switch {
		case err == nil:
			// Padding and the schema's names are Arrow's, not the index's: the table must be whole.
			if !slices.Equal(f.Segments, segments) {
				t.Fatalf("byte %d: segments %+v", i, f.Segments)
			}
		case !errors.Is(err, ErrDamaged):
			t.Fatalf("byte %d: error %v", i, err)
		}
	}
	for n := range len(object) {
		if _, err := Inspect(object[:n]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("first %d bytes: error %v", n, err)
		}
	}
	if _, err := Inspect([]byte("PAR1 is not ours, ARROW1")); !errors.Is(err, ErrDamaged) {
		t.Errorf("another file: error %v", err)
	}
}

// TestInspectVersion makes an object of a version to come.
func TestInspectVersion(t *testing.T) {
	var m manifest
	m.write(nil, nil)
	for _, c := range []struct {
		version, crc string
		want         error
	}{
		{"2", checksumText(2, m.segments, m.requests), ErrVersion},
		{"2", m.crc(), ErrDamaged},
		{"x", m.crc(), ErrDamaged},
	} {
		object := []byte(magicPadded)
		object = appendFooterOf(flatbuffers.NewBuilder(0), object, storedFields, nil, []metadataEntry{
			{keyVersion, []byte(c.version)}, {keySegments, m.segments},
			{keyRequests, m.requests}, {keyCRC32C, []byte(c.crc)},
		})
		if _, err := Inspect(object); !errors.Is(err, c.want) {
			t.Errorf("version %s: error %v, want %v", c.version, err, c.want)
		}
	}
	object := appendFooterOf(flatbuffers.NewBuilder(0), []byte(magicPadded), storedFields, nil, nil)
	if _, err := Inspect(object); !errors.Is(err, ErrDamaged) {
		t.Errorf("no metadata: error %v", err)
	}
}

// TestInspectLies gives footers whose checksum fits and whose numbers do not.
func TestInspectLies(t *testing.T) {
	object, segments := encodeSample(t, Uncompressed)
	object = object[:segments[2].ByteEnd]
	whole := string(appendSegments(nil, segments))
	lie := func(old, new string) string {
		if !strings.Contains(whole, old) {
			t.Fatalf("no %q in %s", old, whole)
		}
		return strings.Replace(whole, old, new, 1)
	}
	for _, c := range []struct{ segments, requests, want string }{
		{whole, `[]`, ""},
		{whole, `[{"batches":[0,1,2]}]`, "numbers"},
		{whole, `[{"batches":[3,1]}]`, "segment 3"},
		{whole, `[{"batches":[-1,1]}]`, "segment -1"},
		{whole, `[{"producer":{"id_base64":"?"},"batches":[0,1]}]`, "request 0"},
		{whole, `[{]`, keyRequests},
		{lie(`"counts":[2`, `"counts":[9000000000000`), `[]`, "out of bounds"},
		{lie(`"counts":[2`, `"counts":[-2`), `[]`, "fewer"},
		{lie(`"rows":[`, `"rows":[1,`), `[]`, "differ in length"},
		{lie(`"start":`, `"start":1`), `[]`, "its block at"},
		{lie(`"start":`, `"start":-`), `[]`, "out of bounds"},
		{lie(`"bytes":[`, `"bytes":[9223372036854775`), `[]`, keySegments},
		{lie(`"topics":["0`, `"topics":["x`), `[]`, "topic id"},
		{`{}`, `[]`, "blocks"},
	} {
		crc := checksumText(1, []byte(c.segments), []byte(c.requests))
		entries := []metadataEntry{
			{keyVersion, []byte("1")}, {keySegments, []byte(c.segments)},
			{keyRequests, []byte(c.requests)}, {keyCRC32C, []byte(crc)},
		}
		blocks := blocksOf(segments, int64(len(storedShapes[Uncompressed].metadata)))
		lying := appendFooterOf(flatbuffers.NewBuilder(0), slices.Clone(object), storedFields,
			blocks, entries)
		_, err := Inspect(lying)
		if c.want == "" && err == nil {
			continue
		}
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, %s: error %v, want %q", c.segments, c.requests, err, c.want)
		}
	}
}
